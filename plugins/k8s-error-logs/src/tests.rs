use super::*;
use paramedic_sdk::Instant;
use paramedic_sdk::kubernetes::{LIST_PODS, LogPage, Pod, READ_LOGS};
use paramedic_sdk::testing::{self, Host, Run, assert_well_described, denied, remote};
use serde_json::json;

/// 2026-01-01T00:00:00Z.
const NOW: Instant = 1_767_225_600_000;

fn line(pod: &str, seconds_ago: u64, text: &str) -> LogLine {
    LogLine { time: Some(NOW - seconds_ago * 1000), pod: pod.to_owned(), text: text.to_owned() }
}

fn page(lines: Vec<LogLine>) -> Result<LogPage, Error> {
    Ok(LogPage { lines, next: None, truncated: false })
}

fn pod() -> Pod {
    testing::pod("api-1", "app=api", Vec::new())
}

fn check(lines: Vec<LogLine>) -> Run {
    let host = Host::new().at(NOW).answers(READ_LOGS, "prod app=api", page(lines));
    host.answers(LIST_PODS, "prod app=api", Ok(vec![pod()])).run::<K8sErrorLogs>(json!({}))
}

fn orders(count: u64) -> Vec<LogLine> {
    (0..count)
        .map(|n| line(if n % 3 == 0 { "api-2" } else { "api-1" }, 100 + count - n, &format!("ERROR order {n} failed")))
        .collect()
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert_eq!(outcome.status(), status, "{}", outcome.summary());
    assert!(outcome.summary().contains(words), "{words} is not in: {}", outcome.summary());
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sErrorLogs>();
}

#[test]
fn no_or_few_errors_are_fine() {
    let run = check(Vec::new());
    assert_says(&run, Status::Ok, "0 error lines of app=api in the last 1 h");
    let run = check(orders(2));
    assert_says(
        &run,
        Status::Ok,
        "2 error lines of app=api in the last 1 h, all of them \"ERROR order * failed\" on 2 pods",
    );
    assert_eq!(run.calls[0].line(), format!("kubernetes/read-logs prod app=api current {PATTERN}"));
}

#[test]
fn lines_that_say_the_same_are_one_group() {
    let mut lines = orders(30);
    lines.push(line("api-1", 5, "panic: no stock"));
    let run = check(lines);
    let words = "31 error lines of app=api in the last 1 h, of 2 kinds; 30 of them \"ERROR order * failed\" on 2 pods";
    assert_says(&run, Status::Warning, words);
    let rows = &run.table("Errors by what they say").rows;
    let expected = ["30", "1 min 41 s ago", "api-1 (20), api-2 (10)", "ERROR order * failed", "ERROR order 29 failed"];
    assert_eq!(rows[0], expected);
    assert_eq!(rows[1], ["1", "5.0 s ago", "api-1 (1)", "panic: no stock", "panic: no stock"]);
    let metrics = ["error_lines", "error_shapes", "pods_with_errors"].map(|name| run.metric(name));
    assert_eq!(metrics, [31.0, 2.0, 2.0]);
    assert_says(&check(orders(501)), Status::Critical, "501 error lines");
}

#[test]
fn what_a_limit_leaves_out_is_told() {
    let more = LogPage { lines: orders(20), next: Some("7:1".to_owned()), truncated: false };
    let host = Host::new().at(NOW).answers(READ_LOGS, "prod app=api", Ok(more.clone()));
    let run = host.run::<K8sErrorLogs>(json!({ "lines": 20 }));
    assert_says(&run, Status::Warning, "at least 20 error lines");
    assert!(run.outcome().details().unwrap().contains("only the oldest 20 lines were read"));
    assert_eq!(run.calls.len(), 1);
    // Pages end, whatever the marks say.
    let run = Host::new().at(NOW).answers(READ_LOGS, "prod app=api", Ok(more)).run::<K8sErrorLogs>(json!({}));
    assert_eq!((run.calls.len(), run.metric("error_lines")), (PAGES, 160.0));
    let empty = LogPage { lines: Vec::new(), next: Some("7:1".to_owned()), truncated: false };
    let host = Host::new().answers(READ_LOGS, "prod app=api", Ok(empty)).answers(LIST_PODS, "prod", Ok(vec![pod()]));
    let run = host.run::<K8sErrorLogs>(json!({}));
    assert_eq!(run.calls.iter().filter(|call| call.operation == "kubernetes/read-logs").count(), 1);
    assert_says(&run, Status::Ok, "at least 0 error lines");
}

#[test]
fn a_log_whose_newest_lines_were_not_read_is_not_called_fine() {
    let cut = |lines| {
        let page = LogPage { lines, next: None, truncated: true };
        let host = Host::new().at(NOW).answers(READ_LOGS, "prod app=api", Ok(page));
        host.answers(LIST_PODS, "prod app=api", Ok(vec![pod()])).run::<K8sErrorLogs>(json!({}))
    };
    let run = cut(Vec::new());
    let words = "at least 0 error lines of app=api in the last 1 h; of a log only the oldest 4 MiB were read";
    assert_says(&run, Status::Unknown, words);
    assert!(run.outcome().details().unwrap().contains("A shorter `since` shows them"));
    assert_says(&cut(orders(30)), Status::Warning, "at least 30 error lines");
    // Also where another page follows the one that says so.
    let first = LogPage { lines: orders(2), next: Some("7:1".to_owned()), truncated: true };
    let host = Host::new().at(NOW).answers(READ_LOGS, "prod app=api", Ok(first));
    let run = host.answers(READ_LOGS, "prod app=api", page(orders(1))).run::<K8sErrorLogs>(json!({}));
    assert_says(&run, Status::Unknown, "at least 3 error lines");
}

#[test]
fn pages_are_read_one_after_the_other_and_one_that_fails_ends_them() {
    let first = LogPage { lines: orders(20), next: Some("7:1".to_owned()), truncated: false };
    let both = |second| {
        let host = Host::new().at(NOW).answers(READ_LOGS, "prod app=api", Ok(first.clone())).answers(
            READ_LOGS,
            "prod app=api",
            second,
        );
        host.run::<K8sErrorLogs>(json!({}))
    };
    assert_says(&both(page(orders(3))), Status::Warning, "23 error lines of app=api");
    let run = both(Err(Error::Exhausted("all answers together".into())));
    assert_says(&run, Status::Warning, "at least 20 error lines");
    assert!(run.outcome().details().unwrap().contains("the rest could not be read: exhausted"));
}

#[test]
fn without_a_pod_nothing_is_known() {
    let ask = |pods| {
        let host = Host::new().answers(READ_LOGS, "prod app=api", page(Vec::new())).answers(LIST_PODS, "prod", pods);
        host.run::<K8sErrorLogs>(json!({}))
    };
    assert_says(&ask(Ok(Vec::new())), Status::Unknown, "no pod has the labels app=api, so no log was read");
    let run = ask(Err(denied("kubernetes/list-pods", "prod")));
    assert_says(&run, Status::Ok, "0 error lines");
    assert!(run.outcome().details().unwrap().contains("could have written errors is not known"));
}

#[test]
fn errors_of_the_host_leave_the_verdict_open() {
    let errors = [
        denied("kubernetes/read-logs", "prod"),
        remote("kubernetes", "Forbidden", "the agent may not read the log"),
        Error::Unavailable("the API server cannot be reached".into()),
        Error::TimedOut("5 s".into()),
        Error::NotFound("there is no pod api-1".into()),
        Error::TooLarge("300 containers match".into()),
    ];
    for error in errors {
        let run = Host::new().answers(READ_LOGS, "prod app=api", Err(error.clone())).run::<K8sErrorLogs>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
}

#[test]
fn odd_lines_do_not_confuse_it() {
    let odd = |n: u64| LogLine {
        time: if n.is_multiple_of(2) { None } else { Some(u64::MAX - n) },
        pod: format!("{n}\u{202e}{}", "p".repeat(3000)),
        text: format!("\u{1b}[31merror \u{1f4a5} {}", "\n\"'`{".repeat(400)),
    };
    let run = check((0..400).map(odd).collect());
    assert_says(&run, Status::Warning, "400 error lines");
    assert_eq!(run.metric("error_shapes"), 1.0);
    let words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let each = words.iter().flat_map(|a| words.iter().map(move |b| line("api-1", 1, &format!("error {a} {b}"))));
    let run = check(each.collect());
    assert_eq!(run.table("Errors by what they say").rows.len(), 15);
    assert!(run.outcome().details().unwrap().contains("85 more kinds with 85 lines in all"));
}

#[test]
fn parameters_without_sense_are_refused() {
    let table = [
        json!({ "labels": "" }),
        json!({ "pattern": "" }),
        json!({ "since": 0 }),
        json!({ "lines": 0 }),
        json!({ "lines": 20_001 }),
        json!({ "critical": "20:10:5" }),
        json!({ "regex": "x" }),
    ];
    for params in table {
        let run = Host::new().run::<K8sErrorLogs>(params.clone());
        assert!(matches!(run.failure(), Failure::BadParams(_)), "{params}");
    }
    let invalid = Error::Invalid("`matching` is no regular expression that is taken".into());
    let run =
        Host::new().answers(READ_LOGS, "prod app=api", Err(invalid)).run::<K8sErrorLogs>(json!({ "pattern": "(" }));
    assert!(matches!(run.failure(), Failure::BadParams(text) if text.contains("regular expression")));
}
