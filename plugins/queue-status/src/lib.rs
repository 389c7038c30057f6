//! Is a job queue worked off, and if not, why? A long queue alone tells little: paused, without a worker, held back by a
//! rate limit and overloaded look the same from afar and need different cures.

mod backlog;

use backlog::Backlog;
use paramedic_sdk::queue::{self, JobState, Overview};
use paramedic_sdk::{
    Context, Description, Error, Failure, Metric, Outcome, Plugin, Status, Suggestion, Table, Threshold, Workload,
    cells, human, judge, unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[cfg(test)]
mod tests;

/// Parameters of queue-status.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The queue target.
    target: String,
    /// Waiting jobs before it is a warning.
    waiting_warning: Threshold,
    /// Waiting jobs before it is critical.
    waiting_critical: Threshold,
    /// Seconds that the next job may wait before it is a warning.
    age_warning: Threshold,
    /// Seconds that the next job may wait before it is critical.
    age_critical: Threshold,
    /// Seconds that a delayed job may be overdue before it is a warning.
    overdue_warning: Threshold,
    /// Seconds that a delayed job may be overdue before it is critical.
    overdue_critical: Threshold,
    /// Active jobs without a worker before it is a warning.
    stalled_warning: Threshold,
    /// Active jobs without a worker before it is critical.
    stalled_critical: Threshold,
    /// The verdict on a queue that is paused.
    paused: Status,
    /// The workload that runs the workers, if it may be suggested to restart it.
    workers: Option<Workload>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "email".to_owned(),
            waiting_warning: Threshold::above(1000.0),
            waiting_critical: Threshold::above(10_000.0),
            age_warning: Threshold::above(300.0),
            age_critical: Threshold::above(1800.0),
            overdue_warning: Threshold::above(30.0),
            overdue_critical: Threshold::above(300.0),
            stalled_warning: Threshold::above(0.0),
            stalled_critical: Threshold::above(10.0),
            paused: Status::Warning,
            workers: None,
        }
    }
}

/// The check.
pub struct QueueStatus;

paramedic_sdk::export!(QueueStatus);

impl Plugin for QueueStatus {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Job queue")
            .about(include_str!("about.md"))
            .runbook("#issue-email-queue-backed-up")
            .needs("queue/inspect", "{target}", "to count jobs by state and see who works on them")
            .time_limit(10.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        match queue::inspect(&params.target) {
            Ok(overview) => Ok(judge_queue(&overview, &params)),
            Err(error) => judge_error(error, &params.target),
        }
    }
}

fn judge_queue(overview: &Overview, params: &Params) -> Outcome {
    let backlog = Backlog::of(overview, &params.target);
    let mut outcome = Outcome::ok(fine(overview, &params.target));
    if overview.paused {
        judge_paused(&mut outcome, &backlog, params);
    } else {
        judge_workers(&mut outcome, overview, &backlog, params);
        backlog::judge(&mut outcome, overview, &backlog, params);
        judge_overdue(&mut outcome, overview, params);
    }
    judge_stalled(&mut outcome, overview, params);
    measure(&mut outcome, overview, &backlog, params);
    outcome
}

fn fine(overview: &Overview, target: &str) -> String {
    let jobs = |state| human::plural(overview.count(state), "job");
    let oldest = overview
        .oldest_waiting
        .map_or_else(String::new, |age| format!(", the next of them created {} ago", human::duration(age)));
    let workers = match overview.workers {
        Some(count) => format!("{} connected", human::plural(count.into(), "worker")),
        None => "number of workers not known".to_owned(),
    };
    let ready = human::plural(overview.ready(), "job");
    format!("{target}: {ready} waiting{oldest}, {} active, {workers}", jobs(JobState::Active))
}

/// Somebody paused the queue, so it is no fault of workers that jobs wait; whether it is meant to last is for people to
/// say.
fn judge_paused(outcome: &mut Outcome, backlog: &Backlog, params: &Params) {
    let waiting = human::plural(backlog.ready, "job");
    let text = format!(
        "{} is paused, not backed up: {waiting} waiting{}, and none is taken until it is resumed",
        params.target,
        backlog.growth_in_words(),
    );
    outcome.find(params.paused, text);
    if params.paused > Status::Ok {
        let reason = "Workers take jobs again; resume once the cause of the pause is gone.";
        outcome.suggest(Suggestion::new("queue-resume", json!({ "target": params.target }), reason).confidence(0.5));
    }
}

/// The server tells the names of its clients, so no worker is as good as known. What it cannot tell is not judged.
fn judge_workers(outcome: &mut Outcome, overview: &Overview, backlog: &Backlog, params: &Params) {
    if overview.workers != Some(0) || backlog.ready == 0 {
        return;
    }
    let jobs = if backlog.ready == 1 { "1 job is".to_owned() } else { format!("{} jobs are", backlog.ready) };
    outcome.find(Status::Critical, format!("no worker is connected to {} while {jobs} waiting", params.target));
    suggest_restart(outcome, params, "No worker is connected.", 0.8);
}

fn judge_overdue(outcome: &mut Outcome, overview: &Overview, params: &Params) {
    let overdue = overview.overdue.unwrap_or(0.0);
    let status = judge(overdue, &params.overdue_warning, &params.overdue_critical);
    let by = human::duration(overdue);
    outcome.find(status, format!("delayed jobs of {} are overdue by {by}: no worker makes them ready", params.target));
    if status > Status::Ok {
        suggest_restart(outcome, params, "Workers that hang make no delayed job ready.", 0.5);
    }
    let metric = Metric::new("delayed_overdue_seconds", overdue, unit::SECONDS);
    outcome.metric(metric.limits(&params.overdue_warning, &params.overdue_critical));
}

fn judge_stalled(outcome: &mut Outcome, overview: &Overview, params: &Params) {
    let status = judge(overview.stalled as f64, &params.stalled_warning, &params.stalled_critical);
    let jobs = human::plural(overview.stalled, "active job");
    outcome.find(status, format!("{jobs} of {} lost the worker that had taken it and will run again", params.target));
    if status > Status::Ok {
        suggest_restart(outcome, params, "Workers lose their jobs when they hang or crash.", 0.4);
    }
    let metric = Metric::count("jobs_stalled", overview.stalled);
    outcome.metric(metric.limits(&params.stalled_warning, &params.stalled_critical));
}

/// One restart is enough, however many reasons there are for it; the first is the gravest.
fn suggest_restart(outcome: &mut Outcome, params: &Params, reason: &str, confidence: f64) {
    let already = outcome.suggestions().iter().any(|suggestion| suggestion.plugin == "k8s-rollout-restart");
    if let Some(workload) = params.workers.as_ref().filter(|_| !already) {
        outcome.suggest(Suggestion::restart(workload, reason).confidence(confidence));
    }
}

fn measure(outcome: &mut Outcome, overview: &Overview, backlog: &Backlog, params: &Params) {
    let mut table = Table::new(format!("Jobs of {} ({})", params.target, overview.library()), ["state", "jobs"]);
    for entry in &overview.counts {
        let state = queue::state_name(entry.state);
        table.row(cells![state, entry.count]);
        outcome.metric(Metric::count("jobs", entry.count).label("state", state));
    }
    outcome.table(table);
    let ready = Metric::count("jobs_ready", backlog.ready);
    outcome.metric(ready.limits(&params.waiting_warning, &params.waiting_critical));
    outcome.metric(Metric::count("paused", overview.paused.into()));
    if let Some(workers) = overview.workers {
        outcome.metric(Metric::count("workers", workers.into()));
    }
}

/// A queue whose server is gone works no better than one that is stuck.
fn judge_error(error: Error, target: &str) -> Result<Outcome, Failure> {
    let text = match &error {
        Error::Unavailable(reason) => format!("the server behind {target} cannot be reached: {reason}"),
        Error::TimedOut(reason) => format!("the server behind {target} does not answer in time: {reason}"),
        Error::NotFound(reason) => {
            return Ok(Outcome::found(
                Status::Unknown,
                format!("there is no queue {target} where it should be: {reason}"),
            ));
        }
        _ => return Err(error.into()),
    };
    Ok(Outcome::found(Status::Critical, text))
}
