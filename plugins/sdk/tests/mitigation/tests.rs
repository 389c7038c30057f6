use super::*;
use paramedic_sdk::postgres::{SESSIONS, SessionKey, TERMINATE_SESSION};
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied};
use paramedic_sdk::{Error, Status};
use serde_json::json;

fn session(pid: i32, application: &str) -> Session {
    Session {
        key: SessionKey { pid, started_micros: 7 },
        user: "shop".to_owned(),
        database: "shop".to_owned(),
        application: application.to_owned(),
        client: None,
        state: "idle in transaction".to_owned(),
        wait: None,
        state_age: 400.0,
        transaction_age: Some(400.0),
        query_age: Some(400.0),
        blocked_by: Vec::new(),
        query: "select * from outbox for update".to_owned(),
    }
}

fn host() -> Host {
    let sessions = ["mailer", "api", "mailer"].into_iter().zip(1..).map(|(name, pid)| session(pid, name));
    Host::new().answers(SESSIONS, "main", Ok(sessions.collect()))
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<PgOutboxFree>();
}

#[test]
fn a_plan_and_its_apply_end_the_sessions_of_the_mailer() {
    let planned = host().plan::<PgOutboxFree>(json!({}));
    assert_eq!(planned.outcome().summary(), "would end 2 sessions of main");
    let asked = planned.changes();
    assert_eq!(asked[0], "postgres-actions/terminate-session main 1 7");
    let applied = planned.next().apply::<PgOutboxFree>(json!({}));
    assert_eq!((applied.changes(), applied.outcome().summary()), (asked, "ended 2 sessions of main".to_owned()));
}

#[test]
fn nothing_to_do_is_fine() {
    let run = Host::new().answers(SESSIONS, "main", Ok(Vec::new())).plan::<PgOutboxFree>(json!({}));
    assert_eq!((run.outcome().status(), run.changes().len()), (Status::Ok, 0));
}

#[test]
fn what_became_of_the_others_is_told() {
    let apply = |error: Error| host().answers(TERMINATE_SESSION, "main 3", Err(error)).apply::<PgOutboxFree>(json!({}));
    let moved = apply(conflict("state was idle in transaction, is active"));
    assert_eq!(moved.outcome().status(), Status::Warning);
    let words = "ended 1 session of main, 1 had changed meanwhile and was left alone";
    assert_eq!(moved.outcome().summary(), words);
    let refused = apply(denied("postgres-actions/terminate-session", "postgres/main"));
    assert_eq!(refused.outcome().status(), Status::Critical);
}
