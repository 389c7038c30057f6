//! Measures 17 to 19: checks that run by schedule, through scheduler, admission, guest, records and metrics.
//!
//! Sweeps of ten checks that do nothing, each every second and spread over it by its name. More of them than the machine can
//! take tell how many it does take; as many as the goal asks for tell how late they start; and an agent that was away for a while
//! tells what a restart costs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use paramedic::catalog::Catalog;
use paramedic::clock::SystemClock;
use paramedic::domain::{CheckResult, Missed, Overlap, SweepName, Target};
use paramedic::engine::Allocation;
use paramedic::host::Targets;
use paramedic::runner::Runner;
use paramedic::scheduler::{Cadence, Check, CheckRunner, Limits, Order, Rules, Schedule, Scheduler, Sweep, Timetable};
use paramedic::store::{SqliteStore, Store, StoreOptions};
use paramedic::telemetry::Metrics;
use paramedic_tests::components;
use serde_json::{Map, json};

use crate::plugins::SLOTS;
use crate::report::{Report, Row, Unit};
use crate::{Bench, plugins};

const CHECKS: usize = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Sweeps that make twice as many checks as the goal asks for, and as many.
const TOO_MANY: usize = 400;
const ENOUGH: usize = 200;

/// Cores that everything shares.
const CORES: f64 = 2.0;

/// How long each is looked at, in seconds, and how long it may settle before.
const LOOK: u64 = 8;
const SETTLE: Duration = Duration::from_secs(3);

/// How long the agent is away.
const AWAY: Duration = Duration::from_secs(5);

/// Measure and report.
pub fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let entries = vec![plugins::entry("noop", components::guest("noop")?, Vec::new())?];
    let (settings, io) = (plugins::settings(Allocation::Pooled), bench.agent.handle().clone());
    let catalog = bench.agent.block_on(plugins::catalog(&settings, io, Targets::default(), entries))?;

    let many = Agent::start(bench, &catalog, "many.db", TOO_MANY)?;
    std::thread::sleep(SETTLE);
    let taken = many.seconds(LOOK);
    many.end(bench)?;
    let rate = mean(&taken);
    let measure = "scheduled noop checks, with records, per core";
    let raw = json!({ "checks in each second": taken, "offered": TOO_MANY * CHECKS });
    report.add(Row::absolute(17, measure, Unit::PerSecond, rate / CORES).at_least(1000.0).raw(raw));

    let enough = Agent::start(bench, &catalog, "enough.db", ENOUGH)?;
    std::thread::sleep(SETTLE);
    let steady = enough.seconds(LOOK);
    let late = lateness(&enough.metrics.render())?;
    enough.end(bench)?;
    let measure = "a sweep starts late, p99 (upper bound of its bucket)";
    let raw = json!({ "checks in each second": steady });
    report.add(Row::absolute(18, measure, Unit::Millis, late * 1000.0).at_most(50.0).raw(raw));

    std::thread::sleep(AWAY);
    let again = Agent::start(bench, &catalog, "enough.db", ENOUGH)?;
    let after = again.seconds(LOOK);
    again.end(bench)?;
    let most = after.iter().copied().max().unwrap_or_default();
    let measure = "most checks in a second after a restart";
    let raw = json!({ "checks in each second": after });
    let ratio = (mean(&steady), as_number(most));
    report.add(Row::ratio(19, measure, Unit::PerSecond, ratio).at_most(2.0).raw(raw));
    Ok(())
}

/// A scheduler at work, with all that it stands on.
struct Agent {
    scheduler: Arc<Scheduler>,
    runner: Arc<Runner>,
    store: Arc<SqliteStore>,
    metrics: Arc<Metrics>,
    counted: Arc<Counted>,
}

impl Agent {
    fn start(bench: &Bench, catalog: &Arc<Catalog>, file: &str, sweeps: usize) -> anyhow::Result<Self> {
        let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::default()));
        let path = bench.scratch.path().join(file);
        let store = Arc::new(SqliteStore::open(&path, clock.clone(), StoreOptions::default())?);
        let slots = SLOTS as usize;
        let kept: Arc<dyn Store> = store.clone();
        let runner = Runner::new(catalog.clone(), kept, clock.clone(), metrics.clone(), slots, slots);
        let checks = paramedic::app::check_runner(catalog.clone(), runner.clone());
        let counted = Arc::new(Counted { checks, count: AtomicU64::new(0), refused: Mutex::default() });
        let limits = Limits { max_parallel_per_target: slots, patience: Duration::from_secs(30) };
        let sweeps = (0..sweeps).map(sweep).collect::<anyhow::Result<Vec<_>>>()?;
        let (kept, runs) = (store.clone(), counted.clone());
        let opened = Scheduler::open(sweeps, limits, kept, runs, clock, metrics.clone());
        let scheduler = Arc::new(bench.agent.block_on(opened)?);
        let driver = scheduler.clone();
        bench.agent.spawn(async move { driver.run().await });
        Ok(Self { scheduler, runner, store, metrics, counted })
    }

    /// Checks that ended in each of the next seconds.
    fn seconds(&self, count: u64) -> Vec<u64> {
        let began = Instant::now();
        let mut before = self.counted.count.load(Ordering::Relaxed);
        let second = |second: u64| {
            std::thread::sleep(
                (began + SECOND * u32::try_from(second).unwrap_or(u32::MAX)).saturating_duration_since(Instant::now()),
            );
            let now = self.counted.count.load(Ordering::Relaxed);
            now - std::mem::replace(&mut before, now)
        };
        (1..=count).map(second).collect()
    }

    fn end(self, bench: &Bench) -> anyhow::Result<()> {
        self.scheduler.stop();
        bench.agent.block_on(async {
            self.runner.drain(Duration::from_secs(20)).await;
            self.scheduler.settled(Duration::from_secs(20)).await;
            self.store.close().await
        })?;
        let refused = self.counted.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(refused.is_none(), "a check did nothing: {}", refused.unwrap_or_default());
        Ok(())
    }
}

fn sweep(number: usize) -> anyhow::Result<Sweep> {
    let name: SweepName = format!("sweep-{number}").parse()?;
    let check = Check { plugin: "noop".parse()?, params: Map::new() };
    Ok(Sweep {
        timetable: Some(Timetable {
            schedule: Schedule::new(Cadence::Every(SECOND), SECOND, &name),
            missed: Missed::Once,
            starting_deadline: Duration::from_secs(60),
        }),
        name,
        overlap: Overlap::Skip,
        checks: vec![check; CHECKS],
        rules: Rules::default(),
        max_parallel: CHECKS,
        max_parallel_per_target: CHECKS,
    })
}

/// Counts the checks that came to an end.
struct Counted {
    checks: Arc<dyn CheckRunner>,
    count: AtomicU64,
    /// What the first one said that did not do as it should.
    refused: Mutex<Option<String>>,
}

#[async_trait]
impl CheckRunner for Counted {
    fn targets(&self, check: &Check) -> Vec<Target> {
        self.checks.targets(check)
    }

    async fn run(&self, order: Order) -> Option<CheckResult> {
        let result = self.checks.run(order).await?;
        if result.summary == "nothing to do" {
            self.count.fetch_add(1, Ordering::Relaxed);
        } else {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.get_or_insert_with(|| result.summary.clone());
        }
        Some(result)
    }
}

/// The bound of the bucket that ninety-nine of a hundred starts are within, in seconds.
fn lateness(metrics: &str) -> anyhow::Result<f64> {
    let buckets = metrics.lines().filter_map(|line| line.strip_prefix("paramedic_sweep_lateness_seconds_bucket{le=\""));
    let read = |bucket: &str| {
        let (bound, count) = bucket.split_once("\"} ")?;
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
        Some((bound, count.parse::<f64>().ok()?))
    };
    let buckets: Vec<(f64, f64)> = buckets.filter_map(read).collect();
    let (_, all) = *buckets.last().context("no lateness was measured")?;
    ensure!(all > 0.0, "nothing started by schedule");
    let within = buckets.iter().find(|(_, count)| *count >= 0.99 * all);
    within.map(|(bound, _)| *bound).context("the buckets make no sense")
}

fn mean(counts: &[u64]) -> f64 {
    as_number(counts.iter().sum()) / as_number(counts.len() as u64).max(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "nothing is counted beyond 2^53")]
fn as_number(count: u64) -> f64 {
    count as f64
}
