//! Runs whose changes are held on a lease, as replicas pass them on: what it takes to give the changes back where they were not
//! made.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::changes::{self, NewChange, Settlement, json};
use super::ending::End;
use super::{StoreError, runs};
use crate::domain::{
    Actor, ChangeRecord, Digest, Ending, Failure, FailureKind, Fate, Lease, LeaseState, Mode, Run, RunChanges, RunId,
    Timestamp, Trigger, Usage,
};

/// The generation of this form.
const FORM: u32 = 1;

/// A run that is passed on.
#[derive(Serialize, Deserialize)]
struct Record {
    form: u32,
    run: String,
    plugin: String,
    version: String,
    component: String,
    actor: String,
    started: u64,
    params: String,
    break_glass: Option<String>,
    changes: Vec<Change>,
}

#[derive(Serialize, Deserialize)]
struct Change {
    position: u32,
    sequence: u32,
    planned: json::PlannedChange,
    /// None where nobody knows what became of it.
    fate: Option<String>,
    detail: Option<String>,
    done: Option<json::Done>,
    undone_by: Option<String>,
}

/// What other replicas have to know of `run` to give its changes back.
pub fn lent_record(run: &Run) -> Result<String, StoreError> {
    let change = |change: &ChangeRecord| Change {
        position: change.position,
        sequence: change.sequence,
        planned: (&change.planned).into(),
        fate: change.fate.as_ref().map(|fate| fate.as_str().to_owned()),
        detail: change.fate.as_ref().and_then(changes::detail).map(str::to_owned),
        done: match &change.fate {
            Some(Fate::Applied(done)) => Some(done.into()),
            Some(Fate::Unchanged | Fate::Conflict(_) | Fate::Failed(_) | Fate::Unknown(_)) | None => None,
        },
        undone_by: change.undone_by.map(|run| run.to_string()),
    };
    let record = Record {
        form: FORM,
        run: run.id.to_string(),
        plugin: run.plugin.to_string(),
        version: run.version.clone(),
        component: run.digest.to_string(),
        actor: run.actor.0.clone(),
        started: run.started.as_millis(),
        params: run.params.clone(),
        break_glass: run.changes.break_glass.clone(),
        changes: run.changes.made.iter().map(change).collect(),
    };
    serde_json::to_string(&record).map_err(|error| StoreError::Invalid(error.to_string()))
}

/// The run that `owner` passed on. It has no end.
pub fn read_lent(text: &str, owner: &str) -> Result<Run, StoreError> {
    let record: Record = serde_json::from_str(text).map_err(|_| damaged())?;
    if record.form != FORM {
        return Err(StoreError::Invalid("a lease that replicas share has a form that this agent does not know".into()));
    }
    let changes = record.changes.into_iter().map(|change| read(change, owner)).collect::<Result<_, _>>()?;
    Ok(Run {
        id: record.run.parse().map_err(|_| damaged())?,
        plugin: record.plugin.parse().map_err(|_| damaged())?,
        version: record.version,
        digest: record.component.parse::<Digest>().map_err(|_| damaged())?,
        mode: Mode::Apply,
        trigger: Trigger::Manual,
        actor: Actor(record.actor),
        sweep_run: None,
        params: record.params,
        started: Timestamp::from_millis(record.started),
        finished: None,
        ending: None,
        usage: Usage::default(),
        log: Vec::new(),
        calls: Vec::new(),
        // The plan that it followed is in the store of its owner.
        changes: RunChanges { break_glass: record.break_glass, made: changes, ..RunChanges::default() },
    })
}

fn read(change: Change, owner: &str) -> Result<ChangeRecord, StoreError> {
    let detail = change.detail.unwrap_or_default();
    let fate = match change.fate.as_deref() {
        Some("applied") => {
            let done = change.done.ok_or_else(damaged)?;
            Fate::Applied(done.try_into().map_err(|_: json::Nonsense| damaged())?)
        }
        Some("unchanged") => Fate::Unchanged,
        Some("conflict") => Fate::Conflict(detail),
        Some("failed") => Fate::Failed(detail),
        Some("unknown") => Fate::Unknown(detail),
        None => Fate::Unknown(format!("the replica {owner} did not say what became of it")),
        Some(_) => return Err(damaged()),
    };
    let undone_by = change.undone_by.map(|run| run.parse().map_err(|_| damaged())).transpose()?;
    Ok(ChangeRecord {
        position: change.position,
        sequence: change.sequence,
        planned: change.planned.try_into().map_err(|_: json::Nonsense| damaged())?,
        intended: Timestamp::from_millis(0),
        settled: None,
        fate: Some(fate),
        undone_by,
    })
}

fn damaged() -> StoreError {
    StoreError::Invalid("a lease that replicas share is not as an agent wrote it".to_owned())
}

/// A run of another replica, ready to be recorded.
pub(super) struct Lent {
    run: Run,
    end: End,
    changes: Vec<(NewChange, String, Fate, Option<RunId>)>,
}

impl Lent {
    pub(super) fn of(run: Run, until: Timestamp, now: Timestamp) -> Result<Self, StoreError> {
        let message = "another replica made it; it was recorded here to give its changes back".to_owned();
        let lease = Lease { run: run.id, until, state: LeaseState::Held, detail: None, ended_by: None };
        let made = run.changes.made.clone();
        let run = Run {
            // A replica whose clock is ahead may have begun it in what is the future here.
            finished: Some(now.max(run.started)),
            ending: Some(Ending::Failed(Failure { kind: FailureKind::Interrupted, message })),
            changes: RunChanges { lease: Some(lease), ..run.changes },
            ..run
        };
        let change = |change: ChangeRecord| {
            let planned = changes::planned_json(&change.planned)?;
            let new = NewChange {
                run: run.id,
                plugin: run.plugin.clone(),
                position: change.position,
                sequence: change.sequence,
                planned: change.planned,
            };
            let unknown = || Fate::Unknown("the run ended before the target answered".to_owned());
            Ok((new, planned, change.fate.unwrap_or_else(unknown), change.undone_by))
        };
        let changes = made.into_iter().map(change).collect::<Result<_, StoreError>>()?;
        Ok(Self { end: End::of(run.clone(), None)?, run, changes })
    }

    pub(super) fn record(&self, db: &Connection, now: Timestamp) -> Result<(), StoreError> {
        match runs::start(db, &self.run) {
            Err(StoreError::DuplicateRun(_)) => return Ok(()),
            started => started?,
        }
        for (change, planned, fate, undone_by) in &self.changes {
            let unknown = Fate::Unknown("another replica made it".to_owned());
            changes::insert(db, change, planned, Some(&unknown), now)?;
            Settlement::of(change.run, change.position, fate.clone(), None)?.record(db, now)?;
            if let Some(by) = undone_by {
                changes::give_back(db, now, (&change.run, change.position), by)?;
            }
        }
        self.end.record(db).map(drop)
    }
}

/// What `run` changed was given back by `undo`, a run of another replica.
pub(super) fn returned(db: &Connection, run: RunId, undo: &RunId, now: Timestamp) -> Result<(), StoreError> {
    let Some(number) = changes::number_of(db, &run)? else { return Ok(()) };
    let made = changes::list(db, number)?;
    let can_be = |change: &&ChangeRecord| {
        change.undone_by.is_none() && matches!(&change.fate, Some(Fate::Applied(done)) if done.inverse.is_some())
    };
    made.iter().filter(can_be).try_for_each(|change| changes::give_back(db, now, (&run, change.position), undo))
}
