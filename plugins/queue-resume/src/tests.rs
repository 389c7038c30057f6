use super::*;
use paramedic_sdk::queue::RESUME;
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied, receipt, unchanged};
use paramedic_sdk::{Change, Error, Receipt, Status};
use serde_json::json;

fn resumed() -> Receipt {
    let (before, after) = ("yes", "no");
    let change = Change { field: "paused".to_owned(), before: Some(before.to_owned()), after: Some(after.to_owned()) };
    Receipt { changes: vec![change], reversible: true, ..receipt("resume the queue email (BullMQ 5)") }
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<QueueResume>();
}

#[test]
fn the_queue_is_resumed_and_told_in_the_tense_of_the_run() {
    let planned = Host::new().answers(RESUME, "email", Ok(resumed())).plan::<QueueResume>(json!({}));
    assert_eq!(planned.outcome().summary(), "would resume the queue email (BullMQ 5)");
    assert_eq!(planned.changes(), ["queue-actions/resume email"]);
    let applied = planned.next().apply::<QueueResume>(json!({}));
    assert_eq!((applied.outcome().summary().as_str(), applied.outcome().status()), ("resumed email", Status::Ok));
    assert_eq!(applied.changes(), ["queue-actions/resume email"]);
    assert_eq!(applied.table("Changes").rows[0], ["paused", "yes", "no"]);
}

#[test]
fn nothing_to_do_is_fine() {
    let run = Host::new().answers(RESUME, "jobs", Ok(unchanged())).apply::<QueueResume>(json!({ "target": "jobs" }));
    let words = "nothing to do: jobs is not paused";
    assert_eq!((run.outcome().summary().as_str(), run.outcome().status()), (words, Status::Ok));
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let table = [
        (conflict("paused was yes, is no"), Status::Warning, "nothing was done: paused was yes, is no"),
        (denied("queue-actions/resume", "queue/email"), Status::Unknown, "the grant of this plugin lacks it"),
        (Error::NotFound("no queue email".into()), Status::Critical, "nothing was done: not found: no queue email"),
        (Error::TimedOut("5 s".into()), Status::Critical, "no answer came in time"),
    ];
    for (error, status, words) in table {
        let run = Host::new().answers(RESUME, "email", Err(error)).apply::<QueueResume>(json!({}));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
    }
}
