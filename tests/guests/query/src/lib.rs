//! Runs the SQL it is given and tells what came of it as JSON in the details: `columns`, `rows` and `truncated`, or
//! `error` with its kind, its message and, where the server answered, its SQLSTATE.

use paramedic_sdk::postgres::{self, RowSet, Value};
use paramedic_sdk::{Context, Description, Error, Failure, Outcome, Plugin};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// Parameters of query.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    target: String,
    /// The statement.
    sql: String,
    /// Values of `$1`, `$2` and so on: null, a boolean, a number or a text; anything else is passed as JSON.
    #[serde(default)]
    params: Vec<Json>,
}

/// The check.
pub struct Query;

paramedic_sdk::export!(Query);

impl Plugin for Query {
    type Params = Params;

    fn describe() -> Description {
        Description::check("query", env!("CARGO_PKG_VERSION"), "Runs a query")
            .needs("postgres/query", "{target}", "to run the statement that it is given")
            .time_limit(60.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let values: Vec<Value> = params.params.iter().map(value).collect();
        let (summary, details) = match postgres::query(&params.target, &params.sql, &values) {
            Ok(rows) => (format!("{} rows", rows.rows.len()), table(&rows)),
            Err(error) => (format!("refused: {}", kind(&error)), refusal(&error)),
        };
        let mut outcome = Outcome::ok(summary);
        outcome.note(details.to_string());
        Ok(outcome)
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(_) | Json::Object(_) => Value::Json(json.to_string()),
    }
}

fn table(rows: &RowSet) -> Json {
    let columns: Vec<_> =
        rows.columns.iter().map(|column| json!({ "name": column.name, "type": column.type_name })).collect();
    let cells: Vec<Vec<Json>> = rows.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    json!({ "columns": columns, "rows": cells, "truncated": rows.truncated })
}

fn cell(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(truth) => json!(truth),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!({ "bytes": bytes }),
        Value::Instant(milliseconds) => json!({ "instant": milliseconds }),
        Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}

fn refusal(error: &Error) -> Json {
    json!({ "error": { "kind": kind(error), "code": error.remote_code(), "message": error.to_string() } })
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Denied(_) => "denied",
        Error::Invalid(_) => "invalid",
        Error::NotFound(_) => "not-found",
        Error::Conflict(_) => "conflict",
        Error::Unavailable(_) => "unavailable",
        Error::TimedOut(_) => "timed-out",
        Error::TooLarge(_) => "too-large",
        Error::Exhausted(_) => "exhausted",
        Error::Remote(_) => "remote",
        Error::Other(_) => "other",
    }
}
