//! Let the workers of a job queue take jobs again.

mod params;

use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, Risk, queue};
use params::Params;

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct QueueResume;

paramedic_sdk::export!(QueueResume);

impl Plugin for QueueResume {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Resume a queue", Risk::Medium)
            .about(include_str!("about.md"))
            .runbook("#issue-email-queue-backed-up")
            .confirmed_by("queue-status")
            .idempotent()
            .needs("queue-actions/resume", "{target}", "to resume the queue")
            .time_limit(30.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let target = &params.target;
        let change = queue::resume(target);
        let nothing = format!("nothing to do: {target} is not paused");
        Ok(Outcome::of_change(change, |_| format!("resumed {target}"), &nothing))
    }
}
