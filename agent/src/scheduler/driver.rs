//! Wakes when something is due, and starts it.
//!
//! One task turns: it looks at the clock, deals with every sweep whose time has come, and sleeps until the next. A turn does
//! no IO and waits for nothing; what it starts goes on in tasks of its own. Tests take turns by hand, with a clock that they
//! set. Between turns it never sleeps for long, because somebody may set the clock.
//!
//! A run of a sweep begins when its slot is claimed in the store. If the agent dies then, the run is found as interrupted,
//! and the slot is not given out again.

mod agenda;
mod duty;
mod reload;
mod view;
mod work;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::execution::Execution;
use super::ledger::{Books, Ledger};
use super::silences::Silences;
use super::timing::Timing;
use super::{CheckRunner, Limits, NewSilence, Sweep};
use crate::clock::Clock;
use crate::domain::{Actor, Silence, SilenceId, SweepEvent, SweepName, SweepRun, SweepRunId, Timestamp};
use crate::store::{KeptAnswer, OnceKey, StoreError, SweepStore};
use crate::telemetry::{Metrics, SlotResult};

use agenda::Agenda;
use duty::Served;
pub use duty::{Duty, Turn};
pub use reload::Prepared;
pub use view::SweepView;
pub use work::UnderWay;
use work::{Cause, Start, Work};

/// Longest time between two looks at the clock.
const RECHECK: Duration = Duration::from_secs(1);

/// A clock that goes back by less than this was adjusted, not set.
const ADJUSTED: Duration = Duration::from_secs(1);

/// Why a sweep was not started.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No sweep of that name is configured.
    #[error("no sweep is named `{0}`")]
    UnknownSweep(SweepName),
    /// The agent is about to end.
    #[error("the agent is shutting down")]
    ShuttingDown,
    /// The start cannot be recorded.
    #[error("the start of the sweep cannot be recorded")]
    Store(#[source] StoreError),
}

/// Runs sweeps by their schedules, and when asked.
pub struct Scheduler {
    inner: Arc<Inner>,
}

struct Inner {
    watches: RwLock<Watches>,
    agenda: Mutex<Agenda>,
    /// The latest time that a turn saw.
    seen: Mutex<Timestamp>,
    books: Books,
    execution: Execution,
    wake: Notify,
    /// Set once, where there are other replicas.
    duty: OnceLock<Arc<dyn Duty>>,
    /// True while slots are run without being taken, because nobody can be asked for them.
    is_alone: AtomicBool,
    stopping: AtomicBool,
    tasks: TaskTracker,
}

/// All sweeps, those that are configured no more too: one of them may be at work, and may come back.
#[derive(Default)]
struct Watches {
    all: Vec<Arc<Watch>>,
    names: BTreeMap<SweepName, usize>,
}

/// One sweep, and how far it is.
struct Watch {
    name: SweepName,
    /// What is configured, or was last.
    sweep: RwLock<Arc<Sweep>>,
    is_configured: AtomicBool,
    /// None for a sweep without a schedule.
    timing: Mutex<Option<Timing>>,
    work: Mutex<Work>,
    ledger: Ledger,
    /// True while a reminder is being recorded.
    reminding: AtomicBool,
}

impl Scheduler {
    /// A scheduler for `sweeps`, which goes on where the store says that the last one ended. Nothing starts before the first
    /// turn.
    pub async fn open(
        sweeps: Vec<Sweep>,
        limits: Limits,
        store: Arc<dyn SweepStore>,
        runner: Arc<dyn CheckRunner>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let now = clock.now();
        let silences = Silences::load(store.clone(), clock.clone()).await?;
        let mut watches = Watches::default();
        let mut agenda = Agenda::default();
        for sweep in sweeps {
            let index = watches.add(Watch::resume(sweep, &*store, now, &metrics).await?);
            agenda.set(index, Some(now));
        }
        let inner = Inner {
            agenda: Mutex::new(agenda),
            watches: RwLock::new(watches),
            seen: Mutex::new(now),
            books: Books { store, clock, metrics, silences },
            execution: Execution::new(runner, limits),
            wake: Notify::new(),
            duty: OnceLock::new(),
            is_alone: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            tasks: TaskTracker::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Take turns until [`Scheduler::stop`].
    pub async fn run(&self) {
        let mut served = Served::default();
        while !self.inner.is_stopping() {
            let next = if self.inner.is_on_duty(&mut served).await { self.turn() } else { None };
            let pause = next.map_or(RECHECK, |next| next.since(self.inner.books.clock.now()).min(RECHECK));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.inner.wake.notified() => {}
            }
        }
    }

    /// Deal with all that is due now, and tell when there is something to do next.
    pub fn turn(&self) -> Option<Timestamp> {
        let now = self.inner.books.clock.now();
        self.inner.notice_the_clock(now);
        let due = self.inner.agenda().take_due(now);
        for index in due {
            self.inner.attend(index, now);
        }
        self.inner.agenda().next()
    }

    /// Start nothing more.
    pub fn stop(&self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
        self.inner.wake.notify_one();
    }

    /// Wait until nothing is under way, for at most `patience`. Tells how much still was.
    pub async fn settled(&self, patience: Duration) -> usize {
        self.inner.tasks.close();
        let waited = tokio::time::timeout(patience, self.inner.tasks.wait()).await;
        self.inner.tasks.reopen();
        if waited.is_ok() { 0 } else { self.inner.tasks.len() }
    }

    /// Run a sweep now, for `actor`. When this answers, the run is durable and under way. One that is under way already is
    /// joined: its checks are the same.
    pub async fn run_now(&self, name: &SweepName, actor: Actor) -> Result<UnderWay, Refusal> {
        let index = self.inner.index(name).ok_or_else(|| Refusal::UnknownSweep(name.clone()))?;
        if self.inner.is_stopping() {
            return Err(Refusal::ShuttingDown);
        }
        loop {
            let (under_way, start) = self.inner.begin_or_join(index, Cause::Asked(actor.clone()));
            match start {
                Start::Own(recorded) => {
                    return match recorded.await {
                        Ok(Ok(())) => Ok(under_way),
                        Ok(Err(error)) => Err(Refusal::Store(error)),
                        // The task goes away unheard only with the whole agent.
                        Err(_) => Err(Refusal::ShuttingDown),
                    };
                }
                Start::Joined(mut durable) => {
                    if durable.wait_for(|durable| *durable).await.is_ok() {
                        return Ok(under_way);
                    }
                    // It could not be recorded and is no run. The next one is one's own, and says why if it cannot be either.
                }
            }
        }
    }

    /// All sweeps, by name.
    pub fn list(&self) -> Vec<SweepView> {
        self.inner.watched().iter().map(|(_, watch)| self.inner.view(watch)).collect()
    }

    /// One sweep.
    pub fn show(&self, name: &SweepName) -> Option<SweepView> {
        let index = self.inner.index(name)?;
        Some(self.inner.view(&self.inner.watch(index)))
    }

    /// Runs of a sweep, the newest first; those before the run `before`, if that is given.
    pub async fn runs(
        &self,
        name: &SweepName,
        limit: u32,
        before: Option<SweepRunId>,
    ) -> Result<Vec<SweepRun>, StoreError> {
        self.inner.books.store.sweep_runs(name, limit, before).await
    }

    /// One run.
    pub async fn run_of(&self, id: SweepRunId) -> Result<Option<SweepRun>, StoreError> {
        self.inner.books.store.sweep_run(id).await
    }

    /// Events of a sweep, the newest first.
    pub async fn events(&self, name: &SweepName, limit: u32) -> Result<Vec<SweepEvent>, StoreError> {
        self.inner.books.store.sweep_events(name, limit).await
    }

    /// Silences that hold now, the oldest first.
    pub fn silences(&self) -> Vec<Silence> {
        self.inner.books.silences.list()
    }

    /// The silence that somebody wants, from now on. It does not hold before it is kept.
    pub fn begin_silence(&self, wanted: NewSilence) -> Silence {
        self.inner.books.silences.begin(wanted)
    }

    /// Keep a silence, and in the same transaction the key under which it was asked for with the answer to that. When this
    /// answers, it is durable and holds.
    pub async fn add_silence(&self, silence: Silence, once: Option<(OnceKey, KeptAnswer)>) -> Result<(), StoreError> {
        self.inner.books.silences.add(silence, once).await
    }

    /// End a silence. Returns it, if there was one of that id.
    pub async fn remove_silence(&self, id: SilenceId) -> Result<Option<Silence>, StoreError> {
        self.inner.books.silences.remove(id).await
    }

    /// Longest time that a silence may hold.
    pub const LONGEST_SILENCE: Duration = Silences::LONGEST;
}

impl Watch {
    async fn resume(
        sweep: Sweep,
        store: &dyn SweepStore,
        now: Timestamp,
        metrics: &Metrics,
    ) -> Result<Self, StoreError> {
        let memory = store.sweep(&sweep.name, now).await?;
        let timing = sweep.timetable.as_ref().map(|table| Timing::resume(table, memory.claimed, now));
        metrics.sweeps.stands(&sweep.name, &memory.standing);
        let ledger = Ledger::new(sweep.name.clone(), sweep.rules, memory.standing, memory.last_run);
        Ok(Self {
            name: sweep.name.clone(),
            sweep: RwLock::new(Arc::new(sweep)),
            is_configured: AtomicBool::new(true),
            timing: Mutex::new(timing),
            work: Mutex::default(),
            ledger,
            reminding: AtomicBool::new(false),
        })
    }

    fn sweep(&self) -> Arc<Sweep> {
        self.sweep.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_configured(&self) -> bool {
        self.is_configured.load(Ordering::SeqCst)
    }

    fn timing(&self) -> MutexGuard<'_, Option<Timing>> {
        self.timing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When there is something to be done for it next.
    fn wake(&self) -> Option<Timestamp> {
        if !self.is_configured() {
            return None;
        }
        let timing = self.timing();
        let sweep = self.sweep();
        let slot = timing.as_ref().zip(sweep.timetable.as_ref()).and_then(|(timing, table)| timing.wake(table));
        let reminder = self.ledger.reminder_due().filter(|_| !self.reminding.load(Ordering::SeqCst));
        [slot, reminder].into_iter().flatten().min()
    }
}

impl Watches {
    /// Tells the place of the new one.
    fn add(&mut self, watch: Watch) -> usize {
        let index = self.all.len();
        self.names.insert(watch.name.clone(), index);
        self.all.push(Arc::new(watch));
        index
    }
}

impl Inner {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn index(&self, name: &SweepName) -> Option<usize> {
        self.place(name).filter(|index| self.watch(*index).is_configured())
    }

    /// The same for one that is configured no more, too.
    fn place(&self, name: &SweepName) -> Option<usize> {
        self.watches.read().unwrap_or_else(PoisonError::into_inner).names.get(name).copied()
    }

    fn watch(&self, index: usize) -> Arc<Watch> {
        let watches = self.watches.read().unwrap_or_else(PoisonError::into_inner);
        watches.all.get(index).expect("places are given out here and never taken back").clone()
    }

    /// The sweeps that are configured with their places, by name.
    fn watched(&self) -> Vec<(usize, Arc<Watch>)> {
        let watches = self.watches.read().unwrap_or_else(PoisonError::into_inner);
        let all = watches.names.values().filter_map(|index| Some((*index, watches.all.get(*index)?.clone())));
        all.filter(|(_, watch)| watch.is_configured()).collect()
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begin anew where the clock was set back: what the agenda says is far away now.
    fn notice_the_clock(&self, now: Timestamp) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now.after(ADJUSTED) < *seen {
            let back = seen.since(now);
            tracing::warn!(seconds = back.as_secs_f64(), "the clock was set back; slots that ran are not run again");
            for (index, watch) in self.watched() {
                if let (Some(timing), Some(table)) = (watch.timing().as_mut(), &watch.sweep().timetable) {
                    timing.set_back(table, now);
                }
                self.plan(index);
            }
            *seen = now;
        }
        *seen = now.max(*seen);
    }

    /// Do what is due for one sweep.
    fn attend(self: &Arc<Self>, index: usize, now: Timestamp) {
        let watch = self.watch(index);
        if self.is_stopping() || !watch.is_configured() {
            return;
        }
        let step = match (watch.timing().as_mut(), &watch.sweep().timetable) {
            (Some(timing), Some(table)) => timing.step(table, &watch.name, now),
            _ => super::timing::Step::default(),
        };
        if step.missed > 0 {
            tracing::warn!(sweep.name = %watch.name, slots = step.missed, "slots of a sweep were missed");
            self.books.metrics.sweeps.slots(&watch.name, SlotResult::Missed, step.missed);
        }
        if let Some(slot) = step.start {
            self.start_slot(index, slot);
        }
        if watch.ledger.reminder_due().is_some_and(|due| due <= now) && !watch.reminding.swap(true, Ordering::SeqCst) {
            self.tasks.spawn(Arc::clone(self).remind(index));
        }
        self.plan(index);
    }

    async fn remind(self: Arc<Self>, index: usize) {
        let watch = self.watch(index);
        if let Err(error) = watch.ledger.remind(&self.books).await {
            tracing::error!(%error, sweep.name = %watch.name, "a reminder is not recorded");
        }
        watch.reminding.store(false, Ordering::SeqCst);
        self.plan(index);
        self.wake.notify_one();
    }

    /// Put into the agenda when there is something to do for a sweep next.
    fn plan(&self, index: usize) {
        let wake = self.watch(index).wake();
        self.agenda().set(index, wake);
    }
}
