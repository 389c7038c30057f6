//! The SQL about runs of sweeps.

use rusqlite::{Connection, params};

use super::results::Results;
use super::rows;
use crate::domain::{SweepName, SweepRun, SweepRunId, SweepRunState, Timestamp};
use crate::store::StoreError;
use crate::store::columns::{collect, millis};

const INSERT: &str =
    "INSERT INTO sweep_runs (id, sweep, slot, actor, started, state) VALUES (?1, ?2, ?3, ?4, ?5, 'running')";

const FINISH: &str = "UPDATE sweep_runs SET finished = max(started, ?2), state = ?3, status = ?4, checks = ?5 \
     WHERE id = ?1 AND state = 'running'";

const INTERRUPT: &str =
    "UPDATE sweep_runs SET finished = max(started, ?1), state = 'interrupted' WHERE state = 'running'";

const LAST: &str = "SELECT * FROM sweep_runs WHERE sweep = ?1 AND state = 'concluded' ORDER BY seq DESC LIMIT 1";

const LIST: &str = "SELECT * FROM sweep_runs WHERE sweep = ?1 ORDER BY seq DESC LIMIT ?2";

/// Runs that were forgotten have no older ones.
const LIST_BEFORE: &str = "SELECT * FROM sweep_runs WHERE sweep = ?1 \
     AND seq < (SELECT seq FROM sweep_runs WHERE id = ?3) ORDER BY seq DESC LIMIT ?2";

const TRIM: &str = "DELETE FROM sweep_runs WHERE state != 'running' AND seq IN (SELECT seq FROM (SELECT seq, \
     row_number() OVER (PARTITION BY sweep ORDER BY seq DESC) AS age FROM sweep_runs) WHERE age > ?1)";

/// Record that a run begins.
pub(super) fn start(db: &Connection, run: &SweepRun) -> Result<(), StoreError> {
    let slot = run.slot.map(millis);
    let values = params![run.id.as_bytes(), run.sweep.as_str(), slot, run.actor.0, millis(run.started)];
    Ok(db.prepare_cached(INSERT)?.execute(values).map(drop)?)
}

/// The end of a run, ready to be written.
pub(super) struct End {
    run: SweepRun,
    finished: Timestamp,
    checks: String,
}

impl End {
    /// Take the end of `run`.
    pub(super) fn of(run: SweepRun) -> Result<Self, StoreError> {
        let Some(finished) = run.finished.filter(|_| run.state != SweepRunState::Running) else {
            return Err(StoreError::Invalid(format!("the sweep's run {} has no end to record", run.id)));
        };
        let checks = serde_json::to_string(&Results::of(&run.checks));
        let checks = checks.map_err(|error| StoreError::Invalid(error.to_string()))?;
        Ok(Self { run, finished, checks })
    }

    /// The sweep.
    pub(super) fn sweep(&self) -> &SweepName {
        &self.run.sweep
    }

    /// Write the end, unless the run has one. Returns whether it was written.
    pub(super) fn record(&self, db: &Connection) -> Result<bool, StoreError> {
        let status = self.run.status.map(|status| status.as_str());
        let values =
            params![self.run.id.as_bytes(), millis(self.finished), self.run.state.as_str(), status, self.checks];
        Ok(db.prepare_cached(FINISH)?.execute(values)? > 0)
    }
}

/// Give every run without an end the one of a run whose agent died.
pub(crate) fn interrupt_all(db: &Connection, now: Timestamp) -> Result<usize, StoreError> {
    Ok(db.execute(INTERRUPT, [millis(now)])?)
}

/// One run.
pub(super) fn load(db: &Connection, id: SweepRunId) -> Result<Option<SweepRun>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM sweep_runs WHERE id = ?1")?;
    Ok(collect(statement.query([id.as_bytes()])?, "sweep_runs", rows::run)?.pop())
}

/// The last run of a sweep that came to a verdict.
pub(super) fn last(db: &Connection, sweep: &SweepName) -> Result<Option<SweepRun>, StoreError> {
    let mut statement = db.prepare_cached(LAST)?;
    Ok(collect(statement.query([sweep.as_str()])?, "sweep_runs", rows::run)?.pop())
}

/// Runs of a sweep, the newest first.
pub(super) fn list(
    db: &Connection,
    sweep: &SweepName,
    limit: u32,
    before: Option<SweepRunId>,
) -> Result<Vec<SweepRun>, StoreError> {
    match before {
        None => {
            let mut statement = db.prepare_cached(LIST)?;
            collect(statement.query(params![sweep.as_str(), limit])?, "sweep_runs", rows::run)
        }
        Some(before) => {
            let mut statement = db.prepare_cached(LIST_BEFORE)?;
            collect(statement.query(params![sweep.as_str(), limit, before.as_bytes()])?, "sweep_runs", rows::run)
        }
    }
}

/// Forget all but the newest `kept` runs of each sweep. Returns how many went.
pub(super) fn trim(db: &Connection, kept: u32) -> Result<u64, StoreError> {
    let gone = db.prepare_cached(TRIM)?.execute([kept])?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}
