use super::*;
use paramedic_sdk::testing::{Host, assert_takes, assert_well_described, denied, remote};
use postgres::INSPECT;

#[path = "../../pg-terminate-idle/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod end_idle;

fn server() -> Server {
    Server {
        version: 160_004,
        in_recovery: false,
        max_connections: 100,
        reserved_connections: 3,
        connections: 34,
        replay_lag: None,
    }
}

fn standby(lag: Option<f64>) -> Server {
    Server { in_recovery: true, replay_lag: lag, ..server() }
}

fn check(answer: Result<Server, Error>, params: serde_json::Value) -> paramedic_sdk::testing::Run {
    Host::new().answers(INSPECT, "main", answer).run::<PgReady>(params)
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<PgReady>();
}

#[test]
fn a_server_that_answers_is_judged_by_its_role_its_lag_and_its_free_connections() {
    let full = Server { connections: 97, ..server() };
    let overbooked = Server { max_connections: 2, reserved_connections: 3, connections: 1, ..server() };
    use Status::{Critical, Ok, Warning};
    let table = [
        (server(), json!({}), Ok, "main accepts connections: Postgres 16.4, primary, 34 of 97 connections in use"),
        (standby(Some(2.0)), json!({}), Ok, "standby in recovery, 2.0 s behind"),
        (standby(None), json!({ "role": "standby" }), Ok, "cannot tell its lag"),
        (standby(Some(31.0)), json!({}), Warning, "main is 31 s behind its primary"),
        (standby(Some(301.0)), json!({}), Critical, "main is 5 min 1 s behind"),
        (standby(Some(31.0)), json!({ "lag_warning": 60 }), Ok, "31 s behind"),
        (standby(None), json!({ "role": "primary" }), Critical, "where a primary is expected"),
        (server(), json!({ "role": "standby" }), Critical, "where a standby is expected"),
        (server(), json!({ "role": "primary" }), Ok, "primary"),
        (Server { replay_lag: Some(9e9), ..server() }, json!({}), Ok, "primary"),
        (full, json!({}), Critical, "main rejects new connections: all 97 are taken"),
        (overbooked, json!({}), Critical, "all 0 are taken"),
    ];
    for (answer, params, status, words) in table {
        let run = check(Result::Ok(answer), params.clone());
        let outcome = run.outcome();
        assert_eq!(outcome.status(), status, "{words}: {}", outcome.summary());
        assert!(outcome.summary().contains(words), "{words}: {}", outcome.summary());
    }
}

#[test]
fn a_server_that_is_not_there_or_rejects_is_a_finding_and_each_is_told_apart() {
    let pg = |code, message| remote("postgres", code, message);
    use Status::{Critical, Unknown};
    let table = [
        (Error::Unavailable("connection refused".into()), Critical, "main cannot be reached: connection refused"),
        (Error::TimedOut("5 s".into()), Critical, "main does not answer in time"),
        (pg("57P03", "the database system is starting up"), Critical, "main is starting up"),
        (pg("57P03", "the database system is shutting down"), Critical, "main is shutting down"),
        (pg("57P03", "the database system is in recovery mode"), Critical, "main is recovering"),
        (pg("57P03", "das Datenbanksystem startet"), Critical, "takes no connections at the moment"),
        (pg("53300", "sorry, too many clients already"), Critical, "every slot is taken"),
        (pg("53100", "could not extend file: no space"), Critical, "out of resources (53100)"),
        (pg("57P01", "terminating connection"), Critical, "main is shutting down"),
        (pg("28P01", "password authentication failed"), Unknown, "refuses the agent's login (28P01)"),
        (pg("3D000", "database does not exist"), Unknown, "refuses the agent's login (3D000)"),
    ];
    for (error, status, words) in table {
        let run = check(Err(error), json!({}));
        assert_eq!(run.outcome().status(), status, "{words}");
        assert!(run.outcome().summary().contains(words), "{words}: {}", run.outcome().summary());
    }
}

#[test]
fn what_stands_between_agent_and_server_is_no_verdict_on_the_server() {
    let errors = [
        denied("postgres/inspect", "main"),
        Error::Invalid("x".into()),
        Error::NotFound("x".into()),
        Error::Conflict("x".into()),
        Error::TooLarge("x".into()),
        Error::Exhausted("x".into()),
        Error::Other("x".into()),
        remote("postgres", "XX000", "internal error"),
    ];
    for error in errors {
        assert_eq!(check(Err(error.clone()), json!({})).failure(), &Failure::Host(error));
    }
}

#[test]
fn a_full_server_suggests_whom_to_ask_and_how_to_make_room() {
    for answer in [Ok(Server { connections: 97, ..server() }), Err(remote("postgres", "53300", "too many"))] {
        let run = check(answer, json!({}));
        let names: Vec<_> = run.outcome().suggestions().iter().map(|next| next.plugin.as_str()).collect();
        assert_eq!(names, ["pg-connections", "pg-terminate-idle"]);
        assert_eq!(run.outcome().suggestions()[1].params, json!({ "target": "main", "max_idle": 600 }));
        assert_takes::<end_idle::Params>(&run.outcome().suggestions()[1]);
    }
}

#[test]
fn the_lag_is_measured_with_its_limits() {
    let run = check(Ok(standby(Some(12.5))), json!({}));
    let lag = run.outcome().metrics().iter().find(|metric| metric.name == "replay_lag_seconds").unwrap();
    assert_eq!((lag.value, lag.warn, lag.critical), (12.5, Some(30.0), Some(300.0)));
    assert_eq!((run.metric("connections_used"), run.metric("in_recovery")), (34.0, 1.0));
}

#[test]
fn the_time_that_the_answer_took_is_measured() {
    let run = Host::new().each_call_takes(0.25).answers(INSPECT, "main", Ok(server())).run::<PgReady>(json!({}));
    assert_eq!(run.metric("inspect_seconds"), 0.25);
}
