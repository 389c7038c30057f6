//! Sweeps as a whole, on a real store and with a clock that is set by hand.
//!
//! Nothing here waits for time. A test takes a turn, lets what that started come to its end, and looks.

mod overlap;
mod places;
mod reload;
mod slots;
mod states;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, watch};

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::domain::{Missed, Reason, RunId, Status, SweepRun, SweepRunState, System, Timestamp};
use crate::store::{SqliteStore, Store, StoreOptions, SweepStore};
use crate::telemetry::{Metrics, SlotResult};

const MINUTE: Duration = Duration::from_secs(60);

/// Longest time that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

const LIMITS: Limits = Limits { max_parallel_per_target: 8, patience: Duration::from_secs(30) };

/// Sunday, 1 March 2026, midnight in UTC.
const MARCH: Timestamp = Timestamp::from_millis(1_772_323_200_000);

/// Runs checks as a test tells it to.
struct Script {
    verdicts: Mutex<HashMap<String, Status>>,
    targets: Mutex<HashMap<String, Vec<Target>>>,
    /// Plugins whose runs wait until they are let go.
    held: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// How many run, and how many ever did.
    running: watch::Sender<(usize, usize)>,
    orders: Mutex<Vec<Order>>,
    ending: Mutex<bool>,
}

impl Script {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            verdicts: Mutex::default(),
            targets: Mutex::default(),
            held: Mutex::default(),
            running: watch::channel((0, 0)).0,
            orders: Mutex::default(),
            ending: Mutex::default(),
        })
    }

    /// From now on the plugin says this.
    fn says(&self, plugin: &str, status: Status) {
        self.verdicts.lock().unwrap().insert(plugin.to_owned(), status);
    }

    /// The plugin is about these targets.
    fn is_about(&self, plugin: &str, targets: &[&str]) {
        let target = |name: &&str| Target { system: System::Postgres, name: name.parse().unwrap() };
        self.targets.lock().unwrap().insert(plugin.to_owned(), targets.iter().map(target).collect());
    }

    /// Runs of the plugin wait until they are let go.
    fn holds(&self, plugin: &str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.held.lock().unwrap().insert(plugin.to_owned(), gate.clone());
        gate
    }

    /// Wait until so many checks run at the same time.
    async fn until_running(&self, count: usize) {
        let mut running = self.running.subscribe();
        let reached = running.wait_for(|(running, _)| *running == count);
        tokio::time::timeout(PATIENCE, reached).await.expect("so many never ran").unwrap();
    }

    fn running(&self) -> usize {
        self.running.borrow().0
    }

    fn orders(&self) -> Vec<Order> {
        self.orders.lock().unwrap().clone()
    }
}

/// Counts a run also when nobody wants to know any more.
struct Counted<'a>(&'a Script);

impl<'a> Counted<'a> {
    fn new(script: &'a Script) -> Self {
        script.running.send_modify(|(running, ever)| (*running, *ever) = (*running + 1, *ever + 1));
        Self(script)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.running.send_modify(|(running, _)| *running -= 1);
    }
}

#[async_trait]
impl CheckRunner for Script {
    fn targets(&self, check: &Check) -> Vec<Target> {
        self.targets.lock().unwrap().get(check.plugin.as_str()).cloned().unwrap_or_default()
    }

    async fn run(&self, order: Order) -> Option<CheckResult> {
        if *self.ending.lock().unwrap() {
            return None;
        }
        let _counted = Counted::new(self);
        let plugin = order.check.plugin.clone();
        self.orders.lock().unwrap().push(order);
        let gate = self.held.lock().unwrap().get(plugin.as_str()).cloned();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        let status = self.verdicts.lock().unwrap().get(plugin.as_str()).copied().unwrap_or(Status::Ok);
        let reason = (status == Status::Unknown).then_some(Reason::Concluded);
        Some(CheckResult { plugin, run: Some(RunId::new(MARCH)), status, summary: "as told".to_owned(), reason })
    }
}

/// A place with a store's file, a clock and a script. Agents come and go in it.
struct Place {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    script: Arc<Script>,
    sweeps: Vec<Sweep>,
}

impl Place {
    fn new(sweeps: Vec<Sweep>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, clock: Arc::new(ManualClock::at(MARCH)), script: Script::new(), sweeps }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("paramedic.db")
    }

    /// An agent that goes on where the last one ended, and has looked at the clock.
    async fn open(&self) -> Agent {
        let agent = self.open_with(LIMITS).await;
        agent.turn().await;
        agent
    }

    async fn open_with(&self, limits: Limits) -> Agent {
        let options = StoreOptions::default();
        let store = Arc::new(SqliteStore::open(&self.path(), self.clock.clone(), options).unwrap());
        let metrics = Arc::new(Metrics::default());
        let (kept, script, clock) = (store.clone(), self.script.clone(), self.clock.clone());
        let scheduler = Scheduler::open(self.sweeps.clone(), limits, kept, script, clock, metrics.clone());
        Agent { scheduler: scheduler.await.unwrap(), store, metrics, clock: self.clock.clone() }
    }
}

/// A scheduler with its store.
struct Agent {
    scheduler: Scheduler,
    store: Arc<SqliteStore>,
    metrics: Arc<Metrics>,
    clock: Arc<ManualClock>,
}

impl Agent {
    /// Do what is due, to its end.
    async fn turn(&self) {
        self.scheduler.turn();
        assert_eq!(self.scheduler.settled(PATIENCE).await, 0, "a sweep never ended");
    }

    /// Let time pass, and do what is due then.
    async fn after(&self, time: Duration) {
        self.clock.advance(time);
        self.turn().await;
    }

    /// Run the sweep as if somebody asked, to its end.
    async fn ask(&self, sweep: &str) -> SweepRun {
        let under_way = self.scheduler.run_now(&name(sweep), Actor("alice".to_owned())).await.unwrap();
        under_way.finished().await.unwrap()
    }

    fn view(&self, sweep: &str) -> SweepView {
        self.scheduler.show(&name(sweep)).unwrap()
    }

    /// Runs of the sweep, the oldest first.
    async fn runs(&self, sweep: &str) -> Vec<SweepRun> {
        let mut runs = self.store.sweep_runs(&name(sweep), 100_000, None).await.unwrap();
        runs.reverse();
        runs
    }

    fn slots(&self, sweep: &str, result: SlotResult) -> u64 {
        self.metrics.sweeps.slots_so_far(&name(sweep), result)
    }

    /// End as a process ends that is told to.
    async fn end(self) {
        self.scheduler.stop();
        self.scheduler.settled(PATIENCE).await;
        self.store.close().await.unwrap();
    }
}

fn name(text: &str) -> SweepName {
    text.parse().unwrap()
}

fn checks(plugins: &[&str]) -> Vec<Check> {
    plugins.iter().map(|plugin| Check { plugin: plugin.parse().unwrap(), params: Map::new() }).collect()
}

fn timetable(cadence: Cadence, sweep: &str) -> Timetable {
    let schedule = Schedule::new(cadence, Duration::ZERO, &name(sweep));
    Timetable { schedule, missed: Missed::Skip, starting_deadline: 60 * MINUTE }
}

/// Every minute, without splay, one check.
fn sweep(text: &str) -> Sweep {
    Sweep {
        name: name(text),
        timetable: Some(timetable(Cadence::Every(MINUTE), text)),
        overlap: Overlap::Skip,
        checks: checks(&["pg-ready"]),
        rules: Rules { high_flap_threshold: 101.0, ..Rules::default() },
        max_parallel: 16,
        max_parallel_per_target: 16,
    }
}

#[tokio::test]
async fn a_sweep_runs_its_checks_and_its_verdict_is_the_gravest() {
    let all = checks(&["pg-ready", "redis-ping", "queue-status"]);
    let place = Place::new(vec![Sweep { checks: all, ..sweep("health") }]);
    let agent = place.open().await;
    place.script.says("redis-ping", Status::Warning);
    place.script.says("queue-status", Status::Unknown);
    agent.after(MINUTE).await;
    let [run] = agent.runs("health").await.try_into().unwrap();
    assert_eq!((run.state, run.status), (SweepRunState::Concluded, Some(Status::Warning)));
    assert_eq!((run.slot, &*run.actor.0), (Some(MARCH.after(MINUTE)), SCHEDULE));
    let results: Vec<_> = run.checks.iter().map(|check| (check.plugin.as_str(), check.status)).collect();
    let expected = [("pg-ready", Status::Ok), ("redis-ping", Status::Warning), ("queue-status", Status::Unknown)];
    assert_eq!(results, expected);
    for order in place.script.orders() {
        assert_eq!((order.sweep_run, order.trigger), (run.id, Trigger::Schedule));
    }
    assert_eq!(agent.view("health").last.unwrap().id, run.id);
}

#[tokio::test]
async fn somebody_may_ask_and_is_recorded() {
    let place = Place::new(vec![Sweep { timetable: None, ..sweep("on-demand") }]);
    let agent = place.open().await;
    assert_eq!(agent.scheduler.turn(), None);
    let run = agent.ask("on-demand").await;
    assert_eq!((run.slot, &*run.actor.0, run.status), (None, "alice", Some(Status::Ok)));
    assert_eq!(place.script.orders()[0].trigger, Trigger::Sweep);
    assert_eq!(agent.store.sweep_run(run.id).await.unwrap(), Some(run));
    let refused = agent.scheduler.run_now(&name("other"), Actor("alice".to_owned())).await.err().unwrap();
    assert!(matches!(refused, Refusal::UnknownSweep(_)), "{refused}");
    agent.scheduler.stop();
    let refused = agent.scheduler.run_now(&name("on-demand"), Actor("alice".to_owned())).await.err().unwrap();
    assert!(matches!(refused, Refusal::ShuttingDown), "{refused}");
}

#[tokio::test]
async fn a_run_that_the_agent_leaves_half_done_says_nothing_about_the_sweep() {
    let place =
        Place::new(vec![Sweep { rules: Rules { failure_threshold: 1, ..Rules::default() }, ..sweep("health") }]);
    let agent = place.open().await;
    *place.script.ending.lock().unwrap() = true;
    agent.after(MINUTE).await;
    let [run] = agent.runs("health").await.try_into().unwrap();
    assert_eq!((run.state, run.status), (SweepRunState::Interrupted, None));
    assert_eq!(agent.view("health").standing.hard, None);
}

#[tokio::test]
async fn an_agent_that_dies_leaves_an_interrupted_run_that_is_not_repeated() {
    let place = Place::new(vec![sweep("health")]);
    let agent = place.open().await;
    let _gate = place.script.holds("pg-ready");
    place.clock.advance(MINUTE);
    agent.scheduler.turn();
    place.script.until_running(1).await;
    // What is on the disk now is what a kill would leave.
    let copy = Place { clock: place.clock.clone(), ..Place::new(place.sweeps.clone()) };
    for suffix in ["", "-wal"] {
        let file = |place: &Place| PathBuf::from(format!("{}{suffix}", place.path().display()));
        std::fs::copy(file(&place), file(&copy)).unwrap();
    }
    let agent = copy.open().await;
    agent.turn().await;
    let [run] = agent.runs("health").await.try_into().unwrap();
    assert_eq!((run.state, run.slot), (SweepRunState::Interrupted, Some(MARCH.after(MINUTE))));
    agent.after(MINUTE).await;
    let slots: Vec<_> = agent.runs("health").await.iter().map(|run| run.slot.unwrap()).collect();
    assert_eq!(slots, [MARCH.after(MINUTE), MARCH.after(2 * MINUTE)]);
}

#[tokio::test]
async fn the_driver_wakes_by_time_and_by_hand() {
    let place = Place::new(vec![sweep("health")]);
    let agent = Arc::new(place.open().await);
    let driver = tokio::spawn({
        let agent = agent.clone();
        async move { agent.scheduler.run().await }
    });
    // It looks at the clock again within a second of its own time, whatever the clock showed before.
    place.clock.advance(MINUTE);
    let ran = async {
        let mut running = place.script.running.subscribe();
        running.wait_for(|(_, ever)| *ever == 1).await.unwrap();
    };
    tokio::time::timeout(PATIENCE, ran).await.unwrap();
    agent.scheduler.stop();
    tokio::time::timeout(PATIENCE, driver).await.unwrap().unwrap();
}
