//! Whatever somebody changes in the file by hand is found, and named by the run or the link that it is about.

use rusqlite::types::Value;

use super::*;
use crate::domain::{
    Anchor, Approval, ChangeCall, ChangeRecord, Difference, Done, Fact, Fate, Freeze, FreezeId, Help, Helped, Inverse,
    Lease, LeaseState, Operation, Plan, PlannedChange, Preview, RunChanges, Scope, Undo,
};
use crate::store::chain::rows;

const HOUR: Duration = Duration::from_secs(3600);

fn pause(position: u32, gives_back: Option<u32>) -> PlannedChange {
    let call = ChangeCall {
        operation: Operation::QueuePause,
        target: "email".parse().unwrap(),
        arguments: r#"{"queue":"email"}"#.to_owned(),
    };
    let paused = Fact { name: "paused".to_owned(), value: "false".to_owned() };
    let preview = Preview {
        summary: "pause the queue email".to_owned(),
        objects: 1,
        differences: vec![difference()],
        ground: vec![paused],
        scope: "{}".to_owned(),
        undo: Undo::Possible("it is resumed".to_owned()),
        doubt: None,
        notes: Vec::new(),
    };
    PlannedChange { position, gives_back, call, preview }
}

fn difference() -> Difference {
    Difference { field: "paused".to_owned(), before: Some("false".to_owned()), after: Some("true".to_owned()) }
}

fn done() -> Done {
    let inverse = Inverse { call: pause(1, None).call, ground: Vec::new() };
    Done { objects: 1, differences: vec![difference()], answer: None, incomplete: None, inverse: Some(inverse) }
}

async fn start(store: &SqliteStore, mode: Mode, changes: RunChanges) -> Run {
    let run = Run { mode, changes, ..run_at(store.clock.now()) };
    store.start_run(run.clone()).await.unwrap();
    run
}

async fn end(store: &SqliteStore, run: &Run) {
    store.finish_run(concluded(run, Status::Ok)).await.unwrap();
}

/// A run that makes a plan of `changes`.
async fn planned(store: &SqliteStore, undoes: Option<RunId>, changes: Vec<PlannedChange>) -> Run {
    let run = start(store, Mode::Plan, RunChanges { undoes, ..RunChanges::default() }).await;
    let plan = Plan {
        run: run.id,
        plugin: run.plugin.clone(),
        component: run.digest,
        grants: Digest::of(b"grants"),
        params: run.params.clone(),
        undoes,
        made: run.started,
        expires: run.started.after(HOUR),
        changes,
    };
    let changes = RunChanges { plan: Some(plan), ..run.changes.clone() };
    end(store, &Run { changes, ..run.clone() }).await;
    run
}

fn bounds() -> Bounds {
    Bounds { per_hour: 100, budgets: Vec::new(), freezes: Freezes::Stop }
}

fn intent(run: &Run, planned: PlannedChange) -> NewChange {
    let (position, sequence) = (planned.position, planned.position);
    NewChange { run: run.id, plugin: run.plugin.clone(), position, sequence, planned }
}

/// Checks, a plan that was applied, given back in part, and an apply that was cut off with a change under way. Opened again
/// after that, and closed.
async fn history(place: &Place) -> Vec<Run> {
    let store = place.open();
    let mut runs = fill(&store, MARCH, 2).await;
    let check = run_at(MARCH);
    store.start_run(check.clone()).await.unwrap();
    store.finish_run(failed(&check, FailureKind::Deadline)).await.unwrap();
    runs.push(check);

    let plan = planned(&store, None, vec![pause(1, None), pause(2, None), pause(3, None)]).await;
    let approval = Approval { actor: Actor("second".to_owned()), time: MARCH };
    let digest = store.plan(plan.id).await.unwrap().unwrap().digest;
    store.approve(plan.id, digest, approval).await.unwrap();
    let apply = start(&store, Mode::Apply, RunChanges { follows: Some(plan.id), ..RunChanges::default() }).await;
    store.intend(intent(&apply, pause(1, None)), bounds()).await.unwrap();
    store.settle(apply.id, 1, Fate::Applied(done()), None).await.unwrap();
    store.pass_over(intent(&apply, pause(2, None)), Fate::Conflict("it is paused already".to_owned())).await.unwrap();
    store.intend(intent(&apply, pause(3, None)), bounds()).await.unwrap();
    // The third has no result when the run ends, and one that comes late.
    end(&store, &apply).await;
    store.settle(apply.id, 3, Fate::Unchanged, None).await.unwrap();

    let back = planned(&store, Some(apply.id), vec![pause(1, Some(1))]).await;
    let changes = RunChanges { follows: Some(back.id), undoes: Some(apply.id), ..RunChanges::default() };
    let undo = start(&store, Mode::Apply, changes).await;
    store.intend(intent(&undo, pause(1, Some(1))), bounds()).await.unwrap();
    store.settle(undo.id, 1, Fate::Applied(done()), Some((apply.id, 1))).await.unwrap();
    end(&store, &undo).await;
    let held = hold_and_guard(&store).await;
    let help = Help { verdict: Helped::Helped, before: runs[0].id, after: Some(runs[1].id) };
    store.record_help(apply.id, help).await.unwrap();

    let left = start(&store, Mode::Apply, RunChanges::default()).await;
    store.intend(intent(&left, pause(1, None)), bounds()).await.unwrap();
    let asked = run_at(MARCH);
    store.start_run(asked.clone()).await.unwrap();
    store.close().await.unwrap();
    let store = place.open();
    assert_eq!(store.interrupted(), 2);
    assert_eq!(broken(&store, None).await, None);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
    runs.extend([plan, apply, back, undo, left, asked]);
    runs.extend(held);
    runs
}

/// Leases that go on, end and are stuck, freezes that stand and were lifted, and a breaker that was closed twice.
async fn hold_and_guard(store: &SqliteStore) -> Vec<Run> {
    let (by, mut runs) = (Actor("root".to_owned()), Vec::new());
    for (until, state) in
        [(MARCH.after(HOUR), None), (MARCH, Some(LeaseState::Ended)), (MARCH, Some(LeaseState::Stuck))]
    {
        let lease = Lease { run: RunId::new(MARCH), until, state: LeaseState::Held, detail: None, ended_by: None };
        let run = start(store, Mode::Apply, RunChanges { lease: Some(lease), ..RunChanges::default() }).await;
        end(store, &run).await;
        match state {
            None => assert!(store.extend_lease(run.id, until.after(HOUR)).await.unwrap()),
            Some(state) => store.settle_lease(run.id, state, Some("why".to_owned()), None).await.unwrap(),
        }
        runs.push(run);
    }
    for plugin in ["mail", "mail", "cache"] {
        store.close_breaker(&plugin.parse().unwrap(), &by).await.unwrap();
    }
    for n in 0..2 {
        let now = store.clock.now();
        let freeze = Freeze {
            id: FreezeId::new(now),
            scope: Scope::Target("redis/cache".parse().unwrap()),
            reason: "a migration".to_owned(),
            creator: by.clone(),
            created: now,
            expires: now.after(HOUR),
        };
        store.add_freeze(freeze.clone()).await.unwrap();
        if n == 0 {
            store.lift_freeze(freeze.id, &by).await.unwrap();
        }
    }
    runs
}

async fn broken(store: &SqliteStore, anchor: Option<Anchor>) -> Option<Broken> {
    store.verify_chain(anchor).await.unwrap().broken
}

/// What is found in a copy of `from` that somebody worked on by hand, before and after an agent opened it; a chain that cannot
/// even be read counts.
async fn found_after(from: &Place, work: impl FnOnce(&Connection)) -> [Option<String>; 2] {
    let copy = Place::new();
    std::fs::copy(from.path(), copy.path()).unwrap();
    let db = copy.by_hand();
    work(&db);
    let before = by_hand(&db);
    drop(db);
    let Ok(store) = copy.try_open() else { return [before, Some("it cannot be opened".to_owned())] };
    let after = match store.verify_chain(None).await {
        Ok(verified) => verified.broken.map(|broken| broken.why),
        Err(error) => Some(error.to_string()),
    };
    [before, after]
}

/// The same walk as the store's, on one connection.
fn by_hand(db: &Connection) -> Option<String> {
    use crate::store::chain::{Search, Step, Strangers, Walk};
    let mut walk = Walk::new(None);
    loop {
        match walk.page(db) {
            Ok(Step::On(next)) => walk = next,
            Ok(Step::Over(verified)) => match verified.broken {
                Some(broken) => return Some(broken.why),
                None => break,
            },
            Err(error) => return Some(error.to_string()),
        }
    }
    let mut search = Strangers::default();
    loop {
        match search.page(db) {
            Ok(Search::On(next)) => search = next,
            Ok(Search::Over(found)) => return found,
            Err(error) => return Some(error.to_string()),
        }
    }
}

const TABLES: [&str; 10] =
    ["runs", "calls", "log_lines", "plans", "changes", "chain", "leases", "approvals", "freezes", "breakers"];

fn columns(db: &Connection, table: &str) -> Vec<String> {
    let mut statement = db.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
    statement.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Rows in the order of their keys.
fn order(table: &str) -> &str {
    match table {
        "runs" | "chain" => "seq",
        "calls" => "run, sequence",
        "log_lines" => "run, n",
        "plans" | "leases" => "run",
        "approvals" => "plan, actor",
        "freezes" => "id",
        "breakers" => "plugin",
        _ => "run, position",
    }
}

/// The values of the keys of the `n`th row.
fn condition(db: &Connection, table: &str, n: i64) -> String {
    let keys: Vec<&str> = order(table).split(", ").collect();
    let quoted: Vec<String> = keys.iter().map(|key| format!("quote({key})")).collect();
    let sql = format!("SELECT {} FROM {table} ORDER BY {} LIMIT 1 OFFSET {n}", quoted.join(", "), order(table));
    let values: Vec<String> = db.query_row(&sql, [], |row| (0..keys.len()).map(|n| row.get(n)).collect()).unwrap();
    let pairs: Vec<_> = keys.iter().zip(values).map(|(key, value)| format!("{key} = {value}")).collect();
    pairs.join(" AND ")
}

fn count(db: &Connection, table: &str) -> i64 {
    db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

/// Another value of the same type, as near as it can be; something where there was nothing.
fn other(value: Value, column: &str) -> Value {
    match value {
        Value::Integer(number) => Value::Integer(number ^ 0x40_0000),
        Value::Text(mut text) => {
            match text.pop() {
                Some('x') => text.push('y'),
                _ => text.push('x'),
            }
            Value::Text(text)
        }
        Value::Blob(mut bytes) => {
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
            }
            Value::Blob(bytes)
        }
        Value::Real(number) => Value::Real(number + 1.0),
        Value::Null => match column {
            "finished" | "settled" | "lifted" => Value::Integer(1),
            "id" | "run" | "sweep_run" | "follows" | "undoes" | "applied_by" | "undone_by" | "checked_before"
            | "checked_after" | "ended_by" => Value::Blob(vec![7; 16]),
            "answer_digest" => Value::Blob(vec![7; 32]),
            _ => Value::Text("\"x\"".to_owned()),
        },
    }
}

// Two tests, because each takes long.
#[tokio::test]
async fn a_change_of_any_column_of_any_row_is_found() {
    let rows: Vec<&str> = TABLES.into_iter().filter(|table| *table != "chain").collect();
    every_change_is_found(&rows).await;
}

#[tokio::test]
async fn a_change_of_any_column_of_any_link_is_found() {
    every_change_is_found(&["chain"]).await;
}

async fn every_change_is_found(tables: &[&str]) {
    let place = Place::new();
    history(&place).await;
    let db = place.by_hand();
    let (mut tried, mut unnoticed) = (0, Vec::new());
    for table in tables {
        for column in columns(&db, table) {
            for n in 0..count(&db, table) {
                let at = condition(&db, table, n);
                let read = format!("SELECT \"{column}\" FROM {table} WHERE {at}");
                let value = other(db.query_row(&read, [], |row| row.get(0)).unwrap(), &column);
                let write = format!("UPDATE {table} SET \"{column}\" = ?1 WHERE {at}");
                let found = found_after(&place, |db| assert_eq!(db.execute(&write, [value]).unwrap(), 1)).await;
                tried += 1;
                if found.iter().any(Option::is_none) {
                    unnoticed.push(format!("{table}.{column} where {at}: {found:?}"));
                }
            }
        }
    }
    assert!(tried > 200, "{tried}");
    assert_eq!(unnoticed, Vec::<String>::new());
}

#[tokio::test]
async fn every_row_that_is_removed_is_missed() {
    let place = Place::new();
    history(&place).await;
    let db = place.by_hand();
    for table in TABLES {
        let rows = count(&db, table);
        for n in 0..rows {
            let sql = format!("DELETE FROM {table} WHERE {}", condition(&db, table, n));
            let [found, later] = found_after(&place, |db| assert_eq!(db.execute(&sql, []).unwrap(), 1)).await;
            let is_end = table == "chain" && n + 1 == rows;
            // Only the head that somebody kept tells that an end is missing, unless rows tell it too.
            assert!(is_end || (found.is_some() && later.is_some()), "{sql}: {found:?}, {later:?}");
        }
    }
}

#[tokio::test]
async fn the_message_names_the_run_and_what_of_it() {
    let place = Place::new();
    let runs = history(&place).await;
    let [check, apply] = [&runs[0], &runs[4]];
    for (sql, run, what) in [
        ("UPDATE calls SET error = 'x' WHERE run = 1 AND sequence = 2", check, "the call 2 is not as it was recorded"),
        ("DELETE FROM calls WHERE run = 1 AND sequence = 1", check, "it was recorded with 2 × call, and there are 1"),
        (
            "UPDATE log_lines SET message = 'x' WHERE run = 1 AND n = 1",
            check,
            "a line of the log is not as it was recorded",
        ),
        ("UPDATE runs SET actor = 'x' WHERE seq = 1", check, "it is not as it was recorded"),
        ("UPDATE runs SET seq = 99 WHERE seq = 1", check, "it has another number than it was recorded with"),
        (
            "UPDATE changes SET done = NULL WHERE run = 5 AND position = 1",
            apply,
            "the change 1 is not as it was recorded",
        ),
        ("DELETE FROM changes WHERE run = 5 AND position = 2", apply, "the change 2 is missing"),
    ] {
        let [found, _] = found_after(&place, |db| db.execute_batch(sql).unwrap()).await;
        assert_eq!(found.unwrap(), format!("run {}: {what}", run.id), "{sql}");
    }
    let [found, _] = found_after(&place, |db| db.execute_batch("DELETE FROM runs WHERE seq = 1").unwrap()).await;
    assert_eq!(found.unwrap(), format!("run {} is missing, and retention did not remove it", check.id));
}

#[tokio::test]
async fn what_is_put_in_is_found() {
    let place = Place::new();
    history(&place).await;
    let runs = "id, plugin, version, digest, mode, \"trigger\", actor, started, finished, state, params";
    for (sql, what) in [
        (
            format!(
                "INSERT INTO runs ({runs}) SELECT x'019a2b3c4d5e7f608a9b0c1d2e3f4a5b', plugin, version, digest, mode, \
                 \"trigger\", actor, started, finished, state, params FROM runs WHERE seq = 1"
            ),
            "run 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b was not recorded by the agent: no link knows it",
        ),
        ("INSERT INTO calls SELECT 99, 1, operation, target, decision, started, 1, 1, NULL, NULL, '{}' FROM calls LIMIT 1"
            .to_owned(), "a call belongs to no run"),
        ("INSERT INTO calls SELECT 1, 9, operation, target, decision, started, 1, 1, NULL, NULL, '{}' FROM calls LIMIT 1"
            .to_owned(), "it was recorded with 2 × call, and there are 3"),
        ("INSERT INTO chain SELECT max(seq) + 1, time, kind, run, hash, body FROM chain".to_owned(), "was not recorded here"),
        ("INSERT INTO chain SELECT max(seq) + 2, time, kind, run, hash, body FROM chain".to_owned(), "is missing"),
    ] {
        for found in found_after(&place, |db| db.execute_batch(&sql).unwrap()).await {
            let found = found.unwrap();
            assert!(found.contains(what), "{sql}: {found}");
        }
    }
}

#[tokio::test]
async fn links_that_change_places_are_found() {
    let place = Place::new();
    history(&place).await;
    let links = count(&place.by_hand(), "chain");
    for first in 1..links {
        let swap = format!(
            "UPDATE chain SET seq = -1 WHERE seq = {first}; UPDATE chain SET seq = {first} WHERE seq = {first} + 1; \
             UPDATE chain SET seq = {first} + 1 WHERE seq = -1;"
        );
        let [found, _] = found_after(&place, |db| db.execute_batch(&swap).unwrap()).await;
        assert!(found.unwrap().contains(&format!("link {first}")), "{swap}");
    }
}

#[tokio::test]
async fn a_head_that_was_kept_elsewhere_finds_an_end_that_was_cut_and_a_chain_that_was_written_anew() {
    let place = Place::new();
    history(&place).await;
    let store = place.open();
    let head = Anchor::from(store.chain_head().await.unwrap().unwrap());
    assert_eq!(broken(&store, Some(head)).await, None);
    fill(&store, MARCH, 1).await;
    assert_eq!(broken(&store, Some(head)).await, None);
    store.close().await.unwrap();

    // With all that the last links spoke of, so that nothing inside misses them.
    place.by_hand().execute_batch(&format!(
        "DELETE FROM calls WHERE run IN (SELECT seq FROM runs WHERE id IN (SELECT run FROM chain WHERE seq >= {0})); \
         DELETE FROM log_lines WHERE run IN (SELECT seq FROM runs WHERE id IN (SELECT run FROM chain WHERE seq >= {0})); \
         DELETE FROM changes WHERE run IN (SELECT seq FROM runs WHERE id IN (SELECT run FROM chain WHERE seq >= {0})); \
         DELETE FROM plans WHERE run IN (SELECT seq FROM runs WHERE id IN (SELECT run FROM chain WHERE seq >= {0})); \
         DELETE FROM runs WHERE id IN (SELECT run FROM chain WHERE seq >= {0}); \
         DELETE FROM chain WHERE run IN (SELECT run FROM chain WHERE seq >= {0});", head.seq,
    )).unwrap();
    let store = place.open();
    let found = broken(&store, Some(head)).await.unwrap();
    assert!(found.why.contains("is missing") || found.why.contains("was its head once"), "{found:?}");
    store.close().await.unwrap();

    // Another store has links of its own.
    let other = Place::new();
    history(&other).await;
    let found = broken(&other.open(), Some(head)).await.unwrap();
    assert_eq!((found.seq, found.why.contains("the chain was written anew")), (head.seq, true), "{found:?}");
}

#[tokio::test]
async fn only_the_head_that_was_kept_misses_the_last_check() {
    let place = Place::new();
    let store = place.open();
    fill(&store, MARCH, 3).await;
    let head = store.chain_head().await.unwrap().unwrap();
    store.close().await.unwrap();
    place
        .by_hand()
        .execute_batch(
            "DELETE FROM calls WHERE run = 3; DELETE FROM log_lines WHERE run = 3; DELETE FROM runs WHERE seq = 3; \
         DELETE FROM chain WHERE seq = 4;",
        )
        .unwrap();
    let store = place.open();
    assert_eq!(broken(&store, None).await, None);
    let found = broken(&store, Some(head.into())).await.unwrap();
    assert_eq!(found, Broken { seq: 4, why: "the chain ends at link 3, and link 4 was its head once".to_owned() });
}

#[tokio::test]
async fn a_check_has_one_link_and_an_end_is_not_linked_twice() {
    let place = Place::new();
    let store = place.open();
    let before = store.chain_head().await.unwrap().unwrap().seq;
    let run = fill(&store, MARCH, 1).await.pop().unwrap();
    assert_eq!(store.finish_run(run.clone()).await.unwrap(), Finish::AlreadyFinished);
    let links = store.links(before, 100).await.unwrap();
    assert_eq!(links.len(), 1);
    assert_eq!((&*links[0].kind, links[0].run), ("run_ended", Some(run.id)));
    let body: serde_json::Value = serde_json::from_str(&links[0].body).unwrap();
    assert_eq!((&body["plugin"], &body["actor"], &body["state"]), (&"pg-ready".into(), &"oncall".into(), &"ok".into()));
}

#[tokio::test]
async fn what_an_apply_does_can_be_read_from_its_links() {
    let place = Place::new();
    let runs = history(&place).await;
    let store = place.open();
    let links = store.links(0, 500).await.unwrap();
    let of =
        |run: &Run| links.iter().filter(|link| link.run == Some(run.id)).map(|link| &*link.kind).collect::<Vec<_>>();
    assert_eq!(of(&runs[3]), ["run_started", "plan_made", "run_ended", "plan_approved", "plan_taken"]);
    let expected = [
        "run_started",
        "change_intended",
        "change_settled",
        "change_passed_over",
        "change_intended",
        "change_settled",
        "run_ended",
        "change_settled",
        "change_undone",
        "run_compared",
    ];
    assert_eq!(of(&runs[4]), expected);
    assert_eq!(of(&runs[7]), ["run_started", "change_intended", "run_ended", "change_settled"]);
    let settled = links.iter().find(|link| link.kind == "change_settled").unwrap();
    let body: serde_json::Value = serde_json::from_str(&settled.body).unwrap();
    assert_eq!(body["done"]["differences"][0]["before"], "false");
    assert_eq!(body["done"]["inverse"]["call"]["operation"], "queue-actions/pause");
}

#[tokio::test]
async fn what_is_linked_of_a_change_is_what_its_row_holds() {
    let place = Place::new();
    let store = place.open();
    let run = start(&store, Mode::Apply, RunChanges::default()).await;
    let done = |objects| Fate::Applied(Done { objects, ..done() });
    let text = || "why".to_owned();
    let fates = [done(0), done(1), done(7), Fate::Unchanged, Fate::Conflict(text()), Fate::Failed(text())];
    let mut position = 0;
    for first in [None, Some(Fate::Unknown(text()))] {
        for fate in &fates {
            position += 1;
            store.intend(intent(&run, pause(position, None)), bounds()).await.unwrap();
            if let Some(first) = &first {
                store.settle(run.id, position, first.clone(), None).await.unwrap();
            }
            store.settle(run.id, position, fate.clone(), None).await.unwrap();
            // What is known stays so, and is not linked again.
            store.settle(run.id, position, Fate::Unchanged, None).await.unwrap();
            if !matches!(fate, Fate::Applied(_)) {
                position += 1;
                store.pass_over(intent(&run, pause(position, None)), fate.clone()).await.unwrap();
            }
            assert_eq!(broken(&store, None).await, None, "{first:?}, {fate:?}");
        }
    }
    end(&store, &run).await;
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_chain_is_sound_after_retention_and_retention_is_told_apart_from_others() {
    let place = Place::new();
    let store = place.open();
    fill(&store, MARCH, 150).await;
    fill(&store, MARCH.after(5 * HOUR), 3).await;
    place.clock.set(MARCH.after(6 * HOUR));
    let policy = RetentionPolicy { max_age: Some(2 * HOUR), max_bytes: None };
    assert_eq!(store.retain(policy).await.unwrap().runs, 150);
    assert_eq!(broken(&store, None).await, None);
    // A number that was given out again is another run.
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
    let sql =
        "DELETE FROM calls WHERE run = 151; DELETE FROM log_lines WHERE run = 151; DELETE FROM runs WHERE seq = 151";
    let [found, _] = found_after(&place, |db| db.execute_batch(sql).unwrap()).await;
    assert!(found.unwrap().ends_with("is missing, and retention did not remove it"));
    let back = "INSERT INTO runs SELECT 1, x'00000000000000000000000000000000', plugin, version, digest, mode, \"trigger\", actor, \
         started, finished, state, failure_kind, failure_message, summary, duration_ns, memory_bytes, calls, answer_bytes, \
         dropped_log_lines, params, outcome, sweep_run, follows, undoes, break_glass, helped, checked_before, checked_after FROM runs WHERE seq = 151";
    let [found, _] = found_after(&place, |db| db.execute_batch(back).unwrap()).await;
    assert!(found.unwrap().contains("no link knows it"));
}

#[tokio::test]
async fn numbers_of_runs_that_are_given_out_again_confuse_nothing() {
    let place = Place::new();
    let store = place.open();
    for round in 0..3 {
        fill(&store, MARCH.after(round * HOUR), 5).await;
        let everything = RetentionPolicy { max_age: None, max_bytes: Some(0) };
        assert_eq!(store.retain(everything).await.unwrap().runs, 5);
    }
    let kept = fill(&store, MARCH.after(9 * HOUR), 2).await;
    assert_eq!(broken(&store, None).await, None);
    store.close().await.unwrap();
    let sql = "DELETE FROM calls; DELETE FROM log_lines; DELETE FROM runs WHERE seq = 1";
    let [found, _] = found_after(&place, |db| db.execute_batch(sql).unwrap()).await;
    assert_eq!(found.unwrap(), format!("run {} is missing, and retention did not remove it", kept[0].id));
}

#[tokio::test]
async fn old_links_go_with_a_word_and_the_chain_goes_on_from_there() {
    let place = Place::new();
    let store = place.open();
    fill(&store, MARCH, 2_300).await;
    let early = Anchor::from(store.chain_head().await.unwrap().unwrap());
    fill(&store, MARCH.after(500 * 24 * HOUR), 2).await;
    place.clock.set(MARCH.after(501 * 24 * HOUR));
    let policy = RetentionPolicy { max_age: Some(30 * 24 * HOUR), max_bytes: None };
    assert_eq!(store.retain(policy).await.unwrap().runs, 2_300);
    let links = store.links(0, 500).await.unwrap();
    assert_eq!(links[0].seq, early.seq + 1, "those of the runs that are there stay, and what came after them");
    assert_eq!(links[0].prev, early.hash);
    assert_eq!(links.last().unwrap().kind, "chain_cut");
    assert_eq!(broken(&store, None).await, None);
    assert_eq!(broken(&store, Some(early)).await, None, "it is the one that the cut names");
    let older = Anchor { seq: early.seq - 1, ..early };
    assert!(broken(&store, Some(older)).await.unwrap().why.contains("is not kept any more"));
    assert_eq!(store.retain(policy).await.unwrap(), Removed::default());
    store.close().await.unwrap();
    let [found, later] =
        found_after(&place, |db| db.execute_batch("DELETE FROM chain WHERE kind = 'chain_cut'").unwrap()).await;
    assert!(found.is_some() && later.is_some());
    let first = links[0].seq;
    let old = "INSERT INTO chain SELECT 1, time, 'genesis', NULL, hash, body FROM chain LIMIT 1";
    let [found, _] = found_after(&place, |db| db.execute_batch(old).unwrap()).await;
    assert_eq!(found.unwrap(), format!("link 1 is from before link {first}, which is the beginning"));
    let cut = format!("DELETE FROM chain WHERE seq = {first}");
    let [found, _] = found_after(&place, |db| db.execute_batch(&cut).unwrap()).await;
    assert_eq!(found.unwrap(), format!("link {first} is missing"));
}

#[tokio::test]
async fn the_chain_takes_no_more_than_its_part_of_the_size() {
    let place = Place::new();
    let store = place.open();
    fill(&store, MARCH, 600).await;
    let policy = RetentionPolicy { max_age: None, max_bytes: Some(400 << 10) };
    store.retain(policy).await.unwrap();
    let links = store.links(0, 1_000).await.unwrap();
    assert!(links[0].seq > 100, "{}", links[0].seq);
    assert!(store.runs(RunFilter::default(), page(200)).await.unwrap().runs.len() > 50);
    assert_eq!(broken(&store, None).await, None);
}

#[tokio::test]
async fn a_file_from_before_the_chain_begins_one_with_what_it_holds() {
    let place = Place::new();
    let runs = history(&place).await;
    let db = place.by_hand();
    db.execute_batch("DROP TABLE chain; DROP TABLE recordings; PRAGMA user_version = 7").unwrap();
    let was: i64 =
        db.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'chain'", [], |row| row.get(0)).unwrap();
    assert_eq!(was, 0);
    drop(db);
    let store = place.open();
    let links = store.links(0, 500).await.unwrap();
    assert_eq!(&*links[0].kind, "genesis");
    assert_eq!(links[0].prev, Digest::from_bytes([0; 32]));
    assert_eq!(links.len(), runs.len() + 1);
    assert_eq!(broken(&store, None).await, None);
    store.close().await.unwrap();
    for sql in ["UPDATE runs SET actor = 'x' WHERE seq = 4", "UPDATE changes SET objects = 9 WHERE position = 2"] {
        let [found, later] = found_after(&place, |db| db.execute_batch(sql).unwrap()).await;
        assert!(found.unwrap().contains("not as it was recorded") && later.is_some());
    }
}

#[tokio::test]
async fn a_chain_that_was_emptied_does_not_begin_anew() {
    let place = Place::new();
    history(&place).await;
    let [found, later] = found_after(&place, |db| db.execute_batch("DELETE FROM chain").unwrap()).await;
    assert_eq!(
        (found.as_deref(), later.as_deref()),
        (Some("there is no link at all"), Some("there is no link at all"))
    );
    let store = place.open();
    store.close().await.unwrap();
    place.by_hand().execute_batch("DELETE FROM chain").unwrap();
    let store = place.open();
    fill(&store, MARCH, 1).await;
    assert!(broken(&store, None).await.unwrap().why.contains("does not begin with its beginning"));
}

/// A column that links do not know could be changed unseen. Whoever adds one decides here.
#[tokio::test]
async fn links_speak_of_every_column() {
    let place = Place::new();
    place.open();
    let db = place.by_hand();
    for (table, digested, aside) in [
        ("runs", [rows::RUN_START, rows::RUN_END].join(", "), &["seq"] as &[&str]),
        ("calls", rows::CALL.to_owned(), &["run"]),
        ("log_lines", rows::LOG_LINE.to_owned(), &["run"]),
        ("plans", rows::PLAN.to_owned(), &["run"]),
        ("changes", rows::CHANGE.to_owned(), &["run"]),
        ("recordings", rows::RECORDING.to_owned(), &["run"]),
        ("leases", rows::LEASE.to_owned(), &["run"]),
        ("approvals", rows::APPROVAL.to_owned(), &["plan"]),
        ("freezes", rows::FREEZE.to_owned(), &[]),
        ("breakers", rows::BREAKER.to_owned(), &[]),
    ] {
        let mut known: Vec<String> = digested.split(", ").map(|column| column.trim_matches('"').to_owned()).collect();
        known.extend(aside.iter().map(|column| (*column).to_owned()));
        let mut there = columns(&db, table);
        known.sort_unstable();
        there.sort_unstable();
        assert_eq!(known, there, "{table}");
    }
}

#[tokio::test]
async fn a_crash_at_any_moment_leaves_a_sound_chain() {
    let place = Place::new();
    let store = place.open();
    let plan = planned(&store, None, vec![pause(1, None)]).await;
    let apply = start(&store, Mode::Apply, RunChanges { follows: Some(plan.id), ..RunChanges::default() }).await;
    let mut moments = 0;
    let mut crash = async |what: &str| {
        moments += 1;
        let copy = place.folder.path().join(format!("copy-{moments}.db"));
        copy_after_crash(&place.path(), &copy);
        let store = SqliteStore::open(&copy, place.clock.clone(), StoreOptions::default()).unwrap();
        assert_eq!(broken(&store, None).await, None, "after {what}");
    };
    crash("the start").await;
    store.intend(intent(&apply, pause(1, None)), bounds()).await.unwrap();
    crash("the intent").await;
    store.settle(apply.id, 1, Fate::Applied(done()), None).await.unwrap();
    crash("the result").await;
    end(&store, &apply).await;
    crash("the end").await;
}

#[tokio::test]
async fn a_run_on_a_lease_is_passed_on_whole_and_marked_when_another_one_gave_it_back() {
    let (place, other) = (Place::new(), Place::new());
    let (owner, adopter) = (place.open(), other.open());
    let lease =
        |run: RunId| Lease { run, until: MARCH.after(HOUR), state: LeaseState::Held, detail: None, ended_by: None };
    let run = Run { mode: Mode::Apply, ..run_at(MARCH) };
    let run = Run { changes: RunChanges { lease: Some(lease(run.id)), ..RunChanges::default() }, ..run };
    owner.start_run(run.clone()).await.unwrap();
    let fates =
        [Fate::Applied(done()), Fate::Unchanged, Fate::Conflict("moved".to_owned()), Fate::Unknown("lost".to_owned())];
    for (position, fate) in (1..).zip(fates) {
        owner.intend(intent(&run, pause(position, None)), bounds()).await.unwrap();
        owner.settle(run.id, position, fate, None).await.unwrap();
    }
    end(&owner, &run).await;
    let made = owner.run(run.id).await.unwrap().unwrap();

    let lent = read_lent(&lent_record(&made).unwrap(), "paramedic-0").unwrap();
    for _ in 0..2 {
        adopter.adopt_lent(lent.clone(), MARCH.after(HOUR)).await.unwrap();
    }
    let adopted = adopter.run(run.id).await.unwrap().unwrap();
    let told = |run: &Run| {
        let tell =
            |change: &ChangeRecord| (change.position, change.planned.clone(), change.fate.clone(), change.undone_by);
        run.changes.made.iter().map(tell).collect::<Vec<_>>()
    };
    assert_eq!(told(&adopted), told(&made));
    assert_eq!((&adopted.plugin, &adopted.params, &adopted.actor), (&made.plugin, &made.params, &made.actor));
    assert_eq!(adopter.leases().await.unwrap(), [lease(run.id)]);
    assert_eq!(adopter.unknown_changes().await.unwrap().len(), 1, "what its owner did not know can be found out here");
    assert_eq!(broken(&adopter, None).await, None);
    assert_eq!(adopter.verify().await.unwrap(), Vec::<String>::new());

    let undo = RunId::new(MARCH);
    owner.returned_elsewhere(run.id, Some(undo), "given back by another".to_owned()).await.unwrap();
    let known = owner.run(run.id).await.unwrap().unwrap();
    let undone: Vec<_> = known.changes.made.iter().map(|change| change.undone_by).collect();
    assert_eq!(undone, [Some(undo), None, None, None]);
    let ended = known.changes.lease.unwrap();
    assert_eq!(
        (ended.state, ended.ended_by, ended.detail.as_deref()),
        (LeaseState::Ended, Some(undo), Some("given back by another"))
    );
    assert_eq!(broken(&owner, None).await, None);

    let damaged = lent_record(&made).unwrap().replace("\"form\":1", "\"form\":2");
    assert!(matches!(read_lent(&damaged, "a"), Err(StoreError::Invalid(why)) if why.contains("form")));
    assert!(matches!(read_lent("{}", "a"), Err(StoreError::Invalid(_))));
}
