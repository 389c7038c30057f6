//! Plans: making them, applying them, and giving back what was applied.

use std::sync::Arc;
use std::time::Duration;

use super::targets::Hold;
use super::{Executable, Job, Refusal, Request, Runner, Started, guard};
use crate::catalog::Plugin;
use crate::domain::{
    Actor, Approval, ChangeRecord, Digest, Fate, Freeze, Kind, Lease, LeaseState, Mode, Plan, PluginName, Run,
    RunChanges, RunId, Target, Timestamp, Trigger,
};
use crate::store::{KeptPlan, OnceKey, StoreError};

/// How long a plan can be applied. What it rests on is compared again anyway; this bounds for how long an old decision stands.
pub const PLAN_LIFE: Duration = Duration::from_secs(15 * 60);

/// Somebody wants a plan to be applied.
#[derive(Clone, Debug)]
pub struct Application {
    /// The plan, by the run that made it.
    pub plan: RunId,
    /// The digest of the plan that they saw, if they say so.
    pub digest: Option<Digest>,
    /// Who asks.
    pub actor: Actor,
    /// After which time the changes are given back by themselves.
    pub lease: Option<Duration>,
    /// Give the changes back when the check of the plugin is worse afterwards.
    pub revert_if_worse: bool,
    /// Why the guards of changes do not matter this time.
    pub break_glass: Option<String>,
}

/// Somebody agrees with a plan.
#[derive(Clone, Debug)]
pub struct Assent {
    /// The plan, by the run that made it.
    pub plan: RunId,
    /// The digest of the plan that they saw.
    pub digest: Digest,
    /// Who agrees.
    pub actor: Actor,
}

/// Why a plan was not made or not applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlanRefusal {
    /// A mitigation does not run like a check.
    #[error("the plugin `{name}` can change things: ask for a plan (`mode: plan`) and apply that")]
    NeedsPlan {
        /// The plugin.
        name: PluginName,
    },
    /// A check has nothing to plan.
    #[error("the plugin `{name}` is a check: it changes nothing, and there is nothing to plan")]
    IsCheck {
        /// The plugin.
        name: PluginName,
    },
    /// No plan of that id is kept.
    #[error("no plan has the id {id}; the id of a plan is that of the run that made it")]
    Unknown {
        /// The id.
        id: RunId,
    },
    /// The plan would change nothing.
    #[error("the plan {id} lists no change")]
    Empty {
        /// The plan.
        id: RunId,
    },
    /// The caller saw another plan.
    #[error("the plan {id} has the digest {actual}, not {seen}: look at it again before you apply it")]
    OtherDigest {
        /// The plan.
        id: RunId,
        /// Its digest.
        actual: Digest,
        /// What the caller gave.
        seen: Digest,
    },
    /// The plan is not as it was recorded.
    #[error("the plan {id} is not as it was recorded, and is never applied: make a new one")]
    Damaged {
        /// The plan.
        id: RunId,
    },
    /// Its time is over.
    #[error("the plan {id} expired at {at}: make a new one")]
    Expired {
        /// The plan.
        id: RunId,
        /// When it did.
        at: Timestamp,
    },
    /// It was applied before, or is at the moment.
    #[error("the plan {id} was taken by run {by}; a plan is applied once")]
    Taken {
        /// The plan.
        id: RunId,
        /// The run that applies it.
        by: RunId,
    },
    /// Another version of the plugin is active now.
    #[error("the plan {id} was made by the component {planned}, and {active} is active now: make a new one")]
    OtherVersion {
        /// The plan.
        id: RunId,
        /// The component that made it.
        planned: Digest,
        /// The active one.
        active: Digest,
    },
    /// The grants of the plugin are others now.
    #[error("the grants of the plugin `{name}` have changed since the plan {id} was made: make a new one")]
    OtherGrants {
        /// The plan.
        id: RunId,
        /// The plugin.
        name: PluginName,
    },
    /// Another run changes the same target.
    #[error("run {run} is changing {target}; one run at a time changes a target")]
    TargetBusy {
        /// The target.
        target: Target,
        /// The run.
        run: RunId,
    },
    /// Changes like this are frozen.
    #[error("{freeze}; what was changed can still be undone")]
    Frozen {
        /// The freeze.
        freeze: Box<Freeze>,
        /// Seconds until it is over.
        wait: u32,
    },
    /// Too few people have looked at it.
    #[error("{}", not_approved(*id, *missing, by))]
    NotApproved {
        /// The plan.
        id: RunId,
        /// How many are missing.
        missing: u32,
        /// Who has approved it.
        by: Vec<Actor>,
    },
    /// Nobody approves what they asked for themselves.
    #[error("you asked for the plan {id} yourself: somebody else has to approve it")]
    OwnPlan {
        /// The plan.
        id: RunId,
    },
    /// One person counts once.
    #[error("you have approved the plan {id} already: somebody else has to")]
    ApprovedBefore {
        /// The plan.
        id: RunId,
    },
    /// The plugin has changed the target not long ago.
    #[error(
        "the plugin `{name}` changed {target} at {changed} and leaves it alone until {until}: see first what came of it"
    )]
    Cooldown {
        /// The plugin.
        name: PluginName,
        /// The target.
        target: Target,
        /// When it did.
        changed: Timestamp,
        /// Until when it does not again.
        until: Timestamp,
        /// Seconds until then.
        wait: u32,
    },
    /// The last applies did not help.
    #[error("{}", breaker_open(name, targets, *last, *until))]
    BreakerOpen {
        /// The plugin.
        name: PluginName,
        /// The targets.
        targets: Vec<Target>,
        /// The last run that did not help.
        last: RunId,
        /// Until when the breaker stays open by itself.
        until: Timestamp,
        /// Seconds until then.
        wait: u32,
    },
    /// The run that is to be undone is not over.
    #[error("run {run} is under way: cancel it or wait for its end before you give back what it did")]
    NotOver {
        /// The run.
        run: RunId,
    },
    /// Another replica gives it back at the moment.
    #[error("the replica {by} is giving back what run {run} changed")]
    BeingGivenBack {
        /// The run.
        run: RunId,
        /// The replica.
        by: String,
    },
    /// What replicas share cannot be reached.
    #[error("the other replicas cannot be told, and nothing was done: {why}")]
    NotShared {
        /// Why.
        why: String,
    },
    /// There is nothing that can be given back.
    #[error("nothing of run {run} can be given back: {why}")]
    NothingToGiveBack {
        /// The run.
        run: RunId,
        /// Why.
        why: String,
    },
}

fn not_approved(id: RunId, missing: u32, by: &[Actor]) -> String {
    let people = if missing == 1 { "person" } else { "people" };
    let names: Vec<_> = by.iter().map(|actor| actor.0.as_str()).collect();
    let so_far = if names.is_empty() { String::new() } else { format!(" beside {}", names.join(", ")) };
    format!(
        "the plan {id} has to be approved by {missing} more {people}{so_far}, none of whom asked for it: \
         `paramedic approve {id}`"
    )
}

fn breaker_open(name: &PluginName, targets: &[Target], last: RunId, until: Timestamp) -> String {
    let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
    format!(
        "the last two times that `{name}` changed {} did not help (the last was run {last}), so it is held back until \
         {until}; `paramedic plugins close-breaker {name}` lets it try again",
        targets.join(", ")
    )
}

impl PlanRefusal {
    /// The guard that refused an apply, as metrics name it; none when it was something else.
    pub const fn guard(&self) -> Option<&'static str> {
        match self {
            Self::Frozen { .. } => Some("freeze"),
            Self::NotApproved { .. } => Some("approval"),
            Self::Cooldown { .. } => Some("cooldown"),
            Self::BreakerOpen { .. } => Some("breaker"),
            Self::TargetBusy { .. } => Some("target"),
            Self::NeedsPlan { .. }
            | Self::IsCheck { .. }
            | Self::Unknown { .. }
            | Self::Empty { .. }
            | Self::OtherDigest { .. }
            | Self::Damaged { .. }
            | Self::Expired { .. }
            | Self::Taken { .. }
            | Self::OtherVersion { .. }
            | Self::OtherGrants { .. }
            | Self::OwnPlan { .. }
            | Self::ApprovedBefore { .. }
            | Self::NotOver { .. }
            | Self::BeingGivenBack { .. }
            | Self::NotShared { .. }
            | Self::NothingToGiveBack { .. } => None,
        }
    }
}

impl From<PlanRefusal> for Refusal {
    fn from(refusal: PlanRefusal) -> Self {
        Self::Plan(Box::new(refusal))
    }
}

impl Runner {
    /// Admit a request for a plan: its plugin runs, and what it would change is listed and not done.
    pub async fn plan(&self, request: Request, key: Option<OnceKey>) -> Result<Started, Refusal> {
        let plugin = self.active(&request.plugin)?;
        if plugin.metadata.kind == Kind::Check {
            return Err(PlanRefusal::IsCheck { name: request.plugin }.into());
        }
        let params = plugin.params(request.params.clone())?;
        let ticket = self.ticket(&plugin)?;
        let slot = self.admit()?;
        let run = Run { mode: Mode::Plan, ..self.new_run(&plugin, params, request) };
        let work = Executable::Guest { plugin, ticket, plan: None };
        self.begin(Job { run, work, slot, key, hold: None, confirmation: None }).await
    }

    /// Carry out a plan, once.
    pub async fn apply(&self, asked: Application, key: Option<OnceKey>) -> Result<Started, Refusal> {
        let kept = self.kept_plan(asked.plan).await?;
        self.judge(asked.plan, asked.digest, &kept)?;
        let plan = Arc::new(kept.plan);
        let hold = Some(self.pass_guards(&plan, &asked).await?);
        let id = RunId::new(self.clock.now());
        let undoes = plan.undoes;
        let changes = RunChanges {
            follows: Some(plan.run),
            undoes,
            lease: asked.lease.map(|time| self.new_lease(id, time)),
            break_glass: asked.break_glass.clone(),
            ..RunChanges::default()
        };
        let started = match plan.undoes {
            Some(undone) => {
                let (slot, undoes) = (self.admit()?, undone);
                let undone = self.recorded(undone).await?;
                // Last: what is taken and not begun has to be let go.
                self.take_lent(undoes).await?;
                let run = Run { id, mode: Mode::Apply, changes, ..self.successor(&undone, asked.actor.clone()) };
                let work = Executable::Undo { plan: Some(plan), made: Vec::new() };
                self.begin(Job { run, work, slot, key, hold, confirmation: None }).await
            }
            None => {
                let plugin = self.active(&plan.plugin)?;
                self.compare(&plan, &plugin)?;
                let confirmation = self.look_before(&plugin, &plan, &asked).await;
                let ticket = self.ticket(&plugin)?;
                let slot = self.admit()?;
                let request = Request {
                    plugin: plan.plugin.clone(),
                    params: serde_json::Map::new(),
                    actor: asked.actor.clone(),
                    trigger: Trigger::Manual,
                    sweep_run: None,
                };
                // The parameters of the plan, and not what defaults would make of them today.
                let run = self.new_run(&plugin, plan.params.clone(), request);
                let run = Run { id, mode: Mode::Apply, changes, ..run };
                self.lend(&run, &plan).await?;
                let work = Executable::Guest { plugin, ticket, plan: Some(plan) };
                self.begin(Job { run, work, slot, key, hold, confirmation }).await
            }
        };
        if started.is_err() {
            self.did_not_begin(id, &asked, undoes).await;
        }
        let started = started.map_err(of_plan)?;
        if asked.break_glass.is_some() {
            self.metrics.glass_broken(&started.run.plugin);
        }
        Ok(started)
    }

    /// Take the targets of a plan, unless a guard stands against it. Asked with the targets in hand: what the last apply to them
    /// came to is known then.
    async fn pass_guards(&self, plan: &Plan, asked: &Application) -> Result<Hold, Refusal> {
        let hold = self.targets.hold(plan).map_err(|refusal| self.stopped(refusal))?;
        let now = self.clock.now();
        let facts = self.store.guard_facts(plan, now).await.map_err(Refusal::Store)?;
        let judged = guard::judge(plan, self.rules.get().of(plan), &facts, now);
        match (judged, &asked.break_glass) {
            (Ok(()), None) => Ok(hold),
            (Err(refusal), None) => Err(self.stopped(refusal)),
            (judged, Some(reason)) => {
                let passed =
                    judged.err().map_or_else(|| "no guard stood against it".to_owned(), |guard| guard.to_string());
                let (plugin, actor, plan) = (&plan.plugin, &asked.actor.0, plan.run);
                tracing::warn!(plugin.name = %plugin, %plan, actor, reason, passed, "THE GLASS IS BROKEN: a plan is applied past all guards");
                Ok(hold)
            }
        }
    }

    /// Count what a guard refused.
    fn stopped(&self, refusal: PlanRefusal) -> Refusal {
        if let Some(guard) = refusal.guard() {
            self.metrics.apply_refused(guard);
        }
        refusal.into()
    }

    /// Record that somebody agrees with a plan. Answers with the run that made it.
    pub async fn approve(&self, assent: Assent) -> Result<Run, Refusal> {
        let Assent { plan: id, digest, actor } = assent;
        let kept = self.kept_plan(id).await?;
        self.judge(id, Some(digest), &kept)?;
        let made_by = self.recorded(id).await?.actor;
        guard::judge_approval(&kept.plan, &made_by, &actor)?;
        let approval = Approval { actor, time: self.clock.now() };
        self.store.approve(id, kept.digest, approval.clone()).await.map_err(Refusal::Store).map_err(of_plan)?;
        tracing::info!(plan = %id, actor = approval.actor.0, digest = %kept.digest, "a plan was approved");
        Ok(self.complete(self.recorded(id).await?))
    }

    /// Plan to give back what a run changed.
    pub async fn plan_undo(&self, run: RunId, actor: Actor, key: Option<OnceKey>) -> Result<Started, Refusal> {
        let undone = self.recorded(run).await?;
        if undone.finished.is_none() {
            return Err(PlanRefusal::NotOver { run }.into());
        }
        // What nobody knew at the end of the run, the target may tell by now.
        self.settle_unknown_of(&undone).await;
        let undone = self.recorded(run).await?;
        let made = undone.changes.made.clone();
        if let Some(why) = nothing_to_give_back(&made) {
            return Err(PlanRefusal::NothingToGiveBack { run, why }.into());
        }
        let slot = self.admit()?;
        let changes = RunChanges { undoes: Some(run), ..RunChanges::default() };
        let run = Run { mode: Mode::Plan, changes, ..self.successor(&undone, actor) };
        let work = Executable::Undo { plan: None, made };
        self.begin(Job { run, work, slot, key, hold: None, confirmation: None }).await
    }

    fn new_lease(&self, run: RunId, time: Duration) -> Lease {
        let until = self.clock.now().after(time);
        Lease { run, until, state: LeaseState::Held, detail: None, ended_by: None }
    }

    async fn recorded(&self, id: RunId) -> Result<Run, Refusal> {
        let found = self.store.run(id).await.map_err(Refusal::Store)?;
        found.ok_or(Refusal::UnknownRun { id })
    }

    async fn kept_plan(&self, id: RunId) -> Result<KeptPlan, Refusal> {
        match self.store.plan(id).await {
            Ok(Some(kept)) => Ok(kept),
            Ok(None) => Err(PlanRefusal::Unknown { id }.into()),
            Err(StoreError::DamagedPlan) => Err(PlanRefusal::Damaged { id }.into()),
            Err(error) => Err(Refusal::Store(error)),
        }
    }

    /// What speaks against a plan by itself. Whether it was taken is asked again when its run is recorded.
    fn judge(&self, id: RunId, digest: Option<Digest>, kept: &KeptPlan) -> Result<(), PlanRefusal> {
        if let Some(seen) = digest.filter(|seen| *seen != kept.digest) {
            return Err(PlanRefusal::OtherDigest { id, actual: kept.digest, seen });
        }
        if let Some(by) = kept.applied_by {
            return Err(PlanRefusal::Taken { id, by });
        }
        if kept.plan.expires <= self.clock.now() {
            return Err(PlanRefusal::Expired { id, at: kept.plan.expires });
        }
        if kept.plan.changes.is_empty() {
            return Err(PlanRefusal::Empty { id });
        }
        Ok(())
    }

    /// The same component under the same grants, or what it does now is not what somebody looked at.
    fn compare(&self, plan: &Plan, plugin: &Plugin) -> Result<(), PlanRefusal> {
        let id = plan.run;
        if plugin.digest != plan.component {
            return Err(PlanRefusal::OtherVersion { id, planned: plan.component, active: plugin.digest });
        }
        if plugin.grants.digest() != plan.grants {
            return Err(PlanRefusal::OtherGrants { id, name: plan.plugin.clone() });
        }
        Ok(())
    }

    /// A run that has to do with another one, of the same plugin.
    fn successor(&self, of: &Run, actor: Actor) -> Run {
        let now = self.clock.now();
        Run {
            id: RunId::new(now),
            actor,
            trigger: Trigger::Manual,
            sweep_run: None,
            started: now,
            finished: None,
            ending: None,
            usage: crate::domain::Usage::default(),
            log: Vec::new(),
            calls: Vec::new(),
            changes: RunChanges::default(),
            ..of.clone()
        }
    }
}

/// The plan that a run made, or none for a run that came to no conclusion.
pub(super) fn plan_of(run: &Run, grants: Digest, changes: Vec<crate::domain::PlannedChange>) -> Option<Plan> {
    if run.mode != Mode::Plan || !matches!(run.ending, Some(crate::domain::Ending::Concluded(_))) {
        return None;
    }
    let made = run.finished?;
    Some(Plan {
        run: run.id,
        plugin: run.plugin.clone(),
        component: run.digest,
        grants,
        params: run.params.clone(),
        undoes: run.changes.undoes,
        made,
        expires: made.after(PLAN_LIFE),
        changes,
    })
}

/// The digest that stands for what an undo is granted: it rests on the record of the changes, not on grants.
pub(super) fn no_grants() -> Digest {
    Digest::of(b"")
}

/// Why nothing of a run can be given back, if that is so.
fn nothing_to_give_back(made: &[ChangeRecord]) -> Option<String> {
    let applied: Vec<_> = made
        .iter()
        .filter_map(|change| match &change.fate {
            Some(Fate::Applied(done)) => Some((change, done)),
            Some(Fate::Unchanged | Fate::Conflict(_) | Fate::Failed(_) | Fate::Unknown(_)) | None => None,
        })
        .collect();
    if applied.is_empty() {
        return Some("it changed nothing".to_owned());
    }
    if applied.iter().all(|(change, _)| change.undone_by.is_some()) {
        return Some("all of it was given back".to_owned());
    }
    if applied.iter().any(|(change, done)| change.undone_by.is_none() && done.inverse.is_some()) {
        return None;
    }
    let reason = applied.iter().find_map(|(change, _)| match &change.planned.preview.undo {
        crate::domain::Undo::Impossible(why) => Some(why.clone()),
        crate::domain::Undo::Possible(_) => None,
    });
    Some(reason.unwrap_or_else(|| "its changes have no inverse".to_owned()))
}

/// What the store found when the start was recorded: two callers can come at the same moment.
fn of_plan(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Store(StoreError::PlanTaken { plan, by }) => PlanRefusal::Taken { id: plan, by }.into(),
        Refusal::Store(StoreError::PlanExpired { plan, at }) => PlanRefusal::Expired { id: plan, at }.into(),
        Refusal::Store(StoreError::UnknownPlan(id)) => PlanRefusal::Unknown { id }.into(),
        Refusal::Store(StoreError::ApprovedBefore { plan, .. }) => PlanRefusal::ApprovedBefore { id: plan }.into(),
        other => other,
    }
}
