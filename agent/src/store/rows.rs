//! What the rows stand for: runs, their ends, calls and log lines.

use super::columns::Columns;
use super::json::{Conclusion, Labels};
use super::{RunState, RunSummary, StoreError};
use crate::domain::{
    Actor, CallRecord, Decision, DenialReason, Digest, Ending, Failure, FailureKind, Label, LogLevel, LogLine,
    LogSource, Mode, Run, RunChanges, SweepRunId, Timestamp, Trigger, Usage,
};

/// Columns of a summary, in no particular order.
pub(super) const SUMMARY_COLUMNS: &str = "seq, id, plugin, version, digest, mode, \"trigger\", actor, started, finished, \
     state, failure_kind, failure_message, summary, duration_ns, memory_bytes, calls, answer_bytes, dropped_log_lines";

/// A run without its calls and log.
pub(super) fn run(row: &Columns<'_>) -> Result<Run, StoreError> {
    let summary = summary(row)?;
    Ok(Run {
        ending: ending(row, &summary)?,
        sweep_run: row.get::<Option<[u8; 16]>>("sweep_run")?.and_then(|id| SweepRunId::from_slice(&id)),
        params: row.json_text("params")?,
        id: summary.id,
        plugin: summary.plugin,
        version: summary.version,
        digest: summary.digest,
        mode: summary.mode,
        trigger: summary.trigger,
        actor: summary.actor,
        started: summary.started,
        finished: summary.finished,
        usage: summary.usage,
        log: Vec::new(),
        calls: Vec::new(),
        changes: RunChanges {
            follows: row.optional_run_id("follows")?,
            undoes: row.optional_run_id("undoes")?,
            break_glass: row.get("break_glass")?,
            ..RunChanges::default()
        },
    })
}

fn ending(row: &Columns<'_>, summary: &RunSummary) -> Result<Option<Ending>, StoreError> {
    match summary.state {
        RunState::Running => Ok(None),
        RunState::Concluded(status) => {
            let conclusion: Conclusion = row.json("outcome")?;
            Ok(Some(Ending::Concluded(conclusion.into_outcome(status, row.required("summary")?))))
        }
        RunState::Failed | RunState::Interrupted => Ok(summary.failure.clone().map(Ending::Failed)),
    }
}

pub(super) fn summary(row: &Columns<'_>) -> Result<RunSummary, StoreError> {
    let state = row.label("state", RunState::from_label)?;
    Ok(RunSummary {
        id: row.run_id("id")?,
        plugin: row.parsed("plugin")?,
        version: row.get("version")?,
        digest: Digest::from_bytes(row.bytes("digest")?),
        mode: row.label("mode", |label| Mode::ALL.into_iter().find(|mode| mode.as_str() == label))?,
        trigger: row.label("trigger", |label| Trigger::ALL.into_iter().find(|trigger| trigger.as_str() == label))?,
        actor: Actor(row.get("actor")?),
        started: row.time("started")?,
        finished: finished(row, state)?,
        state,
        summary: row.get("summary")?,
        failure: failure(row, state)?,
        usage: usage(row)?,
    })
}

fn finished(row: &Columns<'_>, state: RunState) -> Result<Option<Timestamp>, StoreError> {
    if state == RunState::Running {
        return row.optional_time("finished");
    }
    row.required::<i64>("finished")?;
    row.optional_time("finished")
}

fn failure(row: &Columns<'_>, state: RunState) -> Result<Option<Failure>, StoreError> {
    match state {
        RunState::Running | RunState::Concluded(_) => Ok(None),
        RunState::Failed | RunState::Interrupted => {
            row.required::<String>("failure_kind")?;
            let kind = row.label("failure_kind", FailureKind::from_label)?;
            Ok(Some(Failure { kind, message: row.required("failure_message")? }))
        }
    }
}

fn usage(row: &Columns<'_>) -> Result<Usage, StoreError> {
    Ok(Usage {
        duration: row.duration("duration_ns")?,
        memory_bytes: row.unsigned("memory_bytes")?,
        calls: row.unsigned("calls")?,
        answer_bytes: row.unsigned("answer_bytes")?,
        dropped_log_lines: row.unsigned("dropped_log_lines")?,
    })
}

pub(super) fn call(row: &Columns<'_>) -> Result<CallRecord, StoreError> {
    let answer_digest: Option<[u8; 32]> = row.get("answer_digest")?;
    Ok(CallRecord {
        sequence: row.unsigned("sequence")?,
        operation: row.get("operation")?,
        target: row.get("target")?,
        arguments: row.json_text("arguments")?,
        decision: row.label("decision", decision)?,
        started: row.time("started")?,
        duration: row.duration("duration_ns")?,
        answer_bytes: row.unsigned("answer_bytes")?,
        answer_digest: answer_digest.map(Digest::from_bytes),
        error: row.get("error")?,
    })
}

fn decision(label: &str) -> Option<Decision> {
    let denials = DenialReason::ALL.into_iter().map(Decision::Denied);
    denials.chain([Decision::Permitted, Decision::Exhausted]).find(|decision| decision.as_str() == label)
}

pub(super) fn log_line(row: &Columns<'_>) -> Result<LogLine, StoreError> {
    let fields: Vec<Label> = match row.get::<Option<String>>("fields")? {
        Some(_) => row.json::<Labels>("fields")?.into(),
        None => Vec::new(),
    };
    Ok(LogLine {
        time: row.time("time")?,
        level: row.label("level", |label| LogLevel::ALL.into_iter().find(|level| level.as_str() == label))?,
        source: row.label("source", |label| LogSource::ALL.into_iter().find(|source| source.as_str() == label))?,
        message: row.get("message")?,
        fields,
    })
}
