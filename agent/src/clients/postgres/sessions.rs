//! Client sessions, from `pg_stat_activity`.

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::error::remote;
use super::read::Param;
use super::{APPLICATION, text};
use crate::domain::{CallError, cut_bytes};

/// Most sessions in one answer. A server that has more is asked with a filter.
const MOST: usize = 5_000;

/// Longest text of a statement, and the length that it is cut to when the answer would be too large.
const QUERY_BYTES: usize = 1_024;
const SHORT_QUERY_BYTES: usize = 128;

/// Identity of a server process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionKey {
    /// Process number.
    pub pid: i32,
    /// When that process started, in microseconds since 1970-01-01T00:00:00Z.
    pub started_micros: u64,
}

/// A client session.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Session {
    /// Its identity.
    pub key: SessionKey,
    /// Role it runs as.
    pub user: String,
    /// Database it is connected to.
    pub database: String,
    /// Name the application gave itself.
    pub application: String,
    /// Client address, if it is a network client.
    pub client: Option<String>,
    /// `active`, `idle`, `idle in transaction` and so on.
    pub state: String,
    /// What it waits for, written `type:event`, if it waits.
    pub wait: Option<String>,
    /// Seconds since its state last changed.
    pub state_age: f64,
    /// Seconds since its transaction began, if one is open.
    pub transaction_age: Option<f64>,
    /// Seconds since its current or last statement began, if there was one.
    pub query_age: Option<f64>,
    /// Sessions whose locks it waits for.
    pub blocked_by: Vec<i32>,
    /// Its current or last statement: literals masked, of utility statements only the verb, cut to 1024 bytes.
    pub query: String,
}

/// Which sessions to return. Conditions add up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionFilter {
    /// Only sessions in this state.
    pub state: Option<String>,
    /// Only sessions whose current or last statement began at least so many seconds ago.
    pub min_query_age: Option<f64>,
    /// Only sessions that have been in their state at least so many seconds.
    pub min_state_age: Option<f64>,
    /// Only sessions of this role.
    pub user: Option<String>,
}

/// `pg_blocking_pids` takes the lock manager for itself, so only those are asked about that wait for a lock. Sessions
/// that the role may not see have no start; they are counted, and make the answer an error.
const SQL: &str = "\
WITH seen AS MATERIALIZED (
  SELECT *, clock_timestamp() AS at FROM pg_stat_activity
  WHERE (backend_type = 'client backend' AND NOT (application_name = $1 AND usename = session_user)
         OR backend_type IS NULL AND datid IS NOT NULL)
    AND pid <> pg_backend_pid()
)
SELECT pid,
       (extract(epoch FROM backend_start) * 1000000)::int8,
       coalesce(usename, '')::text,
       coalesce(datname, '')::text,
       coalesce(application_name, ''),
       host(client_addr),
       coalesce(state, ''),
       CASE WHEN wait_event_type IS NOT NULL THEN wait_event_type || ':' || wait_event END,
       extract(epoch FROM at - coalesce(state_change, backend_start))::float8,
       extract(epoch FROM at - xact_start)::float8,
       extract(epoch FROM at - query_start)::float8,
       CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(pid) ELSE '{}' END,
       query
FROM seen
WHERE backend_start IS NULL
   OR ($2 IS NULL OR state = $2)
  AND ($3 IS NULL OR at - query_start >= make_interval(secs => $3))
  AND ($4 IS NULL OR at - state_change >= make_interval(secs => $4))
  AND ($5 IS NULL OR usename = $5)
ORDER BY backend_start IS NULL DESC, query_start NULLS LAST, pid
LIMIT 5001";

/// The filter as parameters of the statement.
pub(super) struct Filter<'a>(&'a SessionFilter);

impl<'a> Filter<'a> {
    /// Refuses what makes no sense.
    pub(super) fn of(filter: &'a SessionFilter) -> Result<Self, CallError> {
        for (name, age) in [("min-query-age", filter.min_query_age), ("min-state-age", filter.min_state_age)] {
            if age.is_some_and(|age| !age.is_finite() || !(0.0..=1e9).contains(&age)) {
                return Err(CallError::Invalid(format!("{name} must be between 0 and 1e9 seconds")));
            }
        }
        for (name, text) in [("state", &filter.state), ("user", &filter.user)] {
            if text.as_ref().is_some_and(|text| text.len() > 256 || text.contains('\0')) {
                return Err(CallError::Invalid(format!("{name} must have at most 256 bytes, none of them zero")));
            }
        }
        Ok(Self(filter))
    }

    pub(super) const fn sql(&self) -> &'static str {
        SQL
    }

    pub(super) fn params(&self) -> [Param<'a>; 5] {
        [
            (&APPLICATION, Type::TEXT),
            (&self.0.state, Type::TEXT),
            (&self.0.min_query_age, Type::FLOAT8),
            (&self.0.min_state_age, Type::FLOAT8),
            (&self.0.user, Type::TEXT),
        ]
    }
}

/// The sessions in `rows`, within `answer_bytes`: first the texts of statements get shorter, then it is an error.
pub(super) fn from_rows(rows: &[Row], answer_bytes: usize) -> Result<Vec<Session>, CallError> {
    if rows.len() > MOST {
        return Err(CallError::TooLarge(format!("more than {MOST} sessions; ask with a filter")));
    }
    if rows.first().is_some_and(is_hidden) {
        return Err(hidden());
    }
    let mut sessions = rows.iter().map(session).collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(&error))?;
    if size(&sessions) > answer_bytes {
        for session in &mut sessions {
            session.query = cut_bytes(&session.query, SHORT_QUERY_BYTES).to_owned();
        }
    }
    if size(&sessions) > answer_bytes {
        return Err(CallError::TooLarge(format!("{} sessions; ask with a filter", sessions.len())));
    }
    Ok(sessions)
}

fn is_hidden(row: &Row) -> bool {
    row.try_get::<_, Option<i64>>(1).is_ok_and(|started| started.is_none())
}

/// Postgres shows strangers' sessions with holes, and a list with holes would pass for the whole.
pub(super) fn hidden() -> CallError {
    let message = "the agent's role may not see what others do; as a superuser: GRANT pg_read_all_stats TO that role";
    remote(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE, message.to_owned())
}

/// An answer of another shape than asked for. The cause goes to the log.
pub(super) fn unreadable(error: &Error) -> CallError {
    tracing::warn!(%error, "an answer of postgres cannot be read");
    CallError::Unavailable("the server's answer cannot be read".to_owned())
}

fn size(sessions: &[Session]) -> usize {
    let texts = |s: &Session| s.user.len() + s.database.len() + s.application.len() + s.query.len();
    sessions.iter().map(|session| texts(session) + 4 * session.blocked_by.len() + 120).sum()
}

fn session(row: &Row) -> Result<Session, Error> {
    let started: i64 = row.try_get(1)?;
    let query: Option<&str> = row.try_get(12)?;
    Ok(Session {
        key: SessionKey { pid: row.try_get(0)?, started_micros: u64::try_from(started).unwrap_or_default() },
        user: row.try_get(2)?,
        database: row.try_get(3)?,
        application: row.try_get(4)?,
        client: row.try_get(5)?,
        state: row.try_get(6)?,
        wait: row.try_get(7)?,
        state_age: age(row, 8)?.unwrap_or_default(),
        transaction_age: age(row, 9)?,
        query_age: age(row, 10)?,
        blocked_by: row.try_get(11)?,
        query: cut_bytes(&text::masked(query.unwrap_or_default()), QUERY_BYTES).to_owned(),
    })
}

/// Others begin statements while we look, so that an age can come out below zero.
fn age(row: &Row, column: usize) -> Result<Option<f64>, Error> {
    Ok(row.try_get::<_, Option<f64>>(column)?.map(|age| age.max(0.0)))
}
