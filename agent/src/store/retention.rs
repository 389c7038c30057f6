//! Removing the oldest finished runs, a little at a time.
//!
//! Every step is a write like any other: it waits in the same queue and shares a transaction with what stands next to
//! it. A step removes few rows, so that a run that begins meanwhile waits a few milliseconds at most.

use rusqlite::{Connection, params};
use serde_json::json;

use super::chain::{self, Kind};
use super::columns::millis;
use super::{StoreError, changes, components, recordings};
use crate::domain::Timestamp;

/// Rows after which a step is long enough. A single run can have more, and is removed whole.
const STEP_ROWS: usize = 1_000;

/// Runs that a step looks at.
const STEP_RUNS: i64 = 100;

/// Pages that are given back to the file system at once.
const STEP_PAGES: u32 = 256;

/// What still has to be given back stays.
const OLDEST_BEFORE: &str = "SELECT seq, started FROM runs WHERE finished IS NOT NULL AND started < ?1 \
     AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.run = runs.seq AND leases.state <> 'ended') \
     ORDER BY started, seq LIMIT ?2";

/// Which runs go.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Those that started before.
    StartedBefore(Timestamp),
    /// The oldest, while the file holds more bytes than this.
    Above(u64),
}

/// Remove some of the runs that `rule` names. Returns how many; none means that the rule holds.
pub(super) fn step(db: &Connection, rule: Rule, now: Timestamp) -> Result<u64, StoreError> {
    let before = match rule {
        Rule::StartedBefore(time) => millis(time),
        Rule::Above(_) => i64::MAX,
    };
    let (mut runs, mut rows, mut newest) = (Vec::new(), 0, 0);
    for (run, started) in oldest_before(db, before)? {
        if rows >= STEP_ROWS || !wants_more(db, rule)? {
            break;
        }
        rows += remove(db, run)?;
        runs.push(run);
        newest = started;
    }
    if !runs.is_empty() {
        link(db, now, &runs, newest)?;
    }
    Ok(u64::try_from(runs.len()).unwrap_or(u64::MAX))
}

/// Tell what is missing from now on, and that it was we who removed it.
fn link(db: &Connection, now: Timestamp, runs: &[i64], newest: i64) -> Result<(), StoreError> {
    let body = json!({ "runs": runs.len(), "started_until": newest, "numbers": ranges(runs) });
    chain::append(db, Kind::RunsRemoved, now, None, &body)
}

/// Numbers as first and last of those that follow each other. Runs mostly go in the order in which they came.
fn ranges(numbers: &[i64]) -> Vec<(i64, i64)> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for number in sorted {
        match ranges.last_mut() {
            Some((_, last)) if number.checked_sub(1) == Some(*last) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

fn wants_more(db: &Connection, rule: Rule) -> Result<bool, StoreError> {
    match rule {
        Rule::StartedBefore(_) => Ok(true),
        // Components are bounded by rules of their own; they must not push the runs out.
        Rule::Above(bytes) => Ok(live_bytes(db)?.saturating_sub(components::total_bytes(db)?) > bytes),
    }
}

/// Numbers of runs, and when they started.
fn oldest_before(db: &Connection, before: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut statement = db.prepare_cached(OLDEST_BEFORE)?;
    let runs = statement.query_map(params![before, STEP_RUNS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(runs.collect::<rusqlite::Result<_>>()?)
}

/// Remove one run with all that belongs to it. Returns how many rows those were.
fn remove(db: &Connection, run: i64) -> Result<usize, StoreError> {
    let lines = db.prepare_cached("DELETE FROM log_lines WHERE run = ?1")?.execute([run])?;
    let calls = db.prepare_cached("DELETE FROM calls WHERE run = ?1")?.execute([run])?;
    let changes = changes::remove(db, run)?;
    let recordings = recordings::remove(db, run)?;
    let runs = db.prepare_cached("DELETE FROM runs WHERE seq = ?1")?.execute([run])?;
    Ok(lines + calls + changes + recordings + runs)
}

/// Give some free pages at the file's end back. Returns how many are left.
pub(super) fn shrink(db: &Connection) -> Result<u64, StoreError> {
    let mut statement = db.prepare_cached(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    let mut rows = statement.query([])?;
    // It gives back one page for each row that is asked for.
    while rows.next()?.is_some() {}
    drop(rows);
    pragma(db, "freelist_count")
}

/// Steps that [`shrink`] needs at most for that many pages.
pub(super) fn shrink_steps(pages: u64) -> u64 {
    pages.div_ceil(u64::from(STEP_PAGES))
}

/// Pages that hold nothing.
pub(super) fn free_pages(db: &Connection) -> Result<u64, StoreError> {
    pragma(db, "freelist_count")
}

/// Bytes of the file that hold something.
fn live_bytes(db: &Connection) -> Result<u64, StoreError> {
    let pages = pragma(db, "page_count")?.saturating_sub(free_pages(db)?);
    Ok(pages.saturating_mul(pragma(db, "page_size")?))
}

/// Bytes that the file will have when the write-ahead log is copied into it.
pub(super) fn file_bytes(db: &Connection) -> Result<u64, StoreError> {
    Ok(pragma(db, "page_count")?.saturating_mul(pragma(db, "page_size")?))
}

fn pragma(db: &Connection, name: &str) -> Result<u64, StoreError> {
    let number: i64 = db.prepare_cached(&format!("PRAGMA {name}"))?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or(0))
}
