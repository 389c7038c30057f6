use super::*;
use paramedic_sdk::postgres::{SESSIONS, SessionKey, TERMINATE_SESSION};
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied, unchanged};
use paramedic_sdk::{Denial, Status};
use serde_json::json;

fn session(pid: i32, application: &str, state: &str, idle: Seconds) -> Session {
    Session {
        key: SessionKey { pid, started_micros: 1_767_225_600_000_000 },
        user: "shop".to_owned(),
        database: "shop".to_owned(),
        application: application.to_owned(),
        client: None,
        state: state.to_owned(),
        wait: None,
        state_age: idle,
        transaction_age: None,
        query_age: Some(idle),
        blocked_by: Vec::new(),
        query: "select 1".to_owned(),
    }
}

/// A server with these sessions, which answers by state and age as the real one does.
fn server(sessions: Vec<Session>) -> Host {
    Host::new().answers_by(SESSIONS, "main", move |call| {
        let (state, age): (&str, Seconds) = (&call.arguments[1], call.arguments[2].parse().unwrap());
        Ok(sessions.iter().filter(|session| session.state == state && session.state_age >= age).cloned().collect())
    })
}

fn some() -> Vec<Session> {
    vec![
        session(1, "api", "idle", 700.0),
        session(2, "checkout", "idle", 900.0),
        session(3, "api", "idle in transaction", 301.0),
        session(4, "", "idle in transaction (aborted)", 400.0),
        session(5, "api", "idle", 599.0),
        session(6, "api", "idle in transaction", 299.0),
        session(7, "api", "active", 9000.0),
    ]
}

fn asked(pids: &[i32]) -> Vec<String> {
    pids.iter().map(|pid| format!("postgres-actions/terminate-session main {pid} 1767225600000000")).collect()
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<PgTerminateIdle>();
}

#[test]
fn transactions_come_first_and_the_longest_idle_before_others() {
    let run = server(some()).plan::<PgTerminateIdle>(json!({}));
    assert_eq!(run.changes(), asked(&[4, 3, 2, 1]));
    assert_eq!(run.outcome().summary(), "would end 4 idle sessions of main");
    assert_eq!(run.outcome().status(), Status::Ok);
    let row = &run.table("Idle sessions").rows[0];
    let state = "idle in transaction (aborted)";
    assert_eq!(row[..], ["4", "(unnamed)", "shop", "local", state, "6 min 40 s", "select 1", "to be ended"]);
}

#[test]
fn parameters_choose_among_them() {
    let table: [(serde_json::Value, &[i32]); 7] = [
        (json!({ "limit": 3 }), &[4, 3, 2]),
        (json!({ "max_idle": null }), &[4, 3]),
        (json!({ "max_idle_in_transaction": null }), &[2, 1]),
        (json!({ "applications": ["api"] }), &[3, 1]),
        (json!({ "applications": ["", "checkout"] }), &[4, 2]),
        (json!({ "users": ["root"] }), &[]),
        (json!({ "max_idle": 500, "max_idle_in_transaction": 1000 }), &[2, 1, 5]),
    ];
    for (params, pids) in table {
        assert_eq!(server(some()).plan::<PgTerminateIdle>(params.clone()).changes(), asked(pids), "{params}");
    }
}

#[test]
fn a_plan_and_its_apply_ask_for_the_same() {
    let planned = server(some()).plan::<PgTerminateIdle>(json!({}));
    let asked = planned.changes();
    let applied = planned.next().apply::<PgTerminateIdle>(json!({}));
    assert_eq!(applied.changes(), asked);
    assert_eq!(applied.outcome().summary(), "ended 4 idle sessions of main");
}

#[test]
fn nothing_to_do_is_fine() {
    let run = server(Vec::new()).apply::<PgTerminateIdle>(json!({}));
    let words = "nothing to do: no session of main is idle for over 10 min or idle in transaction for over 5 min";
    assert_eq!((run.outcome().summary().as_str(), run.outcome().status()), (words, Status::Ok));
    let run = server(some()).plan::<PgTerminateIdle>(json!({ "max_idle": null, "max_idle_in_transaction": null }));
    assert!(run.calls.is_empty() && run.outcome().summary().starts_with("nothing to do"));
}

#[test]
fn sessions_that_are_over_or_went_on_are_told() {
    let run = server(some())
        .answers(TERMINATE_SESSION, "main 3", Ok(unchanged()))
        .answers(TERMINATE_SESSION, "main 2", Err(conflict("state was idle, is active")))
        .apply::<PgTerminateIdle>(json!({}));
    let words = "ended 2 idle sessions of main, 1 was over already, 1 had changed meanwhile and was left alone";
    assert_eq!((run.outcome().summary().as_str(), run.outcome().status()), (words, Status::Warning));
    assert_eq!(run.table("Idle sessions").rows[2][7], "changed: state was idle, is active");
}

#[test]
fn a_missing_grant_is_told_with_its_line_and_nothing_more_is_tried() {
    let line = "not granted; to allow it add plugins.pg-terminate-idle.grants: - { postgres: main, verbs: [terminate-session], per_run: 5 }";
    let Error::Denied(denial) = denied("postgres-actions/terminate-session", "postgres/main") else { unreachable!() };
    let error = Error::Denied(Denial { message: line.to_owned(), ..denial });
    let run = server(some()).answers(TERMINATE_SESSION, "main", Err(error)).apply::<PgTerminateIdle>(json!({}));
    assert_eq!((run.changes().len(), run.outcome().status()), (1, Status::Unknown));
    assert!(run.outcome().summary().contains(line), "{}", run.outcome().summary());
}

#[test]
fn without_the_list_of_sessions_there_is_no_verdict() {
    let error = denied("postgres/sessions", "main");
    let run = Host::new().answers(SESSIONS, "main", Err(error.clone())).plan::<PgTerminateIdle>(json!({}));
    assert_eq!(run.failure(), &Failure::Host(error));
}
