//! A server at a glance.

use tokio_postgres::{Error, Row};

/// A server at a glance.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Server {
    /// Version as a number, such as 160004.
    pub version: u32,
    /// True for a standby.
    pub in_recovery: bool,
    /// Configured maximum of connections.
    pub max_connections: u32,
    /// Connections kept back for superusers and for roles that may use reserved ones.
    pub reserved_connections: u32,
    /// Client connections in use, the agent's own among them.
    pub connections: u32,
    /// Seconds by which a standby is behind, if it can tell.
    pub replay_lag: Option<f64>,
}

/// `reserved_connections` exists from 16 on. Sessions whose kind the role may not see count if they are in a database.
///
/// A standby that has replayed all that it received, and is receiving, is not behind, however long ago the last
/// transaction was. If it is not receiving, the age of the last transaction is all it knows.
pub(super) const SQL: &str = "\
SELECT current_setting('server_version_num')::int8,
       pg_is_in_recovery(),
       current_setting('max_connections')::int8,
       current_setting('superuser_reserved_connections')::int8
         + coalesce(current_setting('reserved_connections', true), '0')::int8,
       (SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' OR (backend_type IS NULL AND datid IS NOT NULL)),
       CASE
         WHEN NOT pg_is_in_recovery() THEN NULL
         WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
              AND EXISTS (SELECT FROM pg_stat_wal_receiver) THEN 0
         ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
       END::float8";

/// Reads the one row of [`SQL`].
pub(super) fn from_row(row: &Row) -> Result<Server, Error> {
    let count = |value: i64| u32::try_from(value).unwrap_or(if value < 0 { 0 } else { u32::MAX });
    Ok(Server {
        version: count(row.try_get(0)?),
        in_recovery: row.try_get(1)?,
        max_connections: count(row.try_get(2)?),
        reserved_connections: count(row.try_get(3)?),
        connections: count(row.try_get(4)?),
        replay_lag: row.try_get::<_, Option<f64>>(5)?.map(|lag| lag.max(0.0)),
    })
}
