use super::*;
use paramedic_sdk::kubernetes::{
    Container, ContainerEnd, Event, EventList, LIST_EVENTS, LIST_PODS, LogLine, LogPage, Quantities, READ_LOG, Removal,
};
use paramedic_sdk::testing::{self, Host, Run, assert_well_described, denied, remote};
use paramedic_sdk::{Error, Instant};
use serde_json::json;

/// 2026-01-01T00:00:00Z.
const NOW: Instant = 1_767_225_600_000;

fn quantities(memory: Option<&str>) -> Quantities {
    Quantities { cpu: None, memory: memory.map(str::to_owned), others: Vec::new() }
}

fn fine(name: &str) -> Pod {
    let limits = quantities(Some("512Mi"));
    testing::pod(name, "app=api", vec![Container { limits, ..testing::container("api") }])
}

/// How a container ended, three minutes ago.
fn end(reason: &str, exit_code: i32) -> Option<ContainerEnd> {
    Some(ContainerEnd { exit_code, signal: None, reason: Some(reason.to_owned()), finished: Some(NOW - 180_000) })
}

fn with(name: &str, change: impl FnOnce(&mut Container)) -> Pod {
    let mut pod = fine(name);
    change(&mut pod.containers[0]);
    pod.ready = pod.containers[0].ready;
    pod
}

/// One that ended so and runs again.
fn ended(name: &str, reason: &str, code: i32) -> Pod {
    with(name, |container| {
        container.restarts = 4;
        container.last_end = end(reason, code);
    })
}

fn crashing(name: &str, reason: &str, code: i32) -> Pod {
    let mut pod = ended(name, reason, code);
    pod.ready = false;
    pod.containers[0].ready = false;
    pod.containers[0].state = "waiting".to_owned();
    pod.containers[0].reason = Some("CrashLoopBackOff".to_owned());
    pod
}

fn line(text: &str) -> LogLine {
    LogLine { time: Some(NOW - 65_000), pod: "api-1".to_owned(), text: text.to_owned() }
}

fn event(reason: &str) -> Event {
    Event {
        last_seen: NOW - 60_000,
        count: 12,
        severity: "Warning".to_owned(),
        reason: reason.to_owned(),
        object: "Pod/api-1".to_owned(),
        message: "Back-off restarting failed container".to_owned(),
    }
}

fn list(events: Vec<Event>) -> EventList {
    EventList { events, truncated: false }
}

fn host(pods: Vec<Pod>) -> Host {
    let lines = vec![line("allocating"), line("java.lang.OutOfMemoryError: heap"), line(" ")];
    Host::new()
        .at(NOW)
        .answers(LIST_PODS, "prod app=api", Ok(pods))
        .answers(READ_LOG, "prod", Ok(LogPage { lines, next: None, truncated: false }))
        .answers(LIST_EVENTS, "prod", Ok(list(vec![event("BackOff"), event("Killing")])))
}

fn check(pods: Vec<Pod>) -> Run {
    host(pods).run::<K8sCrashes>(json!({}))
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert_eq!(outcome.status(), status, "{}", outcome.summary());
    assert!(outcome.summary().contains(words), "{words} is not in: {}", outcome.summary());
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sCrashes>();
}

#[test]
fn containers_that_never_ended_by_a_fault_are_fine_and_nothing_more_is_asked() {
    let done = with("api-2", |container| {
        container.restarts = 1;
        container.last_end = end("Completed", 0);
    });
    let run = check(vec![fine("api-1"), done]);
    assert_says(&run, Status::Ok, "no container of 2 pods of app=api ended by a fault");
    assert_eq!((run.calls.len(), run.metric("containers_ended")), (1, 0.0));
}

#[test]
fn an_end_for_memory_is_told_with_its_limit_its_last_line_and_its_cure() {
    let run = check(vec![fine("api-2"), crashing("api-1", "OOMKilled", 137)]);
    let words = "api-1/api was killed for more memory than its limit of 512Mi (OOMKilled, exit 137) 3 min ago, 4 restarts, \
                 is down; its last line was \"java.lang.OutOfMemoryError: heap\"";
    assert_says(&run, Status::Critical, words);
    assert!(run.outcome().details().unwrap().contains("more memory than 512Mi, `k8s-set-resources`"));
    let lines = &run.table("Last lines of api-1/api before its end").rows;
    assert_eq!(lines[1], ["1 min 5 s ago", "java.lang.OutOfMemoryError: heap"]);
    let events = &run.table("Events of these pods").rows;
    assert_eq!(events[0], ["api-1", "1 min ago", "12", "BackOff", "Back-off restarting failed container"]);
    let row = &run.table("Containers that ended").rows[0];
    assert_eq!((row[4].as_str(), row[5].as_str(), row[6].as_str()), ("3 min ago", "down", "512Mi"));
    assert_eq!((run.metric("containers_out_of_memory"), run.metric("containers_down")), (1.0, 1.0));
    let asked: Vec<String> = run.calls.iter().map(|call| call.line()).collect();
    assert!(asked.contains(&"kubernetes/read-log prod api-1 api previous ".to_owned()), "{asked:?}");
    let boundless = with("api-1", |container| {
        container.last_end = end("OOMKilled", 137);
        container.limits = quantities(None);
    });
    let run = check(vec![boundless]);
    assert_says(&run, Status::Warning, "because its node ran out of memory; it has no limit of its own");
    assert!(run.outcome().details().unwrap().contains("`k8s-set-resources` can give it one"));
}

#[test]
fn exit_codes_are_put_in_words() {
    let table = [
        ("Error", 1, "ended with an error of its own (Error, exit 1)"),
        ("Error", 137, "was killed (SIGKILL), by a failing liveness probe that it did not heed"),
        ("Error", 139, "touched memory that is not its own (SIGSEGV) (Error, exit 139)"),
        ("Error", 143, "was told to stop (SIGTERM)"),
        ("StartError", 128, "could not be started (StartError, exit 128)"),
        ("Error", -7, "ended with an error (Error, exit -7)"),
    ];
    for (reason, code, words) in table {
        let host = Host::new()
            .answers(LIST_PODS, "prod", Ok(vec![ended("api-1", reason, code)]))
            .answers(READ_LOG, "prod", Ok(LogPage { lines: Vec::new(), next: None, truncated: false }))
            .answers(LIST_EVENTS, "prod", Ok(list(Vec::new())));
        let run = host.run::<K8sCrashes>(json!({}));
        assert_says(&run, Status::Warning, words);
        let details = run.outcome().details().unwrap();
        assert!(details.contains("api-1/api wrote nothing before its end"), "{details}");
    }
}

#[test]
fn a_container_that_ends_again_and_again_without_an_error_is_down_all_the_same() {
    let words = "api-1/api ended by itself, without an error (Completed, exit 0) 3 min ago, 4 restarts, is down";
    assert_says(&check(vec![crashing("api-1", "Completed", 0)]), Status::Critical, words);
}

#[test]
fn one_that_was_not_started_again_has_its_current_log_read() {
    let over = with("api-1", |container| {
        container.ready = false;
        container.state = "terminated".to_owned();
        container.reason = Some("Error".to_owned());
        container.end = Some(ContainerEnd { signal: Some(11), finished: None, ..end("Error", 139).unwrap() });
    });
    let run = check(vec![over]);
    let words =
        "api-1/api touched memory that is not its own (SIGSEGV) (Error, signal 11, exit 139), 0 restarts, is down";
    assert_says(&run, Status::Critical, words);
    assert!(run.calls.iter().any(|call| call.line() == "kubernetes/read-log prod api-1 api current "));
}

#[test]
fn pods_that_end_alike_are_told_in_one_sentence() {
    let pods = (1..=5).map(|n| crashing(&format!("api-{n}"), "OOMKilled", 137)).collect();
    let run = check(pods);
    assert_says(&run, Status::Critical, "api of 5 pods (api-1, api-2, api-3, …) was killed for more memory");
    assert_says(&run, Status::Critical, "3 min ago, 20 restarts, is down");
    assert_eq!(run.calls.iter().filter(|call| call.operation == "kubernetes/read-log").count(), 3);
}

#[test]
fn an_old_end_of_a_container_that_runs_is_shown_and_not_judged() {
    let old = |mut pod: Pod| {
        pod.containers[0].last_end.as_mut().unwrap().finished = Some(NOW - 23 * 3_600_000);
        check(vec![pod])
    };
    let run = old(ended("api-1", "OOMKilled", 137));
    assert_says(&run, Status::Ok, "no container of 1 pod of app=api ended by a fault in the last 1 h");
    assert_eq!((run.metric("containers_ended_longer_ago"), run.metric("containers_ended")), (1.0, 0.0));
    assert_eq!(run.table("Containers that ended").rows[0][4], "23 h ago");
    assert_says(&old(crashing("api-1", "OOMKilled", 137)), Status::Critical, "23 h ago");
}

/// A pod whose container waits for this one.
fn initializing(init: Container) -> Pod {
    let mut pod = with("api-1", |container| {
        container.ready = false;
        container.state = "waiting".to_owned();
        container.reason = Some("PodInitializing".to_owned());
    });
    pod.init_containers = vec![Container { name: "migrate".to_owned(), ready: false, started: false, ..init }];
    pod
}

#[test]
fn an_init_container_that_keeps_its_pod_from_starting_is_told_with_its_lines() {
    let waiting = Container {
        restarts: 6,
        state: "waiting".to_owned(),
        reason: Some("CrashLoopBackOff".to_owned()),
        last_end: end("Error", 1),
        ..testing::container("migrate")
    };
    let run = check(vec![initializing(waiting)]);
    let words = "api-1/migrate (init container) ended with an error of its own (Error, exit 1) 3 min ago, 6 restarts, keeps its \
                 pod from starting";
    assert_says(&run, Status::Critical, words);
    assert!(run.calls.iter().any(|call| call.line() == "kubernetes/read-log prod api-1 migrate previous "));
    let over = Container {
        state: "terminated".to_owned(),
        reason: Some("Error".to_owned()),
        end: end("Error", 2),
        ..testing::container("migrate")
    };
    let run = check(vec![initializing(over)]);
    assert_says(&run, Status::Critical, "keeps its pod from starting");
    assert!(run.calls.iter().any(|call| call.line() == "kubernetes/read-log prod api-1 migrate current "));
    let again = Container { restarts: 1, last_end: end("Error", 2), ..testing::container("migrate") };
    assert_says(&check(vec![initializing(again)]), Status::Warning, "1 restart, runs again");
    let done = Container {
        state: "terminated".to_owned(),
        end: end("Completed", 0),
        last_end: end("Error", 2),
        ..testing::container("migrate")
    };
    assert_says(&check(vec![initializing(done)]), Status::Ok, "no container of 1 pod");
}

#[test]
fn a_container_that_was_told_to_end_did_not_crash() {
    let over = |reason: &str, code| {
        let mut pod = with("api-1", |container| {
            container.ready = false;
            container.state = "terminated".to_owned();
            container.end = end(reason, code);
        });
        pod.removal = Some(Removal { grace: 30.0, overdue: 0.0, finalizers: Vec::new() });
        pod
    };
    for code in [143, 137, 1] {
        assert_says(&check(vec![over("Error", code)]), Status::Ok, "no container of 1 pod");
    }
    assert_says(&check(vec![over("OOMKilled", 137)]), Status::Critical, "for more memory than its limit");
    // A sidecar goes after the others.
    let mut done = fine("job-1");
    done.phase = "Succeeded".to_owned();
    let ended = Container { state: "terminated".to_owned(), end: end("Error", 143), ..testing::container("proxy") };
    done.init_containers = vec![Container { sidecar: true, ..ended }];
    assert_says(&check(vec![done.clone()]), Status::Ok, "no container of 1 pod");
    done.phase = "Running".to_owned();
    assert_says(&check(vec![done]), Status::Critical, "job-1/proxy was told to stop");
}

#[test]
fn one_pod_can_be_named() {
    let pods = || vec![ended("api-1", "Error", 1), ended("api-2", "Error", 1)];
    let run = host(pods()).run::<K8sCrashes>(json!({ "pod": "api-2" }));
    assert_says(&run, Status::Warning, "api-2/api ended with an error of its own (Error, exit 1)");
    assert_eq!(run.table("Containers that ended").rows.len(), 1);
    let run = host(pods()).run::<K8sCrashes>(json!({ "pod": "api-9" }));
    assert_says(&run, Status::Unknown, "there is no pod of app=api named api-9");
    assert_says(&check(Vec::new()), Status::Unknown, "there is no pod of app=api");
}

#[test]
fn without_the_right_to_read_logs_and_events_the_ends_are_judged_all_the_same() {
    let errors = [
        denied("kubernetes/read-log", "prod"),
        remote("kubernetes", "Forbidden", "the agent may not do that"),
        Error::NotFound("there is no pod api-1".into()),
        Error::Conflict("the pod is another one by now".into()),
    ];
    for error in errors {
        let run = Host::new()
            .answers(LIST_PODS, "prod", Ok(vec![crashing("api-1", "Error", 1)]))
            .answers(READ_LOG, "prod", Err(error.clone()))
            .answers(LIST_EVENTS, "prod", Err(error.clone()))
            .run::<K8sCrashes>(json!({}));
        assert_says(&run, Status::Critical, "api-1/api ended with an error of its own");
        let details = run.outcome().details().unwrap();
        assert!(details.contains(&format!("api-1/api wrote before its end is not known: {error}")), "{details}");
        assert!(details.contains(&format!("noted of api-1 is not known: {error}")), "{details}");
    }
}

#[test]
fn errors_of_the_host_leave_the_verdict_open() {
    let errors = [
        denied("kubernetes/list-pods", "prod"),
        remote("kubernetes", "Forbidden", "the agent may not list pods"),
        Error::Unavailable("the API server cannot be reached".into()),
        Error::TimedOut("5 s".into()),
        Error::TooLarge("more than 5000 pods match".into()),
    ];
    for error in errors {
        let run = Host::new().answers(LIST_PODS, "prod", Err(error.clone())).run::<K8sCrashes>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
}

#[test]
fn odd_answers_do_not_confuse_it() {
    let odd = |n: usize| {
        let mut pod = crashing(&format!("{n}-{}", "x".repeat(3000)), "\u{202e}\n\u{1f4a5}", i32::MIN);
        pod.containers[0].restarts = u32::MAX;
        pod.age = -1.0;
        pod
    };
    let lines = vec![LogLine { time: Some(u64::MAX), ..line(&"\u{1b}[31m\u{1f4a5}".repeat(5000)) }; 3000];
    let run = Host::new()
        .answers(LIST_PODS, "prod", Ok((0..300).map(odd).collect()))
        .answers(READ_LOG, "prod", Ok(LogPage { lines, next: None, truncated: false }))
        .answers(LIST_EVENTS, "prod", Ok(list(vec![Event { last_seen: 0, count: u32::MAX, ..event("") }; 500])))
        .run::<K8sCrashes>(json!({ "details_of": 10, "lines": 100 }));
    assert_says(&run, Status::Critical, "api of 300 pods");
    assert_eq!(run.table("Containers that ended").rows.len(), 20);
    assert_eq!(run.table("Events of these pods").rows.len(), 80);
}

#[test]
fn parameters_without_sense_are_refused() {
    let table = [
        json!({ "labels": "" }),
        json!({ "details_of": 11 }),
        json!({ "lines": 0 }),
        json!({ "since": 0 }),
        json!({ "warning": "some" }),
        json!({ "pods": "api-1" }),
    ];
    for params in table {
        let run = Host::new().run::<K8sCrashes>(params.clone());
        assert!(matches!(run.failure(), Failure::BadParams(_)), "{params}");
    }
}
