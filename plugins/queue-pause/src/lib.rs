//! Let the workers of a job queue take no new job.

mod params;

use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, Risk, queue};
use params::Params;

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct QueuePause;

paramedic_sdk::export!(QueuePause);

impl Plugin for QueuePause {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Pause a queue", Risk::Medium)
            .about(include_str!("about.md"))
            .runbook("#issue-email-queue-backed-up")
            .idempotent()
            .needs("queue-actions/pause", "{target}", "to pause the queue")
            .time_limit(30.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let target = &params.target;
        let change = queue::pause(target);
        let nothing = format!("nothing to do: {target} is paused already");
        Ok(Outcome::of_change(change, |_| format!("paused {target}"), &nothing))
    }
}
