//! Recording how a run ended: the row of the run, its calls, its log and its recording, in one transaction.
//!
//! What has to be worked out (JSON, labels, refusals) is worked out in [`End::of`] by whoever asks, so that the one
//! thread that writes only writes.

use rusqlite::types::Null;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::chain::rows::{Claims, RowHash, SeriesHash};
use super::chain::{self, Ended, Kind};
use super::changes::{self, NewPlan};
use super::columns::{behind, integer, millis, nanos};
use super::json::{Conclusion, Labels};
use super::recordings::{self, KeptRecording};
use super::{Finish, RunState, StoreError, runs};
use crate::domain::{
    Actor, CallRecord, Digest, Ending, Failure, LogLine, Mode, PluginName, Run, RunId, Timestamp, Usage,
};

const FINISH: &str = "UPDATE runs SET finished = ?2, state = ?3, failure_kind = ?4, failure_message = ?5, \
     summary = ?6, outcome = ?7, duration_ns = ?8, memory_bytes = ?9, calls = ?10, answer_bytes = ?11, \
     dropped_log_lines = ?12 WHERE id = ?1 AND finished IS NULL RETURNING seq";

const INSERT_CALL: &str = "INSERT INTO calls (run, sequence, operation, target, decision, started, duration_ns, \
     answer_bytes, answer_digest, error, arguments) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const INSERT_LOG_LINE: &str = "INSERT INTO log_lines (run, n, time, level, source, message, fields) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// What is recorded at the end of a run, ready to be written.
pub(super) struct End {
    id: RunId,
    plugin: PluginName,
    mode: Mode,
    actor: Actor,
    finished: Timestamp,
    state: RunState,
    failure: Option<Failure>,
    summary: Option<String>,
    outcome: Option<String>,
    usage: Usage,
    calls: Vec<CallRecord>,
    log: Vec<(LogLine, Option<String>)>,
    plan: Option<NewPlan>,
    recording: Option<KeptRecording>,
    claims: Claims,
}

impl End {
    /// Take the end of `run`. Refuses what could not be read back.
    pub(super) fn of(run: Run, recording: Option<KeptRecording>) -> Result<Self, StoreError> {
        let start = runs::start_hash(&run)?;
        let (Some(finished), Some(ending)) = (run.finished, run.ending) else {
            return Err(StoreError::Invalid(format!("run {} has no end to record", run.id)));
        };
        let state = RunState::of(Some(&ending));
        let (summary, outcome, failure) = match ending {
            Ending::Concluded(mut outcome) => {
                let summary = std::mem::take(&mut outcome.summary);
                (Some(summary), Some(conclusion_json(outcome.into())?), None)
            }
            Ending::Failed(failure) => (None, None, Some(failure)),
        };
        let log = run.log.into_iter().map(log_row).collect::<Result<_, _>>()?;
        let plan = run.changes.plan.as_ref().map(NewPlan::of);
        let mut end = Self {
            id: run.id,
            plugin: run.plugin,
            mode: run.mode,
            actor: run.actor,
            finished,
            state,
            failure,
            summary,
            outcome,
            usage: run.usage,
            calls: run.calls,
            log,
            plan,
            recording,
            claims: Claims::default(),
        };
        end.claims = end.claims(start)?;
        Ok(end)
    }

    /// What the link about it says of the rows.
    fn claims(&self, start: RowHash) -> Result<Claims, StoreError> {
        // Whether it helped is found out later.
        let run = self.values(|values| start.with(values))?.with(params![Null, Null, Null])?;
        let mut calls = SeriesHash::marked();
        for call in &self.calls {
            calls.push(call_values(call, |values| RowHash::default().with(values))?);
        }
        let mut log = SeriesHash::default();
        for (n, line) in self.log.iter().enumerate() {
            log.push(line_values(n, line, |values| RowHash::default().with(values))?);
        }
        let recording = self.recording.as_ref();
        let recording = recording.map(|kept| recordings::values(kept, |values| RowHash::default().with(values)));
        Ok(Claims {
            run: Some(run.digest().hex()),
            calls: calls.claim(),
            log: log.claim(),
            recording: recording.transpose()?.map(|hash| hash.digest().hex()),
            ..Claims::default()
        })
    }

    /// Write the end, unless the run has one.
    pub(super) fn record(&self, db: &Connection) -> Result<Finish, StoreError> {
        let Some(run) = self.update(db)? else {
            let known = db.prepare_cached("SELECT 1 FROM runs WHERE id = ?1")?.exists([self.id.as_bytes()])?;
            return if known { Ok(Finish::AlreadyFinished) } else { Err(StoreError::UnknownRun(self.id)) };
        };
        self.insert_calls(db, run)?;
        self.insert_log(db, run)?;
        if let Some(recording) = &self.recording {
            recordings::insert(db, run, recording)?;
        }
        changes::give_up(db, run, &self.id, self.finished)?;
        if let Some(plan) = &self.plan {
            plan.record(db, run, &self.id, self.finished)?;
        }
        let body = Ended {
            plugin: self.plugin.as_str(),
            mode: self.mode.as_str(),
            actor: &self.actor.0,
            state: self.state.as_str(),
            failure: self.failure.as_ref().map(|failure| failure.kind.as_str()),
            rows: Claims { number: Some(run), ..self.claims.clone() },
        };
        chain::append(db, Kind::RunEnded, self.finished, Some(&self.id), &body)?;
        Ok(Finish::Recorded)
    }

    /// What the end adds to the row of the run, in the order of [`chain::rows::RUN_END`] as far as it is known then.
    fn values<T>(&self, then: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
        let failure = self.failure.as_ref();
        then(params![
            millis(self.finished),
            self.state.as_str(),
            failure.map(|failure| failure.kind.as_str()),
            failure.map(|failure| failure.message.as_str()),
            self.summary,
            self.outcome,
            nanos(self.usage.duration),
            integer(self.usage.memory_bytes),
            self.usage.calls,
            integer(self.usage.answer_bytes),
            self.usage.dropped_log_lines,
        ])
    }

    /// Complete the row of the run, if that has no end. Returns its number.
    fn update(&self, db: &Connection) -> Result<Option<i64>, StoreError> {
        let id = self.id.as_bytes();
        let mut statement = db.prepare_cached(FINISH)?;
        let updated = self.values(|values| statement.query_row(&*behind(&id, values), |row| row.get(0)));
        Ok(updated.optional()?)
    }

    fn insert_calls(&self, db: &Connection, run: i64) -> Result<(), StoreError> {
        let mut statement = db.prepare_cached(INSERT_CALL)?;
        for call in &self.calls {
            call_values(call, |values| statement.execute(&*behind(&run, values)))?;
        }
        Ok(())
    }

    fn insert_log(&self, db: &Connection, run: i64) -> Result<(), StoreError> {
        let mut statement = db.prepare_cached(INSERT_LOG_LINE)?;
        for (n, line) in self.log.iter().enumerate() {
            line_values(n, line, |values| statement.execute(&*behind(&run, values)))?;
        }
        Ok(())
    }
}

/// A call, in the order of [`chain::rows::CALL`].
fn call_values<T>(call: &CallRecord, then: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    then(params![
        call.sequence,
        call.operation,
        call.target,
        call.decision.as_str(),
        millis(call.started),
        nanos(call.duration),
        integer(call.answer_bytes),
        call.answer_digest.as_ref().map(Digest::as_bytes),
        call.error,
        call.arguments,
    ])
}

/// A line of the log, in the order of [`chain::rows::LOG_LINE`].
fn line_values<T>(n: usize, (line, fields): &(LogLine, Option<String>), then: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    let (level, source) = (line.level.as_str(), line.source.as_str());
    then(params![integer(n), millis(line.time), level, source, line.message, fields])
}

fn conclusion_json(conclusion: Conclusion) -> Result<String, StoreError> {
    if !conclusion.is_finite() {
        return Err(StoreError::Invalid("an outcome holds a number that is not finite".to_owned()));
    }
    serde_json::to_string(&conclusion).map_err(|error| StoreError::Invalid(error.to_string()))
}

fn log_row(mut line: LogLine) -> Result<(LogLine, Option<String>), StoreError> {
    if line.fields.is_empty() {
        return Ok((line, None));
    }
    let fields = Labels::from(std::mem::take(&mut line.fields));
    let json = serde_json::to_string(&fields).map_err(|error| StoreError::Invalid(error.to_string()))?;
    Ok((line, Some(json)))
}
