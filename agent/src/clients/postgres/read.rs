//! One statement of our own, which reads.
//!
//! Three messages in one flight: begin a read-only transaction with local limits, the statement, roll back. The limits
//! are the server's to enforce, so that a statement ends there even if this agent does not live to cancel it.

use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use super::connection::Connection;
use super::error::{Failure, Names};
use super::pool::Flight;
use crate::domain::CallError;

/// The server's own limit ends a statement this long before the call's deadline, to leave time for the answer.
const HEADROOM: Duration = Duration::from_millis(30);

/// A wait for a lock that lasts longer than this is not going to end soon, and a waiting reader makes others wait.
const LOCK_TIMEOUT_MS: u128 = 1_000;

/// How long the server lets a statement run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) deadline: Instant,
    pub(super) cap: Duration,
}

impl Time {
    /// Statements that begin a read-only transaction with limits that fit into the time that is left now.
    ///
    /// The isolation level is stated because a role's default may be stricter and then takes predicate locks. The
    /// `search_path` puts `pg_catalog` first, so that nobody's function or operator stands in for the server's own.
    pub(super) fn begin(&self, search_path: &str) -> String {
        let left = self.deadline.saturating_duration_since(Instant::now()).saturating_sub(HEADROOM);
        let statement = left.min(self.cap).as_millis().max(1);
        let lock = statement.min(LOCK_TIMEOUT_MS);
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; \
             SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}; \
             SET LOCAL idle_in_transaction_session_timeout = {statement}; SET LOCAL search_path = {search_path}"
        )
    }
}

impl Time {
    /// The same limits for one statement outside of a transaction, on a connection that runs nothing but ours.
    pub(super) fn alone(&self) -> String {
        let left = self.deadline.saturating_duration_since(Instant::now()).saturating_sub(HEADROOM);
        let statement = left.min(self.cap).as_millis().max(1);
        format!("SET statement_timeout = {statement}; SET search_path = pg_catalog")
    }
}

/// A typed parameter.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// The flight of one statement.
pub(super) struct Read<'a> {
    pub(super) sql: &'a str,
    pub(super) params: &'a [Param<'a>],
    pub(super) time: Time,
    pub(super) allowance: usize,
    pub(super) names: &'a Names,
}

impl Flight for Read<'_> {
    type Answer = Vec<Row>;

    fn allowance(&self) -> usize {
        self.allowance
    }

    async fn fly(&self, connection: &Connection) -> Result<Result<Vec<Row>, CallError>, Failure> {
        let client = connection.client();
        let begin = self.time.begin("pg_catalog");
        let (begun, rows, ended) = tokio::join!(
            biased;
            client.batch_execute(&begin),
            client.query_typed(self.sql, self.params),
            client.batch_execute("ROLLBACK"),
        );
        begun.map_err(|error| self.names.running(&error))?;
        ended.map_err(|error| self.names.running(&error).settled())?;
        Ok(rows.map_err(|error| answer(self.names, &error)))
    }
}

/// The server's word on a statement after which the transaction could be rolled back.
pub(super) fn answer(names: &Names, error: &Error) -> CallError {
    names.running(error).into_error()
}
