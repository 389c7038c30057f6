//! Clients with every permit, for the tests.

use std::time::{Duration, Instant};

use paramedic::clients::postgres::{Postgres, RowSet, Settings, Value};
use paramedic::domain::{CallError, CallLimits, ChangeBounds, Grant, Operation, Secret, System, Target};
use paramedic::policy::{Grants, Op, Permit, decide, op};

/// The target `main` at `url`.
pub fn client(url: &str) -> Postgres {
    open(Settings::new(Secret::new(url)))
}

/// The same for a login that would be refused.
pub fn unsafe_client(url: &str) -> Postgres {
    open(Settings { allow_superuser: true, ..Settings::new(Secret::new(url)) })
}

pub fn open(settings: Settings) -> Postgres {
    Postgres::new("main".parse().unwrap(), settings).unwrap()
}

pub fn permit<O: Op>() -> Permit<O> {
    bounded(ChangeBounds { per_run: 5, per_hour: 50, ..ChangeBounds::default() })
}

/// A permit within bounds.
pub fn bounded<O: Op>(changes: ChangeBounds) -> Permit<O> {
    let target = Target { system: System::Postgres, name: "main".parse().unwrap() };
    let operations = Operation::of_system(System::Postgres).collect();
    let line = Grant { target, operations, keys: vec![], paths: vec![], resources: vec![], changes };
    decide(&Grants::new("probe".parse().unwrap(), vec![line]), "main").unwrap()
}

pub fn limits() -> CallLimits {
    within(Duration::from_secs(20))
}

pub fn within(time: Duration) -> CallLimits {
    CallLimits { deadline: Instant::now() + time, answer_bytes: 1 << 20 }
}

pub async fn query(client: &Postgres, sql: &str) -> Result<RowSet, CallError> {
    query_with(client, sql, &[]).await
}

pub async fn query_with(client: &Postgres, sql: &str, params: &[Value]) -> Result<RowSet, CallError> {
    client.query(&permit::<op::PostgresQuery>(), &limits(), sql, params).await
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The SQLSTATE and message of an answer that is an error of the server.
#[track_caller]
pub fn remote<T: std::fmt::Debug>(result: Result<T, CallError>) -> (String, String) {
    match result.unwrap_err() {
        CallError::Remote(error) => (error.code, error.message),
        other => panic!("{other}"),
    }
}
