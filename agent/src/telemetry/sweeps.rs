//! What is counted and measured of sweeps. Labels are names of configured sweeps and words of fixed lists.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::{EventKind, Standing, Status, SweepName, SweepRun};

/// From a timer that rang in time to a slot that waited for a busy machine.
const LATENESS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0];

/// What became of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotResult {
    /// It was run.
    Run,
    /// It passed while the agent was not there, or could not start in time.
    Missed,
    /// The sweep was still at work.
    Skipped,
    /// It had been dealt with before, as the clock was set back.
    Repeated,
    /// It could not be recorded.
    NotRecorded,
    /// It belongs to another replica, which leads by now.
    Elsewhere,
}

impl SlotResult {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Run, Self::Missed, Self::Skipped, Self::Repeated, Self::NotRecorded, Self::Elsewhere];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
            Self::Repeated => "repeated",
            Self::NotRecorded => "not_recorded",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// The metrics of sweeps.
pub struct SweepMetrics {
    slots: Family<SlotLabels, Counter>,
    lateness: Histogram,
    runs: Family<RunLabels, Counter>,
    status: Family<SweepLabels, Gauge>,
    flapping: Family<SweepLabels, Gauge>,
    events: Family<EventLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SlotLabels {
    sweep: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    sweep: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SweepLabels {
    sweep: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    sweep: String,
    event: &'static str,
}

impl SweepMetrics {
    /// Metrics that `registry` shows.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            slots: Family::default(),
            lateness: Histogram::new(LATENESS),
            runs: Family::default(),
            status: Family::default(),
            flapping: Family::default(),
            events: Family::default(),
        };
        registry.register("sweep_slots", "Slots of schedules, by what became of them", metrics.slots.clone());
        let lateness = metrics.lateness.clone();
        registry.register_with_unit("sweep_lateness", "From when a sweep is due to its start", Unit::Seconds, lateness);
        registry.register("sweep_runs", "Runs of sweeps that came to a verdict", metrics.runs.clone());
        let status = metrics.status.clone();
        registry.register("sweep_status", "Confirmed state of a sweep: 0 ok, 1 warning, 2 critical, 3 unknown", status);
        registry.register("sweep_flapping", "1 while a sweep is flapping", metrics.flapping.clone());
        registry.register("sweep_events", "What happened to sweeps", metrics.events.clone());
        metrics
    }

    /// Count `count` slots of a sweep.
    pub fn slots(&self, sweep: &SweepName, result: SlotResult, count: u64) {
        let labels = SlotLabels { sweep: sweep.to_string(), result: result.as_str() };
        self.slots.get_or_create(&labels).inc_by(count);
    }

    /// How many slots of a sweep had that result.
    pub fn slots_so_far(&self, sweep: &SweepName, result: SlotResult) -> u64 {
        let labels = SlotLabels { sweep: sweep.to_string(), result: result.as_str() };
        self.slots.get_or_create(&labels).get()
    }

    /// Note how late a sweep started.
    pub fn late(&self, lateness: Duration) {
        self.lateness.observe(lateness.as_secs_f64());
    }

    /// Count a run that came to a verdict.
    pub fn concluded(&self, run: &SweepRun) {
        if let Some(status) = run.status {
            let labels = RunLabels { sweep: run.sweep.to_string(), status: status.as_str() };
            self.runs.get_or_create(&labels).inc();
        }
    }

    /// Show how a sweep stands. One without a verdict is not shown.
    pub fn stands(&self, sweep: &SweepName, standing: &Standing) {
        let labels = SweepLabels { sweep: sweep.to_string() };
        if let Some(hard) = standing.hard {
            self.status.get_or_create(&labels).set(i64::from(Status::code(hard)));
        }
        self.flapping.get_or_create(&labels).set(i64::from(standing.flapping));
    }

    /// Show no more how a sweep stands: it is configured no more.
    pub fn forget(&self, sweep: &SweepName) {
        let labels = SweepLabels { sweep: sweep.to_string() };
        self.status.remove(&labels);
        self.flapping.remove(&labels);
    }

    /// Count an event.
    pub fn event(&self, sweep: &SweepName, kind: EventKind) {
        self.events.get_or_create(&EventLabels { sweep: sweep.to_string(), event: kind.as_str() }).inc();
    }
}
