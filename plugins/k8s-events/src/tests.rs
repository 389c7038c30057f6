use super::*;
use paramedic_sdk::kubernetes::LIST_EVENTS;
use paramedic_sdk::testing::{Host, Run, assert_takes, assert_well_described, denied, remote};
use paramedic_sdk::{Error, Instant};

#[path = "../../k8s-pods/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod pods;

/// 2026-01-01T00:00:00Z.
const NOW: Instant = 1_767_225_600_000;

fn event(reason: &str, object: &str, count: u32, seconds_ago: u64) -> Event {
    Event {
        last_seen: NOW - seconds_ago * 1000,
        count,
        severity: "Warning".to_owned(),
        reason: reason.to_owned(),
        object: object.to_owned(),
        message: format!("{reason} of {object}"),
    }
}

fn list(events: Vec<Event>) -> EventList {
    EventList { events, truncated: false }
}

fn check(events: Vec<Event>, params: serde_json::Value) -> Run {
    Host::new().at(NOW).answers(LIST_EVENTS, "prod", Ok(list(events))).run::<K8sEvents>(params)
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert_eq!(outcome.status(), status, "{}", outcome.summary());
    assert!(outcome.summary().contains(words), "{words} is not in: {}", outcome.summary());
    outcome.suggestions().iter().for_each(assert_takes::<pods::Params>);
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sEvents>();
}

#[test]
fn no_or_few_warnings_are_fine() {
    let normal = Event { severity: "Normal".to_owned(), ..event("Scheduled", "Pod/api-1", 900, 5) };
    let run = check(vec![normal.clone()], json!({}));
    assert_says(&run, Status::Ok, "0 warnings of prod in the last 1 h");
    assert!(run.outcome().tables().is_empty());
    let run = check(vec![event("FailedMount", "Pod/api-1", 3, 12), normal], json!({}));
    let words =
        "3 warnings of prod in the last 1 h, all of them FailedMount about Pod/api-1: \"FailedMount of Pod/api-1\"";
    assert_says(&run, Status::Ok, words);
}

#[test]
fn warnings_are_grouped_by_reason_and_kind_with_the_newest_message() {
    let events = vec![
        event("BackOff", "Pod/api-2", 7, 12),
        event("FailedCreate", "ReplicaSet/api-7", 2, 30),
        event("BackOff", "Pod/api-1", 30, 60),
        event("BackOff", "Job/mail", 1, 90),
    ];
    let run = check(events, json!({}));
    let words = "40 warnings of prod in the last 1 h, 37 of them BackOff about 2 pods: \"BackOff of Pod/api-2\"";
    assert_says(&run, Status::Warning, words);
    let rows = &run.table("Warnings by reason").rows;
    assert_eq!(rows[0], ["BackOff", "Pod", "2", "37", "12 s ago", "Pod/api-2", "BackOff of Pod/api-2"]);
    assert_eq!((rows[1][0].as_str(), rows[2][1].as_str()), ("FailedCreate", "Job"));
    assert_eq!(["warnings", "warning_reasons", "objects_warned_of"].map(|name| run.metric(name)), [40.0, 3.0, 4.0]);
    assert_eq!(run.outcome().suggestions()[0].plugin, "k8s-pods");
    let run = check(vec![event("FailedCreate", "ReplicaSet/api-7", 101, 30)], json!({ "critical": 100 }));
    assert_says(&run, Status::Critical, "101 warnings");
    assert!(run.outcome().suggestions().is_empty());
}

#[test]
fn only_what_is_in_the_window_and_not_ignored_counts() {
    let events = || {
        vec![event("BackOff", "Pod/a", 50, 301), event("Unhealthy", "Pod/b", 20, 10), event("Failed", "Pod/c", 1, 5)]
    };
    assert_says(&check(events(), json!({ "since": 300 })), Status::Warning, "21 warnings of prod in the last 5 min");
    let run = check(events(), json!({ "since": 300, "ignore": ["Unhealthy"] }));
    assert_says(&run, Status::Ok, "1 warning of prod in the last 5 min, all of them Failed about Pod/c");
}

#[test]
fn of_more_events_than_are_read_it_says_so_and_does_not_say_that_all_is_well() {
    let cut = |count| {
        let list = EventList { events: vec![event("BackOff", "Pod/api-1", count, 5)], truncated: true };
        Host::new().at(NOW).answers(LIST_EVENTS, "prod", Ok(list)).run::<K8sEvents>(json!({}))
    };
    let run = cut(3);
    assert_says(&run, Status::Unknown, "at least 3 warnings of prod in the last 1 h, all of them BackOff");
    assert_says(&run, Status::Unknown, "; 1 events were read, and there are more");
    assert!(run.outcome().details().unwrap().contains("**Only 1 events were read**, in no order of time"));
    assert_says(&cut(11), Status::Warning, "at least 11 warnings");
}

#[test]
fn one_object_can_be_asked_for() {
    let events = list(vec![event("BackOff", "Pod/api-1", 11, 5)]);
    let host = Host::new().at(NOW).answers(LIST_EVENTS, "prod Pod/api-1", Ok(events));
    let run = host.run::<K8sEvents>(json!({ "object": "Pod/api-1" }));
    assert_says(&run, Status::Warning, "11 warnings of prod about Pod/api-1 in the last 1 h");
}

#[test]
fn errors_of_the_host_leave_the_verdict_open() {
    let errors = [
        denied("kubernetes/list-events", "prod"),
        remote("kubernetes", "Forbidden", "the agent may not list events"),
        Error::Unavailable("the API server cannot be reached".into()),
        Error::TimedOut("5 s".into()),
        Error::TooLarge("2 MiB".into()),
        Error::Exhausted("calls".into()),
    ];
    for error in errors {
        let run = Host::new().answers(LIST_EVENTS, "prod", Err(error.clone())).run::<K8sEvents>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
}

#[test]
fn odd_events_do_not_confuse_it() {
    let odd = |n: u64| Event {
        last_seen: u64::MAX - n,
        count: u32::MAX,
        message: "\u{202e}\n\u{1b}[31m\u{1f4a5}".repeat(1000),
        ..event(&format!("R{}", n % 200), &"no kind".repeat(900), 1, 0)
    };
    let run = check((0..400).map(odd).collect(), json!({}));
    assert_says(&run, Status::Warning, "1717986918000 warnings of prod");
    assert_eq!(run.table("Warnings by reason").rows.len(), 20);
    assert!(run.outcome().details().unwrap().contains("20 of 200 groups"));
    let timeless = Event { last_seen: 0, ..event("", "", 5, 0) };
    assert_says(&check(vec![timeless], json!({})), Status::Ok, "0 warnings");
    assert_says(&check(vec![event("", "", 50, 1)], json!({})), Status::Warning, "50 warnings of prod");
}

#[test]
fn parameters_without_sense_are_refused() {
    let table = [
        json!({ "object": "api-1" }),
        json!({ "object": "Pod/a,b" }),
        json!({ "since": -1 }),
        json!({ "limit": 101 }),
        json!({ "ignore": "BackOff" }),
        json!({ "warning": "x" }),
        json!({ "labels": "app=api" }),
    ];
    for params in table {
        let run = Host::new().run::<K8sEvents>(params.clone());
        assert!(matches!(run.failure(), Failure::BadParams(_)), "{params}");
    }
}
