//! Give a workload another number of replicas.

mod params;

use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, Receipt, Risk, Suggestion, Workload, kubernetes};
use params::Params;
use serde_json::json;

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct K8sScale;

paramedic_sdk::export!(K8sScale);

impl Plugin for K8sScale {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Scale a workload", Risk::Medium)
            .about(include_str!("about.md"))
            .runbook("#api-down")
            .idempotent()
            .needs("kubernetes-actions/scale", "{target}", "to set the number of replicas")
            .time_limit(30.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let workload = params.workload();
        let change = kubernetes::scale(&workload, params.replicas);
        let is_applied = change.as_ref().is_ok_and(Receipt::is_applied);
        let nothing = format!("nothing to do: {workload} of {} has {} replicas", params.target, params.replicas);
        let mut outcome = Outcome::of_change(change, |receipt| done(receipt, &workload, params.replicas), &nothing);
        if is_applied {
            let why = format!("It tells when the pods of {workload} are there.");
            outcome.suggest(Suggestion::new("k8s-rollouts", json!({ "target": params.target }), why));
        }
        Ok(outcome)
    }
}

fn done(receipt: &Receipt, workload: &Workload, replicas: u32) -> String {
    let before = receipt.changes.first().and_then(|change| change.before.as_deref());
    let from = before.map_or_else(String::new, |before| format!(" from {before}"));
    format!("scaled {workload} of {}{from} to {replicas}", workload.target)
}
