//! Replication as one server sees it, primary or standby.

use tokio_postgres::{Error, Row};

/// A standby as its primary sees it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Standby {
    /// Name the standby gave itself.
    pub application: String,
    /// `streaming`, `catchup` and so on.
    pub state: String,
    /// `sync`, `async`, `quorum` or `potential`.
    pub sync: String,
    /// Bytes that it has not replayed yet.
    pub lag_bytes: u64,
    /// Seconds by which its replay is behind; none when the server cannot tell.
    pub lag: Option<f64>,
}

/// Replication seen from one server.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ReplicationState {
    /// Timeline the server writes to or receives from.
    pub timeline: u32,
    /// Last position written (primary) or received (standby).
    pub position: String,
    /// Standbys that are connected.
    pub standbys: Vec<Standby>,
    /// On a standby, bytes received and not replayed yet.
    pub replay_backlog: Option<u64>,
    /// On a standby, whether it is connected to its primary.
    pub receiving: Option<bool>,
    /// Bytes of log kept back for the slot that is furthest behind, if there is a slot.
    pub retained_bytes: Option<u64>,
}

/// One row for each standby, or a single one without; what is about the server itself repeats.
///
/// A primary's timeline is in the name of the file that it writes to: the control file tells the old one until the
/// next checkpoint after a promotion. The `*_lag` columns hold the last value that was measured, and a standby that has
/// replayed all is not behind. A base backup is no standby. `timeline_id` of a standby's control file is the last
/// resort, for one that reads an archive.
pub(super) const SQL: &str = "\
WITH here AS MATERIALIZED (
  SELECT pg_is_in_recovery() AS standby,
         CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
              ELSE pg_current_wal_lsn() END AS position
)
SELECT CASE WHEN h.standby
              THEN coalesce((SELECT nullif(received_tli, 0)::int8 FROM pg_stat_wal_receiver LIMIT 1),
                            (SELECT timeline_id::int8 FROM pg_control_checkpoint()))
            ELSE ('x' || left(pg_walfile_name(h.position), 8))::bit(32)::int8 END,
       coalesce(h.position, '0/0')::text,
       CASE WHEN h.standby THEN pg_wal_lsn_diff(h.position, pg_last_wal_replay_lsn())::int8 END,
       CASE WHEN h.standby THEN EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') END,
       (SELECT max(pg_wal_lsn_diff(h.position, restart_lsn))::int8 FROM pg_replication_slots),
       r.pid IS NOT NULL,
       r.application_name,
       r.state,
       r.sync_state,
       pg_wal_lsn_diff(h.position, coalesce(r.replay_lsn, r.flush_lsn, r.write_lsn, r.sent_lsn))::int8,
       CASE WHEN r.replay_lsn >= h.position THEN 0 ELSE extract(epoch FROM r.replay_lag) END::float8
FROM here h LEFT JOIN pg_stat_replication r ON r.state IS DISTINCT FROM 'backup'
ORDER BY r.application_name, r.pid
LIMIT 1000";

/// Reads the rows of [`SQL`]; none when there is no row, which cannot be.
pub(super) fn from_rows(rows: &[Row]) -> Result<Option<ReplicationState>, Error> {
    let Some(first) = rows.first() else { return Ok(None) };
    let mut state = ReplicationState {
        timeline: u32::try_from(first.try_get::<_, i64>(0)?).unwrap_or_default(),
        position: first.try_get(1)?,
        standbys: Vec::new(),
        replay_backlog: bytes(first, 2)?,
        receiving: first.try_get(3)?,
        retained_bytes: bytes(first, 4)?,
    };
    for row in rows {
        if row.try_get(5)? {
            state.standbys.push(standby(row)?);
        }
    }
    Ok(Some(state))
}

fn standby(row: &Row) -> Result<Standby, Error> {
    Ok(Standby {
        application: text(row, 6)?,
        state: text(row, 7)?,
        sync: text(row, 8)?,
        lag_bytes: bytes(row, 9)?.unwrap_or_default(),
        lag: row.try_get(10)?,
    })
}

fn text(row: &Row, column: usize) -> Result<String, Error> {
    Ok(row.try_get::<_, Option<String>>(column)?.unwrap_or_default())
}

/// Positions are read one after the other, so that a difference can come out below zero.
fn bytes(row: &Row, column: usize) -> Result<Option<u64>, Error> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(|bytes| u64::try_from(bytes).unwrap_or_default()))
}
