//! How sweeps stand, and what happened to them.

use rusqlite::{Connection, params};

use super::{News, rows, silences};
use crate::domain::{Standing, SweepEvent, SweepName};
use crate::store::StoreError;
use crate::store::columns::{collect, millis};

const KEEP: &str = "INSERT INTO sweeps (name, hard, since, last, streak, changes, flapping, reminded) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (name) DO UPDATE SET hard = ?2, since = ?3, last = ?4, \
     streak = ?5, changes = ?6, flapping = ?7, reminded = ?8";

const INSERT: &str = "INSERT INTO sweep_events (sweep, time, kind, from_status, status, muted, run) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const LIST: &str = "SELECT * FROM sweep_events WHERE sweep = ?1 ORDER BY seq DESC LIMIT ?2";

const TRIM: &str = "DELETE FROM sweep_events WHERE seq IN (SELECT seq FROM (SELECT seq, \
     row_number() OVER (PARTITION BY sweep ORDER BY seq DESC) AS age FROM sweep_events) WHERE age > ?1)";

/// Record what a run, or time, changed.
pub(super) fn record(db: &Connection, sweep: &SweepName, news: &News) -> Result<(), StoreError> {
    keep(db, sweep, &news.standing)?;
    for event in &news.events {
        add(db, event)?;
    }
    for silence in &news.ended_silences {
        silences::remove(db, *silence)?;
    }
    Ok(())
}

fn keep(db: &Connection, sweep: &SweepName, standing: &Standing) -> Result<(), StoreError> {
    let values = params![
        sweep.as_str(),
        standing.hard.map(|status| status.as_str()),
        standing.since.map(millis),
        standing.last.map(|status| status.as_str()),
        standing.streak,
        standing.changes.bits(),
        standing.flapping,
        standing.reminded.map(millis),
    ];
    Ok(db.prepare_cached(KEEP)?.execute(values).map(drop)?)
}

fn add(db: &Connection, event: &SweepEvent) -> Result<(), StoreError> {
    let values = params![
        event.sweep.as_str(),
        millis(event.time),
        event.kind.as_str(),
        event.from.map(|status| status.as_str()),
        event.status.as_str(),
        event.muted.map(|muted| muted.as_str()),
        event.run.as_ref().map(|id| id.as_bytes()),
    ];
    Ok(db.prepare_cached(INSERT)?.execute(values).map(drop)?)
}

/// Events of a sweep, the newest first.
pub(super) fn list(db: &Connection, sweep: &SweepName, limit: u32) -> Result<Vec<SweepEvent>, StoreError> {
    let mut statement = db.prepare_cached(LIST)?;
    collect(statement.query(params![sweep.as_str(), limit])?, "sweep_events", rows::event)
}

/// Forget all but the newest `kept` events of each sweep. Returns how many went.
pub(super) fn trim(db: &Connection, kept: u32) -> Result<u64, StoreError> {
    let gone = db.prepare_cached(TRIM)?.execute([kept])?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}
