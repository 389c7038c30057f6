//! A plugin's own SQL, as a read and as nothing else.
//!
//! What stands between the text and the server, in order: the list of functions and node kinds ([`super::admission`]);
//! the extended protocol, which takes one statement; `DECLARE … CURSOR FOR`, after which the server's own grammar accepts
//! nothing but a query; a read-only transaction that is always rolled back; local time limits; a cap on rows, and one on
//! bytes; `DISCARD ALL`. The role below all this may read and nothing else.
//!
//! Everything goes out in one flight, so a query costs one round trip. The messages are sent in the order in which
//! their futures are first polled, and after the first error the server skips the work of all up to the rollback.

use std::pin::pin;

use futures_util::StreamExt;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, SimpleQueryMessage, SimpleQueryRow, Statement};

use super::admission::{self, Admitted};
use super::connection::Connection;
use super::error::{Failure, Names};
use super::pool::Flight;
use super::read::{Param, Time};
use super::value::Value;
use crate::domain::CallError;

/// Most rows in one answer.
pub(super) const MOST_ROWS: usize = 1_000;

/// Most parameters.
const MOST_PARAMS: usize = 100;

/// Set before the statement is read: how strings are read, because the parser that judged the statement reads them so,
/// and how values are printed, because [`Value::from_text`] expects it.
const FORM: &str = "SET LOCAL standard_conforming_strings = on; SET LOCAL DateStyle = 'ISO, YMD'; \
    SET LOCAL TimeZone = 'UTC'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL bytea_output = 'hex'; \
    SET LOCAL extra_float_digits = 1";

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Name of its Postgres type, such as `int8` or `timestamptz`.
    pub type_name: String,
}

/// The result of a query.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RowSet {
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The rows; values are in the order of the columns.
    pub rows: Vec<Vec<Value>>,
    /// True when the result was cut at 1000 rows or at the size limit.
    pub truncated: bool,
}

/// The flight of one statement of a plugin.
pub(super) struct Query<'a> {
    pub(super) sql: &'a str,
    pub(super) params: &'a [Value],
    pub(super) admitted: &'a Admitted,
    pub(super) time: Time,
    pub(super) answer_bytes: usize,
    pub(super) names: &'a Names,
}

/// Rows as they came, and whether there were more.
#[derive(Default)]
struct Fetched {
    rows: Vec<SimpleQueryRow>,
    bytes: usize,
    truncated: bool,
}

/// Refuses parameters that cannot be sent.
pub(super) fn check_params(params: &[Value]) -> Result<(), CallError> {
    if params.len() > MOST_PARAMS {
        return Err(CallError::Invalid(format!("a query has at most {MOST_PARAMS} parameters")));
    }
    for (at, value) in params.iter().enumerate() {
        if matches!(value, Value::Text(text) | Value::Json(text) if text.contains('\0')) {
            return Err(CallError::Invalid(format!("${} holds a zero byte, which Postgres has in no text", at + 1)));
        }
    }
    Ok(())
}

impl Flight for Query<'_> {
    type Answer = RowSet;

    /// Twice the answer, because the wire is wordier than what is kept of it.
    fn allowance(&self) -> usize {
        self.answer_bytes.saturating_mul(2)
    }

    async fn fly(&self, connection: &Connection) -> Result<Result<RowSet, CallError>, Failure> {
        let client = connection.client();
        let begin = format!("{}; {FORM}", self.time.begin("pg_catalog, \"$user\", public"));
        let declare = format!("DECLARE c NO SCROLL CURSOR FOR {}", self.sql);
        let fetch = format!("FETCH FORWARD {} FROM c", MOST_ROWS + 1);
        let params: Vec<Param<'_>> =
            self.params.iter().map(|value| (value as &(dyn ToSql + Sync), Type::UNKNOWN)).collect();
        let (begun, guarded, prepared, declared, fetched, ended, reset) = tokio::join!(
            biased;
            client.batch_execute(&begin),
            guard(client, self.admitted),
            client.prepare(self.sql),
            client.query_typed(&declare, &params),
            self.fetch(connection, &fetch),
            client.batch_execute("ROLLBACK"),
            client.batch_execute(connection.reset()),
        );
        begun.map_err(|error| self.names.running(&error))?;
        if let Ok(statement) = &prepared
            && statement.columns().iter().map(|column| column.type_()).chain(statement.params()).any(is_looked_up)
        {
            connection.keep_statements();
        }
        // A connection that was cut because it sent too much is gone, and what it sent before is the answer.
        if fetched.is_err() || !connection.is_overrun() {
            ended.map_err(|error| self.names.running(&error).settled())?;
            reset.map_err(|error| self.names.running(&error).settled())?;
        }
        Ok(self.judge(guarded, prepared, declared.map(drop), fetched))
    }
}

/// Types that the driver does not know by number.
fn is_looked_up(kind: &Type) -> bool {
    Type::from_oid(kind.oid()).is_none()
}

async fn guard(client: &Client, admitted: &Admitted) -> Result<(), Error> {
    if admitted.dotted.is_empty() {
        return Ok(());
    }
    client.query_typed(admission::GUARD, &[(&admitted.dotted, Type::NAME_ARRAY)]).await.map(drop)
}

impl Query<'_> {
    /// Rows as text, which every type can be printed as. Past the size limit they are counted and dropped.
    async fn fetch(&self, connection: &Connection, fetch: &str) -> Result<Fetched, Error> {
        let mut fetched = Fetched::default();
        let mut messages = pin!(connection.client().simple_query_raw(fetch).await?);
        while let Some(message) = messages.next().await {
            match message {
                Ok(SimpleQueryMessage::Row(row)) => fetched.keep(row, self.answer_bytes),
                Ok(_) => {}
                // Cut off because there is too much: the rows before are the answer.
                Err(_) if connection.is_overrun() && !fetched.rows.is_empty() => {
                    fetched.truncated = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(fetched)
    }

    fn judge(
        &self,
        guarded: Result<(), Error>,
        prepared: Result<Statement, Error>,
        declared: Result<(), Error>,
        fetched: Result<Fetched, Error>,
    ) -> Result<RowSet, CallError> {
        guarded.map_err(|error| match error.as_db_error() {
            Some(answer) if answer.code().code() == "22P02" => admission::refused_name(self.admitted, answer.message()),
            _ => self.names.running(&error).into_error(),
        })?;
        let statement = prepared.map_err(|error| self.names.running(&error).into_error())?;
        self.check_types(&statement)?;
        declared.map_err(|error| self.names.running(&error).into_error())?;
        let fetched = fetched.map_err(|error| self.names.running(&error).into_error())?;
        fetched.into_rows(&statement)
    }

    /// The types that the server inferred for the parameters, against the values.
    fn check_types(&self, statement: &Statement) -> Result<(), CallError> {
        let wanted = statement.params();
        if wanted.len() != self.params.len() {
            let message = format!("the statement has {} parameters and got {}", wanted.len(), self.params.len());
            return Err(CallError::Invalid(message));
        }
        for (at, (value, kind)) in self.params.iter().zip(wanted).enumerate() {
            if let Some(misfit) = value.misfit(kind) {
                return Err(CallError::Invalid(format!("${}: {misfit}", at + 1)));
            }
        }
        Ok(())
    }
}

impl Fetched {
    fn keep(&mut self, row: SimpleQueryRow, answer_bytes: usize) {
        let size: usize = (0..row.len()).map(|at| row.try_get(at).ok().flatten().map_or(0, str::len) + 8).sum();
        self.bytes = self.bytes.saturating_add(size);
        if self.rows.len() == MOST_ROWS || self.bytes > answer_bytes {
            self.truncated = true;
        }
        if !self.truncated {
            self.rows.push(row);
        }
    }

    fn into_rows(self, statement: &Statement) -> Result<RowSet, CallError> {
        if self.rows.is_empty() && self.truncated {
            return Err(CallError::TooLarge("the first row alone is larger than an answer may be".to_owned()));
        }
        let columns = statement.columns();
        let values = |row: &SimpleQueryRow| {
            let text = |at| row.try_get(at).ok().flatten();
            columns.iter().enumerate().map(|(at, column)| Value::from_text(column.type_(), text(at))).collect()
        };
        Ok(RowSet {
            rows: self.rows.iter().map(values).collect(),
            columns: columns
                .iter()
                .map(|column| Column { name: column.name().to_owned(), type_name: column.type_().name().to_owned() })
                .collect(),
            truncated: self.truncated,
        })
    }
}
