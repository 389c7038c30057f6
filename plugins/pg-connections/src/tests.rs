use super::*;
use paramedic_sdk::postgres::{INSPECT, SESSIONS, SessionKey};
use paramedic_sdk::testing::{Host, Run, assert_takes, assert_well_described, denied, remote};

#[path = "../../pg-terminate-idle/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod end_idle;

#[path = "../../pg-terminate-long-queries/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod end_long_queries;

fn server(connections: u32) -> Server {
    Server {
        version: 150_018,
        in_recovery: false,
        max_connections: 100,
        reserved_connections: 3,
        connections,
        replay_lag: None,
    }
}

fn session(pid: i32, application: &str, state: &str, age: f64) -> Session {
    Session {
        key: SessionKey { pid, started_micros: 1_767_225_600_000_000 },
        user: "shop".to_owned(),
        database: "shop".to_owned(),
        application: application.to_owned(),
        client: Some("10.0.0.7".to_owned()),
        state: state.to_owned(),
        wait: None,
        state_age: age,
        transaction_age: state.contains("transaction").then_some(age),
        query_age: Some(age),
        blocked_by: Vec::new(),
        query: "select * from carts where id = $1".to_owned(),
    }
}

fn many(count: i32, application: &str, state: &str) -> Vec<Session> {
    (0..count).map(|pid| session(1000 + pid, application, state, 5.0)).collect()
}

fn blocked(pid: i32, by: &[i32], waited: f64) -> Session {
    Session {
        blocked_by: by.to_vec(),
        wait: Some("Lock:transactionid".to_owned()),
        ..session(pid, "worker", "active", waited)
    }
}

fn check(connections: u32, sessions: Vec<Session>, params: serde_json::Value) -> Run {
    let host = Host::new().answers(INSPECT, "main", Ok(server(connections)));
    host.answers(SESSIONS, "main", Ok(sessions)).run::<PgConnections>(params)
}

/// What is suggested has to be what the suggested plugin takes.
#[track_caller]
fn assert_suggests_what_is_taken(run: &Run) {
    for suggestion in run.outcome().suggestions() {
        match suggestion.plugin.as_str() {
            "pg-terminate-idle" => assert_takes::<end_idle::Params>(suggestion),
            "pg-terminate-long-queries" => assert_takes::<end_long_queries::Params>(suggestion),
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
    assert_well_described::<PgConnections>();
}

#[test]
fn a_server_with_room_is_fine_and_says_who_holds_most() {
    let sessions = [many(20, "checkout", "idle"), many(3, "", "active")].concat();
    let run = check(34, sessions, json!({}));
    let words = "34 of 97 usable connections of main are in use (35 %), most of them by checkout (user shop, 20)";
    assert_says(&run, Status::Ok, words);
    assert_eq!(run.metric("connections_usable"), 97.0);
    assert_eq!(run.table("Connections by application").rows[1][0], "(unnamed)");
    assert!(run.outcome().suggestions().is_empty());
}

#[test]
fn the_application_that_takes_the_connections_is_named_with_their_state() {
    let sessions = [many(61, "checkout", "idle"), many(15, "api", "active")].concat();
    let run = check(80, sessions.clone(), json!({}));
    assert_says(&run, Status::Warning, "(82 %): checkout (user shop) holds 61, all of them idle");
    let run = check(97, sessions, json!({}));
    assert_says(&run, Status::Critical, "97 of 97 usable connections of main are in use (100 %): checkout");
    let cure = &run.outcome().suggestions()[0];
    assert_eq!(cure.plugin, "pg-terminate-idle");
    assert_eq!(cure.params["applications"], json!(["checkout"]));
}

#[test]
fn connections_that_all_work_are_not_offered_to_be_ended() {
    let run = check(97, many(90, "api", "active"), json!({}));
    assert_says(&run, Status::Critical, "api (user shop) holds 90, all of them active");
    assert!(run.outcome().suggestions().is_empty());
}

#[test]
fn a_holder_in_several_states_is_accused_of_the_commonest() {
    let mixed = [many(40, "api", "idle in transaction"), many(30, "api", "idle"), many(20, "api", "active")].concat();
    assert_says(
        &check(97, mixed, json!({})),
        Status::Critical,
        "api (user shop) holds 90, 40 of them idle in transaction",
    );
}

#[test]
fn states_are_counted_each() {
    let sessions = [many(2, "a", "idle"), many(3, "b", "active"), many(1, "c", "fastpath function call")].concat();
    let run = check(6, sessions, json!({}));
    assert_eq!(
        run.table("Connections by state").rows,
        [["active", "3"], ["fastpath function call", "1"], ["idle", "2"]]
    );
    let labelled =
        run.outcome().metrics().iter().find(|metric| metric.labels.iter().any(|label| label.value == "idle"));
    assert_eq!(labelled.unwrap().value, 2.0);
}

#[test]
fn transactions_left_open_are_called_out_by_their_age() {
    for (age, status) in [(59.0, Status::Ok), (61.0, Status::Warning), (700.0, Status::Critical)] {
        let run = check(5, vec![session(1, "reports", "idle in transaction (aborted)", age)], json!({}));
        assert_eq!(run.outcome().status(), status, "{age}");
    }
    // The session did something a moment ago, in a transaction that is old.
    let young = Session { state_age: 1.0, ..session(1, "reports", "idle in transaction", 720.0) };
    let run = check(5, vec![young], json!({}));
    assert_says(&run, Status::Critical, "reports (user shop) has left a transaction open and idle for 12 min");
    assert_eq!(run.outcome().suggestions()[0].params["max_idle"], json!(null));
}

#[test]
fn statements_that_do_not_end_are_shown_and_their_cure_suggested() {
    let sessions = vec![session(1, "etl", "active", 301.0), session(2, "old", "idle", 9_999.0)];
    let run = check(5, sessions, json!({}));
    assert_says(
        &run,
        Status::Warning,
        "a statement of etl (user shop) has been running for 5 min 1 s: select * from carts",
    );
    assert_eq!(run.outcome().suggestions()[0].plugin, "pg-terminate-long-queries");
    assert_eq!(run.outcome().suggestions()[0].params["min_age"], 300.0);
    assert_eq!(run.table("Longest statements").rows.len(), 1);
    let run = check(5, vec![session(1, "etl", "active", 3_601.0)], json!({}));
    assert_says(&run, Status::Critical, "1 h");
}

#[test]
fn the_root_of_a_lock_queue_is_named_and_not_the_waiters_in_between() {
    let holder = session(7, "admin", "idle in transaction", 30.0);
    let sessions = vec![holder, blocked(8, &[7], 20.0), blocked(9, &[8], 20.0), blocked(10, &[9, 8], 20.0)];
    let run = check(5, sessions, json!({}));
    let words = "admin (pid 7, user shop, idle in transaction) keeps 3 sessions waiting for a lock";
    assert_says(&run, Status::Warning, words);
    assert_eq!(run.metric("sessions_blocked"), 3.0);
    assert_eq!(run.table("Roots of lock queues").rows.len(), 1);
}

#[test]
fn odd_lock_queues_end_too() {
    let table = [
        (vec![blocked(8, &[0], 20.0)], Status::Warning, "a prepared transaction keeps 1 session waiting"),
        (vec![blocked(8, &[99], 20.0)], Status::Warning, "pid 99, which is no client session, keeps 1 session"),
        (vec![blocked(8, &[9], 20.0), blocked(9, &[8], 20.0)], Status::Ok, "5 of 97"),
        (vec![blocked(8, &[99], 9.0)], Status::Ok, "5 of 97"),
        ((100..111).map(|pid| blocked(pid, &[7], 20.0)).collect(), Status::Critical, "keeps 11 sessions waiting"),
    ];
    for (sessions, status, words) in table {
        assert_says(&check(5, sessions, json!({})), status, words);
    }
}

#[test]
fn without_the_right_to_list_sessions_it_still_answers_with_the_count() {
    let errors = [denied("postgres/sessions", "main"), Error::TooLarge("2 MiB".into()), Error::TimedOut("5 s".into())];
    for error in errors {
        let host = Host::new().answers(INSPECT, "main", Ok(server(95)));
        let run = host.answers(SESSIONS, "main", Err(error)).run::<PgConnections>(json!({}));
        assert_says(&run, Status::Critical, "95 of 97 usable connections of main are in use (98 %)");
        assert!(run.outcome().details().unwrap().contains("Who holds the connections is not known"));
        assert_eq!(run.log.len(), 1);
    }
}

#[test]
fn when_not_even_the_agent_gets_in_that_is_the_finding() {
    let error = remote("postgres", "53300", "sorry, too many clients already");
    let run = Host::new().answers(INSPECT, "main", Err(error)).run::<PgConnections>(json!({}));
    assert_says(&run, Status::Critical, "every connection of main is taken");
    assert_eq!(run.outcome().suggestions()[0].plugin, "pg-terminate-idle");
}

#[test]
fn any_other_error_leaves_the_verdict_open() {
    let errors = [
        denied("postgres/inspect", "main"),
        Error::Unavailable("refused".into()),
        Error::TimedOut("5 s".into()),
        remote("postgres", "57P03", "starting up"),
        Error::Exhausted("calls".into()),
    ];
    for error in errors {
        let run = Host::new().answers(INSPECT, "main", Err(error.clone())).run::<PgConnections>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
}

#[test]
fn odd_numbers_do_not_confuse_the_share() {
    let nothing_usable = Server { max_connections: 3, reserved_connections: 3, ..server(0) };
    let host = Host::new().answers(INSPECT, "main", Ok(nothing_usable)).answers(SESSIONS, "main", Ok(Vec::new()));
    assert_says(&host.run::<PgConnections>(json!({})), Status::Critical, "0 of 0");
    assert_says(&check(120, Vec::new(), json!({})), Status::Critical, "120 of 97");
    assert_says(&check(95, Vec::new(), json!({ "warning": "~:", "critical": "~:" })), Status::Ok, "95 of 97");
}

#[test]
fn tables_keep_to_the_limit() {
    let sessions = (0..30).map(|n| session(n, &format!("app{n}"), "idle", 1.0)).collect();
    let run = check(30, sessions, json!({ "limit": 4 }));
    assert_eq!(run.table("Connections by application").rows.len(), 4);
}
