//! The SQL about leases, and about whether an apply helped.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::chain::rows::Claims;
use super::chain::{self, Kind};
use super::columns::{Columns, collect, millis};
use super::{SqliteStore, StoreError, changes, lent};
use crate::domain::{Help, Helped, Lease, LeaseState, Run, RunId, Timestamp};

const SELECT: &str = "SELECT leases.*, runs.id AS id FROM leases JOIN runs ON runs.seq = leases.run";

/// Where leases are kept.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// The leases that hold something or are stuck, those that end first at the beginning.
    async fn leases(&self) -> Result<Vec<Lease>, StoreError>;

    /// The lease of that run.
    async fn lease(&self, run: RunId) -> Result<Option<Lease>, StoreError>;

    /// Let a lease that is held or stuck end at another time. Tells whether there was one.
    async fn extend_lease(&self, run: RunId, until: Timestamp) -> Result<bool, StoreError>;

    /// Record how a lease that was held ended, or why it did not.
    async fn settle_lease(
        &self,
        run: RunId,
        state: LeaseState,
        detail: Option<String>,
        ended_by: Option<RunId>,
    ) -> Result<(), StoreError>;

    /// Record whether an apply helped.
    async fn record_help(&self, run: RunId, help: Help) -> Result<(), StoreError>;

    /// Record a run of another replica with its changes, which are given back here at `until`. One that is recorded already stays
    /// as it is.
    async fn adopt_lent(&self, run: Run, until: Timestamp) -> Result<(), StoreError>;

    /// Record that another replica gave the changes of a run back, by its run `undo` if it says so, in the words of `detail`.
    async fn returned_elsewhere(&self, run: RunId, undo: Option<RunId>, detail: String) -> Result<(), StoreError>;
}

#[async_trait]
impl LeaseStore for SqliteStore {
    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.readers
            .read(|db| {
                let sql =
                    format!("{SELECT} WHERE leases.state IN ('held', 'stuck') ORDER BY until, leases.run LIMIT 1000");
                let mut statement = db.prepare_cached(&sql)?;
                collect(statement.query([])?, "leases", lease)
            })
            .await
    }

    async fn lease(&self, run: RunId) -> Result<Option<Lease>, StoreError> {
        self.readers.read(move |db| of_run(db, run)).await
    }

    async fn extend_lease(&self, run: RunId, until: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE leases SET until = ?2, state = 'held', detail = NULL \
             WHERE run = (SELECT seq FROM runs WHERE id = ?1) AND state IN ('held', 'stuck')";
        let clock = self.clock.clone();
        let extend = move |db: &Connection| {
            let Some(number) = changes::number_of(db, &run)? else { return Ok(false) };
            let was_lease = Claims::of_lease(db, number)?.lease;
            if db.prepare_cached(sql)?.execute(params![run.as_bytes(), millis(until)])? == 0 {
                return Ok(false);
            }
            let rows = Claims { was_lease, ..Claims::of_lease(db, number)? };
            let body = json!({ "until": until.as_millis(), "rows": rows });
            chain::append(db, Kind::LeaseExtended, clock.now(), Some(&run), &body)?;
            Ok(true)
        };
        self.writer.write(extend).await
    }

    async fn settle_lease(
        &self,
        run: RunId,
        state: LeaseState,
        detail: Option<String>,
        ended_by: Option<RunId>,
    ) -> Result<(), StoreError> {
        let clock = self.clock.clone();
        let settle = move |db: &Connection| settle(db, clock.now(), run, (state, detail.as_deref(), ended_by));
        self.writer.write_patiently(settle).await
    }

    async fn record_help(&self, run: RunId, help: Help) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET helped = ?2, checked_before = ?3, checked_after = ?4 WHERE id = ?1";
        let clock = self.clock.clone();
        let record = move |db: &Connection| {
            let Some(number) = changes::number_of(db, &run)? else { return Ok(()) };
            let was_run = Claims::of_run(db, number)?.run;
            let after = help.after.as_ref().map(|id| id.as_bytes());
            let values = params![run.as_bytes(), help.verdict.as_str(), help.before.as_bytes(), after];
            db.prepare_cached(sql)?.execute(values)?;
            let rows = Claims { was_run, ..Claims::of_run(db, number)? };
            let body = json!({
                "verdict": help.verdict.as_str(),
                "before": help.before.to_string(),
                "after": help.after.map(|id| id.to_string()),
                "rows": rows,
            });
            chain::append(db, Kind::RunCompared, clock.now(), Some(&run), &body)
        };
        self.writer.write_patiently(record).await
    }

    async fn adopt_lent(&self, run: Run, until: Timestamp) -> Result<(), StoreError> {
        let (clock, lent) = (self.clock.clone(), lent::Lent::of(run, until, self.clock.now())?);
        self.writer.write(move |db| lent.record(db, clock.now())).await
    }

    async fn returned_elsewhere(&self, run: RunId, undo: Option<RunId>, detail: String) -> Result<(), StoreError> {
        let clock = self.clock.clone();
        self.writer
            .write_patiently(move |db| {
                let now = clock.now();
                if let Some(undo) = &undo {
                    lent::returned(db, run, undo, now)?;
                }
                settle(db, now, run, (LeaseState::Ended, Some(&detail), undo))
            })
            .await
    }
}

fn settle(
    db: &Connection,
    now: Timestamp,
    run: RunId,
    (state, detail, ended_by): (LeaseState, Option<&str>, Option<RunId>),
) -> Result<(), StoreError> {
    let sql = "UPDATE leases SET state = ?2, detail = ?3, ended_by = ?4 \
         WHERE run = (SELECT seq FROM runs WHERE id = ?1) AND state <> 'ended'";
    let by = ended_by.as_ref().map(|id| id.as_bytes());
    let Some(number) = changes::number_of(db, &run)? else { return Ok(()) };
    let was_lease = Claims::of_lease(db, number)?.lease;
    if db.prepare_cached(sql)?.execute(params![run.as_bytes(), state.as_str(), detail, by])? == 0 {
        return Ok(());
    }
    let by = ended_by.map(|id| id.to_string());
    let rows = Claims { was_lease, ..Claims::of_lease(db, number)? };
    let body = json!({ "state": state.as_str(), "detail": detail, "by": by, "rows": rows });
    chain::append(db, Kind::LeaseSettled, now, Some(&run), &body)
}

/// Record the lease with which a run begins.
pub(super) fn begin(db: &Connection, run: RunId, until: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO leases (run, until, state) VALUES ((SELECT seq FROM runs WHERE id = ?1), ?2, 'held')";
    db.prepare_cached(sql)?.execute(params![run.as_bytes(), millis(until)])?;
    Ok(())
}

/// The lease of a run, if it has one.
pub(super) fn of_run(db: &Connection, run: RunId) -> Result<Option<Lease>, StoreError> {
    let mut statement = db.prepare_cached(&format!("{SELECT} WHERE runs.id = ?1"))?;
    Ok(collect(statement.query([run.as_bytes()])?, "leases", lease)?.pop())
}

/// Whether the run helped, if that was compared.
pub(super) fn help(db: &Connection, run: RunId) -> Result<Option<Help>, StoreError> {
    let sql = "SELECT helped, checked_before, checked_after FROM runs WHERE id = ?1 AND helped IS NOT NULL";
    let found: Option<(String, [u8; 16], Option<[u8; 16]>)> = db
        .prepare_cached(sql)?
        .query_row([run.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((word, before, after)) = found else { return Ok(None) };
    let verdict = Helped::ALL.into_iter().find(|verdict| verdict.as_str() == word);
    let after = after.and_then(|id| RunId::from_slice(&id));
    Ok(verdict.zip(RunId::from_slice(&before)).map(|(verdict, before)| Help { verdict, before, after }))
}

/// Forget the lease of a run.
pub(super) fn remove(db: &Connection, run: i64) -> Result<usize, StoreError> {
    Ok(db.prepare_cached("DELETE FROM leases WHERE run = ?1")?.execute([run])?)
}

fn lease(row: &Columns<'_>) -> Result<Lease, StoreError> {
    Ok(Lease {
        run: row.run_id("id")?,
        until: row.time("until")?,
        state: row.label("state", |label| LeaseState::ALL.into_iter().find(|state| state.as_str() == label))?,
        detail: row.get("detail")?,
        ended_by: row.optional_run_id("ended_by")?,
    })
}
