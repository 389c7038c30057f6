//! The SQL about runs: begin, interrupt, look up and list. How they end is in [`super::ending`].

use rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use serde::Serialize;

use super::chain::rows::{Claims, RowHash};
use super::chain::{self, Kind};
use super::columns::{collect, millis};
use super::rows::{self, SUMMARY_COLUMNS};
use super::{Cursor, Page, RunFilter, RunPage, RunState, RunSummary, StoreError};
use super::{changes, guards, leases};
use crate::domain::{CallRecord, FailureKind, LogLine, Mode, Run, RunId, Timestamp};

const INSERT: &str = "INSERT INTO runs (id, plugin, version, digest, mode, \"trigger\", actor, started, state, params, \
     sweep_run, follows, undoes, break_glass) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

const INTERRUPT: &str = "UPDATE runs SET finished = max(started, ?1), state = ?2, failure_kind = ?3, \
     failure_message = ?4 WHERE state = ?5 RETURNING seq";

/// Record that a run begins.
pub(super) fn start(db: &Connection, run: &Run) -> Result<(), StoreError> {
    let values = params![
        run.id.as_bytes(),
        run.plugin.as_str(),
        run.version,
        run.digest.as_bytes(),
        run.mode.as_str(),
        run.trigger.as_str(),
        run.actor.0,
        millis(run.started),
        RunState::Running.as_str(),
        run.params,
        run.sweep_run.as_ref().map(|id| id.as_bytes()),
        run.changes.follows.as_ref().map(|id| id.as_bytes()),
        run.changes.undoes.as_ref().map(|id| id.as_bytes()),
        run.changes.break_glass,
    ];
    changes::claim(db, run)?;
    match db.prepare_cached(INSERT)?.execute(values) {
        Err(error) if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_CONSTRAINT_UNIQUE) => {
            return Err(StoreError::DuplicateRun(run.id));
        }
        other => other.map(drop)?,
    }
    let number = db.last_insert_rowid();
    if let Some(lease) = &run.changes.lease {
        leases::begin(db, run.id, lease.until)?;
    }
    match run.mode {
        // It acts on nothing, and there are thousands: its end tells all.
        Mode::Check => Ok(()),
        Mode::Plan | Mode::Apply => link_start(db, run, number),
    }
}

fn link_start(db: &Connection, run: &Run, number: i64) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Started<'a> {
        plugin: &'a str,
        version: &'a str,
        component: String,
        mode: &'static str,
        trigger: &'static str,
        actor: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        follows: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        undoes: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        break_glass: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        held_until: Option<u64>,
        rows: Claims,
    }
    let start = start_hash(run)?.digest().hex();
    let body = Started {
        plugin: run.plugin.as_str(),
        version: &run.version,
        component: run.digest.hex(),
        mode: run.mode.as_str(),
        trigger: run.trigger.as_str(),
        actor: &run.actor.0,
        follows: run.changes.follows.map(|id| id.to_string()),
        undoes: run.changes.undoes.map(|id| id.to_string()),
        break_glass: run.changes.break_glass.as_deref(),
        held_until: run.changes.lease.as_ref().map(|lease| lease.until.as_millis()),
        rows: Claims { number: Some(number), start: Some(start), ..Claims::of_lease(db, number)? },
    };
    chain::append(db, Kind::RunStarted, run.started, Some(&run.id), &body)
}

/// The digest of what a run has from its start, in the order of [`chain::rows::RUN_START`].
pub(super) fn start_hash(run: &Run) -> Result<RowHash, StoreError> {
    RowHash::default().with(params![
        run.id.as_bytes(),
        run.plugin.as_str(),
        run.version,
        run.digest.as_bytes(),
        run.mode.as_str(),
        run.trigger.as_str(),
        run.actor.0,
        millis(run.started),
        run.params,
        run.sweep_run.as_ref().map(|id| id.as_bytes()),
        run.changes.follows.as_ref().map(|id| id.as_bytes()),
        run.changes.undoes.as_ref().map(|id| id.as_bytes()),
        run.changes.break_glass,
    ])
}

/// Give every run that has no end the one of a run whose agent died. Returns how many there were.
pub(super) fn interrupt_all(db: &Connection, now: Timestamp) -> Result<usize, StoreError> {
    let message = "the agent ended while the run was under way";
    let (from, to) = (RunState::Running.as_str(), RunState::Interrupted.as_str());
    let values = params![millis(now), to, FailureKind::Interrupted.as_str(), message, from];
    let mut statement = db.prepare(INTERRUPT)?;
    let interrupted = statement.query_map(values, |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    for run in &interrupted {
        chain::record_interrupted(db, now, *run)?;
    }
    Ok(interrupted.len())
}

/// The run of that id, complete.
pub(super) fn load(db: &Connection, id: RunId) -> Result<Option<Run>, StoreError> {
    let sql = format!(
        "SELECT {SUMMARY_COLUMNS}, params, outcome, sweep_run, follows, undoes, break_glass \
         FROM runs WHERE id = ?1"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut found =
        collect(statement.query([id.as_bytes()])?, "runs", |row| Ok((row.get::<i64>("seq")?, rows::run(row)?)))?;
    let Some((seq, mut run)) = found.pop() else { return Ok(None) };
    run.calls = calls(db, seq)?;
    run.log = log(db, seq)?;
    match run.mode {
        // Has none of these, and is what is looked at most.
        Mode::Check => {}
        Mode::Plan => {
            run.changes.plan = changes::of_run(db, seq)?;
            run.changes.approvals = guards::approvals_of(db, seq)?;
        }
        Mode::Apply => {
            run.changes.made = changes::list(db, seq)?;
            run.changes.lease = leases::of_run(db, id)?;
            run.changes.help = leases::help(db, id)?;
        }
    }
    Ok(Some(run))
}

fn calls(db: &Connection, run: i64) -> Result<Vec<CallRecord>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM calls WHERE run = ?1 ORDER BY sequence")?;
    collect(statement.query([run])?, "calls", rows::call)
}

fn log(db: &Connection, run: i64) -> Result<Vec<LogLine>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM log_lines WHERE run = ?1 ORDER BY n")?;
    collect(statement.query([run])?, "log_lines", rows::log_line)
}

/// The runs that `filter` wants, the newest first.
pub(super) fn list(db: &Connection, filter: &RunFilter, page: Page) -> Result<RunPage, StoreError> {
    let limit = usize::try_from(page.limit()).unwrap_or(usize::MAX);
    let (sql, values) = list_query(filter, page);
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = collect(statement.query(params_from_iter(values))?, "runs", |row| {
        let summary = rows::summary(row)?;
        Ok((Cursor { started: millis(summary.started), seq: row.get("seq")? }, summary))
    })?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = if more { found.last().map(|(cursor, _)| *cursor) } else { None };
    Ok(RunPage { runs: found.into_iter().map(|(_, summary): (_, RunSummary)| summary).collect(), next })
}

/// One more row than the page holds is asked for, to know whether another page follows.
fn list_query(filter: &RunFilter, page: Page) -> (String, Vec<Value>) {
    let text = |text: &str| Value::Text(text.to_owned());
    let time = |time: Timestamp| Value::Integer(millis(time));
    let conditions = [
        ("plugin = ?", filter.plugin.as_ref().map(|plugin| vec![text(plugin.as_str())])),
        ("state = ?", filter.state.map(|state| vec![text(state.as_str())])),
        ("actor = ?", filter.actor.as_ref().map(|actor| vec![text(&actor.0)])),
        ("started >= ?", filter.since.map(|since| vec![time(since)])),
        ("started < ?", filter.until.map(|until| vec![time(until)])),
        ("(started, seq) < (?, ?)", page.after().map(|mark| vec![mark.started.into(), mark.seq.into()])),
    ];
    let wanted: Vec<_> = conditions.into_iter().filter_map(|(sql, values)| Some((sql, values?))).collect();
    let sql: Vec<_> = wanted.iter().map(|(sql, _)| *sql).collect();
    let sql = if sql.is_empty() { String::new() } else { format!(" WHERE {}", sql.join(" AND ")) };
    let mut values: Vec<_> = wanted.into_iter().flat_map(|(_, values)| values).collect();
    values.push(Value::Integer(i64::from(page.limit()) + 1));
    (format!("SELECT {SUMMARY_COLUMNS} FROM runs{sql} ORDER BY started DESC, seq DESC LIMIT ?"), values)
}

/// How the database goes about a list, one line for each step.
#[cfg(test)]
pub(super) fn explain(db: &Connection, filter: &RunFilter, page: Page) -> Result<Vec<String>, StoreError> {
    let (sql, values) = list_query(filter, page);
    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let steps = statement.query_map(params_from_iter(values), |row| row.get("detail"))?;
    Ok(steps.collect::<rusqlite::Result<_>>()?)
}
