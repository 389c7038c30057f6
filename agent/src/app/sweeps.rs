//! Joins the scheduler with what runs its checks: the two do not know each other.

use std::sync::Arc;

use anyhow::Context;

use crate::catalog::{Catalog, ParamsError, State};
use crate::config::{self, Config};
use crate::domain::{Actor, CheckResult, Decision, Ending, PluginName, Reason, Run, RunId, Status, SweepName, Target};
use crate::replicas::Replicas;
use crate::runner::{Refusal, Request, Runner};
use crate::scheduler::{
    Cadence, Check, CheckRunner, Duty, Limits, Order, Rules, Schedule, Scheduler, Sweep, Timetable, Turn,
};
use crate::store::SweepStore;
use crate::telemetry::Metrics;

/// How long a check waits for its turn. Less than the shortest interval that anybody takes for a sweep of many checks, more
/// than the usual deadline of what holds its place.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Runs checks as everybody's runs are run: recorded, within their limits and grants, and after those of people.
pub fn check_runner(catalog: Arc<Catalog>, runner: Arc<Runner>) -> Arc<dyn CheckRunner> {
    Arc::new(Checks { catalog, runner })
}

/// The scheduler of the configured sweeps.
pub(super) async fn scheduler(
    config: &Config,
    store: Arc<dyn SweepStore>,
    catalog: Arc<Catalog>,
    runner: Arc<Runner>,
    clock: Arc<dyn crate::clock::Clock>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Scheduler> {
    let limits = Limits { max_parallel_per_target: config.scheduler.max_parallel_per_target, patience: PATIENCE };
    let checks = check_runner(catalog, runner);
    let opened = Scheduler::open(all(config), limits, store, checks, clock, metrics).await;
    opened.context("cannot read what is known of the sweeps")
}

/// The configured sweeps.
pub(super) fn all(config: &Config) -> Vec<Sweep> {
    config.sweeps.iter().map(|(name, sweep)| self::sweep(name, sweep)).collect()
}

fn sweep(name: &SweepName, sweep: &config::Sweep) -> Sweep {
    let timetable = |cadence: &config::Cadence| Timetable {
        schedule: Schedule::new(self::cadence(cadence), sweep.splay, name),
        missed: sweep.missed,
        starting_deadline: sweep.starting_deadline,
    };
    let check = |check: &config::Check| Check { plugin: check.plugin.clone(), params: check.params.clone() };
    Sweep {
        name: name.clone(),
        timetable: sweep.cadence.as_ref().map(timetable),
        overlap: sweep.overlap,
        checks: sweep.checks.iter().map(check).collect(),
        rules: Rules {
            failure_threshold: sweep.failure_threshold,
            success_threshold: sweep.success_threshold,
            reminder_interval: sweep.reminder_interval,
            low_flap_threshold: sweep.low_flap_threshold.into(),
            high_flap_threshold: sweep.high_flap_threshold.into(),
        },
        max_parallel: sweep.max_parallel,
        max_parallel_per_target: sweep.max_parallel_per_target,
    }
}

fn cadence(cadence: &config::Cadence) -> Cadence {
    match cadence {
        config::Cadence::Every(period) => Cadence::Every(*period),
        config::Cadence::Cron { pattern, zone } => Cadence::Cron { pattern: pattern.clone(), zone: zone.clone() },
    }
}

/// Slots are run by the replica that leads.
pub(super) struct Turns(pub(super) Arc<Replicas>);

impl Duty for Turns {
    fn turn(&self) -> Turn {
        match self.0.term() {
            Some(term) => Turn::Ours(term),
            None if self.0.is_cut_off() => Turn::Nobodys,
            None => Turn::Theirs,
        }
    }
}

/// Runs checks as everybody's runs are run.
struct Checks {
    catalog: Arc<Catalog>,
    runner: Arc<Runner>,
}

#[async_trait::async_trait]
impl CheckRunner for Checks {
    fn targets(&self, check: &Check) -> Vec<Target> {
        match self.catalog.get(&check.plugin) {
            Some(State::Active(plugin)) => plugin.targets(&check.params),
            Some(State::Loading | State::Failed(_) | State::Absent) | None => Vec::new(),
        }
    }

    async fn run(&self, order: Order) -> Option<CheckResult> {
        let (plugin, actor) = (order.check.plugin.clone(), order.actor.clone());
        let request = Request {
            plugin: order.check.plugin,
            params: order.check.params,
            actor: order.actor,
            trigger: order.trigger,
            sweep_run: Some(order.sweep_run),
        };
        let started = match self.runner.start_in_turn(&order.sweep, order.patience, request).await {
            Ok(started) => started,
            Err(Refusal::ShuttingDown) => return None,
            Err(refusal) => return Some(refused(plugin, &refusal)),
        };
        let id = started.run.id;
        // Also when this future is dropped: nobody would ever look at what the check finds.
        let mut unless_awaited = CancelOnDrop { runner: &self.runner, run: Some(id), actor };
        let finished = started.finished().await;
        unless_awaited.run = None;
        let result = match finished {
            Some(run) => result(&run),
            None => CheckResult {
                plugin,
                run: Some(id),
                status: Status::Unknown,
                summary: "how it ended could not be recorded".to_owned(),
                reason: Some(Reason::NotRecorded),
            },
        };
        Some(result)
    }
}

/// Ends a run, if there still is one, when nobody waits for it any more.
struct CancelOnDrop<'a> {
    runner: &'a Runner,
    run: Option<RunId>,
    actor: Actor,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(run) = self.run {
            drop(self.runner.cancel(run, self.actor.clone()));
        }
    }
}

/// The result of a check that did not start.
fn refused(plugin: PluginName, refusal: &Refusal) -> CheckResult {
    let (reason, summary) = match refusal {
        Refusal::UnknownPlugin { .. }
        | Refusal::Loading { .. }
        | Refusal::NotActive { .. }
        | Refusal::Absent { .. }
        | Refusal::Plan(_)
        | Refusal::UnknownRun { .. }
        | Refusal::Quarantined(_) => (Reason::NotActive, refusal.to_string()),
        Refusal::Params(error) => (Reason::Params, params_refused(error)),
        Refusal::Busy { .. } => {
            (Reason::TurnedAway, format!("its turn did not come within {} s: {refusal}", PATIENCE.as_secs()))
        }
        Refusal::ShuttingDown => (Reason::TurnedAway, refusal.to_string()),
        Refusal::Store(_) => (Reason::NotRecorded, refusal.to_string()),
    };
    CheckResult { plugin, run: None, status: Status::Unknown, summary, reason: Some(reason) }
}

/// What is wrong with parameters, with the first of the rules that they break.
pub(super) fn params_refused(error: &ParamsError) -> String {
    match error {
        ParamsError::Mismatch(problems) => match problems.first() {
            Some(problem) if problem.pointer.is_empty() => format!("{error}: {}", problem.message),
            Some(problem) => format!("{error}: {} {}", problem.pointer, problem.message),
            None => error.to_string(),
        },
        ParamsError::TooLarge { .. } => error.to_string(),
    }
}

/// The result of a check that ran.
fn result(run: &Run) -> CheckResult {
    let denied = run.calls.iter().find(|call| matches!(call.decision, Decision::Denied(_)));
    let denial = denied.and_then(|call| call.error.clone());
    let (status, summary, reason) = match &run.ending {
        Some(Ending::Concluded(outcome)) => {
            let unknown = outcome.status == Status::Unknown;
            let reason = unknown.then_some(if denied.is_some() { Reason::Denied } else { Reason::Concluded });
            (outcome.status, outcome.summary.clone(), reason)
        }
        Some(Ending::Failed(failure)) => match denial {
            Some(denial) => (Status::Unknown, denial, Some(Reason::Denied)),
            None => {
                let summary = format!("no verdict ({}): {}", failure.kind.as_str(), failure.message);
                (Status::Unknown, summary, Some(Reason::Failed))
            }
        },
        None => (Status::Unknown, "it has no end".to_owned(), Some(Reason::NotRecorded)),
    };
    CheckResult { plugin: run.plugin.clone(), run: Some(run.id), status, summary, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ParamProblem;
    use crate::domain::{
        CallRecord, DenialReason, Digest, Failure, FailureKind, Mode, Outcome, Timestamp, Trigger, Usage,
    };

    const NOW: Timestamp = Timestamp::from_millis(1_772_323_200_000);

    fn plugin() -> PluginName {
        "pg-ready".parse().unwrap()
    }

    fn concluded(status: Status) -> Ending {
        let (details, metrics, findings, suggestions, labels) = (None, vec![], vec![], vec![], vec![]);
        let files = crate::domain::Files::default();
        Ending::Concluded(Outcome {
            status,
            summary: "so it is".into(),
            details,
            metrics,
            findings,
            suggestions,
            labels,
            files,
        })
    }

    fn failed(kind: FailureKind) -> Ending {
        Ending::Failed(Failure { kind, message: "it broke off".to_owned() })
    }

    fn run(ending: Ending, denied: bool) -> Run {
        let call = CallRecord {
            sequence: 1,
            operation: "postgres/query".to_owned(),
            target: "postgres/main".to_owned(),
            arguments: "{}".to_owned(),
            decision: if denied { Decision::Denied(DenialReason::NotGranted) } else { Decision::Permitted },
            started: NOW,
            duration: std::time::Duration::ZERO,
            answer_bytes: 0,
            answer_digest: None,
            error: denied.then(|| "denied: add a line".to_owned()),
        };
        Run {
            id: RunId::new(NOW),
            plugin: plugin(),
            version: "0.1.0".to_owned(),
            digest: Digest::of(b""),
            mode: Mode::Check,
            trigger: Trigger::Schedule,
            actor: Actor("schedule".to_owned()),
            sweep_run: None,
            params: "{}".to_owned(),
            started: NOW,
            finished: Some(NOW),
            ending: Some(ending),
            usage: Usage::default(),
            log: Vec::new(),
            calls: vec![call],
            changes: crate::domain::RunChanges::default(),
        }
    }

    #[test]
    fn an_unknown_verdict_is_explained() {
        for (ending, denied, status, reason, summary) in [
            (concluded(Status::Ok), false, Status::Ok, None, "so it is"),
            (concluded(Status::Critical), true, Status::Critical, None, "so it is"),
            (concluded(Status::Unknown), false, Status::Unknown, Some(Reason::Concluded), "so it is"),
            (concluded(Status::Unknown), true, Status::Unknown, Some(Reason::Denied), "so it is"),
            (
                failed(FailureKind::Deadline),
                false,
                Status::Unknown,
                Some(Reason::Failed),
                "no verdict (deadline): it broke off",
            ),
            (failed(FailureKind::HostCall), true, Status::Unknown, Some(Reason::Denied), "denied: add a line"),
        ] {
            let result = result(&run(ending, denied));
            assert_eq!((result.status, result.reason, &*result.summary), (status, reason, summary));
            assert!(result.run.is_some());
        }
    }

    #[test]
    fn a_check_that_did_not_start_is_explained() {
        let problem = ParamProblem { pointer: "/limit".to_owned(), message: "500 is too much".to_owned() };
        let store = crate::store::StoreError::Busy;
        for (refusal, reason, summary) in [
            (Refusal::UnknownPlugin { name: plugin() }, Reason::NotActive, "no plugin is named `pg-ready`"),
            (Refusal::Loading { name: plugin() }, Reason::NotActive, "the plugin `pg-ready` is being loaded"),
            (
                Refusal::Params(ParamsError::Mismatch(vec![problem])),
                Reason::Params,
                "the parameters do not match the schema of the plugin: /limit 500 is too much",
            ),
            (
                Refusal::Busy { slots: 4 },
                Reason::TurnedAway,
                "its turn did not come within 30 s: all 4 slots for runs are taken",
            ),
            (Refusal::Store(store), Reason::NotRecorded, "the start of the run cannot be recorded"),
        ] {
            let result = refused(plugin(), &refusal);
            assert_eq!((result.status, result.reason, &*result.summary), (Status::Unknown, Some(reason), summary));
            assert_eq!(result.run, None);
        }
    }
}
