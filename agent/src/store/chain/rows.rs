//! Digests of rows, and what links claim about them.
//!
//! A digest is taken over the values of columns in a fixed order, each with its type and length before it, so that no two
//! different rows are the same bytes. What is known before it is written is digested by whoever asks and not by the
//! thread that writes; read back from the file it comes to the same.
//!
//! The lists below are those of the format in which the chain began, because that is what a file from before is read with. A
//! column that a later format adds needs a list of its own, and links that say which one they mean.
//!
//! Numbers of runs (`runs.seq`, and `run` in the other tables) are not digested: they are given out by the file. A link names the
//! number of its run instead.

use std::collections::BTreeMap;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql};
use serde::{Deserialize, Serialize};

use crate::domain::{Digest, Digesting, FreezeId, PluginName};
use crate::store::StoreError;

/// Columns that a run has from its start, in the order of their digest.
pub(in crate::store) const RUN_START: &str = "id, plugin, version, digest, mode, \"trigger\", actor, started, params, sweep_run, follows, undoes, \
     break_glass";

/// Columns that its end adds, and those that comparing it afterwards does.
pub(in crate::store) const RUN_END: &str = "finished, state, failure_kind, failure_message, summary, outcome, duration_ns, \
     memory_bytes, calls, answer_bytes, dropped_log_lines, helped, checked_before, checked_after";

pub(in crate::store) const CALL: &str =
    "sequence, operation, target, decision, started, duration_ns, answer_bytes, answer_digest, error, arguments";

pub(in crate::store) const LOG_LINE: &str = "n, time, level, source, message, fields";

pub(in crate::store) const PLAN: &str = "digest, expires, applied_by, targets, body";

pub(in crate::store) const CHANGE: &str = "position, sequence, plugin, operation, target, objects, intended, settled, \
     fate, detail, undone_by, planned, done";

pub(in crate::store) const RECORDING: &str = "size, bytes";

pub(in crate::store) const LEASE: &str = "until, state, detail, ended_by";

pub(in crate::store) const APPROVAL: &str = "actor, digest, time";

pub(in crate::store) const FREEZE: &str = "id, target, plugin, reason, creator, created, expires, lifted, lifted_by";

pub(in crate::store) const BREAKER: &str = "plugin, closed, closed_by";

/// Calls whose beginnings of digests are kept one by one, to name the one that was changed.
const MARKED: usize = 64;

/// Digits of such a beginning. What is safe rests on the whole digest.
const MARK: usize = 8;

/// The digest of a row while its values come.
#[derive(Clone, Default)]
pub(in crate::store) struct RowHash(Digesting);

impl RowHash {
    /// The values of a row before it is written.
    pub(in crate::store) fn with(mut self, values: &[&dyn ToSql]) -> Result<Self, StoreError> {
        for value in values {
            match value.to_sql()? {
                ToSqlOutput::Borrowed(value) => self.value(value),
                ToSqlOutput::Owned(value) => self.value(ValueRef::from(&value)),
                _ => return Err(StoreError::Invalid("a value that is no value of a column".to_owned())),
            }
        }
        Ok(self)
    }

    pub(super) fn row(mut self, row: &Row<'_>) -> Result<Self, StoreError> {
        for n in 0..row.as_ref().column_count() {
            self.value(row.get_ref(n)?);
        }
        Ok(self)
    }

    fn value(&mut self, value: ValueRef<'_>) {
        let (kind, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => return self.bytes(1, &number.to_le_bytes()),
            ValueRef::Real(number) => return self.bytes(2, &number.to_le_bytes()),
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        self.bytes(kind, bytes);
    }

    fn bytes(&mut self, kind: u8, bytes: &[u8]) {
        self.0.update(&[kind]);
        self.0.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.0.update(bytes);
    }

    /// The digest.
    pub(in crate::store) fn digest(self) -> Digest {
        self.0.digest()
    }
}

/// What a link claims about several rows in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct Series {
    pub(super) count: u64,
    pub(super) digest: String,
    /// The beginnings of the single digests, one after the other; empty where there are too many.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) marks: String,
}

/// Such a claim while the rows come.
#[derive(Default)]
pub(in crate::store) struct SeriesHash {
    count: u64,
    whole: Digesting,
    marks: Option<String>,
}

impl SeriesHash {
    /// Of calls, which can be named one by one.
    pub(in crate::store) fn marked() -> Self {
        Self { marks: Some(String::new()), ..Self::default() }
    }

    /// The next row.
    pub(in crate::store) fn push(&mut self, row: RowHash) {
        let digest = row.digest();
        self.count += 1;
        self.whole.update(digest.as_bytes());
        if self.count > MARKED as u64 {
            self.marks = None;
        }
        if let Some(marks) = &mut self.marks {
            marks.extend(digest.hex().chars().take(MARK));
        }
    }

    /// The claim; none about no rows.
    pub(in crate::store) fn claim(self) -> Option<Series> {
        let digest = || self.whole.digest().hex();
        let marks = self.marks.unwrap_or_default();
        (self.count > 0).then(|| Series { count: self.count, digest: digest(), marks })
    }
}

impl Series {
    /// Which of the rows is another one than that of `other`, from 1, as far as it can be told.
    pub(super) fn first_other(&self, other: &Self) -> Option<usize> {
        let mark = |series: &Self, n: usize| series.marks.get(n * MARK..(n + 1) * MARK).map(str::to_owned);
        (0..MARKED).find(|n| mark(self, *n) != mark(other, *n)).map(|n| n + 1)
    }
}

/// What a link claims about the rows of its run. A later link's claim about the same row replaces an earlier one's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct Claims {
    /// The number of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) number: Option<i64>,
    /// Digest of what the run has from its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) start: Option<String>,
    /// Digest of all of its row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) run: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) calls: Option<Series>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) log: Option<Series>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) recording: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) plan: Option<String>,
    /// By their places.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::store) changes: BTreeMap<u32, String>,
    /// The time for which the changes of the run are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) lease: Option<String>,
    /// Who approved the plan of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) approvals: Option<Series>,
    /// The lease before it was extended or settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) was_lease: Option<String>,
    /// The approvals before there was one more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) was_approvals: Option<Series>,
    /// The row of the run before it was completed once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) was_run: Option<String>,
    /// The plan before it was completed: what somebody changed in between does not become right by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) was_plan: Option<String>,
    /// Changes before they were completed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::store) was_changes: BTreeMap<u32, String>,
}

impl Claims {
    /// About a change that is about to be recorded with these values, which are those of [`CHANGE`].
    pub(in crate::store) fn of_new_change(position: u32, values: &[&dyn ToSql]) -> Result<Self, StoreError> {
        let digest = RowHash::default().with(values)?.digest().hex();
        Ok(Self { changes: BTreeMap::from([(position, digest)]), ..Self::default() })
    }

    /// About a change whose row is about to be completed with `written`, columns by their names: what it was and what it will be.
    /// The row is read once: of a strict table it is known what it holds after that. None where there is no such change.
    pub(in crate::store) fn of_completed_change(
        db: &Connection,
        run: i64,
        position: u32,
        written: &[(&str, &dyn ToSql)],
    ) -> Result<Option<Self>, StoreError> {
        let mut statement =
            db.prepare_cached(&format!("SELECT {CHANGE} FROM changes WHERE run = ?1 AND position = ?2"))?;
        let mut rows = statement.query((run, position))?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (mut was, mut is) = (RowHash::default(), RowHash::default());
        for (n, column) in CHANGE.split(", ").enumerate() {
            let value = row.get_ref(n)?;
            was.value(value);
            match written.iter().find(|(name, _)| *name == column) {
                Some((_, written)) => is = is.with(&[*written])?,
                None => is.value(value),
            }
        }
        let at = |hash: RowHash| BTreeMap::from([(position, hash.digest().hex())]);
        Ok(Some(Self { changes: at(is), was_changes: at(was), ..Self::default() }))
    }

    /// About the row of a run that is over; nothing for one that is not.
    pub(in crate::store) fn of_run(db: &Connection, run: i64) -> Result<Self, StoreError> {
        let sql = format!("SELECT {RUN_START}, {RUN_END} FROM runs WHERE seq = ?1 AND finished IS NOT NULL");
        Ok(Self { run: digest(db, &sql, [run])?, ..Self::default() })
    }

    /// About the lease of a run.
    pub(in crate::store) fn of_lease(db: &Connection, run: i64) -> Result<Self, StoreError> {
        Ok(Self { lease: lease(db, run)?, ..Self::default() })
    }

    /// About the approvals of the plan of a run.
    pub(in crate::store) fn of_approvals(db: &Connection, run: i64) -> Result<Self, StoreError> {
        Ok(Self { approvals: approvals(db, run)?, ..Self::default() })
    }

    /// About the plan of a run.
    pub(in crate::store) fn of_plan(db: &Connection, run: i64) -> Result<Self, StoreError> {
        Ok(Self { plan: plan(db, run)?, ..Self::default() })
    }

    /// What holds after a later link, or what that contradicts: it was another row that the agent completed.
    pub(super) fn and_then(&mut self, later: Self) -> Result<(), String> {
        let Self {
            number,
            start,
            run,
            calls,
            log,
            recording,
            plan,
            changes,
            was_run,
            was_plan,
            was_changes,
            lease,
            approvals,
            was_lease,
            was_approvals,
        } = later;
        if run.is_some() && was_run.is_none() && self.run.is_some() {
            return Err("it was ended a second time, so its end had been removed".to_owned());
        }
        if is_other(&self.number, &number) || is_other(&self.start, &start) {
            return Err("it was not as it was recorded when its end was".to_owned());
        }
        if was_run.is_some() && was_run != self.run {
            return Err("it was not as it was recorded when it was compared".to_owned());
        }
        if was_plan.is_some() && was_plan != self.plan {
            return Err("its plan was not as it was recorded when it was taken".to_owned());
        }
        if was_lease.is_some() && was_lease != self.lease {
            return Err("its lease was not as it was recorded when it was extended or settled".to_owned());
        }
        if approvals.is_some() && was_approvals != self.approvals {
            return Err("its approvals were not as they were recorded when another came".to_owned());
        }
        if let Some((position, _)) = was_changes.iter().find(|(position, was)| self.changes.get(position) != Some(was))
        {
            return Err(format!("the change {position} was not as it was recorded when it was completed"));
        }
        if run.is_some() && was_run.is_none() {
            // The end tells all of these, or that there are none.
            (self.calls, self.log, self.recording) = (calls, log, recording);
        }
        self.number = self.number.or(number);
        self.start = self.start.take().or(start);
        self.run = run.or(self.run.take());
        self.plan = plan.or(self.plan.take());
        self.lease = lease.or(self.lease.take());
        self.approvals = approvals.or(self.approvals.take());
        self.changes.extend(changes);
        Ok(())
    }
}

/// The digest of a freeze.
pub(in crate::store) fn freeze(db: &Connection, id: FreezeId) -> Result<Option<String>, StoreError> {
    digest(db, &format!("SELECT {FREEZE} FROM freezes WHERE id = ?1"), [id.as_bytes()])
}

/// The digest of when somebody closed the breaker of a plugin.
pub(in crate::store) fn breaker(db: &Connection, plugin: &PluginName) -> Result<Option<String>, StoreError> {
    digest(db, &format!("SELECT {BREAKER} FROM breakers WHERE plugin = ?1"), [plugin.as_str()])
}

fn is_other<T: PartialEq>(before: &Option<T>, later: &Option<T>) -> bool {
    matches!((before, later), (Some(before), Some(later)) if before != later)
}

/// What there is to claim about a run as its rows are now.
pub(super) fn of_run(db: &Connection, run: i64) -> Result<Claims, StoreError> {
    let recording = digest(db, &format!("SELECT {RECORDING} FROM recordings WHERE run = ?1"), [run])?;
    Ok(Claims { recording, ..of_run_without_recording(db, run)? })
}

/// The same about a run that can have no recording: one from before there were any, whose table may not be there yet, or one
/// that was interrupted.
pub(super) fn of_run_without_recording(db: &Connection, run: i64) -> Result<Claims, StoreError> {
    let is_over: bool = db
        .prepare_cached("SELECT finished IS NOT NULL OR state != 'running' FROM runs WHERE seq = ?1")?
        .query_row([run], |row| row.get(0))?;
    let start = digest(db, &format!("SELECT {RUN_START} FROM runs WHERE seq = ?1"), [run])?;
    let whole = digest(db, &format!("SELECT {RUN_START}, {RUN_END} FROM runs WHERE seq = ?1"), [run])?;
    Ok(Claims {
        number: Some(run),
        start,
        run: whole.filter(|_| is_over),
        calls: series(
            db,
            &format!("SELECT {CALL} FROM calls WHERE run = ?1 ORDER BY sequence"),
            run,
            SeriesHash::marked(),
        )?,
        log: series(
            db,
            &format!("SELECT {LOG_LINE} FROM log_lines WHERE run = ?1 ORDER BY n"),
            run,
            SeriesHash::default(),
        )?,
        plan: plan(db, run)?,
        changes: changes(db, run)?,
        lease: lease(db, run)?,
        approvals: approvals(db, run)?,
        ..Claims::default()
    })
}

fn lease(db: &Connection, run: i64) -> Result<Option<String>, StoreError> {
    digest(db, &format!("SELECT {LEASE} FROM leases WHERE run = ?1"), [run])
}

fn approvals(db: &Connection, run: i64) -> Result<Option<Series>, StoreError> {
    let sql = format!("SELECT {APPROVAL} FROM approvals WHERE plan = ?1 ORDER BY time, actor");
    series(db, &sql, run, SeriesHash::default())
}

fn plan(db: &Connection, run: i64) -> Result<Option<String>, StoreError> {
    digest(db, &format!("SELECT {PLAN} FROM plans WHERE run = ?1"), [run])
}

fn changes(db: &Connection, run: i64) -> Result<BTreeMap<u32, String>, StoreError> {
    let mut statement = db.prepare_cached(&format!("SELECT {CHANGE} FROM changes WHERE run = ?1"))?;
    let mut rows = statement.query([run])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        // A place that no change can have is none that a link knows.
        found.insert(u32::try_from(position).unwrap_or(u32::MAX), RowHash::default().row(row)?.digest().hex());
    }
    Ok(found)
}

fn series(db: &Connection, sql: &str, run: i64, mut hash: SeriesHash) -> Result<Option<Series>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([run])?;
    while let Some(row) = rows.next()? {
        hash.push(RowHash::default().row(row)?);
    }
    Ok(hash.claim())
}

fn digest(db: &Connection, sql: &str, values: impl Params) -> Result<Option<String>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let hash = statement.query_row(values, |row| Ok(RowHash::default().row(row))).optional()?;
    Ok(hash.transpose()?.map(|hash| hash.digest().hex()))
}
