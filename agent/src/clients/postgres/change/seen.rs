//! One session as it is at the moment, with everything that a judgement of it rests on.

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::super::error::remote;
use super::super::read::{Param, Time};
use super::super::sessions::{SessionKey, unreadable};
use super::super::{APPLICATION, Signaller, text};
use crate::clients::mask;
use crate::domain::{CallError, CallLimits, Fact, cut_bytes};

/// Longest texts of a statement: where people read it, and where it only has to be recognised.
const SHOWN_BYTES: usize = 500;
const NAMED_BYTES: usize = 120;

/// `pg_blocking_pids` takes the lock manager for itself, so only those are asked about that wait for a lock. Times are
/// microseconds, in which the server counts. A row that the role may not see has no start.
const SQL: &str = "\
SELECT (extract(epoch FROM a.backend_start) * 1000000)::int8,
       coalesce(a.usename, '')::text,
       coalesce(a.application_name, ''),
       host(a.client_addr),
       coalesce(a.state, ''),
       coalesce(a.backend_type, ''),
       (extract(epoch FROM a.xact_start) * 1000000)::int8,
       (extract(epoch FROM a.query_start) * 1000000)::int8,
       (extract(epoch FROM a.state_change) * 1000000)::int8,
       (extract(epoch FROM clock_timestamp()) * 1000000)::int8,
       coalesce(a.query, ''),
       r.rolsuper,
       r.rolreplication,
       a.application_name = $3 OR a.pid = pg_backend_pid(),
       (SELECT count(*) FROM pg_stat_activity w
        WHERE CASE WHEN w.wait_event_type = 'Lock' THEN $1 = ANY (pg_blocking_pids(w.pid)) ELSE false END)
FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.pid = $1
  AND (a.backend_start IS NULL OR (extract(epoch FROM a.backend_start) * 1000000)::int8 = $2)";

/// A session. The text of its statement is as the application wrote it, and goes nowhere but to the server.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) key: SessionKey,
    pub(super) user: String,
    pub(super) application: String,
    pub(super) client: Option<String>,
    pub(super) state: String,
    pub(super) backend_type: String,
    pub(super) transaction_start: Option<i64>,
    pub(super) statement_start: Option<i64>,
    pub(super) state_change: Option<i64>,
    /// The server's time.
    pub(super) at: i64,
    pub(super) query: String,
    /// None for a role that was dropped under the session.
    pub(super) superuser: Option<bool>,
    pub(super) replication: Option<bool>,
    pub(super) ours: bool,
    /// Sessions that wait for its locks.
    pub(super) waiters: i64,
}

/// The session `key`; none when it is over, whoever has its process number now.
pub(super) async fn look(
    signaller: &Signaller,
    time: Time,
    limits: &CallLimits,
    key: SessionKey,
) -> Result<Option<Seen>, CallError> {
    let started = i64::try_from(key.started_micros).unwrap_or(i64::MAX);
    let params: [Param<'_>; 3] = [(&key.pid, Type::INT4), (&started, Type::INT8), (&APPLICATION, Type::TEXT)];
    let rows = signaller.read(limits, time, SQL, &params).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    if row.try_get::<_, Option<i64>>(0).map_err(|error| unreadable(&error))?.is_none() {
        return Err(hidden());
    }
    Seen::from_row(key, row).map(Some).map_err(|error| unreadable(&error))
}

fn hidden() -> CallError {
    let message = "the login of `signal_url` may not see what others do; as a superuser: GRANT pg_read_all_stats TO it";
    remote(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE, message.to_owned())
}

impl Seen {
    fn from_row(key: SessionKey, row: &Row) -> Result<Self, Error> {
        Ok(Self {
            key,
            user: row.try_get(1)?,
            application: row.try_get(2)?,
            client: row.try_get(3)?,
            state: row.try_get(4)?,
            backend_type: row.try_get(5)?,
            transaction_start: row.try_get(6)?,
            statement_start: row.try_get(7)?,
            state_change: row.try_get(8)?,
            at: row.try_get(9)?,
            query: row.try_get(10)?,
            superuser: row.try_get(11)?,
            replication: row.try_get(12)?,
            ours: row.try_get::<_, Option<bool>>(13)?.unwrap_or(false),
            waiters: row.try_get(14)?,
        })
    }

    /// True while it runs a statement, which a cancel request would end.
    pub(super) fn is_at_work(&self) -> bool {
        matches!(self.state.as_str(), "active" | "fastpath function call")
    }

    /// True between two statements of a transaction, failed or not, and within one.
    pub(super) fn has_transaction(&self) -> bool {
        self.transaction_start.is_some()
    }

    /// What has to be so again when it is signalled.
    pub(super) fn ground(&self) -> Vec<Fact> {
        let fact = |name: &str, value: String| Fact { name: name.to_owned(), value };
        let mut ground = vec![
            fact("role", self.user.clone()),
            fact("application", self.application.clone()),
            fact("client", self.client.clone().unwrap_or_else(|| "on the server's machine".to_owned())),
            fact("state", self.state.clone()),
            fact("statement", self.statement(NAMED_BYTES)),
            fact("start of the statement", instant(self.statement_start)),
            fact("start of the transaction", instant(self.transaction_start)),
        ];
        if !self.is_at_work() {
            ground.push(fact("since", instant(self.state_change)));
        }
        ground
    }

    /// Such as `session 4711 of checkout-api (role app)`.
    pub(super) fn name(&self) -> String {
        let application = match mask::clean(&self.application, 64) {
            name if name.is_empty() => "an unnamed application".to_owned(),
            name => name,
        };
        format!("session {} of {application} (role {})", self.key.pid, mask::clean(&self.user, 64))
    }

    /// Such as `active for 12 min`: how long what is wrong with it has lasted.
    pub(super) fn age(&self) -> String {
        let since = if self.is_at_work() { self.statement_start } else { self.transaction_start.or(self.state_change) };
        format!("{} for {}", self.state, length(since.map_or(0, |since| self.at.saturating_sub(since))))
    }

    /// Such as `active, running SELECT …`.
    pub(super) fn doing(&self) -> String {
        let statement = self.statement(SHOWN_BYTES);
        match (statement.is_empty(), self.is_at_work()) {
            (true, _) => self.state.clone(),
            (false, true) => format!("{}, running {statement}", self.state),
            (false, false) => format!("{}, after {statement}", self.state),
        }
    }

    fn statement(&self, bytes: usize) -> String {
        mask::clean(cut_bytes(&text::masked(&self.query), bytes), bytes)
    }
}

fn instant(micros: Option<i64>) -> String {
    let instant = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    instant.map_or_else(|| "none".to_owned(), |instant| format!("{instant:.6}"))
}

/// A length of time in the unit that a person would take.
fn length(micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        172_800.. | ..0 => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A session of an application that nothing speaks for.
    pub(in super::super) fn ordinary() -> Seen {
        Seen {
            key: SessionKey { pid: 4711, started_micros: 1_772_334_855_000_000 },
            user: "app".to_owned(),
            application: "checkout-api".to_owned(),
            client: Some("10.0.0.7".to_owned()),
            state: "active".to_owned(),
            backend_type: "client backend".to_owned(),
            transaction_start: Some(1_772_334_855_000_000),
            statement_start: Some(1_772_334_855_926_535),
            state_change: Some(1_772_334_855_926_535),
            at: 1_772_335_600_000_000,
            query: "SELECT * FROM orders WHERE email = 'ann@example.org'".to_owned(),
            superuser: Some(false),
            replication: Some(false),
            ours: false,
            waiters: 0,
        }
    }

    #[test]
    fn a_session_is_told_without_what_its_statement_says() {
        let seen = ordinary();
        assert_eq!(seen.name(), "session 4711 of checkout-api (role app)");
        assert_eq!(
            (seen.age().as_str(), seen.doing().as_str()),
            ("active for 12 min", "active, running SELECT * FROM orders WHERE email = ?")
        );
        let ground = seen.ground();
        assert!(ground.iter().all(|fact| !fact.value.contains("ann@")), "{ground:?}");
        let start = ground.iter().find(|fact| fact.name == "start of the statement").unwrap();
        assert_eq!(start.value, "2026-03-01T03:14:15.926535Z");
        let idle = Seen { state: "idle".to_owned(), transaction_start: None, application: String::new(), ..ordinary() };
        assert_eq!(idle.name(), "session 4711 of an unnamed application (role app)");
        assert_eq!(idle.doing(), "idle, after SELECT * FROM orders WHERE email = ?");
        assert_eq!(idle.ground().last().unwrap().name, "since");
    }

    #[test]
    fn lengths_have_the_unit_of_their_size() {
        for (seconds, shown) in [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 d")] {
            assert_eq!(length(seconds * 1_000_000), shown);
        }
    }
}
