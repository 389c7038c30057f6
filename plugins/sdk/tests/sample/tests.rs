use super::*;
use paramedic_sdk::postgres::QUERY;
use paramedic_sdk::testing::{Host, assert_well_described, denied};
use paramedic_sdk::{Error, Status};
use serde_json::json;

/// What the server answers: how many, and the age of the oldest.
fn unsent(count: i64, age: Value) -> Result<RowSet, Error> {
    Ok(RowSet { columns: Vec::new(), rows: vec![vec![Value::Integer(count), age]], truncated: false })
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<PgOutbox>();
}

#[test]
fn mail_is_judged_by_the_age_of_the_oldest() {
    let table = [
        (unsent(0, Value::Null), Status::Ok, "0 mails wait"),
        (unsent(3, Value::Text("12.5".to_owned())), Status::Ok, "3 mails wait"),
        (
            unsent(9, Value::Text("61".to_owned())),
            Status::Warning,
            "9 mails wait in the outbox, the oldest for 1 min 1 s",
        ),
        (unsent(9, Value::Float(601.0)), Status::Critical, "the oldest for 10 min 1 s"),
    ];
    for (answer, status, words) in table {
        let run = Host::new().answers(QUERY, "main", answer).run::<PgOutbox>(json!({}));
        assert_eq!(run.outcome().status(), status);
        assert!(run.outcome().summary().contains(words), "{}", run.outcome().summary());
    }
}

#[test]
fn without_its_grant_there_is_no_verdict() {
    let error = denied("postgres/query", "main");
    let run = Host::new().answers(QUERY, "main", Err(error.clone())).run::<PgOutbox>(json!({}));
    assert_eq!(run.failure(), &Failure::Host(error));
}
