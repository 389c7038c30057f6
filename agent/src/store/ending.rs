//! Recording how a run ended: the row of the run, its calls and its log, in one transaction.
//!
//! What has to be worked out (JSON, labels, refusals) is worked out in [`End::of`] by whoever asks, so that the one
//! thread that writes only writes.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{integer, millis, nanos};
use super::json::{Conclusion, Labels};
use super::{Finish, RunState, StoreError};
use crate::domain::{CallRecord, Digest, Ending, Failure, LogLine, Run, RunId, Usage};

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
    finished: i64,
    state: RunState,
    failure: Option<Failure>,
    summary: Option<String>,
    outcome: Option<String>,
    usage: Usage,
    calls: Vec<CallRecord>,
    log: Vec<(LogLine, Option<String>)>,
}

impl End {
    /// Take the end of `run`. Refuses what could not be read back.
    pub(super) fn of(run: Run) -> Result<Self, StoreError> {
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
        let finished = millis(finished);
        Ok(Self { id: run.id, finished, state, failure, summary, outcome, usage: run.usage, calls: run.calls, log })
    }

    /// Write the end, unless the run has one.
    pub(super) fn record(&self, db: &Connection) -> Result<Finish, StoreError> {
        let Some(run) = self.update(db)? else {
            let known = db.prepare_cached("SELECT 1 FROM runs WHERE id = ?1")?.exists([self.id.as_bytes()])?;
            return if known { Ok(Finish::AlreadyFinished) } else { Err(StoreError::UnknownRun(self.id)) };
        };
        self.insert_calls(db, run)?;
        self.insert_log(db, run)?;
        Ok(Finish::Recorded)
    }

    /// Complete the row of the run, if that has no end. Returns its number.
    fn update(&self, db: &Connection) -> Result<Option<i64>, StoreError> {
        let failure = self.failure.as_ref();
        let values = params![
            self.id.as_bytes(),
            self.finished,
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
        ];
        Ok(db.prepare_cached(FINISH)?.query_row(values, |row| row.get(0)).optional()?)
    }

    fn insert_calls(&self, db: &Connection, run: i64) -> Result<(), StoreError> {
        let mut statement = db.prepare_cached(INSERT_CALL)?;
        for call in &self.calls {
            statement.execute(params![
                run,
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
            ])?;
        }
        Ok(())
    }

    fn insert_log(&self, db: &Connection, run: i64) -> Result<(), StoreError> {
        let mut statement = db.prepare_cached(INSERT_LOG_LINE)?;
        for (n, (line, fields)) in self.log.iter().enumerate() {
            let (time, level) = (millis(line.time), line.level.as_str());
            statement.execute(params![run, integer(n), time, level, line.source.as_str(), line.message, fields])?;
        }
        Ok(())
    }
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
