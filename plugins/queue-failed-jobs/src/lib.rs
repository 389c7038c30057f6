//! Why do jobs fail, and do they go on failing? The count alone is old news as often as not; the reason that fails most,
//! its newest case and the growth since the last run are what people act on.

mod reason;

use paramedic_sdk::queue::{self, FailureGroup, Failures};
use paramedic_sdk::{
    Context, Description, Failure, Instant, Metric, Outcome, Plugin, Seconds, Status, Suggestion, Table, Threshold,
    cells, clock, human, judge, state, unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[cfg(test)]
mod tests;

/// A count that is older tells nothing about whether jobs fail now.
const REMEMBERED_SECONDS: Seconds = 24.0 * 3600.0;
/// A reason that has not come up for so long is history.
const OLD_SECONDS: Seconds = 24.0 * 3600.0;

/// Parameters of queue-failed-jobs.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The queue target.
    target: String,
    /// Failed jobs before it is a warning.
    warning: Threshold,
    /// Failed jobs before it is critical.
    critical: Threshold,
    /// Jobs that failed since the last run before it is a warning.
    growth_warning: Threshold,
    /// Jobs that failed since the last run before it is critical.
    growth_critical: Threshold,
    /// Of the failed jobs, look at this many of the newest.
    #[schemars(range(min = 1, max = 5000))]
    examine: u32,
    /// Most groups to show.
    #[schemars(range(min = 1, max = 100))]
    limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "email".to_owned(),
            warning: Threshold::above(10.0),
            critical: Threshold::above(1000.0),
            growth_warning: Threshold::above(5.0),
            growth_critical: Threshold::above(100.0),
            examine: 1000,
            limit: 10,
        }
    }
}

/// What one run remembers for the next.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Seen {
    at: Instant,
    total: u64,
}

/// The check.
pub struct QueueFailedJobs;

paramedic_sdk::export!(QueueFailedJobs);

impl Plugin for QueueFailedJobs {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Failed jobs")
            .about(include_str!("about.md"))
            .runbook("#2-diagnosis-15-30-minutes")
            .needs("queue/list-failures", "{target}", "to group failed jobs by reason, without what is in them")
            .time_limit(15.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let failures = queue::list_failures(&params.target, params.examine)?;
        let seen = Seen { at: clock::now(), total: failures.total };
        let before = state::exchange(&format!("failed/{}", params.target), &seen, REMEMBERED_SECONDS);
        Ok(judge_failures(&failures, before.as_ref(), &params))
    }
}

fn judge_failures(failures: &Failures, before: Option<&Seen>, params: &Params) -> Outcome {
    let mut outcome = Outcome::ok(sentence(failures, params));
    let status = judge(failures.total as f64, &params.warning, &params.critical);
    outcome.find(status, sentence(failures, params));
    outcome.metric(Metric::count("jobs_failed", failures.total).limits(&params.warning, &params.critical));
    judge_growth(&mut outcome, failures, before, params);
    if outcome.status() > Status::Ok {
        failures.groups.iter().take(2).for_each(|group| suggest(&mut outcome, group, params));
    }
    show(&mut outcome, failures, params);
    if failures.examined < failures.total {
        let text = format!("The groups rest on the newest {} of {} failed jobs.", failures.examined, failures.total);
        outcome.note(text);
    }
    outcome
}

fn sentence(failures: &Failures, params: &Params) -> String {
    let jobs = human::plural(failures.total, "failed job");
    match failures.groups.first() {
        None => format!("{} has {jobs}", params.target),
        Some(most) => format!("{} has {jobs}, {}", params.target, accuse(most, failures)),
    }
}

fn accuse(most: &FailureGroup, failures: &Failures) -> String {
    let share = human::percent(human::share(most.count as f64, failures.examined as f64));
    let (reason, job) = (human::shorten(&most.reason, 100), human::shorten(&most.job_name, 40));
    let newest = human::duration(clock::age(most.newest));
    format!("{share} of them {job} with \"{reason}\" (the newest {newest} ago)")
}

/// Somebody may have cleaned up in between; fewer than before is no growth, and tells nothing about new failures.
fn judge_growth(outcome: &mut Outcome, failures: &Failures, before: Option<&Seen>, params: &Params) {
    let Some(before) = before else {
        return;
    };
    let grown = failures.total.saturating_sub(before.total);
    let since = human::duration(clock::age(before.at));
    let jobs = human::plural(grown, "job");
    let which = failures.groups.iter().max_by_key(|group| group.newest);
    let which = which.map_or_else(String::new, |group| {
        format!(
            "; the newest is {} with \"{}\"",
            human::shorten(&group.job_name, 40),
            human::shorten(&group.reason, 100)
        )
    });
    let status = judge(grown as f64, &params.growth_warning, &params.growth_critical);
    outcome.find(status, format!("{jobs} of {} failed in the last {since}{which}", params.target));
    let metric = Metric::new("jobs_failed_since_last_run", grown as f64, unit::COUNT);
    outcome.metric(metric.limits(&params.growth_warning, &params.growth_critical));
}

fn suggest(outcome: &mut Outcome, group: &FailureGroup, params: &Params) {
    let (job, reason) = (&group.job_name, human::shorten(&group.reason, 60));
    let selection = json!({
        "target": params.target, "job_name": job, "reason": group.reason, "min_age": 0, "limit": group.count,
    });
    let old = clock::age(group.newest) > OLD_SECONDS;
    let suggestion = match (reason::passes(&group.reason), old) {
        (true, false) => {
            let why =
                format!("\"{reason}\" looks like it passes by itself. What a job did before it failed is done again.");
            Suggestion::new("queue-retry-failed", selection, why).confidence(0.5)
        }
        (_, true) => {
            let why = format!("\"{reason}\" has not come up for over a day; its jobs only take up room.");
            Suggestion::new("queue-clean", selection, why).confidence(0.4)
        }
        (false, false) => {
            let why =
                format!("\"{reason}\" does not look like a retry would help; once its cause is known its jobs can go.");
            Suggestion::new("queue-clean", selection, why).confidence(0.2)
        }
    };
    outcome.suggest(suggestion);
}

fn show(outcome: &mut Outcome, failures: &Failures, params: &Params) {
    let columns = ["job", "reason", "failed", "newest", "oldest", "attempts", "newest id"];
    let mut table = Table::new("Failed jobs by reason", columns);
    for group in failures.groups.iter().take(params.limit) {
        let ago = |instant| format!("{} ago", human::duration(clock::age(instant)));
        let FailureGroup { job_name, reason, count, newest, oldest, max_attempts, newest_id } = group;
        table.row(cells![job_name, reason, count, ago(*newest), ago(*oldest), max_attempts, newest_id]);
    }
    outcome.table(table);
}
