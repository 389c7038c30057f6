//! The SQL about plans, and about the changes that runs made.
//!
//! A change is recorded twice: as an intent before it is done, together with what an hour allows, and with what became of it
//! afterwards. One whose agent died in between keeps its intent alone, and is `unknown` when the store is opened again.

pub(super) mod hour;
pub(super) mod json;

use async_trait::async_trait;
use rusqlite::types::Null;
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use serde::Serialize;
use serde_json::json;

use super::chain::rows::Claims;
use super::chain::{self, Kind};
use super::columns::{Columns, behind, collect, integer, millis};
use super::{Bounds, SqliteStore, StoreError, guards, leases};
use crate::domain::{ChangeRecord, Digest, Fate, Plan, PlannedChange, PluginName, Run, RunId, Timestamp};

/// The values behind the run are those of a digest, in their order.
const INSERT: &str = "INSERT INTO changes (run, position, sequence, plugin, operation, target, objects, intended, settled, \
     fate, detail, undone_by, planned, done) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

const SETTLE: &str = "UPDATE changes SET settled = ?3, fate = ?4, detail = ?5, done = ?6, objects = ifnull(?7, objects) \
     WHERE run = ?1 AND position = ?2 AND (fate IS NULL OR fate = 'unknown')";

const GIVEN_BACK: &str = "UPDATE changes SET undone_by = ?3 WHERE run = ?1 AND position = ?2 AND undone_by IS NOT ?3";

const GIVE_UP: &str = "UPDATE changes SET settled = ?3, fate = ?4, detail = ?5 WHERE run = ?1 AND position = ?2";

/// A plan with its digest, and with the run that applies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPlan {
    /// The plan.
    pub plan: Plan,
    /// Its digest.
    pub digest: Digest,
    /// The run that applies it, if one does or did.
    pub applied_by: Option<RunId>,
}

/// A change that is about to be done, or was passed over.
#[derive(Clone, Debug)]
pub struct NewChange {
    /// The run.
    pub run: RunId,
    /// Its plugin.
    pub plugin: PluginName,
    /// Its place among the changes of the run, from 1.
    pub position: u32,
    /// The call of the run that asked for it.
    pub sequence: u32,
    /// What the plan says of it.
    pub planned: PlannedChange,
}

/// Where plans and changes are kept.
#[async_trait]
pub trait ChangeStore: Send + Sync + 'static {
    /// The plan that the run of that id made. Fails with `DamagedPlan` when it is not as it was recorded.
    async fn plan(&self, run: RunId) -> Result<Option<KeptPlan>, StoreError>;

    /// Record that a change is about to be done, unless `bounds` forbid it. Fails with `Frozen` while a freeze stands against
    /// it, with `HourSpent` when all changes of the plugin with that operation on that target would touch more than an hour
    /// allows, and with `BudgetSpent` when those of all plugins would.
    async fn intend(&self, change: NewChange, bounds: Bounds) -> Result<(), StoreError>;

    /// Record a change that was asked for and not begun.
    async fn pass_over(&self, change: NewChange, fate: Fate) -> Result<(), StoreError>;

    /// Record what became of a change. Only what is under way or unknown can be settled. `gives_back` is the change, by run
    /// and place, that is given back with it when it was applied.
    async fn settle(
        &self,
        run: RunId,
        position: u32,
        fate: Fate,
        gives_back: Option<(RunId, u32)>,
    ) -> Result<(), StoreError>;

    /// The changes of which nobody knows what became of them, the oldest first.
    async fn unknown_changes(&self) -> Result<Vec<(RunId, ChangeRecord)>, StoreError>;
}

#[async_trait]
impl ChangeStore for SqliteStore {
    async fn plan(&self, run: RunId) -> Result<Option<KeptPlan>, StoreError> {
        self.readers.read(move |db| plan(db, run)).await
    }

    async fn intend(&self, change: NewChange, bounds: Bounds) -> Result<(), StoreError> {
        let planned = planned_json(&change.planned)?;
        let clock = self.clock.clone();
        self.writer
            .write(move |db| {
                let now = clock.now();
                guards::judge(db, &change, &bounds, now)?;
                refuse_past_the_hour(db, &change, bounds.per_hour, now)?;
                insert(db, &change, &planned, None, now)
            })
            .await
    }

    async fn pass_over(&self, change: NewChange, fate: Fate) -> Result<(), StoreError> {
        let planned = planned_json(&change.planned)?;
        let clock = self.clock.clone();
        self.writer.write(move |db| insert(db, &change, &planned, Some(&fate), clock.now())).await
    }

    async fn settle(
        &self,
        run: RunId,
        position: u32,
        fate: Fate,
        gives_back: Option<(RunId, u32)>,
    ) -> Result<(), StoreError> {
        let clock = self.clock.clone();
        let settlement = Settlement::of(run, position, fate, gives_back)?;
        self.writer.write_patiently(move |db| settlement.record(db, clock.now())).await
    }

    async fn unknown_changes(&self) -> Result<Vec<(RunId, ChangeRecord)>, StoreError> {
        self.readers.read(unknown).await
    }
}

/// The digest of a plan, over its canonical form.
pub fn plan_digest(plan: &Plan) -> Digest {
    Digest::of(canonical(plan).as_bytes())
}

fn canonical(plan: &Plan) -> String {
    // A plan is plain data with names for keys, which always has a form in JSON.
    crate::canonical::to_string(&json::Plan::from(plan)).unwrap_or_default()
}

/// The plan that a run made, ready to be recorded with its end.
pub(super) struct NewPlan {
    digest: Digest,
    expires: Timestamp,
    targets: String,
    body: String,
}

impl NewPlan {
    pub(super) fn of(plan: &Plan) -> Self {
        let body = canonical(plan);
        let targets = guards::written(&plan.targets());
        Self { digest: Digest::of(body.as_bytes()), expires: plan.expires, targets, body }
    }

    pub(super) fn record(&self, db: &Connection, run: i64, id: &RunId, now: Timestamp) -> Result<(), StoreError> {
        let insert = "INSERT INTO plans (run, digest, expires, targets, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![run, self.digest.as_bytes(), millis(self.expires), self.targets, self.body];
        db.prepare_cached(insert)?.execute(values)?;
        let (digest, expires) = (self.digest.hex(), self.expires.as_millis());
        let body = json!({ "digest": digest, "expires": expires, "rows": Claims::of_plan(db, run)? });
        chain::append(db, Kind::PlanMade, now, Some(id), &body)
    }
}

/// What became of a change, ready to be recorded.
pub(super) struct Settlement {
    run: RunId,
    position: u32,
    fate: Fate,
    /// As JSON, and how many things it touched.
    done: Option<(String, i64)>,
    gives_back: Option<(RunId, u32)>,
}

impl Settlement {
    pub(super) fn of(
        run: RunId,
        position: u32,
        fate: Fate,
        gives_back: Option<(RunId, u32)>,
    ) -> Result<Self, StoreError> {
        let done = match &fate {
            Fate::Applied(done) => Some((json(&json::Done::from(done))?, integer(done.objects))),
            Fate::Unchanged | Fate::Conflict(_) | Fate::Failed(_) | Fate::Unknown(_) => None,
        };
        Ok(Self { run, position, fate, done, gives_back })
    }

    pub(super) fn record(&self, db: &Connection, now: Timestamp) -> Result<(), StoreError> {
        let Self { run, position, fate, done, gives_back } = self;
        let Some(number) = number_of(db, run)? else { return Ok(()) };
        let (text, objects) = done.as_ref().map_or((None, None), |(text, objects)| (Some(text), Some(*objects)));
        if let Some(objects) = objects {
            hour::correct(db, number, *position, objects)?;
        }
        let (settled, word, detail) = (millis(now), fate.as_str(), detail(fate));
        let mut written: Vec<(&str, &dyn ToSql)> =
            vec![("settled", &settled), ("fate", &word), ("detail", &detail), ("done", &text)];
        if let Some(objects) = &objects {
            written.push(("objects", objects));
        }
        let values = params![number, position, settled, word, detail, text, objects];
        let place = Place { run, number, position: *position };
        place.update(
            db,
            &written,
            |db| Ok(db.prepare_cached(SETTLE)?.execute(values)? > 0),
            |rows| link_settled(db, now, &place, fate, &rows),
        )?;
        if let (Fate::Applied(_) | Fate::Unchanged, Some((undone, position))) = (fate, gives_back) {
            give_back(db, now, (undone, *position), run)?;
        }
        Ok(())
    }
}

/// Take the plan that `run` follows for it. There is one run for each plan, and none once its time is over.
pub(super) fn claim(db: &Connection, run: &Run) -> Result<(), StoreError> {
    let Some(plan) = run.changes.follows else { return Ok(()) };
    refuse_taken(db, plan, run.started)?;
    let Some(number) = number_of(db, &plan)? else { return Err(StoreError::UnknownPlan(plan)) };
    let was = Claims::of_plan(db, number)?.plan;
    let take = "UPDATE plans SET applied_by = ?2 WHERE run = ?1";
    db.prepare_cached(take)?.execute(params![number, run.id.as_bytes()])?;
    let rows = Claims { was_plan: was, ..Claims::of_plan(db, number)? };
    let body = json!({ "by": run.id.to_string(), "rows": rows });
    chain::append(db, Kind::PlanTaken, run.started, Some(&plan), &body)
}

/// Refuse a plan that there is not, that was taken, or whose time is over.
pub(super) fn refuse_taken(db: &Connection, plan: RunId, now: Timestamp) -> Result<(), StoreError> {
    let find = "SELECT applied_by, expires FROM plans WHERE run = (SELECT seq FROM runs WHERE id = ?1)";
    let found: Option<(Option<[u8; 16]>, i64)> =
        db.prepare_cached(find)?.query_row([plan.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((applied_by, expires)) = found else { return Err(StoreError::UnknownPlan(plan)) };
    if let Some(by) = applied_by.and_then(|id| RunId::from_slice(&id)) {
        return Err(StoreError::PlanTaken { plan, by });
    }
    if expires <= millis(now) {
        return Err(StoreError::PlanExpired { plan, at: Timestamp::from_millis(expires.unsigned_abs()) });
    }
    Ok(())
}

/// A change that is there already.
struct Place<'a> {
    run: &'a RunId,
    /// Of the run.
    number: i64,
    position: u32,
}

impl Place<'_> {
    /// Have `write` change its row to hold what is `written`, and where it did so link what it was and is.
    fn update(
        &self,
        db: &Connection,
        written: &[(&str, &dyn ToSql)],
        write: impl FnOnce(&Connection) -> Result<bool, StoreError>,
        link: impl FnOnce(Claims) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match Claims::of_completed_change(db, self.number, self.position, written)? {
            Some(rows) if write(db)? => link(rows),
            Some(_) | None => Ok(()),
        }
    }
}

/// The number of a run.
pub(super) fn number_of(db: &Connection, run: &RunId) -> Result<Option<i64>, StoreError> {
    let find = "SELECT seq FROM runs WHERE id = ?1";
    Ok(db.prepare_cached(find)?.query_row([run.as_bytes()], |row| row.get(0)).optional()?)
}

/// What a run that ended left under way is unknown from now on.
pub(super) fn give_up(db: &Connection, number: i64, run: &RunId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "SELECT position FROM changes WHERE run = ?1 AND fate IS NULL ORDER BY position";
    let mut statement = db.prepare_cached(sql)?;
    let left = statement.query_map([number], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let why = "the run ended before the target answered";
    left.into_iter().try_for_each(|position| give_up_one(db, now, &Place { run, number, position }, why))
}

/// The same for all that a former agent left.
pub(super) fn give_up_all(db: &Connection, now: Timestamp) -> Result<usize, StoreError> {
    let sql = "SELECT changes.run, runs.id, position FROM changes JOIN runs ON runs.seq = changes.run \
         WHERE fate IS NULL ORDER BY changes.run, position";
    let left = collect(db.prepare(sql)?.query([])?, "changes", |row| {
        Ok((row.get("run")?, row.run_id("id")?, row.unsigned("position")?))
    })?;
    let why = "the agent ended before the target answered";
    for (number, run, position) in &left {
        give_up_one(db, now, &Place { run, number: *number, position: *position }, why)?;
    }
    Ok(left.len())
}

fn give_up_one(db: &Connection, now: Timestamp, place: &Place<'_>, why: &str) -> Result<(), StoreError> {
    let (settled, fate) = (millis(now), Fate::Unknown(why.to_owned()));
    let values = params![place.number, place.position, settled, fate.as_str(), why];
    place.update(
        db,
        &[("settled", &settled), ("fate", &fate.as_str()), ("detail", &why)],
        |db| Ok(db.prepare_cached(GIVE_UP)?.execute(values)? > 0),
        |rows| link_settled(db, now, place, &fate, &rows),
    )
}

/// The change at that place was given back by the run `by`.
pub(super) fn give_back(
    db: &Connection,
    now: Timestamp,
    (run, position): (&RunId, u32),
    by: &RunId,
) -> Result<(), StoreError> {
    let Some(number) = number_of(db, run)? else { return Ok(()) };
    let values = params![number, position, by.as_bytes()];
    let place = Place { run, number, position };
    place.update(
        db,
        &[("undone_by", by.as_bytes())],
        |db| Ok(db.prepare_cached(GIVEN_BACK)?.execute(values)? > 0),
        |rows| {
            let body = json!({ "position": position, "by": by.to_string(), "rows": rows });
            chain::append(db, Kind::ChangeUndone, now, Some(run), &body)
        },
    )
}

/// What the link about a new change says.
#[derive(Serialize)]
struct Recorded<'a> {
    plugin: &'a str,
    position: u32,
    fate: Option<&'a str>,
    detail: Option<&'a str>,
    planned: json::PlannedChange,
    rows: Claims,
}

/// What the link about a change that is over says.
#[derive(Serialize)]
struct Settled<'a> {
    position: u32,
    fate: &'a str,
    detail: Option<&'a str>,
    done: Option<json::Done>,
    rows: &'a Claims,
}

/// Link what became of a change.
fn link_settled(
    db: &Connection,
    now: Timestamp,
    place: &Place<'_>,
    fate: &Fate,
    rows: &Claims,
) -> Result<(), StoreError> {
    let done = match fate {
        Fate::Applied(done) => Some(done.into()),
        Fate::Unchanged | Fate::Conflict(_) | Fate::Failed(_) | Fate::Unknown(_) => None,
    };
    let body = Settled { position: place.position, fate: fate.as_str(), detail: detail(fate), done, rows };
    chain::append(db, Kind::ChangeSettled, now, Some(place.run), &body)
}

/// Forget the plan and the changes of a run. Returns how many rows those were.
pub(super) fn remove(db: &Connection, run: i64) -> Result<usize, StoreError> {
    let approvals = guards::remove_approvals(db, run)?;
    let plans = db.prepare_cached("DELETE FROM plans WHERE run = ?1")?.execute([run])? + leases::remove(db, run)?;
    Ok(approvals + plans + db.prepare_cached("DELETE FROM changes WHERE run = ?1")?.execute([run])?)
}

/// The plan that a run made, if it did.
pub(super) fn of_run(db: &Connection, run: i64) -> Result<Option<Plan>, StoreError> {
    Ok(kept(db, "plans.run = ?1", params![run])?.map(|kept| kept.plan))
}

/// The changes of a run, in order.
pub(super) fn list(db: &Connection, run: i64) -> Result<Vec<ChangeRecord>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM changes WHERE run = ?1 ORDER BY position")?;
    collect(statement.query([run])?, "changes", record)
}

fn plan(db: &Connection, run: RunId) -> Result<Option<KeptPlan>, StoreError> {
    kept(db, "plans.run = (SELECT seq FROM runs WHERE id = ?1)", params![run.as_bytes()])
}

fn kept(db: &Connection, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Option<KeptPlan>, StoreError> {
    let mut statement = db.prepare_cached(&format!("SELECT * FROM plans WHERE {condition}"))?;
    Ok(collect(statement.query(values)?, "plans", read_plan)?.pop())
}

fn read_plan(row: &Columns<'_>) -> Result<KeptPlan, StoreError> {
    let digest = Digest::from_bytes(row.bytes("digest")?);
    let body: String = row.get("body")?;
    // Before it is read: what is not as it was recorded means nothing.
    if Digest::of(body.as_bytes()) != digest {
        return Err(StoreError::DamagedPlan);
    }
    let shape: json::Plan = row.json("body")?;
    let plan = Plan::try_from(shape).map_err(|error| row.damaged("body", error))?;
    Ok(KeptPlan { plan, digest, applied_by: row.optional_run_id("applied_by")? })
}

fn refuse_past_the_hour(db: &Connection, change: &NewChange, per_hour: u64, now: Timestamp) -> Result<(), StoreError> {
    match hour::past(db, &[sum(change)], change.planned.preview.objects, per_hour, now)? {
        Some(touched) => Err(StoreError::HourSpent { touched, most: per_hour }),
        None => Ok(()),
    }
}

/// What the hour of a change's plugin counts.
const fn sum(change: &NewChange) -> hour::Sum<'_> {
    let call = &change.planned.call;
    hour::Sum { plugin: Some(&change.plugin), operation: call.operation, target: &call.target }
}

pub(super) fn insert(
    db: &Connection,
    change: &NewChange,
    planned: &str,
    fate: Option<&Fate>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(number) = number_of(db, &change.run)? else { return Err(StoreError::UnknownRun(change.run)) };
    let (call, objects) = (&change.planned.call, change.planned.preview.objects);
    let values = params![
        change.position,
        change.sequence,
        change.plugin.as_str(),
        call.operation.to_string(),
        call.target.as_str(),
        integer(objects),
        millis(now),
        fate.map(|_| millis(now)),
        fate.map(Fate::as_str),
        fate.and_then(detail),
        Null,
        planned,
        Null,
    ];
    db.prepare_cached(INSERT)?.execute(&*behind(&number, values))?;
    sum(change).add(db, objects, fate)?;
    let kind = if fate.is_some() { Kind::ChangePassedOver } else { Kind::ChangeIntended };
    let body = Recorded {
        plugin: change.plugin.as_str(),
        position: change.position,
        fate: fate.map(Fate::as_str),
        detail: fate.and_then(detail),
        planned: (&change.planned).into(),
        rows: Claims::of_new_change(change.position, values)?,
    };
    chain::append(db, kind, now, Some(&change.run), &body)
}

fn unknown(db: &Connection) -> Result<Vec<(RunId, ChangeRecord)>, StoreError> {
    let sql = "SELECT changes.*, runs.id AS id FROM changes JOIN runs ON runs.seq = changes.run \
         WHERE fate = 'unknown' ORDER BY intended, changes.run, position LIMIT 1000";
    let mut statement = db.prepare_cached(sql)?;
    collect(statement.query([])?, "changes", |row| Ok((row.run_id("id")?, record(row)?)))
}

fn record(row: &Columns<'_>) -> Result<ChangeRecord, StoreError> {
    let shape: json::PlannedChange = row.json("planned")?;
    let planned = PlannedChange::try_from(shape).map_err(|error| row.damaged("planned", error))?;
    Ok(ChangeRecord {
        position: row.unsigned("position")?,
        sequence: row.unsigned("sequence")?,
        planned,
        intended: row.time("intended")?,
        settled: row.optional_time("settled")?,
        fate: fate(row)?,
        undone_by: row.optional_run_id("undone_by")?,
    })
}

fn fate(row: &Columns<'_>) -> Result<Option<Fate>, StoreError> {
    let Some(_) = row.get::<Option<String>>("fate")? else { return Ok(None) };
    let label = row.label("fate", |label| Fate::LABELS.into_iter().find(|known| *known == label))?;
    let detail = || row.required::<String>("detail");
    Ok(Some(match label {
        "applied" => {
            let shape: json::Done = row.json("done")?;
            Fate::Applied(shape.try_into().map_err(|error: json::Nonsense| row.damaged("done", error))?)
        }
        "unchanged" => Fate::Unchanged,
        "conflict" => Fate::Conflict(detail()?),
        "failed" => Fate::Failed(detail()?),
        _ => Fate::Unknown(detail()?),
    }))
}

pub(super) fn detail(fate: &Fate) -> Option<&str> {
    match fate {
        Fate::Conflict(text) | Fate::Failed(text) | Fate::Unknown(text) => Some(text),
        Fate::Applied(_) | Fate::Unchanged => None,
    }
}

pub(super) fn planned_json(planned: &PlannedChange) -> Result<String, StoreError> {
    json(&json::PlannedChange::from(planned))
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Invalid(error.to_string()))
}
