//! The checks of one run, side by side and bounded.
//!
//! A check first takes a place at each of its targets and only then one among the checks of its sweep, so that those which
//! wait for a target that hangs do not keep the others from starting.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::places::Places;
use super::{Check, CheckRunner, Limits, Order, Sweep};
use crate::domain::{CheckResult, Reason, Status, SweepRun, Target, Trigger};

/// What the checks of all sweeps share.
pub(super) struct Execution {
    runner: Arc<dyn CheckRunner>,
    places: Places,
    limits: Limits,
}

/// What a run came to.
pub(super) enum Ended {
    /// Each check has a result.
    Concluded(Status, Vec<CheckResult>),
    /// The agent is ending, and some did not run.
    Interrupted,
}

impl Execution {
    pub(super) fn new(runner: Arc<dyn CheckRunner>, limits: Limits) -> Self {
        Self { runner, places: Places::new(limits.max_parallel_per_target), limits }
    }

    /// Run the checks of `sweep` for its run `run`.
    pub(super) async fn perform(&self, sweep: &Sweep, run: &SweepRun) -> Ended {
        let own =
            Own { places: Places::new(sweep.max_parallel_per_target), checks: Semaphore::new(sweep.max_parallel) };
        let checks = sweep.checks.iter().map(|check| self.check(check, run, &own));
        let results: Option<Vec<CheckResult>> = join_all(checks).await.into_iter().collect();
        match results {
            Some(results) => Ended::Concluded(worst(&results), results),
            None => Ended::Interrupted,
        }
    }

    async fn check(&self, check: &Check, run: &SweepRun, own: &Own) -> Option<CheckResult> {
        let targets = self.runner.targets(check);
        let begun = tokio::time::Instant::now();
        let entered = async {
            let among_own = own.places.take(&targets).await;
            let among_all = self.places.take(&targets).await;
            let among_checks = own.checks.acquire().await;
            (among_own, among_all, among_checks)
        };
        let Ok(_held) = tokio::time::timeout(self.limits.patience, entered).await else {
            return Some(self.turned_away(check, &targets));
        };
        let order = Order {
            sweep: run.sweep.clone(),
            sweep_run: run.id,
            check: check.clone(),
            actor: run.actor.clone(),
            trigger: if run.slot.is_some() { Trigger::Schedule } else { Trigger::Sweep },
            patience: self.limits.patience.saturating_sub(begun.elapsed()),
        };
        self.runner.run(order).await
    }

    fn turned_away(&self, check: &Check, targets: &[Target]) -> CheckResult {
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let where_to = if targets.is_empty() { String::new() } else { format!(" at {}", targets.join(" and ")) };
        let seconds = self.limits.patience.as_secs();
        CheckResult {
            plugin: check.plugin.clone(),
            run: None,
            status: Status::Unknown,
            summary: format!("no place{where_to} became free within {seconds} s; other checks hold them"),
            reason: Some(Reason::TurnedAway),
        }
    }
}

/// What the checks of one run share.
struct Own {
    places: Places,
    checks: Semaphore,
}

/// The gravest verdict; a sweep without checks, which no configuration has, would know nothing.
fn worst(results: &[CheckResult]) -> Status {
    let statuses = results.iter().map(|result| result.status);
    statuses.reduce(Status::worse).unwrap_or(Status::Unknown)
}
