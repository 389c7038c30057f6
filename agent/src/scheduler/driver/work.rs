//! One run of a sweep from its claim to its end, and what becomes of a slot that comes meanwhile.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Inner, Watch};
use crate::domain::{Actor, Overlap, SweepRun, SweepRunId, SweepRunState, Timestamp};
use crate::scheduler::execution::Ended;
use crate::scheduler::ledger::SCHEDULE;
use crate::scheduler::retry::patiently;
use crate::store::{Claim, Claimed, StoreError};
use crate::telemetry::SlotResult;

/// What a sweep is at.
#[derive(Default)]
pub(super) struct Work {
    current: Option<Current>,
    /// A slot that starts when the current run has ended.
    waiting: Option<Timestamp>,
}

struct Current {
    begun: SweepRun,
    replaced: CancellationToken,
    /// Whether its start is recorded. Its sender goes away when that fails, after the run has.
    durable: watch::Receiver<bool>,
    done: watch::Receiver<Option<Arc<SweepRun>>>,
}

/// What makes a sweep run.
pub(super) enum Cause {
    /// A slot of its schedule.
    Slot(Timestamp),
    /// Its schedule, while nobody can be asked for the slot.
    Unasked,
    /// Somebody asked.
    Asked(Actor),
}

/// A run of a sweep that is under way.
pub struct UnderWay {
    /// The run as it was recorded, without an end.
    pub begun: SweepRun,
    done: watch::Receiver<Option<Arc<SweepRun>>>,
}

impl UnderWay {
    /// Wait for the end and its record. None when the end could not be recorded, or the agent is ending.
    pub async fn finished(mut self) -> Option<SweepRun> {
        let ended = self.done.wait_for(Option::is_some).await.ok()?;
        ended.as_deref().cloned()
    }
}

/// Whether the start of a run was recorded.
type Recorded = oneshot::Receiver<Result<(), StoreError>>;

/// How the start of a run that somebody asked for becomes durable.
pub(super) enum Start {
    /// It is that of a new run.
    Own(Recorded),
    /// It is that of a run that was under way already, and may be about to be recorded.
    Joined(watch::Receiver<bool>),
}

/// Winds up after a run, also after one that ended in a panic: its sweep must not seem to be at work for ever.
struct WindUp(Arc<Inner>, usize, SweepRunId);

impl Drop for WindUp {
    fn drop(&mut self) {
        self.0.wind_up(self.1, self.2);
    }
}

impl Watch {
    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// The run that is under way.
    pub(super) fn current(&self) -> Option<&SweepRun> {
        self.current.as_ref().map(|current| &current.begun)
    }

    /// That run is over. Another one may be under way already.
    fn leave(&mut self, run: SweepRunId) {
        self.current.take_if(|current| current.begun.id == run);
    }
}

impl Inner {
    /// Start the sweep for a slot, or do what its overlap policy says.
    pub(super) fn start_slot(self: &Arc<Self>, index: usize, slot: Timestamp) {
        let watch = &self.watch(index);
        let mut work = watch.work();
        let Some(current) = &work.current else {
            let _ = self.begin(index, &mut work, self.cause(slot));
            return;
        };
        let skipped = match watch.sweep().overlap {
            Overlap::Skip => Some(slot),
            Overlap::Queue => work.waiting.replace(slot),
            Overlap::Replace => {
                current.replaced.cancel();
                work.waiting.replace(slot)
            }
        };
        if let Some(skipped) = skipped {
            self.skip(watch, skipped);
            self.tasks.spawn(Arc::clone(self).claim_skipped(index, skipped));
        }
    }

    fn cause(&self, slot: Timestamp) -> Cause {
        if self.is_alone.load(Ordering::SeqCst) { Cause::Unasked } else { Cause::Slot(slot) }
    }

    /// Begin a run, or tell which one is under way. Its start is not waited for.
    pub(super) fn begin_or_join(self: &Arc<Self>, index: usize, cause: Cause) -> (UnderWay, Start) {
        let watch = self.watch(index);
        let mut work = watch.work();
        if let Some(current) = &work.current {
            let under_way = UnderWay { begun: current.begun.clone(), done: current.done.clone() };
            return (under_way, Start::Joined(current.durable.clone()));
        }
        let (under_way, recorded) = self.begin(index, &mut work, cause);
        (under_way, Start::Own(recorded))
    }

    /// Begin a run on a task of its own: whoever asked may leave.
    fn begin(self: &Arc<Self>, index: usize, work: &mut Work, cause: Cause) -> (UnderWay, Recorded) {
        let watch = self.watch(index);
        let now = self.books.clock.now();
        let (slot, actor) = match cause {
            Cause::Slot(slot) => (Some(slot), Actor(SCHEDULE.to_owned())),
            Cause::Unasked => (None, Actor(SCHEDULE.to_owned())),
            Cause::Asked(actor) => (None, actor),
        };
        let run = SweepRun {
            id: SweepRunId::new(now),
            sweep: watch.name.clone(),
            slot,
            actor,
            started: now,
            finished: None,
            state: SweepRunState::Running,
            status: None,
            checks: Vec::new(),
        };
        let (tell, done) = watch::channel(None);
        let (started, recorded) = oneshot::channel();
        let (record, durable) = watch::channel(false);
        let replaced = CancellationToken::new();
        work.current = Some(Current { begun: run.clone(), replaced: replaced.clone(), durable, done: done.clone() });
        let span = tracing::info_span!("sweep", sweep.name = %run.sweep, sweep.run = %run.id);
        let task = Arc::clone(self).see_through(index, run.clone(), replaced, (started, record), tell);
        self.tasks.spawn(task.instrument(span));
        (UnderWay { begun: run, done }, recorded)
    }

    async fn see_through(
        self: Arc<Self>,
        index: usize,
        run: SweepRun,
        replaced: CancellationToken,
        (started, durable): (oneshot::Sender<Result<(), StoreError>>, watch::Sender<bool>),
        tell: watch::Sender<Option<Arc<SweepRun>>>,
    ) {
        let _wind_up = WindUp(Arc::clone(&self), index, run.id);
        let watch = &self.watch(index);
        match self.record_start(watch, &run).await {
            Ok(Claimed::Now) => {}
            Ok(Claimed::Before) => {
                tracing::info!("a slot comes again after the clock was set back, and is left out");
                return self.books.metrics.sweeps.slots(&run.sweep, SlotResult::Repeated, 1);
            }
            Ok(Claimed::NotOurs) => return self.books.metrics.sweeps.slots(&run.sweep, SlotResult::Elsewhere, 1),
            Err(error) => {
                tracing::error!(%error, "a sweep is not run because its start cannot be recorded");
                if run.slot.is_some() {
                    self.books.metrics.sweeps.slots(&run.sweep, SlotResult::NotRecorded, 1);
                }
                // Nobody waits for a slot.
                let _ = started.send(Err(error));
                return;
            }
        }
        let _ = started.send(Ok(()));
        durable.send_replace(true);
        self.note_start(watch, &run);
        let sweep = watch.sweep();
        let ended = tokio::select! {
            ended = self.execution.perform(&sweep, &run) => Some(ended),
            () = replaced.cancelled() => None,
        };
        let run = concluded(run, ended, self.books.clock.now());
        log_end(&run);
        match watch.ledger.enter(run.clone(), &self.books).await {
            Ok(()) => {
                // First: whoever hears of the end and asks again begins a run of their own.
                watch.work().leave(run.id);
                tell.send_replace(Some(Arc::new(run)));
            }
            Err(error) => tracing::error!(%error, "the end of a sweep is lost; it will be shown as interrupted"),
        }
    }

    async fn record_start(&self, watch: &Watch, run: &SweepRun) -> Result<Claimed, StoreError> {
        let store = &self.books.store;
        match run.slot {
            None => patiently(|| store.start_sweep_run(run.clone())).await.map(|()| Claimed::Now),
            Some(slot) => {
                let claim = watch.claim(slot);
                patiently(|| store.claim_slot(claim.clone(), Some(run.clone()))).await
            }
        }
    }

    fn note_start(&self, watch: &Watch, run: &SweepRun) {
        if let (Some(slot), Some(table)) = (run.slot, &watch.sweep().timetable) {
            self.books.metrics.sweeps.slots(&run.sweep, SlotResult::Run, 1);
            self.books.metrics.sweeps.late(self.books.clock.now().since(table.schedule.due(slot)));
        }
    }

    fn skip(&self, watch: &Watch, slot: Timestamp) {
        tracing::warn!(sweep.name = %watch.name, %slot, "a slot is left out because its sweep is still at work");
        self.books.metrics.sweeps.slots(&watch.name, SlotResult::Skipped, 1);
    }

    /// A slot that was left out is dealt with.
    async fn claim_skipped(self: Arc<Self>, index: usize, slot: Timestamp) {
        let watch = &self.watch(index);
        let claim = watch.claim(slot);
        if let Err(error) = patiently(|| self.books.store.claim_slot(claim.clone(), None)).await {
            tracing::warn!(%error, sweep.name = %watch.name, "a slot that was left out is not recorded");
        }
    }

    /// The run is over: start what waited for that.
    fn wind_up(self: &Arc<Self>, index: usize, run: SweepRunId) {
        let watch = &self.watch(index);
        let mut work = watch.work();
        work.leave(run);
        if work.current.is_some() {
            // What waits waits for that one.
            return;
        }
        if !watch.is_configured() {
            work.waiting = None;
            // It may have come to a verdict since it went.
            self.books.metrics.sweeps.forget(&watch.name);
        }
        if let Some(slot) = work.waiting.take().filter(|_| !self.is_stopping()) {
            let now = self.books.clock.now();
            let sweep = watch.sweep();
            let table = sweep.timetable.as_ref();
            if table.is_some_and(|table| now.since(table.schedule.due(slot)) <= table.starting_deadline) {
                let _ = self.begin(index, &mut work, self.cause(slot));
            } else {
                tracing::warn!(sweep.name = %watch.name, %slot, "a slot waited for longer than its deadline");
                self.books.metrics.sweeps.slots(&watch.name, SlotResult::Missed, 1);
            }
        }
        drop(work);
        self.plan(index);
        self.wake.notify_one();
    }
}

impl Watch {
    fn claim(&self, slot: Timestamp) -> Claim {
        let moment = std::time::Duration::from_millis(1);
        let before = self.sweep().timetable.as_ref().and_then(|table| table.schedule.last(slot.before(moment)));
        Claim { sweep: self.name.clone(), slot, before }
    }
}

fn concluded(run: SweepRun, ended: Option<Ended>, now: Timestamp) -> SweepRun {
    let (state, status, checks) = match ended {
        Some(Ended::Concluded(status, checks)) => (SweepRunState::Concluded, Some(status), checks),
        Some(Ended::Interrupted) => (SweepRunState::Interrupted, None, Vec::new()),
        None => (SweepRunState::Replaced, None, Vec::new()),
    };
    // Also a clock that was set back lets no run end before it began.
    SweepRun { finished: Some(now.max(run.started)), state, status, checks, ..run }
}

fn log_end(run: &SweepRun) {
    let (state, checks) = (run.state.as_str(), run.checks.len());
    let status = run.status.map_or("", |status| status.as_str());
    tracing::info!(state, status, checks, "sweep ended");
}
