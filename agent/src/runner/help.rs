//! Did it help? A mitigation names its check, which runs before and after it; the host compares the two verdicts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Application, PlanRefusal, Refusal, Request, Runner};
use crate::catalog::Plugin;
use crate::domain::{Actor, Ending, Fate, Help, Helped, Plan, PluginName, Run, RunId, Status, Trigger};

/// The label by which a mitigation names its check, and the one with further parameters of that, a JSON object.
const CHECK: &str = "confirmed-by";
const PARAMS: &str = "confirmed-with";

/// The label of an outcome by which a mitigation asks that what it did be given back, with its reason.
const GIVE_BACK: &str = "give-back";

/// How long the world gets to settle before the check runs again.
const SETTLING: Duration = Duration::from_secs(2);

/// A check that ran before an apply and is to run after it.
pub(super) struct Confirmation {
    check: PluginName,
    params: Map<String, Value>,
    actor: Actor,
    before: Arc<Run>,
    /// Give the changes back when it is worse afterwards.
    revert_if_worse: bool,
}

impl Runner {
    /// Run the check that `plugin` names before its plan is applied. None where it names none, or where that cannot run.
    pub(super) async fn look_before(&self, plugin: &Plugin, plan: &Plan, asked: &Application) -> Option<Confirmation> {
        let labels = &plugin.metadata.labels;
        let label = |name: &str| labels.iter().find(|label| label.name == name).map(|label| label.value.as_str());
        let check: PluginName = label(CHECK)?.parse().ok()?;
        let mut params: Map<String, Value> =
            label(PARAMS).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let of_plan: Map<String, Value> = serde_json::from_str(&plan.params).unwrap_or_default();
        params.extend(of_plan.get("target").map(|target| ("target".to_owned(), target.clone())));
        let actor = asked.actor.clone();
        let before = self.check_now(&check, &params, &actor).await?;
        Some(Confirmation { check, params, actor, before, revert_if_worse: asked.revert_if_worse })
    }

    /// Run the check again after the apply `run`, record what it tells, and give the changes back where that was asked for.
    pub(super) async fn look_after(&self, run: &mut Run, confirmation: Confirmation) {
        if !run.changes.made.iter().any(|change| matches!(change.fate, Some(Fate::Applied(_)))) {
            return;
        }
        tokio::time::sleep(SETTLING).await;
        let Confirmation { check, params, actor, before, revert_if_worse } = confirmation;
        let after = self.check_now(&check, &params, &actor).await;
        let verdict = compare(verdict(&before), after.as_deref().and_then(verdict));
        let help = Help { verdict, before: before.id, after: after.map(|run| run.id) };
        run.changes.help = Some(help);
        self.metrics.helped(&run.plugin, verdict);
        tracing::info!(run.id = %run.id, plugin.name = %run.plugin, helped = verdict.as_str(), "an apply was judged");
        if let Err(error) = self.store.record_help(run.id, help).await {
            tracing::error!(%error, run.id = %run.id, "whether an apply helped is not recorded");
        }
        if verdict == Helped::Worse && revert_if_worse {
            // What keeps it from that stands in the log and in the record of the undo.
            let _ = self.give_back(run.id, actor, "it was worse afterwards").await;
        }
    }

    /// Give back what an apply changed where its plugin found that it did no good: a rollout, say, that does not become ready.
    pub(super) async fn give_back_if_asked(&self, run: &mut Run) {
        let Some(Ending::Concluded(outcome)) = &run.ending else { return };
        let Some(label) = outcome.labels.iter().find(|label| label.name == GIVE_BACK) else { return };
        // Whether it could be done stands in the log and in the record of the undo.
        let _ = self.give_back(run.id, run.actor.clone(), &label.value).await;
        match self.store.run(run.id).await {
            Ok(Some(now)) => *run = now,
            Ok(None) => {}
            Err(error) => tracing::error!(%error, run.id = %run.id, "a run that was given back cannot be read"),
        }
    }

    /// Give back what a run changed, at once. Answers with the run that did it, or why nobody could.
    /// None when there was nothing left to give back.
    pub(super) async fn give_back(&self, run: RunId, actor: Actor, reason: &str) -> Result<Option<Arc<Run>>, String> {
        tracing::info!(run.id = %run, reason, "the changes of a run are given back");
        let given_back = self.give_back_now(run, actor).await;
        if let Err(error) = &given_back {
            tracing::error!(run.id = %run, error, "the changes of a run could not be given back");
        }
        given_back
    }

    async fn give_back_now(&self, run: RunId, actor: Actor) -> Result<Option<Arc<Run>>, String> {
        let lost = || "the end of the undo is not recorded".to_owned();
        let planned = match self.plan_undo(run, actor.clone(), None).await {
            Ok(planned) => planned,
            Err(Refusal::Plan(refusal)) if matches!(*refusal, PlanRefusal::NothingToGiveBack { .. }) => {
                return Ok(None);
            }
            Err(refusal) => return Err(refusal.to_string()),
        };
        let planned = planned.finished().await.ok_or_else(lost)?;
        if let Some(Ending::Failed(failure)) = &planned.ending {
            return Err(failure.message.clone());
        }
        if planned.changes.plan.as_ref().is_none_or(|plan| plan.changes.is_empty()) {
            // All of it is as it was before.
            return Ok(Some(planned));
        }
        let asked = Application {
            plan: planned.id,
            digest: None,
            actor,
            lease: None,
            revert_if_worse: false,
            break_glass: None,
        };
        let applied = self.apply(asked, None).await.map_err(|refusal| refusal.to_string())?;
        let applied = applied.finished().await.ok_or_else(lost)?;
        let undone = |fate: &Option<Fate>| matches!(fate, Some(Fate::Applied(_) | Fate::Unchanged));
        match applied.changes.made.iter().find(|change| !undone(&change.fate)) {
            None => Ok(Some(applied)),
            Some(change) => Err(format!("{}: {}", change.planned.preview.summary, why(change.fate.as_ref()))),
        }
    }

    async fn check_now(&self, check: &PluginName, params: &Map<String, Value>, actor: &Actor) -> Option<Arc<Run>> {
        let request = Request {
            plugin: check.clone(),
            params: params.clone(),
            actor: actor.clone(),
            trigger: Trigger::Manual,
            sweep_run: None,
        };
        match self.start(request).await {
            Ok(started) => started.finished().await,
            Err(refusal) => {
                tracing::warn!(%refusal, plugin.name = %check, "the check of a mitigation does not run");
                None
            }
        }
    }
}

fn why(fate: Option<&Fate>) -> String {
    match fate {
        Some(Fate::Conflict(text) | Fate::Failed(text) | Fate::Unknown(text)) => text.clone(),
        Some(Fate::Applied(_) | Fate::Unchanged) | None => "it is not over".to_owned(),
    }
}

fn verdict(run: &Run) -> Option<Status> {
    run.ending.as_ref().map(Ending::status)
}

/// Better, the same or worse. What is not known on either side tells nothing.
fn compare(before: Option<Status>, after: Option<Status>) -> Helped {
    let badness = |status: Status| match status {
        Status::Ok => Some(0),
        Status::Warning => Some(1),
        Status::Critical => Some(2),
        Status::Unknown => None,
    };
    match (before.and_then(badness), after.and_then(badness)) {
        (Some(before), Some(after)) if after < before => Helped::Helped,
        (Some(before), Some(after)) if after > before => Helped::Worse,
        (Some(_), Some(_)) => Helped::NoChange,
        (None, _) | (_, None) => Helped::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_verdicts_tell_whether_it_helped() {
        use Status::{Critical, Ok, Unknown, Warning};
        for (before, after, expected) in [
            (Some(Critical), Some(Ok), Helped::Helped),
            (Some(Critical), Some(Warning), Helped::Helped),
            (Some(Warning), Some(Warning), Helped::NoChange),
            (Some(Ok), Some(Ok), Helped::NoChange),
            (Some(Ok), Some(Warning), Helped::Worse),
            (Some(Warning), Some(Critical), Helped::Worse),
            (Some(Unknown), Some(Ok), Helped::Unknown),
            (Some(Critical), Some(Unknown), Helped::Unknown),
            (Some(Critical), None, Helped::Unknown),
        ] {
            assert_eq!(compare(before, after), expected, "{before:?} {after:?}");
        }
    }
}
