//! Give a container another image, and follow the rollout: an image that does not become ready is given back.

mod params;

use paramedic_sdk::{Context, Description, Failure, Follow, Outcome, Plugin, Receipt, Risk, human, kubernetes};
use params::Params;

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct K8sSetImage;

paramedic_sdk::export!(K8sSetImage);

impl Plugin for K8sSetImage {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Set an image", Risk::Medium)
            .about(include_str!("about.md"))
            .runbook("#service-restoration")
            .idempotent()
            .needs("kubernetes-actions/set-image", "{target}", "to set the image of a container")
            .needs("kubernetes/get-rollout", "{target}", "to see whether the pods with it become ready")
            .time_limit(900.0)
    }

    fn run(context: &Context, params: Params) -> Result<Outcome, Failure> {
        let workload = params.workload();
        let not_ready = params.give_back_if_not_ready.into();
        let follow = Follow { workload: &workload, ready_within: params.ready_within, not_ready };
        follow.check_time(context)?;
        let Params { target, container, .. } = &params;
        let image = human::shorten(&params.image, 120);
        let done = |_: &Receipt| format!("set the image of {container} in {workload} of {target} to {image}");
        let nothing = format!("nothing to do: the image of {container} in {workload} of {target} is {image}");
        Ok(follow.after(kubernetes::set_image(&workload, container, &params.image), done, &nothing))
    }
}
