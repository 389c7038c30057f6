use super::*;
use paramedic_sdk::Error;
use paramedic_sdk::postgres::{INSPECT, SESSIONS, SessionKey};
use paramedic_sdk::testing::{Host, Run, assert_takes, assert_well_described, denied, remote};

#[path = "../../pg-terminate-idle/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod end_idle;

fn server() -> Server {
    Server {
        version: 150_018,
        in_recovery: false,
        max_connections: 100,
        reserved_connections: 3,
        connections: 50,
        replay_lag: None,
    }
}

fn session(application: &str, client: &str, state: &str, age: f64) -> Session {
    Session {
        key: SessionKey { pid: 1, started_micros: 1_767_225_600_000_000 },
        user: "shop".to_owned(),
        database: "shop".to_owned(),
        application: application.to_owned(),
        client: Some(client.to_owned()).filter(|client| !client.is_empty()),
        state: state.to_owned(),
        wait: None,
        state_age: age,
        transaction_age: state.contains("transaction").then_some(age),
        query_age: Some(age),
        blocked_by: Vec::new(),
        query: format!("select {age}"),
    }
}

fn idle(count: usize, application: &str, client: &str) -> Vec<Session> {
    (0..count).map(|n| session(application, client, "idle", 700.0 + n as f64)).collect()
}

fn host(idle: Vec<Session>, open: Vec<Session>, aborted: Vec<Session>) -> Host {
    Host::new()
        .answers_by(SESSIONS, "main", move |call| match call.arguments.get(1).map(String::as_str) {
            Some("idle in transaction") => Ok(open.clone()),
            Some("idle in transaction (aborted)") => Ok(aborted.clone()),
            Some("idle") => Ok(idle.clone()),
            other => panic!("an unexpected filter: {other:?}"),
        })
        .answers(INSPECT, "main", Ok(server()))
}

fn check(idle: Vec<Session>, open: Vec<Session>) -> Run {
    host(idle, open, Vec::new()).run::<PgIdleConnections>(json!({}))
}

/// What is suggested has to be what the suggested plugin takes.
#[track_caller]
fn assert_suggests_what_is_taken(run: &Run) {
    for suggestion in run.outcome().suggestions() {
        match suggestion.plugin.as_str() {
            "pg-terminate-idle" => assert_takes::<end_idle::Params>(suggestion),
            other => panic!("nothing is known of {other}"),
        }
    }
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    assert_suggests_what_is_taken(run);
    let outcome = run.outcome();
    assert_eq!(outcome.status(), status, "{}", outcome.summary());
    assert!(outcome.summary().contains(words), "{words} is not in: {}", outcome.summary());
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<PgIdleConnections>();
}

#[test]
fn nothing_idle_or_a_few_are_fine() {
    assert_says(&check(Vec::new(), Vec::new()), Status::Ok, "no connection of main has been idle for over 10 min");
    let words = "no leak on main: 7 connections idle for over 10 min, at most 5 held by one client (api)";
    assert_says(
        &check([idle(5, "api", "10.0.0.7"), idle(2, "api", "10.0.0.8")].concat(), Vec::new()),
        Status::Ok,
        words,
    );
}

#[test]
fn the_server_is_asked_for_the_age_of_the_state() {
    let run = host(Vec::new(), Vec::new(), Vec::new()).run::<PgIdleConnections>(json!({ "min_idle_seconds": 30 }));
    assert_eq!(run.calls[0].line(), "postgres/sessions main idle 30");
}

#[test]
fn the_leak_is_named_with_its_client_and_age() {
    let sessions = [idle(9, "api", "10.0.0.7"), idle(30, "checkout", "10.0.0.9")].concat();
    let run = check(sessions, Vec::new());
    let words = "checkout (user shop, from 10.0.0.9) leaks connections of main: 30 idle for over 10 min, the oldest for 12 min 9 s";
    assert_says(&run, Status::Critical, words);
    assert_eq!(run.table("Idle connections").rows[0][..5], ["checkout", "shop", "10.0.0.9", "30", "12 min 9 s"]);
    assert_eq!(run.table("Idle connections").rows[0][5], "select 729");
    let cure = &run.outcome().suggestions()[0];
    assert_eq!((cure.plugin.as_str(), &cure.params["applications"]), ("pg-terminate-idle", &json!(["checkout"])));
    assert_eq!((&cure.params["max_idle"], &cure.params["max_idle_in_transaction"]), (&json!(600.0), &json!(null)));
    assert_says(&check(idle(6, "", ""), Vec::new()), Status::Warning, "(unnamed) (user shop, local) leaks");
}

#[test]
fn a_leak_spread_over_many_clients_shows_in_the_share() {
    let spread: Vec<Session> = (0..60).map(|n| session("api", &format!("10.0.0.{n}"), "idle", 900.0)).collect();
    let run = check(spread, Vec::new());
    assert_says(&run, Status::Warning, "60 of 97 usable connections of main (62 %) have been idle for over 10 min");
    assert_eq!(run.metric("idle_connections_of_one_client"), 1.0);
}

#[test]
fn a_transaction_left_open_is_graver_than_an_idle_connection() {
    for (age, status) in [(59.0, Status::Ok), (61.0, Status::Warning), (601.0, Status::Critical)] {
        let run = check(Vec::new(), vec![session("reports", "", "idle in transaction", age)]);
        assert_eq!(run.outcome().status(), status, "{age}");
    }
    let stale = Session { state_age: 1.0, ..session("reports", "", "idle in transaction (aborted)", 720.0) };
    let run = host(idle(6, "api", ""), Vec::new(), vec![stale]).run::<PgIdleConnections>(json!({}));
    assert_says(
        &run,
        Status::Critical,
        "reports (user shop, local) has 1 transaction open and idle, the oldest for 12 min",
    );
    assert!(run.outcome().details().unwrap().contains("api (user shop, local) leaks"));
    let cures: Vec<_> = run.outcome().suggestions().iter().map(|cure| cure.params["max_idle"].clone()).collect();
    assert_eq!(cures, [json!(600.0), json!(null)]);
}

#[test]
fn the_oldest_transaction_counts_even_in_a_small_group() {
    let many = (0..5).map(|_| session("api", "", "idle in transaction", 2.0));
    let open = many.chain([session("reports", "", "idle in transaction", 900.0)]).collect();
    assert_says(&check(Vec::new(), open), Status::Critical, "reports (user shop, local) has 1 transaction open");
}

#[test]
fn without_the_servers_limit_the_leak_is_still_found() {
    let answer = idle(30, "checkout", "");
    let run = Host::new()
        .answers_by(SESSIONS, "main idle", move |_| Ok(answer.clone()))
        .answers(SESSIONS, "main", Ok(Vec::new()))
        .answers(INSPECT, "main", Err(denied("postgres/inspect", "main")))
        .run::<PgIdleConnections>(json!({}));
    assert_says(&run, Status::Critical, "checkout (user shop, local) leaks");
    assert_eq!(run.log.len(), 1);
}

#[test]
fn errors_of_the_host_leave_the_verdict_open() {
    let errors = [
        denied("postgres/sessions", "main"),
        Error::Unavailable("refused".into()),
        Error::TimedOut("5 s".into()),
        Error::TooLarge("2 MiB".into()),
        Error::Exhausted("calls".into()),
        remote("postgres", "57P03", "starting up"),
    ];
    for error in errors {
        let run = Host::new().answers(SESSIONS, "main", Err(error.clone())).run::<PgIdleConnections>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
}

#[test]
fn thresholds_and_limits_are_the_operators() {
    let sessions: Vec<Session> = (0..30).map(|n| session(&format!("app{n}"), "", "idle", 900.0)).collect();
    let run = host(sessions, Vec::new(), Vec::new()).run::<PgIdleConnections>(json!({ "limit": 3, "warning": "~:0" }));
    assert_says(&run, Status::Warning, "app0");
    assert_eq!(run.table("Idle connections").rows.len(), 3);
}
