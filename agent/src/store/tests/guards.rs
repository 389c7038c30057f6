//! Freezes, approvals, and what cooldowns, budgets and breakers look at.

use super::*;
use crate::clock::Clock as _;
use crate::domain::{
    Approval, Budget, ChangeCall, Done, Fate, Freeze, FreezeId, Operation, Plan, PlannedChange, Preview, RunChanges,
    Scope, Target, Undo,
};

fn seconds(seconds: u64) -> Timestamp {
    MARCH.after(Duration::from_secs(seconds))
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

fn actor(name: &str) -> Actor {
    Actor(name.to_owned())
}

/// A change of so many things on `queue/…`.
fn change(position: u32, operation: Operation, name: &str, objects: u64) -> PlannedChange {
    PlannedChange {
        position,
        gives_back: None,
        call: ChangeCall { operation, target: name.parse().unwrap(), arguments: "{}".to_owned() },
        preview: Preview {
            summary: "change it".to_owned(),
            objects,
            differences: Vec::new(),
            ground: Vec::new(),
            scope: "{}".to_owned(),
            undo: Undo::Possible("change it back".to_owned()),
            doubt: None,
            notes: Vec::new(),
        },
    }
}

fn mode(run: Run, mode: Mode, name: &str, changes: RunChanges) -> Run {
    Run { mode, plugin: plugin(name), changes, ..run }
}

/// A plan of `name` on these queues, made by a run that has ended.
async fn planned(store: &SqliteStore, name: &str, queues: &[&str], made: Timestamp) -> Plan {
    let run = mode(run_at(made), Mode::Plan, name, RunChanges::default());
    store.start_run(run.clone()).await.unwrap();
    let plan = Plan {
        run: run.id,
        plugin: run.plugin.clone(),
        component: run.digest,
        grants: Digest::of(b"grants"),
        params: run.params.clone(),
        undoes: None,
        made,
        expires: made.after(Duration::from_secs(900)),
        changes: (1..).zip(queues).map(|(n, queue)| change(n, Operation::QueuePause, queue, 1)).collect(),
    };
    let run = Run { calls: Vec::new(), ..concluded(&run, Status::Ok) };
    let changes = RunChanges { plan: Some(plan.clone()), ..RunChanges::default() };
    store.finish_run(Run { changes, ..run }).await.unwrap();
    plan
}

/// The run that applies `plan`, begun at `at`.
async fn begin(store: &SqliteStore, plan: &Plan, at: Timestamp) -> Run {
    let changes = RunChanges { follows: Some(plan.run), undoes: plan.undoes, ..RunChanges::default() };
    let run = mode(run_at(at), Mode::Apply, plan.plugin.as_str(), changes);
    store.start_run(run.clone()).await.unwrap();
    run
}

async fn end(store: &SqliteStore, run: &Run, status: Option<Status>) {
    let ended = match status {
        Some(status) => Run { calls: Vec::new(), ..concluded(run, status) },
        None => failed(run, FailureKind::Deadline),
    };
    store.finish_run(ended).await.unwrap();
}

fn intended(run: &Run, planned: PlannedChange) -> NewChange {
    NewChange { run: run.id, plugin: run.plugin.clone(), position: planned.position, sequence: 1, planned }
}

fn bounds(per_hour: u64, budgets: Vec<Budget>) -> Bounds {
    Bounds { per_hour, budgets, freezes: Freezes::Stop }
}

fn freeze(scope: Scope, created: Timestamp, length: u64) -> Freeze {
    Freeze {
        id: FreezeId::new(created),
        scope,
        reason: "a migration".to_owned(),
        creator: actor("alice"),
        created,
        expires: created.after(Duration::from_secs(length)),
    }
}

#[tokio::test]
async fn a_freeze_holds_until_it_expires_or_is_lifted_also_over_a_restart() {
    let place = Place::new();
    let store = place.open();
    let all = freeze(Scope::All, MARCH, 60);
    let email = freeze(Scope::Target(target("queue/email")), seconds(1), 7200);
    let pause = freeze(Scope::Plugin(plugin("queue-pause")), seconds(2), 7200);
    for freeze in [&all, &email, &pause] {
        store.add_freeze(freeze.clone()).await.unwrap();
    }
    store.close().await.unwrap();
    let store = place.open();
    assert_eq!(store.freezes(seconds(59)).await.unwrap(), [all.clone(), email.clone(), pause.clone()]);
    assert_eq!(store.freezes(seconds(60)).await.unwrap(), [email.clone(), pause.clone()]);

    assert_eq!(store.lift_freeze(email.id, &actor("bob")).await.unwrap(), Some(email.clone()));
    assert_eq!(store.lift_freeze(email.id, &actor("bob")).await.unwrap(), None);
    assert_eq!(store.freezes(seconds(60)).await.unwrap(), std::slice::from_ref(&pause));
    place.clock.advance(Duration::from_secs(60));
    assert_eq!(store.lift_freeze(all.id, &actor("bob")).await.unwrap(), None, "it is over by itself");

    // Who lifted it is remembered.
    let by: String = place
        .by_hand()
        .query_row("SELECT lifted_by FROM freezes WHERE lifted IS NOT NULL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(by, "bob");
    let later = freeze(Scope::All, MARCH.after(Duration::from_secs(2 * 366 * 86_400)), 60);
    store.add_freeze(later).await.unwrap();
    let count: i64 = place.by_hand().query_row("SELECT count(*) FROM freezes", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1, "after a year they are forgotten");
}

#[tokio::test]
async fn a_freeze_stops_a_run_at_its_next_change_unless_it_passes() {
    let place = Place::new();
    let store = place.open();
    let plan = planned(&store, "queue-pause", &["email", "sms", "push"], MARCH).await;
    let run = begin(&store, &plan, MARCH).await;
    let [email, sms, push] = plan.changes.clone().try_into().unwrap();
    store.intend(intended(&run, email), bounds(9, Vec::new())).await.unwrap();
    let frozen = freeze(Scope::Target(target("queue/sms")), MARCH, 60);
    store.add_freeze(frozen.clone()).await.unwrap();
    let error = store.intend(intended(&run, sms.clone()), bounds(9, Vec::new())).await.unwrap_err();
    assert!(matches!(&error, StoreError::Frozen(found) if **found == frozen), "{error}");
    assert!(!error.may_pass());
    store.intend(intended(&run, push), bounds(9, Vec::new())).await.unwrap();
    let passing = Bounds { freezes: Freezes::Pass, ..bounds(9, Vec::new()) };
    store.intend(intended(&run, sms), passing).await.unwrap();
    assert_eq!(store.run(run.id).await.unwrap().unwrap().changes.made.len(), 3);
}

#[tokio::test]
async fn a_plan_is_approved_once_by_each_and_only_while_it_can_be_applied() {
    let place = Place::new();
    let store = place.open();
    let plan = planned(&store, "queue-pause", &["email"], MARCH).await;
    let approve = async |plan: RunId, name: &str, time: Timestamp| {
        let approval = Approval { actor: actor(name), time };
        store.approve(plan, Digest::of(b"plan"), approval).await
    };
    approve(plan.run, "carol", seconds(2)).await.unwrap();
    approve(plan.run, "bob", seconds(1)).await.unwrap();
    let error = approve(plan.run, "bob", seconds(3)).await.unwrap_err();
    assert!(matches!(error, StoreError::ApprovedBefore { plan: found, .. } if found == plan.run), "{error}");
    let error = approve(RunId::new(MARCH), "bob", MARCH).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownPlan(_)), "{error}");
    let error = approve(plan.run, "dave", seconds(901)).await.unwrap_err();
    assert!(matches!(error, StoreError::PlanExpired { .. }), "{error}");

    let expected = [("bob", 1), ("carol", 2)].map(|(name, at)| Approval { actor: actor(name), time: seconds(at) });
    let facts = store.guard_facts(&plan, MARCH).await.unwrap();
    assert_eq!((facts.approvals.as_slice(), facts.requester), (&expected as &[_], Some(actor("oncall"))));
    assert_eq!(store.run(plan.run).await.unwrap().unwrap().changes.approvals, expected);

    begin(&store, &plan, seconds(10)).await;
    let error = approve(plan.run, "dave", seconds(20)).await.unwrap_err();
    assert!(matches!(error, StoreError::PlanTaken { .. }), "{error}");

    // With the run everything of it is forgotten.
    place.clock.advance(Duration::from_secs(86_400));
    let policy = RetentionPolicy { max_age: Some(Duration::from_secs(60)), max_bytes: None };
    assert_eq!(store.retain(policy).await.unwrap().runs, 1);
    let count: i64 = place.by_hand().query_row("SELECT count(*) FROM approvals", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 0);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_budget_counts_what_all_plugins_touch() {
    let place = Place::new();
    let store = place.open();
    let operations = vec![Operation::QueueCleanFailed, Operation::QueueRetryFailed];
    let budget = Budget { target: target("queue/email"), operations, per_hour: 10 };
    let (clean, retry) = (Operation::QueueCleanFailed, Operation::QueueRetryFailed);
    let mut runs = Vec::new();
    for name in ["queue-clean", "queue-retry-failed"] {
        let run = mode(run_at(MARCH), Mode::Apply, name, RunChanges::default());
        store.start_run(run.clone()).await.unwrap();
        runs.push(run);
    }
    let intend = async |run: usize, change: PlannedChange| {
        store.intend(intended(&runs[run], change), bounds(100, vec![budget.clone()])).await
    };
    intend(0, change(1, clean, "email", 6)).await.unwrap();
    intend(1, change(1, retry, "email", 4)).await.unwrap();
    let error = intend(0, change(2, clean, "email", 1)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "all plugins together have touched 10 within the last hour, and the budget says \
         `{ target: queue/email, verbs: [clean-failed, retry-failed], per_hour: 10 }`"
    );
    // Neither another target nor another verb counts.
    intend(0, change(2, clean, "sms", 50)).await.unwrap();
    intend(1, change(2, Operation::QueuePause, "email", 1)).await.unwrap();
    // What was not done does not count, and what is an hour old neither.
    store.settle(runs[1].id, 1, Fate::Failed("it broke".to_owned()), None).await.unwrap();
    intend(1, change(3, retry, "email", 4)).await.unwrap();
    assert!(intend(1, change(4, retry, "email", 1)).await.is_err());
    place.clock.advance(Duration::from_secs(3600));
    intend(1, change(4, retry, "email", 10)).await.unwrap();
    // The plugin's own hour is judged beside it, and says so.
    let error =
        store.intend(intended(&runs[0], change(3, clean, "sms", 5)), bounds(4, vec![budget])).await.unwrap_err();
    assert!(matches!(error, StoreError::HourSpent { touched: 0, most: 4 }), "{error}");
}

#[tokio::test]
async fn two_changes_at_the_same_moment_do_not_pass_a_budget_together() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let budget = Budget { target: target("queue/email"), operations: vec![Operation::QueueCleanFailed], per_hour: 10 };
    let run = mode(run_at(MARCH), Mode::Apply, "queue-clean", RunChanges::default());
    store.start_run(run.clone()).await.unwrap();
    let intents = (1..=20).map(|position| {
        let (store, budget) = (store.clone(), budget.clone());
        let change = intended(&run, change(position, Operation::QueueCleanFailed, "email", 1));
        tokio::spawn(async move { store.intend(change, bounds(100, vec![budget])).await.is_ok() })
    });
    let mut taken = 0;
    for intent in intents.collect::<Vec<_>>() {
        taken += u32::from(intent.await.unwrap());
    }
    assert_eq!(taken, 10);
}

#[tokio::test]
async fn the_last_change_of_a_target_is_known_unless_it_was_one_back() {
    let place = Place::new();
    let store = place.open();
    let plan = planned(&store, "queue-pause", &["email", "sms"], MARCH).await;
    let changed = async || store.guard_facts(&plan, place.clock.now()).await.unwrap().changed;
    assert_eq!(changed().await, []);
    let run = begin(&store, &plan, MARCH).await;
    let [email, sms] = plan.changes.clone().try_into().unwrap();
    let done = Done { objects: 1, differences: Vec::new(), answer: None, incomplete: None, inverse: None };
    store.intend(intended(&run, email), bounds(9, Vec::new())).await.unwrap();
    store.intend(intended(&run, sms), bounds(9, Vec::new())).await.unwrap();
    place.clock.advance(Duration::from_secs(5));
    store.settle(run.id, 1, Fate::Applied(done), None).await.unwrap();
    store.settle(run.id, 2, Fate::Failed("it broke".to_owned()), None).await.unwrap();
    assert_eq!(changed().await, [(target("queue/email"), seconds(5))]);
    // Another plugin did it to the other one.
    let other = planned(&store, "queue-resume", &["email"], MARCH).await;
    assert_eq!(store.guard_facts(&other, seconds(5)).await.unwrap().changed, []);

    place.clock.advance(Duration::from_secs(60));
    let back = RunChanges { undoes: Some(run.id), ..RunChanges::default() };
    let back = mode(run_at(seconds(65)), Mode::Apply, "queue-pause", back);
    store.start_run(back.clone()).await.unwrap();
    let resume = change(1, Operation::QueueResume, "email", 1);
    store.intend(intended(&back, resume), bounds(9, Vec::new())).await.unwrap();
    assert_eq!(changed().await, [(target("queue/email"), seconds(5))]);
}

#[tokio::test]
async fn the_last_two_applies_to_the_same_targets_are_known() {
    let place = Place::new();
    let store = place.open();
    let mut ids = Vec::new();
    for (n, (queues, status)) in [
        (&["email", "sms"] as &[_], Some(Status::Ok)),
        (&["sms", "email"], None),
        (&["email"], Some(Status::Warning)),
        (&["email", "sms"], Some(Status::Critical)),
    ]
    .into_iter()
    .enumerate()
    {
        let at = seconds(n as u64 * 10);
        let plan = planned(&store, "queue-pause", queues, at).await;
        let run = begin(&store, &plan, at).await;
        end(&store, &run, status).await;
        ids.push(run.id);
    }
    let plan = planned(&store, "queue-pause", &["email", "sms"], seconds(40)).await;
    // One that goes on came to nothing yet.
    begin(&store, &planned(&store, "queue-pause", &["email", "sms"], seconds(40)).await, seconds(40)).await;
    let facts = store.guard_facts(&plan, seconds(50)).await.unwrap();
    let found: Vec<_> = facts.applies.iter().map(|applied| (applied.run, applied.state)).collect();
    assert_eq!(found, [(ids[3], RunState::Concluded(Status::Critical)), (ids[1], RunState::Failed)]);
    assert_eq!(facts.trusted, None);

    place.clock.advance(Duration::from_secs(100));
    store.close_breaker(&plugin("queue-pause"), &actor("alice")).await.unwrap();
    place.clock.advance(Duration::from_secs(100));
    store.close_breaker(&plugin("queue-pause"), &actor("alice")).await.unwrap();
    assert_eq!(store.guard_facts(&plan, seconds(50)).await.unwrap().trusted, Some(seconds(200)));
}

#[tokio::test]
async fn why_the_glass_was_broken_stays_with_the_run() {
    let place = Place::new();
    let store = place.open();
    let changes = RunChanges { break_glass: Some("nobody else is awake".to_owned()), ..RunChanges::default() };
    let run = mode(run_at(MARCH), Mode::Apply, "queue-pause", changes);
    store.start_run(run.clone()).await.unwrap();
    store.close().await.unwrap();
    let found = place.open().run(run.id).await.unwrap().unwrap();
    assert_eq!(found.changes.break_glass.as_deref(), Some("nobody else is awake"));
}
