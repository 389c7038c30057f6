//! Remove failed jobs of a queue, chosen by age, name and reason.

mod params;

use paramedic_sdk::queue::{self, Selection};
use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, Receipt, Risk, human};
use params::Params;

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct QueueClean;

paramedic_sdk::export!(QueueClean);

impl Plugin for QueueClean {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Clean failed jobs", Risk::High)
            .about(include_str!("about.md"))
            .runbook("#issue-email-queue-backed-up")
            .confirmed_by("queue-failed-jobs")
            .needs("queue-actions/clean-failed", "{target}", "to remove failed jobs")
            .time_limit(120.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let change = queue::clean_failed(&params.target, &selection(&params));
        Ok(Outcome::of_change(change, |receipt| done(receipt, &params), &nothing(&params)))
    }
}

fn selection(params: &Params) -> Selection {
    Selection {
        min_age: params.min_age,
        job_name: params.job_name.clone(),
        reason: params.reason.clone(),
        limit: params.limit,
    }
}

fn done(receipt: &Receipt, params: &Params) -> String {
    format!("removed {} of {}{}", receipt.count("jobs", "failed job"), params.target, which(params))
}

fn nothing(params: &Params) -> String {
    let (target, age) = (&params.target, human::duration(params.min_age));
    format!("nothing to do: no job of {target}{} failed at least {age} ago", which(params))
}

/// Which jobs are meant, as an addition to a sentence.
fn which(params: &Params) -> String {
    let name = params.job_name.as_deref().map(|name| format!(" named {}", human::shorten(name, 40)));
    let reason = params.reason.as_deref().map(|reason| format!(" with \"{}\"", human::shorten(reason, 100)));
    name.into_iter().chain(reason).collect()
}
