use super::*;
use paramedic_sdk::Error;
use paramedic_sdk::queue::LIST_FAILURES;
use paramedic_sdk::testing::{Host, Run, assert_takes, assert_well_described, denied, remote};

#[path = "../../queue-clean/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod clean;

#[path = "../../queue-retry-failed/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod retry;

const NOW: Instant = 1_767_225_600_000;

fn group(reason: &str, count: u64, newest_seconds_ago: u64) -> FailureGroup {
    FailureGroup {
        job_name: "order-confirmation".to_owned(),
        reason: reason.to_owned(),
        count,
        newest_id: "17".to_owned(),
        newest: NOW - newest_seconds_ago * 1000,
        oldest: NOW - 7_200_000,
        max_attempts: 3,
    }
}

fn failures(groups: Vec<FailureGroup>) -> Failures {
    let total = groups.iter().map(|group| group.count).sum();
    Failures { groups, examined: total, total }
}

fn check(failures: Failures, params: serde_json::Value) -> Run {
    Host::new().at(NOW).answers(LIST_FAILURES, "email", Ok(failures)).run::<QueueFailedJobs>(params)
}

fn twice(first: Failures, second: Failures) -> Run {
    let host = Host::new().at(NOW - 300_000).answers(LIST_FAILURES, "email", Ok(first)).answers(
        LIST_FAILURES,
        "email",
        Ok(second),
    );
    host.run::<QueueFailedJobs>(json!({})).next().later(300.0).run::<QueueFailedJobs>(json!({}))
}

/// What is suggested has to be what the suggested plugin takes.
#[track_caller]
fn assert_suggests_what_is_taken(run: &Run) {
    for suggestion in run.outcome().suggestions() {
        match suggestion.plugin.as_str() {
            "queue-clean" => assert_takes::<clean::Params>(suggestion),
            "queue-retry-failed" => assert_takes::<retry::Params>(suggestion),
            other => panic!("nothing is known of {other}"),
        }
    }
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    assert_suggests_what_is_taken(run);
    let outcome = run.outcome();
    assert_eq!(outcome.status(), status, "{}", outcome.summary());
    assert!(outcome.summary().contains(words), "{words} is not in: {}", outcome.summary());
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<QueueFailedJobs>();
}

#[test]
fn none_or_few_are_fine() {
    assert_says(&check(failures(Vec::new()), json!({})), Status::Ok, "email has 0 failed jobs");
    let run = check(failures(vec![group("550 mailbox unavailable", 3, 12)]), json!({}));
    assert_says(
        &run,
        Status::Ok,
        "email has 3 failed jobs, 100 % of them order-confirmation with \"550 mailbox unavailable\"",
    );
    assert!(run.outcome().suggestions().is_empty());
}

#[test]
fn the_reason_that_fails_most_is_named_with_its_newest_case() {
    let groups = vec![group("550 mailbox unavailable: *", 40, 12), group("connect ECONNREFUSED *", 5, 60)];
    let run = check(failures(groups), json!({}));
    let words = "email has 45 failed jobs, 89 % of them order-confirmation with \"550 mailbox unavailable: *\" (the newest 12 s ago)";
    assert_says(&run, Status::Warning, words);
    let rows = &run.table("Failed jobs by reason").rows;
    assert_eq!(rows[1], ["order-confirmation", "connect ECONNREFUSED *", "5", "1 min ago", "2 h ago", "3", "17"]);
    assert_says(&check(failures(vec![group("x", 1001, 1)]), json!({})), Status::Critical, "1001 failed jobs");
}

#[test]
fn what_passes_is_offered_to_be_retried_and_what_stays_to_be_cleaned() {
    let groups = vec![group("550 mailbox unavailable", 40, 12), group("connect ECONNREFUSED *", 5, 60)];
    let run = check(failures(groups), json!({}));
    let offered: Vec<_> =
        run.outcome().suggestions().iter().map(|next| (next.plugin.as_str(), &next.params["reason"])).collect();
    assert_eq!(
        offered,
        [("queue-retry-failed", &json!("connect ECONNREFUSED *")), ("queue-clean", &json!("550 mailbox unavailable"))]
    );
    let params = &run.outcome().suggestions()[0].params;
    let expected = json!({
        "target": "email", "job_name": "order-confirmation", "reason": "connect ECONNREFUSED *",
        "min_age": 0, "limit": 5,
    });
    assert_eq!(params, &expected);
    let old = check(failures(vec![group("connect ECONNREFUSED *", 50, 90_000)]), json!({}));
    assert_eq!(old.outcome().suggestions()[0].plugin, "queue-clean");
}

#[test]
fn growth_since_the_last_run_is_told_and_judged() {
    let run = twice(failures(vec![group("x", 2, 400)]), failures(vec![group("x", 2, 400), group("y", 6, 3)]));
    let words = "6 jobs of email failed in the last 5 min; the newest is order-confirmation with \"y\"";
    assert_says(&run, Status::Warning, words);
    assert_eq!(run.metric("jobs_failed_since_last_run"), 6.0);
    let run = twice(failures(vec![group("x", 20, 400)]), failures(vec![group("x", 121, 3)]));
    assert_says(&run, Status::Critical, "101 jobs of email failed in the last 5 min");
    assert!(run.outcome().details().unwrap().contains("email has 121 failed jobs"));
}

#[test]
fn a_queue_that_was_cleaned_has_not_grown() {
    let run = twice(failures(vec![group("x", 500, 400)]), failures(vec![group("x", 2, 3)]));
    assert_says(&run, Status::Ok, "email has 2 failed jobs");
    assert_eq!(run.metric("jobs_failed_since_last_run"), 0.0);
}

#[test]
fn a_sample_is_told_as_one() {
    let sampled = Failures { total: 90_000, ..failures(vec![group("x", 1000, 3)]) };
    let run = check(sampled, json!({}));
    assert_says(&run, Status::Critical, "90000 failed jobs, 100 % of them");
    assert!(run.outcome().details().unwrap().contains("the newest 1000 of 90000"));
    assert_eq!(run.calls[0].line(), "queue/list-failures email 1000");
}

#[test]
fn errors_of_the_host_leave_the_verdict_open() {
    let errors = [
        denied("queue/list-failures", "email"),
        Error::Unavailable("refused".into()),
        Error::TimedOut("5 s".into()),
        Error::NotFound("no queue".into()),
        Error::TooLarge("2 MiB".into()),
        remote("queue", "LOADING", "loading"),
    ];
    for error in errors {
        let run = Host::new().answers(LIST_FAILURES, "email", Err(error.clone())).run::<QueueFailedJobs>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
}

#[test]
fn odd_groups_do_not_confuse_it() {
    let odd = FailureGroup { job_name: String::new(), newest: NOW + 99_000, ..group("", 11, 1) };
    let run = check(Failures { examined: 0, ..failures(vec![odd]) }, json!({ "limit": 1 }));
    assert_says(&run, Status::Warning, "0 % of them");
    let forgetful = Host::new().forgetful().answers(LIST_FAILURES, "email", Ok(failures(Vec::new())));
    assert_says(&forgetful.run::<QueueFailedJobs>(json!({})), Status::Ok, "0 failed jobs");
}
