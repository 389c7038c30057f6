use std::time::Duration;

use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::domain::{
    Actor, Budget, ChangeCall, Digest, Done, Freeze, FreezeId, Mode, Operation, PlannedChange, Preview, Run, Scope,
    Timestamp, Trigger, Undo, Usage,
};
use crate::runner::Rules;
use crate::store::{ChangeStore as _, SqliteStore, StoreOptions};

const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);

/// A store with rules, and runs that change a queue.
struct Desk {
    store: Arc<dyn Store>,
    rules: Arc<InForce>,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

impl Desk {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let store = SqliteStore::open(&folder.path().join("db"), clock.clone(), StoreOptions::default()).unwrap();
        Self { store: Arc::new(store), rules: Arc::default(), clock, folder }
    }

    /// The ledger of a run that has begun.
    async fn run(&self, changes: RunChanges) -> RunLedger {
        let now = self.clock.now();
        let (undoes, freezes) = (changes.undoes, freezes(&changes));
        let run = Run {
            id: RunId::new(now),
            plugin: "queue-pause".parse().unwrap(),
            version: "0.1.0".to_owned(),
            digest: Digest::of(b"component"),
            mode: Mode::Apply,
            trigger: Trigger::Manual,
            actor: Actor("alice".to_owned()),
            sweep_run: None,
            params: "{}".to_owned(),
            started: now,
            finished: None,
            ending: None,
            usage: Usage::default(),
            log: Vec::new(),
            calls: Vec::new(),
            changes,
        };
        self.store.start_run(run.clone()).await.unwrap();
        RunLedger {
            store: self.store.clone(),
            metrics: Arc::default(),
            run: run.id,
            plugin: run.plugin,
            undoes,
            freezes,
            rules: self.rules.clone(),
            fence: None,
            begun: Mutex::default(),
        }
    }

    async fn freeze(&self) {
        let freeze = Freeze {
            id: FreezeId::new(NOW),
            scope: Scope::Target("queue/email".parse().unwrap()),
            reason: "a migration".to_owned(),
            creator: Actor("carol".to_owned()),
            created: NOW,
            expires: NOW.after(Duration::from_secs(60)),
        };
        self.store.add_freeze(freeze).await.unwrap();
    }

    fn allow(&self, per_hour: u64) {
        let target = "queue/email".parse().unwrap();
        let budgets = vec![Budget { target, operations: vec![Operation::QueuePause], per_hour }];
        self.rules.replace(Rules { budgets, ..Rules::default() });
    }
}

fn pause(position: u32) -> Intent {
    let preview = Preview {
        summary: "pause the queue email".to_owned(),
        objects: 1,
        differences: Vec::new(),
        ground: Vec::new(),
        scope: "{}".to_owned(),
        undo: Undo::Possible("the queue is resumed".to_owned()),
        doubt: None,
        notes: Vec::new(),
    };
    let call =
        ChangeCall { operation: Operation::QueuePause, target: "email".parse().unwrap(), arguments: "{}".to_owned() };
    let planned = PlannedChange { position, gives_back: None, call, preview };
    Intent { position, sequence: position, planned, per_hour: 100 }
}

#[tokio::test]
async fn a_freeze_stops_a_run_under_way_and_neither_an_undo_nor_one_that_broke_the_glass() {
    let desk = Desk::open();
    let run = desk.run(RunChanges::default()).await;
    run.intend(pause(1)).await.unwrap();
    desk.freeze().await;
    let told = "carol has frozen changes of queue/email until 2026-03-01T03:15:15.926Z: a migration".to_owned();
    assert_eq!(run.intend(pause(2)).await, Err(IntentError::Frozen(told)));
    let undo = RunChanges { undoes: Some(run.run), ..RunChanges::default() };
    desk.run(undo).await.intend(pause(1)).await.unwrap();
    let broken = RunChanges { break_glass: Some("nobody else is awake".to_owned()), ..RunChanges::default() };
    desk.run(broken).await.intend(pause(1)).await.unwrap();
    desk.clock.advance(Duration::from_secs(60));
    run.intend(pause(2)).await.unwrap();
}

#[tokio::test]
async fn the_budgets_in_force_bind_all_but_an_undo() {
    let desk = Desk::open();
    let run = desk.run(RunChanges::default()).await;
    desk.allow(1);
    run.intend(pause(1)).await.unwrap();
    let refused = run.intend(pause(2)).await;
    let Err(IntentError::Exhausted(told)) = refused else { panic!("{refused:?}") };
    assert!(told.ends_with("the budget says `{ target: queue/email, verbs: [pause], per_hour: 1 }`"), "{told}");
    let broken = RunChanges { break_glass: Some("nobody else is awake".to_owned()), ..RunChanges::default() };
    assert!(matches!(desk.run(broken).await.intend(pause(1)).await, Err(IntentError::Exhausted(_))));
    let undo = RunChanges { undoes: Some(run.run), ..RunChanges::default() };
    desk.run(undo).await.intend(pause(1)).await.unwrap();
    // Other rules hold from the next change on: two were made by now.
    desk.allow(3);
    run.intend(pause(2)).await.unwrap();
    assert!(run.intend(pause(3)).await.is_err());
}

#[tokio::test]
async fn a_change_whose_result_cannot_be_recorded_is_unknown() {
    let desk = Desk::open();
    let run = desk.run(RunChanges::default()).await;
    run.intend(pause(1)).await.unwrap();
    desk.store.close().await.unwrap();
    // It comes back, so that the plugin hears what became of the change; the log has why its record does not.
    let done = Done { objects: 1, differences: Vec::new(), answer: None, incomplete: None, inverse: None };
    run.settle(1, &Fate::Applied(done)).await;
    let store = SqliteStore::open(&desk.folder.path().join("db"), desk.clock.clone(), StoreOptions::default()).unwrap();
    let [(found, change)] = store.unknown_changes().await.unwrap().try_into().unwrap();
    let unknown = Fate::Unknown("the agent ended before the target answered".to_owned());
    assert_eq!((found, change.fate), (run.run, Some(unknown)));
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}
