//! The SQL about guards: freezes, approvals, and what cooldowns, budgets and breakers look at.
//!
//! A freeze that was lifted or has expired stays for a year, so that one can see later who had stopped what. What an intent
//! is judged by is asked in the transaction that records it: two changes at the same moment never pass a bound together.

use async_trait::async_trait;
use rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::chain::rows::{self, Claims};
use super::chain::{self, Kind};
use super::changes::hour;
use super::columns::{Columns, collect, millis};
use super::{NewChange, RunState, SqliteStore, StoreError, changes};
use crate::domain::{
    Actor, Approval, Budget, Digest, Effect, Freeze, FreezeId, Helped, Operation, Plan, PluginName, RunId, Scope,
    Status, Target, Timestamp,
};

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// For how long freezes are remembered that are over.
const REMEMBERED: u32 = 366;

/// How far back it is looked for a target that a plugin has changed: longer than any cooldown.
const LOOK_BACK: u32 = 8;

const ADD: &str = "INSERT INTO freezes (id, target, plugin, reason, creator, created, expires) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const HOLDING: &str = "SELECT * FROM freezes WHERE expires > ?1 AND lifted IS NULL ORDER BY created, id";

const LIFT: &str = "UPDATE freezes SET lifted = ?2, lifted_by = ?3 WHERE id = ?1 AND expires > ?2 AND lifted IS NULL \
     RETURNING *";

const CHANGED: &str = "SELECT max(ifnull(settled, intended)) FROM changes \
     WHERE plugin = ?1 AND operation = ?2 AND target = ?3 AND intended > ?4 \
     AND (fate IS NULL OR fate IN ('applied', 'unknown')) \
     AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.seq = changes.run AND runs.undoes IS NOT NULL)";

const APPLIES: &str = "SELECT runs.id, runs.state, runs.finished, runs.helped, \
     (SELECT checks.state FROM runs AS checks WHERE checks.id = runs.checked_before) AS before FROM plans JOIN runs ON runs.id = plans.applied_by \
     WHERE plans.targets = ?1 AND plans.applied_by IS NOT NULL AND runs.plugin = ?2 AND runs.undoes IS NULL \
     AND runs.finished IS NOT NULL ORDER BY runs.started DESC, runs.seq DESC LIMIT 2";

/// What an intent is judged by when it is recorded.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Most things that all runs of the plugin may touch with this operation on this target within an hour.
    pub per_hour: u64,
    /// What all plugins may touch together. Those that are about something else count nothing.
    pub budgets: Vec<Budget>,
    /// Whether a freeze stops it.
    pub freezes: Freezes,
}

/// Whether freezes stop something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freezes {
    /// They do.
    Stop,
    /// They let it pass: it gives something back, or somebody broke the glass.
    Pass,
}

/// What there is to know before a plan is applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardFacts {
    /// The freezes that hold, the oldest first.
    pub freezes: Vec<Freeze>,
    /// Who asked for the plan.
    pub requester: Option<Actor>,
    /// Who approved the plan, the first one first.
    pub approvals: Vec<Approval>,
    /// When the plugin last changed each target of the plan, as far as it did. What it gave back does not count.
    pub changed: Vec<(Target, Timestamp)>,
    /// The last two applies of the plugin to the same targets, the newest first.
    pub applies: Vec<Applied>,
    /// Since when the plugin is trusted again.
    pub trusted: Option<Timestamp>,
}

/// An apply that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its run.
    pub run: RunId,
    /// How that ended.
    pub state: RunState,
    /// When.
    pub finished: Timestamp,
    /// Whether it helped, as far as that was compared and there was something to help with.
    pub helped: Option<Helped>,
}

/// Where guards are kept.
#[async_trait]
pub trait GuardStore: Send + Sync + 'static {
    /// The freezes that hold at `now`, the oldest first.
    async fn freezes(&self, now: Timestamp) -> Result<Vec<Freeze>, StoreError>;

    /// Keep a freeze. It holds from then on.
    async fn add_freeze(&self, freeze: Freeze) -> Result<(), StoreError>;

    /// End a freeze in the name of `by`. None when none of that id holds.
    async fn lift_freeze(&self, id: FreezeId, by: &Actor) -> Result<Option<Freeze>, StoreError>;

    /// Keep that somebody approved the plan with that digest. Fails with `ApprovedBefore` for the second time of one person,
    /// and like the start of its run for a plan that there is not, that was taken or has expired.
    async fn approve(&self, plan: RunId, digest: Digest, approval: Approval) -> Result<(), StoreError>;

    /// What there is to know before `plan` is applied at `now`.
    async fn guard_facts(&self, plan: &Plan, now: Timestamp) -> Result<GuardFacts, StoreError>;

    /// Trust a plugin again whose applies did not help, in the name of `by`.
    async fn close_breaker(&self, plugin: &PluginName, by: &Actor) -> Result<(), StoreError>;
}

#[async_trait]
impl GuardStore for SqliteStore {
    async fn freezes(&self, now: Timestamp) -> Result<Vec<Freeze>, StoreError> {
        self.readers.read(move |db| holding(db, now)).await
    }

    async fn add_freeze(&self, freeze: Freeze) -> Result<(), StoreError> {
        self.writer.write(move |db| add(db, &freeze)).await
    }

    async fn lift_freeze(&self, id: FreezeId, by: &Actor) -> Result<Option<Freeze>, StoreError> {
        let (clock, by) = (self.clock.clone(), by.clone());
        let lift = move |db: &Connection| {
            let was = rows::freeze(db, id)?;
            let mut statement = db.prepare_cached(LIFT)?;
            let lifted = statement.query(params![id.as_bytes(), millis(clock.now()), by.0])?;
            let lifted = collect(lifted, "freezes", freeze)?.pop();
            if let Some(freeze) = &lifted {
                let body = json!({
                    "freeze": freeze.id.to_string(),
                    "by": by.0,
                    "row": rows::freeze(db, freeze.id)?,
                    "was": was,
                });
                chain::append(db, Kind::FreezeLifted, clock.now(), None, &body)?;
            }
            Ok(lifted)
        };
        self.writer.write(lift).await
    }

    async fn approve(&self, plan: RunId, digest: Digest, approval: Approval) -> Result<(), StoreError> {
        self.writer.write(move |db| approve(db, plan, digest, &approval)).await
    }

    async fn guard_facts(&self, plan: &Plan, now: Timestamp) -> Result<GuardFacts, StoreError> {
        let (run, plugin, targets) = (plan.run, plan.plugin.clone(), plan.targets());
        let facts = move |db: &Connection| {
            Ok(GuardFacts {
                freezes: holding(db, now)?,
                requester: requester(db, run)?,
                approvals: approvals(db, run)?,
                changed: changed(db, &plugin, &targets, now)?,
                applies: applies(db, &plugin, &targets)?,
                trusted: trusted(db, &plugin)?,
            })
        };
        self.readers.read(facts).await
    }

    async fn close_breaker(&self, plugin: &PluginName, by: &Actor) -> Result<(), StoreError> {
        let (clock, plugin, by) = (self.clock.clone(), plugin.clone(), by.clone());
        let close = move |db: &Connection| {
            let sql = "INSERT OR REPLACE INTO breakers (plugin, closed, closed_by) VALUES (?1, ?2, ?3)";
            let now = clock.now();
            db.prepare_cached(sql)?.execute(params![plugin.as_str(), millis(now), by.0])?;
            let body = json!({ "plugin": plugin.as_str(), "by": by.0, "row": rows::breaker(db, &plugin)? });
            chain::append(db, Kind::BreakerClosed, now, None, &body)
        };
        self.writer.write(close).await
    }
}

/// Refuse an intent that a freeze or a budget stands against.
pub(super) fn judge(db: &Connection, change: &NewChange, bounds: &Bounds, now: Timestamp) -> Result<(), StoreError> {
    let call = &change.planned.call;
    let Some(target) = call.target() else { return Ok(()) };
    if bounds.freezes == Freezes::Stop
        && let Some(freeze) = holding(db, now)?.into_iter().find(|freeze| freeze.covers(&change.plugin, &target))
    {
        return Err(StoreError::Frozen(Box::new(freeze)));
    }
    for budget in bounds.budgets.iter().filter(|budget| budget.counts(call.operation, &target)) {
        let target = &budget.target.name;
        let sum = |operation: &Operation| hour::Sum { plugin: None, operation: *operation, target };
        let sums: Vec<_> = budget.operations.iter().map(sum).collect();
        if let Some(touched) = hour::past(db, &sums, change.planned.preview.objects, budget.per_hour, now)? {
            return Err(StoreError::BudgetSpent { budget: budget.to_string(), touched });
        }
    }
    Ok(())
}

/// Who approved the plan that a run made, the first one first.
pub(super) fn approvals_of(db: &Connection, plan: i64) -> Result<Vec<Approval>, StoreError> {
    let mut statement = db.prepare_cached("SELECT actor, time FROM approvals WHERE plan = ?1 ORDER BY time, actor")?;
    collect(statement.query([plan])?, "approvals", |row| {
        Ok(Approval { actor: Actor(row.get("actor")?), time: row.time("time")? })
    })
}

/// Forget who approved the plan that a run made.
pub(super) fn remove_approvals(db: &Connection, plan: i64) -> Result<usize, StoreError> {
    Ok(db.prepare_cached("DELETE FROM approvals WHERE plan = ?1")?.execute([plan])?)
}

/// How the targets of a plan are written, so that plans with the same ones are found.
pub(super) fn written(targets: &[Target]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Freezes that were over before are forgotten when another one is added at that moment; both in milliseconds since 1970.
pub(super) fn forgotten_before(now_ms: u64) -> u64 {
    Timestamp::from_millis(now_ms).before(DAY * REMEMBERED).as_millis()
}

fn holding(db: &Connection, now: Timestamp) -> Result<Vec<Freeze>, StoreError> {
    let mut statement = db.prepare_cached(HOLDING)?;
    collect(statement.query([millis(now)])?, "freezes", freeze)
}

fn add(db: &Connection, freeze: &Freeze) -> Result<(), StoreError> {
    let over = millis(Timestamp::from_millis(forgotten_before(freeze.created.as_millis())));
    db.prepare_cached("DELETE FROM freezes WHERE expires < ?1")?.execute([over])?;
    let (target, plugin) = match &freeze.scope {
        Scope::All => (None, None),
        Scope::Target(target) => (Some(target.to_string()), None),
        Scope::Plugin(plugin) => (None, Some(plugin.as_str())),
    };
    let (created, expires) = (millis(freeze.created), millis(freeze.expires));
    let values = params![freeze.id.as_bytes(), target, plugin, freeze.reason, freeze.creator.0, created, expires];
    db.prepare_cached(ADD)?.execute(values)?;
    let body = json!({
        "freeze": freeze.id.to_string(),
        "target": target,
        "plugin": plugin,
        "reason": freeze.reason,
        "creator": freeze.creator.0,
        "expires": freeze.expires.as_millis(),
        "row": rows::freeze(db, freeze.id)?,
    });
    chain::append(db, Kind::FreezeAdded, freeze.created, None, &body)
}

fn freeze(row: &Columns<'_>) -> Result<Freeze, StoreError> {
    let id = FreezeId::from_slice(&row.bytes::<16>("id")?);
    let (target, plugin): (Option<String>, Option<String>) = (row.get("target")?, row.get("plugin")?);
    Ok(Freeze {
        id: id.ok_or_else(|| StoreError::corrupt("freezes.id", "it is no id"))?,
        scope: match (target, plugin) {
            (Some(_), _) => Scope::Target(row.parsed("target")?),
            (None, Some(_)) => Scope::Plugin(row.parsed("plugin")?),
            (None, None) => Scope::All,
        },
        reason: row.get("reason")?,
        creator: Actor(row.get("creator")?),
        created: row.time("created")?,
        expires: row.time("expires")?,
    })
}

fn approve(db: &Connection, plan: RunId, digest: Digest, approval: &Approval) -> Result<(), StoreError> {
    changes::refuse_taken(db, plan, approval.time)?;
    let sql = "INSERT INTO approvals (plan, actor, digest, time) \
         VALUES ((SELECT seq FROM runs WHERE id = ?1), ?2, ?3, ?4)";
    let values = params![plan.as_bytes(), approval.actor.0, digest.as_bytes(), millis(approval.time)];
    let Some(number) = changes::number_of(db, &plan)? else { return Err(StoreError::UnknownPlan(plan)) };
    let was_approvals = Claims::of_approvals(db, number)?.approvals;
    match db.prepare_cached(sql)?.execute(values) {
        Err(error) if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_CONSTRAINT_PRIMARYKEY) => {
            return Err(StoreError::ApprovedBefore { plan, actor: approval.actor.clone() });
        }
        other => other.map(drop)?,
    }
    let rows = Claims { was_approvals, ..Claims::of_approvals(db, number)? };
    let body = json!({ "by": approval.actor.0, "digest": digest.hex(), "rows": rows });
    chain::append(db, Kind::PlanApproved, approval.time, Some(&plan), &body)
}

fn requester(db: &Connection, plan: RunId) -> Result<Option<Actor>, StoreError> {
    let mut find = db.prepare_cached("SELECT actor FROM runs WHERE id = ?1")?;
    Ok(find.query_row([plan.as_bytes()], |row| row.get(0)).optional()?.map(Actor))
}

fn approvals(db: &Connection, plan: RunId) -> Result<Vec<Approval>, StoreError> {
    let find = "SELECT seq FROM runs WHERE id = ?1";
    let run: Option<i64> = db.prepare_cached(find)?.query_row([plan.as_bytes()], |row| row.get(0)).optional()?;
    run.map_or_else(|| Ok(Vec::new()), |run| approvals_of(db, run))
}

fn changed(
    db: &Connection,
    plugin: &PluginName,
    targets: &[Target],
    now: Timestamp,
) -> Result<Vec<(Target, Timestamp)>, StoreError> {
    let since = millis(now.before(DAY * LOOK_BACK));
    let mut statement = db.prepare_cached(CHANGED)?;
    let mut changed = Vec::new();
    for target in targets {
        let mut last: Option<i64> = None;
        for operation in Operation::of_system(target.system).filter(|operation| operation.effect() == Effect::Change) {
            let values = params![plugin.as_str(), operation.to_string(), target.name.as_str(), since];
            last = last.max(statement.query_row(values, |row| row.get(0))?);
        }
        changed.extend(last.map(|last| (target.clone(), Timestamp::from_millis(last.unsigned_abs()))));
    }
    Ok(changed)
}

fn applies(db: &Connection, plugin: &PluginName, targets: &[Target]) -> Result<Vec<Applied>, StoreError> {
    let mut statement = db.prepare_cached(APPLIES)?;
    collect(statement.query(params![written(targets), plugin.as_str()])?, "runs", |row| {
        Ok(Applied {
            run: row.run_id("id")?,
            state: row.label("state", RunState::from_label)?,
            finished: row.time("finished")?,
            helped: helped(row)?,
        })
    })
}

fn helped(row: &Columns<'_>) -> Result<Option<Helped>, StoreError> {
    let Some(_) = row.get::<Option<String>>("helped")? else { return Ok(None) };
    let helped = row.label("helped", |label| Helped::ALL.into_iter().find(|helped| helped.as_str() == label))?;
    let was_well = row.get::<Option<String>>("before")?.as_deref() == Some(Status::Ok.as_str());
    Ok(Some(helped).filter(|helped| *helped != Helped::NoChange || !was_well))
}

fn trusted(db: &Connection, plugin: &PluginName) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = db.prepare_cached("SELECT closed FROM breakers WHERE plugin = ?1")?;
    Ok(collect(statement.query([plugin.as_str()])?, "breakers", |row| row.time("closed"))?.pop())
}
