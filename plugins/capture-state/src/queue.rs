//! A job queue: how many jobs stand where, for how long, and why jobs failed. No job is read.

use paramedic_sdk::File;
use paramedic_sdk::queue::{self, FailureGroup, Overview};
use serde_json::{Map, Value, json};

use crate::capture::Capture;
use crate::lines;
use crate::params::{Extra, Params};

/// What it asks for, and why.
pub const USES: &[(&str, &str)] = &[
    ("queue/inspect", "to capture how many jobs stand where"),
    ("queue/list-failures", "to capture why jobs failed, with values masked"),
];

/// Failed jobs that are looked at.
const FAILURES: u32 = 1000;

/// Capture a queue.
pub fn capture(capture: &mut Capture, target: &str, params: &Params) {
    let base = format!("queue/{target}");
    let part = format!("{base}/overview");
    if let Some(overview) = capture.ask(&part, || queue::inspect(target)) {
        capture.list(File::whole(format!("{part}.json"), lines::pretty(&of_overview(&overview))));
    }
    if params.wants(Extra::Failures) {
        let part = format!("{base}/failures");
        if let Some(failures) = capture.ask(&part, || queue::list_failures(target, FAILURES)) {
            let total = json!({ "failed": failures.total, "looked_at": failures.examined });
            let groups = failures.groups.iter().map(of_group);
            capture.list(File::whole(format!("{part}.jsonl"), lines::of(std::iter::once(total).chain(groups))));
        }
    }
}

fn of_overview(overview: &Overview) -> Value {
    let counts: Map<String, Value> = overview
        .counts
        .iter()
        .map(|entry| (queue::state_name(entry.state).to_owned(), Value::from(entry.count)))
        .collect();
    json!({
        "library": overview.library(), "paused": overview.paused, "counts": counts, "stalled": overview.stalled,
        "oldest_waiting_seconds": overview.oldest_waiting, "overdue_seconds": overview.overdue,
        "workers": overview.workers, "rate_limited_seconds": overview.rate_limited,
    })
}

fn of_group(group: &FailureGroup) -> Value {
    json!({ "job": group.job_name, "reason": group.reason, "jobs": group.count })
}
