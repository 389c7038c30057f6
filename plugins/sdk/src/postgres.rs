//! Looking at a Postgres server, and ending what its sessions do. Every function names a target that the operator
//! configured.

use crate::bindings::paramedic::plugin::postgres as host;
#[cfg(target_arch = "wasm32")]
use crate::bindings::paramedic::plugin::postgres_actions as actions;
use crate::{Receipt, RemoteError, Seconds};

pub use crate::bindings::paramedic::plugin::postgres_types::{SessionKey, Value};
pub use host::{Column, ReplicationState, RowSet, Server, Session, SessionFilter, Standby, Statement, StatementOrder};

host_function! {
    /// Connect and report the state of the server; the equivalent of a readiness probe.
    "postgres/inspect" as INSPECT,
    fn inspect(target: &str) -> Server = host::inspect(target)
}

host_function! {
    /// Client sessions, oldest statement first. The host's own sessions are left out.
    "postgres/sessions" as SESSIONS,
    fn sessions(target: &str, filter: &SessionFilter) -> Vec<Session> = host::sessions(target, filter)
}

host_function! {
    /// Statements that took most time, of at least `min_mean` on average. With `window`, only what was spent during
    /// that time from now on, which the call then takes.
    "postgres/statements" as STATEMENTS,
    fn statements(
        target: &str,
        order: StatementOrder,
        min_mean: Seconds,
        limit: u32,
        window: Option<Seconds>,
    ) -> Vec<Statement> = host::statements(target, order, min_mean, limit, window)
}

host_function! {
    /// Replication as this server sees it.
    "postgres/replication" as REPLICATION,
    fn replication(target: &str) -> ReplicationState = host::replication(target)
}

host_function! {
    /// Run one statement that only reads. Parameters are written `$1`, `$2` and so on.
    "postgres/query" as QUERY,
    fn query(target: &str, sql: &str, params: &[Value]) -> RowSet = host::query(target, sql, params)
}

changing_function! {
    /// Cancel the statement that a session is running, and leave the session connected.
    "postgres-actions/cancel-query" as CANCEL_QUERY,
    fn cancel_query(target: &str, session: SessionKey) -> Receipt = actions::cancel_query(target, session)
}

changing_function! {
    /// Disconnect a session.
    "postgres-actions/terminate-session" as TERMINATE_SESSION,
    fn terminate_session(target: &str, session: SessionKey) -> Receipt = actions::terminate_session(target, session)
}

impl SessionFilter {
    /// All client sessions.
    pub const ALL: Self = Self { state: None, min_query_age: None, min_state_age: None, user: None };

    /// Sessions that have been in a state for at least so long.
    pub fn in_state(state: &str, at_least: Seconds) -> Self {
        Self { state: Some(state.to_owned()), min_state_age: Some(at_least), ..Self::ALL }
    }
}

impl Session {
    /// True when it holds a transaction open and does nothing with it.
    pub fn is_idle_in_transaction(&self) -> bool {
        self.state.starts_with("idle in transaction")
    }

    /// The name that the application gave itself, or what stands for it in a sentence.
    pub fn application_name(&self) -> &str {
        if self.application.is_empty() { "(unnamed)" } else { &self.application }
    }
}

impl Server {
    /// Connections that ordinary roles can use.
    pub fn usable_connections(&self) -> u32 {
        self.max_connections.saturating_sub(self.reserved_connections)
    }

    /// The version as people write it, such as `15.18`.
    pub fn version_text(&self) -> String {
        format!("{}.{}", self.version / 10_000, self.version % 10_000)
    }
}

impl Value {
    /// The number that it is, a `numeric` included, which travels as text.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Null | Self::Boolean(_) | Self::Bytes(_) | Self::Instant(_) | Self::Json(_) => None,
        }
    }

    /// The text that it is.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Json(text) => Some(text),
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Float(_) | Self::Bytes(_) | Self::Instant(_) => {
                None
            }
        }
    }
}

impl RowSet {
    /// A value by row and column, both counted from 0.
    pub fn value(&self, row: usize, column: usize) -> Option<&Value> {
        self.rows.get(row)?.get(column)
    }
}

/// The SQLSTATEs that checks tell apart.
pub mod sqlstate {
    /// The server is starting up, shutting down or recovering.
    pub const CANNOT_CONNECT_NOW: &str = "57P03";
    /// Every connection slot is taken.
    pub const TOO_MANY_CONNECTIONS: &str = "53300";
    /// A table or view does not exist.
    pub const UNDEFINED_TABLE: &str = "42P01";
    /// Something is not in the state that the statement needs, such as an extension that was not preloaded.
    pub const NOT_IN_PREREQUISITE_STATE: &str = "55000";
}

/// Whether the server answered that it refuses this login: password, role, host rule or database name.
pub fn refuses_login(error: &RemoteError) -> bool {
    error.code.starts_with("28") || error.code == "3D000" || error.code == "42501"
}

#[cfg(not(target_arch = "wasm32"))]
mod arguments {
    use super::{SessionFilter, SessionKey, StatementOrder, Value};
    use crate::testing::Argument;

    impl Argument for SessionKey {
        fn write(self, to: &mut Vec<String>) {
            to.push(self.pid.to_string());
            to.push(self.started_micros.to_string());
        }
    }

    impl Argument for &SessionFilter {
        fn write(self, to: &mut Vec<String>) {
            self.state.write(to);
            self.user.write(to);
            self.min_query_age.write(to);
            self.min_state_age.write(to);
        }
    }

    impl Argument for StatementOrder {
        fn write(self, to: &mut Vec<String>) {
            to.push(match self {
                Self::Mean => "mean".to_owned(),
                Self::Total => "total".to_owned(),
            });
        }
    }

    impl Argument for &[Value] {
        fn write(self, to: &mut Vec<String>) {
            to.extend(self.iter().map(|value| format!("{value:?}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_numbers_and_texts_where_they_are_some() {
        let rows = vec![vec![
            Value::Null,
            Value::Integer(7),
            Value::Float(1.5),
            Value::Text("12.50".to_owned()),
            Value::Text("twelve".to_owned()),
            Value::Boolean(true),
        ]];
        let rows = RowSet { columns: Vec::new(), rows, truncated: false };
        let numbers: Vec<_> = (0..7).map(|column| rows.value(0, column).and_then(Value::as_number)).collect();
        assert_eq!(numbers, [None, Some(7.0), Some(1.5), Some(12.5), None, None, None]);
        assert_eq!(rows.value(0, 4).and_then(Value::as_text), Some("twelve"));
        assert_eq!(rows.value(0, 1).and_then(Value::as_text), None);
        assert_eq!(rows.value(1, 0), None);
    }
}
