use super::*;
use paramedic_sdk::queue::CLEAN_FAILED;
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied, out_of_bounds, receipt, unchanged};
use paramedic_sdk::{Error, Status};
use serde_json::json;

fn host(jobs: u64) -> Host {
    let summary = format!("remove {jobs} failed jobs of the queue email");
    let receipt = Receipt { answer: Some(json!({ "jobs": jobs }).to_string()), ..receipt(&summary) };
    Host::new().answers(CLEAN_FAILED, "email", Ok(receipt))
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<QueueClean>();
}

#[test]
fn jobs_are_chosen_by_age_name_and_reason() {
    let table = [
        (json!({}), "email 3600 1000", ""),
        (json!({ "min_age": 0, "limit": 5 }), "email 0 5", ""),
        (json!({ "job_name": "welcome" }), "email 3600 welcome 1000", " named welcome"),
        (
            json!({ "job_name": "welcome", "reason": "550 mailbox *" }),
            "email 3600 welcome 550 mailbox * 1000",
            " named welcome with \"550 mailbox *\"",
        ),
    ];
    for (params, asked, which) in table {
        let asked = format!("queue-actions/clean-failed {asked}");
        let planned = host(40).plan::<QueueClean>(params.clone());
        assert_eq!(planned.changes(), [asked.as_str()]);
        assert_eq!(planned.outcome().summary(), "would remove 40 failed jobs of the queue email");
        let applied = planned.next().apply::<QueueClean>(params);
        assert_eq!(applied.changes(), [asked.as_str()]);
        assert_eq!(applied.outcome().summary(), format!("removed 40 failed jobs of email{which}"));
        assert_eq!(applied.outcome().status(), Status::Ok);
    }
}

#[test]
fn nothing_to_do_is_fine() {
    let host = || Host::new().answers(CLEAN_FAILED, "email", Ok(unchanged()));
    let run = host().apply::<QueueClean>(json!({}));
    let words = "nothing to do: no job of email failed at least 1 h ago";
    assert_eq!((run.outcome().summary().as_str(), run.outcome().status()), (words, Status::Ok));
    let run = host().plan::<QueueClean>(json!({ "job_name": "welcome" }));
    assert_eq!(run.outcome().summary(), "nothing to do: no job of email named welcome failed at least 1 h ago");
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let (operation, target) = ("queue-actions/clean-failed", "queue/email");
    let bound = "the grant covers jobs that failed at least 1h ago";
    let table = [
        (
            conflict("the version of the queue moved"),
            Status::Warning,
            "nothing was done: the version of the queue moved",
        ),
        (denied(operation, target), Status::Unknown, "the grant of this plugin lacks it"),
        (out_of_bounds(operation, target, bound), Status::Unknown, bound),
        (Error::Unavailable("refused".into()), Status::Critical, "nothing was done: unavailable: refused"),
        (Error::TimedOut("5 s".into()), Status::Critical, "no answer came in time"),
    ];
    for (error, status, words) in table {
        let run = Host::new().answers(CLEAN_FAILED, "email", Err(error)).apply::<QueueClean>(json!({}));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
    }
}
