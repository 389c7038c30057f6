//! What is kept of an hour gives the answers that adding it up would give.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::domain::{ChangeCall, Done, Fate, Operation, PlannedChange, Preview, TargetName, Undo};
use changes::hour::{self, Sum};

const PLUGINS: [&str; 2] = ["queue-clean", "queue-other"];

const OPERATIONS: [Operation; 2] = [Operation::QueueCleanFailed, Operation::QueueRetryFailed];

/// One thing that happens to changes, or to the time.
#[derive(Clone, Debug)]
enum Event {
    Intent {
        plugin: usize,
        operation: usize,
        objects: u64,
        bounds: (u64, u64),
    },
    PassedOver {
        plugin: usize,
        operation: usize,
        objects: u64,
    },
    /// Of the change with that number, if there is one.
    Applied {
        change: prop::sample::Index,
        objects: u64,
    },
    Failed {
        change: prop::sample::Index,
    },
    Unknown {
        change: prop::sample::Index,
    },
    /// Retention removes a run with its changes.
    Removed {
        plugin: usize,
    },
    /// In minutes; a clock can be set back.
    Passes(i64),
    /// A transaction that does all of this and is undone.
    Undone(Vec<Event>),
}

fn any_event() -> impl Strategy<Value = Event> {
    let (one, objects) = (0..2usize, 0..8u64);
    let change = any::<prop::sample::Index>;
    let event = prop_oneof![
        6 => (one.clone(), one.clone(), objects.clone(), (0..30u64, 0..40u64))
            .prop_map(|(plugin, operation, objects, bounds)| Event::Intent { plugin, operation, objects, bounds }),
        1 => (one.clone(), one.clone(), objects.clone())
            .prop_map(|(plugin, operation, objects)| Event::PassedOver { plugin, operation, objects }),
        3 => (change(), objects).prop_map(|(change, objects)| Event::Applied { change, objects }),
        1 => change().prop_map(|change| Event::Failed { change }),
        1 => change().prop_map(|change| Event::Unknown { change }),
        1 => one.prop_map(|plugin| Event::Removed { plugin }),
        2 => (-40..50i64).prop_map(Event::Passes),
    ];
    event.prop_recursive(2, 12, 6, |event| vec(event, 1..6).prop_map(Event::Undone))
}

/// A file in memory with a run of each plugin.
struct Ward {
    db: Connection,
    runs: Vec<Run>,
    changes: Vec<(RunId, u32)>,
    now: Timestamp,
}

impl Ward {
    fn new() -> Self {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db, 0, MARCH).unwrap();
        hour::begin(&db).unwrap();
        let runs: Vec<_> =
            PLUGINS.iter().map(|name| Run { mode: Mode::Apply, plugin: plugin(name), ..run_at(MARCH) }).collect();
        runs.iter().for_each(|run| crate::store::runs::start(&db, run).unwrap());
        Self { db, runs, changes: Vec::new(), now: MARCH }
    }

    fn change(&mut self, plugin: usize, operation: usize, objects: u64) -> NewChange {
        let run = &self.runs[plugin];
        let position = u32::try_from(self.changes.len()).unwrap() + 1;
        self.changes.push((run.id, position));
        let (operation, target) = (OPERATIONS[operation], target());
        let preview = Preview {
            summary: "clean it".to_owned(),
            objects,
            differences: Vec::new(),
            ground: Vec::new(),
            scope: "{}".to_owned(),
            undo: Undo::Impossible("they are gone".to_owned()),
            notes: Vec::new(),
            doubt: None,
        };
        let call = ChangeCall { operation, target, arguments: "{}".to_owned() };
        let planned = PlannedChange { position, gives_back: None, call, preview };
        NewChange { run: run.id, plugin: run.plugin.clone(), position, sequence: position, planned }
    }

    fn settle(&self, change: &prop::sample::Index, fate: Fate) {
        if self.changes.is_empty() {
            return;
        }
        let (run, position) = self.changes[change.index(self.changes.len())];
        changes::Settlement::of(run, position, fate, None).unwrap().record(&self.db, self.now).unwrap();
    }

    /// What an hour's changes touched, added up here.
    fn added_up(&self, plugin: Option<&PluginName>, operations: &[Operation]) -> u64 {
        let sql = "SELECT plugin, operation, objects, intended, fate FROM changes";
        let mut statement = self.db.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut touched = 0;
        while let Some(row) = rows.next().unwrap() {
            let (name, operation): (String, String) = (row.get(0).unwrap(), row.get(1).unwrap());
            let (objects, intended): (i64, i64) = (row.get(2).unwrap(), row.get(3).unwrap());
            let fate: Option<String> = row.get(4).unwrap();
            let counts = plugin.is_none_or(|plugin| plugin.as_str() == name)
                && operations.iter().any(|counted| counted.to_string() == operation)
                && intended > columns::millis(self.now.before(Duration::from_secs(3600)))
                && !matches!(fate.as_deref(), Some("unchanged" | "conflict" | "failed"));
            touched += if counts { objects.unsigned_abs() } else { 0 };
        }
        touched
    }

    /// Asks for both bounds like an intent does, and holds the answers to what the changes add up to.
    fn allows(&self, plugin: &PluginName, operation: Operation, objects: u64, bounds: (u64, u64)) -> bool {
        let target = &target();
        let sum = |plugin, operation| Sum { plugin, operation, target };
        let own = hour::past(&self.db, &[sum(Some(plugin), operation)], objects, bounds.0, self.now).unwrap();
        let touched = self.added_up(Some(plugin), &[operation]);
        assert_eq!(own, (touched + objects > bounds.0).then_some(touched));
        let all = OPERATIONS.map(|operation| sum(None, operation));
        let all = hour::past(&self.db, &all, objects, bounds.1, self.now).unwrap();
        let touched = self.added_up(None, &OPERATIONS);
        assert_eq!(all, (touched + objects > bounds.1).then_some(touched));
        own.or(all).is_none()
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Intent { plugin, operation, objects, bounds } => {
                let name = self.runs[*plugin].plugin.clone();
                if self.allows(&name, OPERATIONS[*operation], *objects, *bounds) {
                    let change = self.change(*plugin, *operation, *objects);
                    changes::insert(&self.db, &change, "{}", None, self.now).unwrap();
                }
            }
            Event::PassedOver { plugin, operation, objects } => {
                let change = self.change(*plugin, *operation, *objects);
                changes::insert(&self.db, &change, "{}", Some(&Fate::Unchanged), self.now).unwrap();
            }
            Event::Applied { change, objects } => {
                let objects = *objects;
                let done = Done { objects, differences: Vec::new(), answer: None, incomplete: None, inverse: None };
                self.settle(change, Fate::Applied(done));
            }
            Event::Failed { change } => self.settle(change, Fate::Failed("it broke".to_owned())),
            Event::Unknown { change } => self.settle(change, Fate::Unknown("nobody knows".to_owned())),
            Event::Removed { plugin } => {
                let number = changes::number_of(&self.db, &self.runs[*plugin].id).unwrap().unwrap();
                changes::remove(&self.db, number).unwrap();
            }
            Event::Passes(minutes) => {
                let by = Duration::from_secs(60 * minutes.unsigned_abs());
                self.now = if *minutes < 0 { self.now.before(by) } else { self.now.after(by) };
            }
            Event::Undone(events) => {
                let before = self.changes.clone();
                self.db.execute_batch("SAVEPOINT undone").unwrap();
                events.iter().for_each(|event| self.happens(event));
                self.db.execute_batch("ROLLBACK TO undone; RELEASE undone").unwrap();
                self.changes = before;
            }
        }
    }
}

fn target() -> TargetName {
    "email".parse().unwrap()
}

proptest! {
    #[test]
    fn any_history_gives_the_answers_of_adding_it_up(events in vec(any_event(), 1..40)) {
        let mut ward = Ward::new();
        events.iter().for_each(|event| ward.happens(event));
    }
}

#[test]
fn a_bound_that_is_far_is_told_without_looking_at_the_changes() {
    let mut ward = Ward::new();
    let name = plugin(PLUGINS[0]);
    for _ in 0..3 {
        assert!(ward.allows(&name, OPERATIONS[0], 5, (100, 100)));
        let change = ward.change(0, 0, 5);
        changes::insert(&ward.db, &change, "{}", None, ward.now).unwrap();
    }
    // Somebody takes them away by hand, which only adding up would see.
    ward.db.execute("DELETE FROM changes", []).unwrap();
    let target = &target();
    let sum = Sum { plugin: Some(&name), operation: OPERATIONS[0], target };
    let past = |bound| hour::past(&ward.db, &[sum], 5, bound, ward.now).unwrap();
    let kept = || -> i64 {
        let sql = "SELECT most FROM temp.touched WHERE plugin != ''";
        ward.db.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((past(100), kept()), (None, 15));
    // Near it they are added up.
    assert_eq!((past(19), kept()), (None, 0));
}
