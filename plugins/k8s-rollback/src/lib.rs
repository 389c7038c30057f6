//! Roll a workload back to an earlier revision, and follow that to its end.

mod params;

use paramedic_sdk::{
    Context, Description, Failure, Follow, NotReady, Outcome, Plugin, Receipt, Risk, Workload, kubernetes,
};
use params::Params;

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct K8sRollback;

paramedic_sdk::export!(K8sRollback);

impl Plugin for K8sRollback {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Roll back a workload", Risk::Medium)
            .about(include_str!("about.md"))
            .runbook("#automation-scripts")
            .confirmed_by("k8s-rollouts")
            .needs("kubernetes-actions/rollback", "{target}", "to go back to an earlier revision")
            .needs("kubernetes/get-rollout", "{target}", "to follow the rollout to its end")
            .time_limit(900.0)
    }

    fn run(context: &Context, params: Params) -> Result<Outcome, Failure> {
        let workload = params.workload();
        let follow = Follow { workload: &workload, ready_within: params.ready_within, not_ready: NotReady::Keep };
        follow.check_time(context)?;
        let nothing = format!("nothing to do: {workload} of {} has that revision", params.target);
        let change = kubernetes::rollback(&workload, params.revision);
        Ok(follow.after(change, |receipt| done(receipt, &workload), &nothing))
    }
}

/// With the revision that the host chose, where none was named.
fn done(receipt: &Receipt, workload: &Workload) -> String {
    let revision = receipt.changes.iter().find(|change| change.field == "revision");
    let to = revision.and_then(|change| change.after.as_deref()).unwrap_or("before");
    format!("rolled {workload} of {} back to revision {to}", workload.target)
}
