use super::*;
use paramedic_sdk::queue::PAUSE;
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied, receipt, unchanged};
use paramedic_sdk::{Change, Error, Receipt, Status};
use serde_json::json;

fn paused() -> Receipt {
    let (before, after) = ("no", "yes");
    let change = Change { field: "paused".to_owned(), before: Some(before.to_owned()), after: Some(after.to_owned()) };
    Receipt { changes: vec![change], reversible: true, ..receipt("pause the queue email (BullMQ 5)") }
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<QueuePause>();
}

#[test]
fn the_queue_is_paused_and_told_in_the_tense_of_the_run() {
    let planned = Host::new().answers(PAUSE, "email", Ok(paused())).plan::<QueuePause>(json!({}));
    assert_eq!(planned.outcome().summary(), "would pause the queue email (BullMQ 5)");
    assert_eq!(planned.changes(), ["queue-actions/pause email"]);
    let applied = planned.next().apply::<QueuePause>(json!({}));
    assert_eq!((applied.outcome().summary().as_str(), applied.outcome().status()), ("paused email", Status::Ok));
    assert_eq!(applied.changes(), ["queue-actions/pause email"]);
    assert_eq!(applied.table("Changes").rows[0], ["paused", "no", "yes"]);
}

#[test]
fn nothing_to_do_is_fine() {
    let run = Host::new().answers(PAUSE, "jobs", Ok(unchanged())).apply::<QueuePause>(json!({ "target": "jobs" }));
    let words = "nothing to do: jobs is paused already";
    assert_eq!((run.outcome().summary().as_str(), run.outcome().status()), (words, Status::Ok));
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let table = [
        (conflict("paused was no, is yes"), Status::Warning, "nothing was done: paused was no, is yes"),
        (denied("queue-actions/pause", "queue/email"), Status::Unknown, "the grant of this plugin lacks it"),
        (Error::NotFound("no queue email".into()), Status::Critical, "nothing was done: not found: no queue email"),
        (Error::TimedOut("5 s".into()), Status::Critical, "no answer came in time"),
    ];
    for (error, status, words) in table {
        let run = Host::new().answers(PAUSE, "email", Err(error)).apply::<QueuePause>(json!({}));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
    }
}
