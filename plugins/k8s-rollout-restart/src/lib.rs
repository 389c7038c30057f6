//! Restart a workload: replace its pods one after the other, and follow that to its end.

mod params;

use paramedic_sdk::{Context, Description, Failure, Follow, NotReady, Outcome, Plugin, Receipt, Risk, kubernetes};
use params::Params;

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct K8sRolloutRestart;

paramedic_sdk::export!(K8sRolloutRestart);

impl Plugin for K8sRolloutRestart {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Restart a workload", Risk::Medium)
            .about(include_str!("about.md"))
            .runbook("#api-down")
            .needs("kubernetes-actions/restart", "{target}", "to have the pods replaced")
            .needs("kubernetes/get-rollout", "{target}", "to follow the rollout to its end")
            .time_limit(900.0)
    }

    fn run(context: &Context, params: Params) -> Result<Outcome, Failure> {
        let workload = params.workload();
        let follow = Follow { workload: &workload, ready_within: params.ready_within, not_ready: NotReady::Keep };
        follow.check_time(context)?;
        let done = |_: &Receipt| format!("restarted {workload} of {}", params.target);
        let nothing = format!("nothing to do: {workload} of {} was restarted already", params.target);
        Ok(follow.after(kubernetes::restart(&workload), done, &nothing))
    }
}
