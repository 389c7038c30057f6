//! Whether a plan may be applied at the moment, beside what is granted.
//!
//! ```text
//!  frozen? ─► approved by enough others? ─► cooled down? ─► did the last applies help? ─► apply
//! ```
//!
//! All decisions are made here, from facts and rules, and none of them looks anything up. A plan that gives something back
//! passes all guards: the way back is always open. Breaking the glass passes them as well, and nothing else: grants, bounds
//! of an hour, digests and the life of a plan hold for everybody.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::PlanRefusal;
use crate::domain::{Actor, Approval, Approvers, Budget, Helped, Plan, PluginName, Recordings, Run, Status, Timestamp};
use crate::store::{Applied, GuardFacts, RunState};

/// For how long a breaker stays open by itself.
pub const BREAKER_REST: Duration = Duration::from_secs(60 * 60);

/// After how many applies in a row that did not help a breaker opens. The store remembers as many.
const TRIES: usize = 2;

/// What the operator asks of changes beside grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What is asked of each plugin. Of one that is not listed nothing is asked.
    pub plugins: BTreeMap<PluginName, PluginRules>,
    /// What all plugins may touch together.
    pub budgets: Vec<Budget>,
}

/// What the operator asks of the runs of one plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginRules {
    /// Who has to agree.
    pub approvers: Approvers,
    /// How long it leaves a target alone that it has changed.
    pub cooldown: Option<Duration>,
    /// Which of them are recorded.
    pub recordings: Recordings,
}

/// The rules in force, which can be others from one moment to the next.
#[derive(Default)]
pub(super) struct InForce(RwLock<Arc<Rules>>);

impl InForce {
    pub(super) fn replace(&self, rules: Rules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    pub(super) fn get(&self) -> Arc<Rules> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The run with what the rules ask of the plan that it made.
    pub(super) fn complete(&self, mut run: Run) -> Run {
        run.changes.approvals_needed =
            run.changes.plan.as_ref().map_or(0, |plan| self.get().of(plan).approvers.count());
        run
    }
}

impl Rules {
    /// Whether a run is recorded.
    pub(super) fn record(&self, run: &Run) -> bool {
        self.plugins.get(&run.plugin).copied().unwrap_or_default().recordings.take(run.mode)
    }

    /// What is asked of a plan. One that rests on a doubt needs somebody else who shares it.
    pub(super) fn of(&self, plan: &Plan) -> PluginRules {
        if plan.undoes.is_some() {
            return PluginRules::default();
        }
        let rules = self.plugins.get(&plan.plugin).copied().unwrap_or_default();
        let is_doubtful = plan.changes.iter().any(|change| change.preview.doubt.is_some());
        let least = if is_doubtful { Approvers::One } else { Approvers::None };
        PluginRules { approvers: rules.approvers.max(least), ..rules }
    }
}

/// Whether `plan` may be applied at `now`.
pub(super) fn judge(plan: &Plan, rules: PluginRules, facts: &GuardFacts, now: Timestamp) -> Result<(), PlanRefusal> {
    if plan.undoes.is_some() {
        return Ok(());
    }
    refuse_frozen(plan, facts, now)?;
    refuse_unapproved(plan, rules.approvers, facts)?;
    refuse_warm(plan, rules.cooldown, facts, now)?;
    refuse_hopeless(plan, facts, now)
}

/// Whether `actor` may approve a plan that `requester` asked for.
pub(super) fn judge_approval(plan: &Plan, requester: &Actor, actor: &Actor) -> Result<(), PlanRefusal> {
    if requester.person() == actor.person() {
        return Err(PlanRefusal::OwnPlan { id: plan.run });
    }
    Ok(())
}

fn refuse_frozen(plan: &Plan, facts: &GuardFacts, now: Timestamp) -> Result<(), PlanRefusal> {
    let targets = plan.targets();
    let covers = |freeze: &&crate::domain::Freeze| targets.iter().any(|target| freeze.covers(&plan.plugin, target));
    // Of several the one that holds longest: it is of no use to come back before.
    match facts.freezes.iter().filter(covers).max_by_key(|freeze| freeze.expires) {
        Some(freeze) => {
            Err(PlanRefusal::Frozen { wait: seconds(now, freeze.expires), freeze: Box::new(freeze.clone()) })
        }
        None => Ok(()),
    }
}

fn refuse_unapproved(plan: &Plan, approvers: Approvers, facts: &GuardFacts) -> Result<(), PlanRefusal> {
    let mut counted: Vec<&str> = facts.requester.iter().map(Actor::person).collect();
    let mut by = Vec::new();
    for Approval { actor, .. } in &facts.approvals {
        if !counted.contains(&actor.person()) {
            counted.push(actor.person());
            by.push(actor.clone());
        }
    }
    let given = u32::try_from(by.len()).unwrap_or(u32::MAX);
    match approvers.count().saturating_sub(given) {
        0 => Ok(()),
        missing => Err(PlanRefusal::NotApproved { id: plan.run, missing, by }),
    }
}

fn refuse_warm(plan: &Plan, cooldown: Option<Duration>, facts: &GuardFacts, now: Timestamp) -> Result<(), PlanRefusal> {
    let Some(cooldown) = cooldown else { return Ok(()) };
    let warm = facts.changed.iter().map(|(target, changed)| (target, *changed, changed.after(cooldown)));
    match warm.filter(|(.., until)| now < *until).max_by_key(|(.., until)| *until) {
        Some((target, changed, until)) => Err(PlanRefusal::Cooldown {
            name: plan.plugin.clone(),
            target: target.clone(),
            changed,
            until,
            wait: seconds(now, until),
        }),
        None => Ok(()),
    }
}

/// Whoever has tried something twice in vain should think before the third time.
fn refuse_hopeless(plan: &Plan, facts: &GuardFacts, now: Timestamp) -> Result<(), PlanRefusal> {
    let counts = |applied: &&Applied| facts.trusted.is_none_or(|trusted| trusted < applied.finished);
    let in_vain: Vec<_> = facts.applies.iter().take(TRIES).filter(counts).filter(|run| did_not_help(run)).collect();
    let (Some(last), TRIES) = (in_vain.first(), in_vain.len()) else { return Ok(()) };
    let until = last.finished.after(BREAKER_REST);
    if until <= now {
        return Ok(());
    }
    Err(PlanRefusal::BreakerOpen {
        name: plan.plugin.clone(),
        targets: plan.targets(),
        last: last.run,
        until,
        wait: seconds(now, until),
    })
}

/// Whether an apply left things as they were, or worse.
fn did_not_help(applied: &Applied) -> bool {
    match applied.helped {
        Some(Helped::NoChange | Helped::Worse) => return true,
        Some(Helped::Helped) => return false,
        Some(Helped::Unknown) | None => {}
    }
    match applied.state {
        RunState::Failed | RunState::Concluded(Status::Critical) => true,
        // Of a run that the agent's own end cut off nobody knows.
        RunState::Running
        | RunState::Interrupted
        | RunState::Concluded(Status::Ok | Status::Warning | Status::Unknown) => false,
    }
}

/// Whole seconds, one at least, after which it is `until`.
fn seconds(now: Timestamp, until: Timestamp) -> u32 {
    let millis = until.since(now).as_millis();
    u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests;
