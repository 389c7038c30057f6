use super::*;
use paramedic_sdk::Status;
use paramedic_sdk::postgres::{SESSIONS, SessionKey, TERMINATE_SESSION};
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied, out_of_bounds};
use serde_json::json;

fn running(pid: i32, application: &str, user: &str, age: f64) -> Session {
    Session {
        key: SessionKey { pid, started_micros: 7 },
        user: user.to_owned(),
        database: "shop".to_owned(),
        application: application.to_owned(),
        client: Some("10.0.0.9".to_owned()),
        state: "active".to_owned(),
        wait: None,
        state_age: age,
        transaction_age: Some(age),
        query_age: Some(age),
        blocked_by: Vec::new(),
        query: "select pg_sleep(9000)".to_owned(),
    }
}

fn server() -> Host {
    let sessions = vec![
        running(1, "report", "shop", 400.0),
        running(2, "api", "shop", 900.0),
        running(3, "report", "bi", 3600.0),
        running(4, "", "shop", 301.0),
    ];
    Host::new().answers(SESSIONS, "main", Ok(sessions))
}

fn pids(changes: &[String]) -> Vec<&str> {
    changes.iter().map(|line| line.split(' ').nth(2).unwrap()).collect()
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<PgTerminateLongQueries>();
}

#[test]
fn the_oldest_are_ended_first_and_the_server_is_asked_for_those_at_work() {
    let run = server().plan::<PgTerminateLongQueries>(json!({}));
    assert_eq!(run.calls[0].line(), "postgres/sessions main active 300");
    assert_eq!(run.changes()[0], "postgres-actions/terminate-session main 3 7");
    assert_eq!(pids(&run.changes()), ["3", "2", "1", "4"]);
    assert_eq!(run.outcome().summary(), "would end 4 long statements of main");
}

#[test]
fn parameters_choose_among_them() {
    let table: [(serde_json::Value, &[&str]); 4] = [
        (json!({ "limit": 2 }), &["3", "2"]),
        (json!({ "users": ["shop"], "limit": 2 }), &["2", "1"]),
        (json!({ "applications": ["report"] }), &["3", "1"]),
        (json!({ "applications": [""], "users": ["bi"] }), &[]),
    ];
    for (params, expected) in table {
        let run = server().plan::<PgTerminateLongQueries>(params.clone());
        assert_eq!(pids(&run.changes()), expected, "{params}");
    }
    let run = server().plan::<PgTerminateLongQueries>(json!({ "min_age": 60.5 }));
    assert_eq!(run.calls[0].line(), "postgres/sessions main active 60.5");
}

#[test]
fn cancelling_leaves_the_session_connected() {
    let run = server().apply::<PgTerminateLongQueries>(json!({ "action": "cancel", "limit": 1 }));
    assert_eq!(run.changes(), ["postgres-actions/cancel-query main 3 7"]);
    assert_eq!(run.outcome().summary(), "cancelled 1 long statement of main");
    let row = &run.table("Long statements").rows[0];
    assert_eq!(row[..], ["3", "report", "bi", "10.0.0.9", "1 h", "select pg_sleep(9000)", "cancelled"]);
}

#[test]
fn nothing_to_do_is_fine() {
    let run = Host::new().answers(SESSIONS, "main", Ok(Vec::new())).apply::<PgTerminateLongQueries>(json!({}));
    let words = "nothing to do: no statement on main runs for over 5 min";
    assert_eq!((run.outcome().summary().as_str(), run.outcome().status()), (words, Status::Ok));
}

#[test]
fn what_changed_and_what_the_grant_leaves_out_are_counted() {
    let operation = "postgres-actions/terminate-session";
    let bi = out_of_bounds(operation, "main", "the grant does not cover sessions of the role `bi`");
    let run = server()
        .answers(TERMINATE_SESSION, "main 3", Err(bi))
        .answers(TERMINATE_SESSION, "main 2", Err(conflict("statement was A, is B")))
        .apply::<PgTerminateLongQueries>(json!({}));
    let words = "ended 2 long statements of main, 1 had changed meanwhile and was left alone, 1 is \
                 outside the bounds of the grant (the grant does not cover sessions of the role `bi`)";
    assert_eq!((run.outcome().summary().as_str(), run.outcome().status()), (words, Status::Warning));
}

#[test]
fn a_missing_grant_is_told_and_nothing_more_is_tried() {
    let error = denied("postgres-actions/terminate-session", "main");
    let run = server().answers(TERMINATE_SESSION, "main", Err(error.clone()));
    let run = run.plan::<PgTerminateLongQueries>(json!({}));
    assert_eq!((run.changes().len(), run.outcome().status()), (1, Status::Unknown));
    assert!(run.outcome().summary().contains(&error.to_string()), "{}", run.outcome().summary());
    let run = Host::new().answers(SESSIONS, "main", Err(error.clone())).plan::<PgTerminateLongQueries>(json!({}));
    assert_eq!(run.failure(), &Failure::Host(error));
}
