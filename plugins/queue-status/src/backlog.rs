//! Jobs that are ready and not taken: how many, for how long, whether they grow, and why.

use crate::{Params, suggest_restart};
use paramedic_sdk::queue::{JobState, Overview};
use paramedic_sdk::{
    Instant, Metric, Outcome, Seconds, Status, Suggestion, clock, human, judge as judge_value, state, unit,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A count that is older tells nothing about whether the queue grows now.
const REMEMBERED_SECONDS: Seconds = 6.0 * 3600.0;

/// What one run remembers for the next.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Seen {
    at: Instant,
    ready: u64,
}

/// Jobs that a worker could take.
#[derive(Debug)]
pub(crate) struct Backlog {
    pub(crate) ready: u64,
    before: Option<Seen>,
}

impl Backlog {
    pub(crate) fn of(overview: &Overview, target: &str) -> Self {
        let ready = overview.ready();
        let seen = Seen { at: clock::now(), ready };
        Self { ready, before: state::exchange(&format!("ready/{target}"), &seen, REMEMBERED_SECONDS) }
    }

    fn growth(&self) -> Option<(i128, Seconds)> {
        let before = self.before?;
        Some((i128::from(self.ready) - i128::from(before.ready), clock::age(before.at)))
    }

    /// Empty on a first run, when nothing is known.
    pub(crate) fn growth_in_words(&self) -> String {
        match self.growth() {
            None => String::new(),
            Some((0, since)) => format!(", as many as {} ago", human::duration(since)),
            Some((more, since)) if more > 0 => format!(", {more} more than {} ago", human::duration(since)),
            Some((less, since)) => format!(", {} fewer than {} ago", -less, human::duration(since)),
        }
    }
}

pub(crate) fn judge(outcome: &mut Outcome, overview: &Overview, backlog: &Backlog, params: &Params) {
    let age = overview.oldest_waiting.unwrap_or(0.0);
    let by_count = judge_value(backlog.ready as f64, &params.waiting_warning, &params.waiting_critical);
    let by_age = judge_value(age, &params.age_warning, &params.age_critical);
    let status = by_count.max(by_age);
    if status > Status::Ok {
        let jobs = human::plural(backlog.ready, "job");
        let since = human::duration(age);
        let text = format!(
            "{} is backed up: {jobs} waiting{}, the next of them created {since} ago; {}",
            params.target,
            backlog.growth_in_words(),
            why(overview, backlog),
        );
        outcome.find(status, text);
        suggest(outcome, overview, params);
    }
    let metric = Metric::new("oldest_waiting_seconds", age, unit::SECONDS);
    outcome.metric(metric.limits(&params.age_warning, &params.age_critical));
}

/// The first that applies explains the rest.
fn why(overview: &Overview, backlog: &Backlog) -> String {
    let active = overview.count(JobState::Active);
    let jobs = human::plural(active, "job");
    let workers = overview.workers.map(|count| human::plural(count.into(), "worker"));
    match overview.rate_limited {
        _ if overview.workers == Some(0) => "no worker is connected".to_owned(),
        Some(wait) => format!("its rate limit holds jobs back for another {}", human::duration(wait)),
        None if overview.stalled > 0 => format!("{} lost their worker", human::plural(overview.stalled, "active job")),
        None if active == 0 => match workers {
            Some(workers) => format!("{workers} connected, but none works on a job"),
            None => "no job is being worked on".to_owned(),
        },
        None if backlog.growth().is_some_and(|(more, _)| more < 0) => {
            format!("its workers catch up, with {jobs} active")
        }
        None => match workers {
            Some(workers) => format!("{workers} with {jobs} active do not keep up"),
            None => format!("{jobs} active do not keep up"),
        },
    }
}

/// A provider that limits the rate is better left alone for a while; workers that take nothing are better restarted.
fn suggest(outcome: &mut Outcome, overview: &Overview, params: &Params) {
    if overview.rate_limited.is_some() {
        let reason = "Attempts against a rate limit are lost; a pause keeps them until the provider accepts more.";
        outcome.suggest(Suggestion::new("queue-pause", json!({ "target": params.target }), reason).confidence(0.2));
    } else if overview.count(JobState::Active) == 0 {
        suggest_restart(outcome, params, "Workers are there and take no job.", 0.5);
    }
}
