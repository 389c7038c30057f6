//! Give a container other requests and limits, and follow the rollout: pods that do not become ready with them get the ones of before.

mod params;

use paramedic_sdk::{Context, Description, Failure, Follow, Outcome, Plugin, Receipt, Risk, kubernetes};
use params::{Amounts, Params};

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct K8sSetResources;

paramedic_sdk::export!(K8sSetResources);

impl Plugin for K8sSetResources {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Set resources", Risk::Medium)
            .about(include_str!("about.md"))
            .runbook("#issue-503-service-unavailable")
            .idempotent()
            .needs("kubernetes-actions/set-resources", "{target}", "to set requests and limits of a container")
            .needs("kubernetes/get-rollout", "{target}", "to see whether the pods with them become ready")
            .time_limit(900.0)
    }

    fn run(context: &Context, params: Params) -> Result<Outcome, Failure> {
        let Params { target, container, requests, limits, .. } = &params;
        let amounts = in_words(requests, limits)
            .ok_or_else(|| Failure::BadParams("there is neither a request nor a limit to set".to_owned()))?;
        let workload = params.workload();
        let not_ready = params.give_back_if_not_ready.into();
        let follow = Follow { workload: &workload, ready_within: params.ready_within, not_ready };
        follow.check_time(context)?;
        let change = kubernetes::set_resources(&workload, container, &requests.quantities(), &limits.quantities());
        let done = |_: &Receipt| format!("gave {container} in {workload} of {target} {amounts}");
        let nothing = format!("nothing to do: {container} in {workload} of {target} has {amounts}");
        Ok(follow.after(change, done, &nothing))
    }
}

/// Such as `requests of 500m cpu and limits of 1 cpu, 2Gi memory`; none where there is nothing to set.
fn in_words(requests: &Amounts, limits: &Amounts) -> Option<String> {
    let parts = [("requests", requests), ("limits", limits)].into_iter().filter_map(|(part, amounts)| {
        let cpu = amounts.cpu.iter().map(|cpu| format!("{cpu} cpu"));
        let memory = amounts.memory.iter().map(|memory| format!("{memory} memory"));
        let all: Vec<String> = cpu.chain(memory).collect();
        (!all.is_empty()).then(|| format!("{part} of {}", all.join(", ")))
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}
