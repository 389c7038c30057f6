//! The one statement that signals, and what is known when its answer does not come.
//!
//! It is sent once. Before it the connection is tried with a harmless one, so that a connection which was found dead can
//! be replaced; from then on a loss leaves it open whether the server acted.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::super::connection::Connection;
use super::super::error::{Failure, Names};
use super::super::pool::Flight;
use super::super::read::{self, Param, Time};
use super::super::sessions::unreadable;
use super::super::{APPLICATION, Signaller};
use super::Effect;
use super::seen::Seen;
use crate::domain::{CallError, CallLimits, RemoteError};

/// The answer is one boolean.
const ALLOWANCE: usize = 4 << 10;

/// What is signalled has to be still what was judged, in every respect that the judgement rested on. A text of a statement
/// that is the same with the same start is the same statement. One process number, so one signal at most.
macro_rules! signal {
    ($function:literal) => {
        concat!(
            "SELECT ",
            $function,
            "(a.pid) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.pid = $1
  AND (extract(epoch FROM a.backend_start) * 1000000)::int8 = $2
  AND a.backend_type = 'client backend'
  AND NOT r.rolsuper AND NOT r.rolreplication
  AND a.pid <> pg_backend_pid() AND a.application_name <> $3
  AND a.usename = $4 AND a.application_name = $5
  AND host(a.client_addr) IS NOT DISTINCT FROM $6
  AND a.state = $7
  AND (extract(epoch FROM a.xact_start) * 1000000)::int8 IS NOT DISTINCT FROM $8
  AND (extract(epoch FROM a.query_start) * 1000000)::int8 IS NOT DISTINCT FROM $9
  AND (extract(epoch FROM a.state_change) * 1000000)::int8 IS NOT DISTINCT FROM $10
  AND a.query = $11"
        )
    };
}

const CANCEL: &str = signal!("pg_cancel_backend");
const TERMINATE: &str = signal!("pg_terminate_backend");

/// What became of the statement that signals.
#[derive(Debug)]
pub(super) enum Sent {
    /// The signal is out.
    Yes,
    /// There was no such session.
    NotFound,
    /// It went out, and no answer came.
    Perhaps(CallError),
}

/// Signal the session if it is still what was `seen`. An error means that it was not.
pub(super) async fn send(
    signaller: &Signaller,
    time: Time,
    limits: &CallLimits,
    effect: Effect,
    seen: &Seen,
) -> Result<Sent, CallError> {
    let started = i64::try_from(seen.key.started_micros).unwrap_or(i64::MAX);
    let params: [Param<'_>; 11] = [
        (&seen.key.pid, Type::INT4),
        (&started, Type::INT8),
        (&APPLICATION, Type::TEXT),
        (&seen.user, Type::TEXT),
        (&seen.application, Type::TEXT),
        (&seen.client, Type::TEXT),
        (&seen.state, Type::TEXT),
        (&seen.transaction_start, Type::INT8),
        (&seen.statement_start, Type::INT8),
        (&seen.state_change, Type::INT8),
        (&seen.query, Type::TEXT),
    ];
    let sql = match effect {
        Effect::Cancel => CANCEL,
        Effect::Terminate => TERMINATE,
    };
    let names = &signaller.names;
    let flight = Signal { sql, params: &params, time, names, sent: AtomicBool::new(false) };
    match signaller.pool.run(limits, &flight).await {
        Ok(rows) => verdict(&rows),
        // The server's own word, before it signalled anybody.
        Err(CallError::Remote(error)) => Err(explained(error)),
        Err(error) if flight.sent.load(Ordering::SeqCst) => Ok(Sent::Perhaps(error)),
        Err(error) => Err(error),
    }
}

/// No row when no session fitted; `false` when its process ended between the two looks of the same statement.
fn verdict(rows: &[Row]) -> Result<Sent, CallError> {
    let signalled = rows.first().map(|row| row.try_get::<_, bool>(0)).transpose();
    match signalled.map_err(|error| unreadable(&error)) {
        Ok(Some(true)) => Ok(Sent::Yes),
        Ok(Some(false) | None) => Ok(Sent::NotFound),
        Err(error) => Ok(Sent::Perhaps(error)),
    }
}

fn explained(error: RemoteError) -> CallError {
    if error.code != SqlState::INSUFFICIENT_PRIVILEGE.code() {
        return error.into();
    }
    let message = format!(
        "{}; the login of `signal_url` needs pg_signal_backend, and sessions of superusers stay out of its reach",
        error.message
    );
    RemoteError { message, ..error }.into()
}

struct Signal<'a> {
    sql: &'a str,
    params: &'a [Param<'a>],
    time: Time,
    names: &'a Names,
    /// Set before the statement goes out. The flight can be dropped while it waits for the answer.
    sent: AtomicBool,
}

impl Flight for Signal<'_> {
    type Answer = Vec<Row>;

    fn allowance(&self) -> usize {
        ALLOWANCE
    }

    async fn fly(&self, connection: &Connection) -> Result<Result<Vec<Row>, CallError>, Failure> {
        let client = connection.client();
        let prepared = client.batch_execute(&self.time.alone()).await;
        prepared.map_err(|error| self.names.running(&error))?;
        self.sent.store(true, Ordering::SeqCst);
        match client.query_typed(self.sql, self.params).await {
            Ok(rows) => Ok(Ok(rows)),
            Err(error) if error.as_db_error().is_some() => Ok(Err(read::answer(self.names, &error))),
            // Not stale: a second try could be a second signal.
            Err(error) => Err(self.names.running(&error).settled()),
        }
    }
}
