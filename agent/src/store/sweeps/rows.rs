//! What the rows stand for: standings, runs, events and silences.

use rusqlite::Connection;

use super::results::Results;
use crate::domain::{
    Actor, Changes, EventKind, Muted, Silence, SilenceId, Standing, Status, SweepEvent, SweepName, SweepRun,
    SweepRunId, SweepRunState,
};
use crate::store::StoreError;
use crate::store::columns::{Columns, collect};

const STANDING: &str = "SELECT hard, since, last, streak, changes, flapping, reminded FROM sweeps WHERE name = ?1";

/// How a sweep stood when that was last recorded.
pub(super) fn standing_of(db: &Connection, name: &SweepName) -> Result<Standing, StoreError> {
    let mut statement = db.prepare_cached(STANDING)?;
    let mut found = collect(statement.query([name.as_str()])?, "sweeps", standing)?;
    Ok(found.pop().unwrap_or_default())
}

fn standing(row: &Columns<'_>) -> Result<Standing, StoreError> {
    Ok(Standing {
        hard: optional_status(row, "hard")?,
        since: row.optional_time("since")?,
        last: optional_status(row, "last")?,
        streak: row.unsigned("streak")?,
        changes: Changes::from_bits(row.unsigned("changes")?),
        flapping: row.get("flapping")?,
        reminded: row.optional_time("reminded")?,
    })
}

pub(super) fn run(row: &Columns<'_>) -> Result<SweepRun, StoreError> {
    let checks = match row.get::<Option<String>>("checks")? {
        Some(_) => row.json::<Results>("checks")?.read()?,
        None => Vec::new(),
    };
    Ok(SweepRun {
        id: sweep_run_id(row, "id")?,
        sweep: row.parsed("sweep")?,
        slot: row.optional_time("slot")?,
        actor: Actor(row.get("actor")?),
        started: row.time("started")?,
        finished: row.optional_time("finished")?,
        state: row.label("state", SweepRunState::from_label)?,
        status: optional_status(row, "status")?,
        checks,
    })
}

pub(super) fn event(row: &Columns<'_>) -> Result<SweepEvent, StoreError> {
    let muted = row.get::<Option<String>>("muted")?.map(|_| row.label("muted", Muted::from_label));
    let run = row.get::<Option<[u8; 16]>>("run")?.map(|_| sweep_run_id(row, "run"));
    Ok(SweepEvent {
        time: row.time("time")?,
        sweep: row.parsed("sweep")?,
        kind: row.label("kind", EventKind::from_label)?,
        from: optional_status(row, "from_status")?,
        status: row.label("status", status)?,
        muted: muted.transpose()?,
        run: run.transpose()?,
    })
}

pub(super) fn silence(row: &Columns<'_>) -> Result<Silence, StoreError> {
    let sweep = row.get::<Option<String>>("sweep")?.map(|_| row.parsed("sweep"));
    let id = SilenceId::from_slice(&row.bytes::<16>("id")?);
    Ok(Silence {
        id: id.ok_or_else(|| StoreError::corrupt("silences.id", "it is no id"))?,
        sweep: sweep.transpose()?,
        reason: row.get("reason")?,
        creator: Actor(row.get("creator")?),
        created: row.time("created")?,
        expires: row.time("expires")?,
        expire_on_resolve: row.get("expire_on_resolve")?,
    })
}

pub(super) fn status(label: &str) -> Option<Status> {
    Status::ALL.into_iter().find(|status| status.as_str() == label)
}

fn optional_status(row: &Columns<'_>, column: &str) -> Result<Option<Status>, StoreError> {
    row.get::<Option<String>>(column)?.map(|_| row.label(column, status)).transpose()
}

fn sweep_run_id(row: &Columns<'_>, column: &str) -> Result<SweepRunId, StoreError> {
    let id = SweepRunId::from_slice(&row.bytes::<16>(column)?);
    id.ok_or_else(|| StoreError::corrupt(format!("sweep_runs.{column}"), "it is no id"))
}
