use super::*;
use paramedic_sdk::Error;
use paramedic_sdk::kubernetes::{
    Container, ContainerEnd, Event, EventList, LIST_EVENTS, LIST_OBJECTS, LIST_PODS, LIST_USAGE, LogLine, LogPage,
    ObjectPage, Pod, READ_LOG, Removal,
};
use paramedic_sdk::postgres::{INSPECT, QUERY, REPLICATION, ReplicationState, RowSet, SESSIONS, STATEMENTS, Server};
use paramedic_sdk::queue::{Failures, JobCount, JobState, LIST_FAILURES, Overview};
use paramedic_sdk::redis::{INFO, Info, SLOW_LOG, SlowEntry};
use paramedic_sdk::testing::{self, Host, Run, assert_well_described, denied};
use serde_json::{Value, json};

const SECRET: &str = "hunter2-of-tests";

/// What the clock of every test shows.
const NOW: u64 = 1_767_225_600_000;

fn pod(name: &str, restarts: u32) -> Pod {
    testing::pod(name, "app=api", vec![Container { ready: restarts == 0, restarts, ..testing::container("api") }])
}

fn page(lines: usize) -> LogPage {
    let line = |number| LogLine { time: None, pod: "api".to_owned(), text: format!("line {number} \"quoted\"") };
    LogPage { lines: (0..lines).map(line).collect(), next: None, truncated: false }
}

fn objects() -> ObjectPage {
    let object = json!({
        "metadata": { "name": "api", "annotations": {
            "deployment.kubernetes.io/revision": "7", "kubernetes.io/change-cause": format!("set env X={SECRET}"),
        } },
        "spec": { "containers": [{ "name": "api", "command": ["sh", SECRET], "args": [SECRET], "livenessProbe": {
            "exec": { "command": [SECRET] }, "httpGet": { "httpHeaders": [{ "value": SECRET }] },
        } }] },
        "data": { "password": SECRET },
        "status": { "containerStatuses": [{ "lastState": { "terminated": { "exitCode": 3, "message": SECRET } } }] },
    });
    ObjectPage { items: vec![object.to_string()], next: None }
}

fn cluster() -> Host {
    let event = Event {
        last_seen: NOW - 5_000,
        count: 3,
        severity: "Warning".to_owned(),
        reason: "BackOff".to_owned(),
        object: "Pod/api-2".to_owned(),
        message: "back-off".to_owned(),
    };
    Host::new()
        .answers(LIST_PODS, "prod", Ok(vec![pod("api-1", 0), pod("api-2", 4)]))
        .answers(LIST_OBJECTS, "prod", Ok(objects()))
        .answers(LIST_EVENTS, "prod", Ok(EventList { events: vec![event], truncated: false }))
        .answers(LIST_USAGE, "prod", Ok(vec![]))
        .answers(READ_LOG, "prod", Ok(page(3)))
}

fn database(host: Host) -> Host {
    let server = Server {
        version: 160_004,
        in_recovery: false,
        max_connections: 100,
        reserved_connections: 3,
        connections: 7,
        replay_lag: None,
    };
    let replication = ReplicationState {
        timeline: 1,
        position: "0/3000148".to_owned(),
        standbys: Vec::new(),
        replay_backlog: None,
        receiving: None,
        retained_bytes: None,
    };
    host.answers(INSPECT, "main", Ok(server))
        .answers(SESSIONS, "main", Ok(vec![]))
        .answers(STATEMENTS, "main", Ok(vec![]))
        .answers(REPLICATION, "main", Ok(replication))
        .answers(QUERY, "main", Ok(RowSet { columns: vec![], rows: vec![], truncated: false }))
}

fn stores(host: Host) -> Host {
    let slow = SlowEntry { command: vec!["GET".to_owned(), "cart:<n>".to_owned()], duration: 0.5, age: 9.4 };
    let overview = Overview {
        version: 5,
        bull: false,
        counts: vec![JobCount { state: JobState::Failed, count: 4 }],
        paused: true,
        oldest_waiting: Some(12.0),
        overdue: None,
        stalled: 0,
        workers: None,
        rate_limited: None,
    };
    host.answers(INFO, "cache", Ok(Info::from([("used_memory", "1024")])))
        .answers(SLOW_LOG, "cache", Ok(vec![slow]))
        .answers(paramedic_sdk::queue::INSPECT, "email", Ok(overview))
        .answers(LIST_FAILURES, "email", Ok(Failures { groups: vec![], examined: 4, total: 4 }))
}

fn everything() -> Value {
    json!({ "kubernetes": ["prod"], "postgres": ["main"], "redis": ["cache"], "queues": ["email"] })
}

fn file<'a>(run: &'a Run, path: &str) -> &'a paramedic_sdk::File {
    let files = run.outcome().files().all();
    let names = || files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>();
    files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path} is not among {:?}", names()))
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<CaptureState>();
}

#[test]
fn all_of_it_is_captured_and_nothing_that_could_be_a_secret() {
    let run = stores(database(cluster())).run::<CaptureState>(everything());
    let outcome = run.outcome();
    assert_eq!(outcome.status(), Status::Ok, "{}", outcome.summary());
    let said = "captured 18 parts of kubernetes/prod, postgres/main, redis/cache, queue/email: ";
    assert!(outcome.summary().starts_with(said), "{}", outcome.summary());
    for (path, words) in [
        ("kubernetes/prod/pods.jsonl", "\"name\":\"api-2\""),
        ("kubernetes/prod/events.jsonl", "back-off"),
        ("kubernetes/prod/logs/api-2/api.previous.log", "line 2"),
        ("kubernetes/prod/objects/deployments.apps.jsonl", "\"exitCode\":3"),
        ("kubernetes/prod/objects/pods.jsonl", "\"deployment.kubernetes.io/revision\":\"7\""),
        ("postgres/main/server.json", "\"version\": \"16.4\""),
        ("redis/cache/info.txt", "# memory\nused_memory:1024\n"),
        ("redis/cache/slow-log.jsonl", "GET cart:<n>"),
        ("queue/email/overview.json", "\"failed\": 4"),
    ] {
        assert!(file(&run, path).text.contains(words), "{path}: {}", file(&run, path).text);
    }
    let first = file(&run, "kubernetes/prod/pods.jsonl").text.lines().next();
    assert!(first.unwrap().contains("api-2"), "the pod in trouble is first");
    assert!(outcome.files().all().iter().all(|file| !file.text.contains(SECRET)));
    assert!(outcome.files().missing().is_empty());
}

#[test]
fn init_containers_are_captured_with_what_they_wrote() {
    let end = |exit_code| Some(ContainerEnd { exit_code, signal: None, reason: None, finished: Some(NOW - 90_000) });
    let over = |name: &str, exit_code| Container {
        state: "terminated".to_owned(),
        end: end(exit_code),
        ..testing::container(name)
    };
    let waiting = |name: &str| Container {
        state: "waiting".to_owned(),
        ready: false,
        started: false,
        ..testing::container(name)
    };
    let mut stuck = Pod { ready: false, status: "Init:CrashLoopBackOff".to_owned(), ..pod("api-1", 0) };
    let holding = Container { restarts: 3, last_end: end(1), ..waiting("migrate") };
    stuck.init_containers = vec![over("fetch", 0), holding, waiting("late")];
    stuck.containers = vec![waiting("api")];
    stuck.removal = Some(Removal { grace: 30.0, overdue: 61.4, finalizers: vec!["example.com/backup".to_owned()] });
    let mut fine = pod("api-2", 0);
    fine.init_containers =
        vec![over("fetch", 0), over("quiet", 0), Container { sidecar: true, ..testing::container("proxy") }];
    let host = Host::new()
        .at(NOW)
        .answers(LIST_PODS, "prod", Ok(vec![fine, stuck]))
        .answers(READ_LOG, "prod", Ok(page(2)))
        .answers(READ_LOG, "prod api-1 api current", Err(Error::NotFound("it is waiting to start".to_owned())))
        .answers(READ_LOG, "prod api-2 quiet current", Ok(page(0)));
    let run = host.run::<CaptureState>(json!({ "kubernetes": ["prod"], "leave_out": ["objects", "events", "usage"] }));
    assert_eq!(run.outcome().status(), Status::Ok, "{}", run.outcome().summary());
    let files = run.outcome().files().all().iter();
    let logs: Vec<&str> = files.filter_map(|file| file.path.strip_prefix("kubernetes/prod/logs/")).collect();
    let expected = [
        "api-1/api.log",
        "api-1/fetch.log",
        "api-1/migrate.log",
        "api-1/migrate.previous.log",
        "api-2/api.log",
        "api-2/fetch.log",
        "api-2/proxy.log",
    ];
    assert_eq!(logs, expected);
    let pods = &file(&run, "kubernetes/prod/pods.jsonl").text;
    let first: Value = serde_json::from_str(pods.lines().next().unwrap()).unwrap();
    assert_eq!((&first["status"], &first["labels"]["app"]), (&json!("Init:CrashLoopBackOff"), &json!("api")));
    assert_eq!(first["removal"]["overdue_seconds"], 61.0);
    assert_eq!(first["init_containers"][1]["last_end"]["exit_code"], 1);
}

#[test]
fn a_part_that_cannot_be_had_is_named_and_the_rest_is_captured() {
    let host = Host::new()
        .answers(LIST_PODS, "prod", Ok(vec![pod("api-1", 0)]))
        .answers(LIST_USAGE, "prod", Err(Error::NotFound("no metrics server".to_owned())))
        .answers(LIST_OBJECTS, "prod", Ok(objects()))
        .answers(LIST_EVENTS, "prod", Ok(EventList { events: vec![], truncated: false }))
        .answers(READ_LOG, "prod", Ok(page(1)))
        .answers(INFO, "cache", Err(denied("redis/info", "redis/cache")))
        .answers(SLOW_LOG, "cache", Err(denied("redis/slow-log", "redis/cache")));
    let run = host.run::<CaptureState>(json!({ "kubernetes": ["prod"], "redis": ["cache"] }));
    let outcome = run.outcome();
    assert_eq!(outcome.status(), Status::Warning);
    let said = "captured 7 of 10 parts; missing is redis/cache/info: redis/info on redis/cache is denied: ";
    assert!(outcome.summary().starts_with(said), "{}", outcome.summary());
    assert!(outcome.summary().ends_with("; also redis/cache/slow-log, kubernetes/prod/usage"), "{}", outcome.summary());
    let text = &file(&run, "kubernetes/prod/usage.missing.txt").text;
    assert_eq!(text, "This is missing: not found: no metrics server\n");
    assert_eq!((outcome.files().missing().len(), outcome.tables()[0].rows.len()), (3, 3));
}

#[test]
fn what_is_left_out_is_not_missing() {
    let host = Host::new().answers(INFO, "cache", Ok(Info::from([("a", "b")])));
    let run = host.run::<CaptureState>(json!({ "redis": ["cache"], "leave_out": ["slow-log"] }));
    assert_eq!((run.outcome().status(), run.outcome().files().all().len()), (Status::Ok, 1));
}

#[test]
fn nothing_at_all_is_unknown_and_nothing_asked_for_is_a_mistake() {
    let host = Host::new().answers(INFO, "cache", Err(Error::Unavailable("it is down".to_owned()))).answers(
        SLOW_LOG,
        "cache",
        Err(Error::Unavailable("it is down".to_owned())),
    );
    let run = host.run::<CaptureState>(json!({ "redis": ["cache"] }));
    assert_eq!(run.outcome().status(), Status::Unknown);
    let said = "nothing could be captured: redis/cache/info: unavailable: it is down";
    assert!(run.outcome().summary().starts_with(said), "{}", run.outcome().summary());
    let run = Host::new().run::<CaptureState>(json!({}));
    assert!(matches!(run.failure(), Failure::BadParams(text) if text.contains("at least one target")));
}

#[test]
fn a_long_log_is_cut_at_its_beginning_and_says_so() {
    let host =
        Host::new().answers(LIST_PODS, "prod", Ok(vec![pod("api-1", 0)])).answers(READ_LOG, "prod", Ok(page(2000)));
    let params = json!({
        "kubernetes": ["prod"], "leave_out": ["objects", "events", "usage"], "lines": 2000, "max_bytes": 16384,
    });
    let run = host.run::<CaptureState>(params);
    let log = file(&run, "kubernetes/prod/logs/api-1/api.log");
    assert!(log.text.ends_with("line 1999 \"quoted\"\n") && !log.text.contains("line 9 "), "{}", log.text);
    let cut = log.cut.as_deref().unwrap();
    assert!(cut.starts_with("the last 2000 lines; there may be more; of these the last "), "{cut}");
    assert!(run.outcome().files().size() <= 16384);
    assert!(run.outcome().details().unwrap().starts_with("1 file is cut"));
}

#[test]
fn what_the_agent_did_not_read_is_told() {
    let event = |n: u64| Event {
        last_seen: NOW - n,
        count: 1,
        severity: "Warning".to_owned(),
        reason: "BackOff".to_owned(),
        object: format!("Pod/api-{n}"),
        message: "back-off".to_owned(),
    };
    let run = |events: Vec<Event>, page: LogPage| {
        let host = Host::new()
            .at(NOW)
            .answers(LIST_PODS, "prod", Ok(vec![pod("api-1", 0)]))
            .answers(LIST_EVENTS, "prod", Ok(EventList { events, truncated: true }))
            .answers(READ_LOG, "prod", Ok(page));
        host.run::<CaptureState>(json!({ "kubernetes": ["prod"], "leave_out": ["objects", "usage"], "lines": 5 }))
    };
    let told = |run: &Run, path: &str| file(run, path).cut.clone().unwrap();
    let few = run(vec![event(1)], LogPage { truncated: true, ..page(3) });
    assert_eq!(
        told(&few, "kubernetes/prod/events.jsonl"),
        "there are more than the agent reads, newer ones perhaps among them"
    );
    let lines = "the first 3 of the last 5 lines; the newest were too much to read";
    assert_eq!(told(&few, "kubernetes/prod/logs/api-1/api.log"), lines);
    assert!(few.outcome().details().unwrap().starts_with("2 files are cut"));
    let many = run((0..1200).map(event).collect(), LogPage { next: Some("7:1".to_owned()), ..page(3) });
    let newest = "the newest 1000 of 1200 events; there are more than the agent reads, newer ones perhaps among them";
    assert_eq!(told(&many, "kubernetes/prod/events.jsonl"), newest);
    assert_eq!(told(&many, "kubernetes/prod/logs/api-1/api.log"), lines);
}

#[test]
fn a_run_that_has_used_up_what_it_may_keeps_what_it_has() {
    let host = stores(Host::new()).answers(LIST_PODS, "prod", Err(Error::Exhausted("500 calls".to_owned())));
    let run = host.run::<CaptureState>(json!({ "kubernetes": ["prod"], "redis": ["cache"] }));
    let outcome = run.outcome();
    assert_eq!(outcome.status(), Status::Warning);
    assert!(file(&run, "redis/cache/info.txt").text.contains("used_memory"));
    let said = |run: &Run, part: &str| {
        let missing = run.outcome().files().missing();
        missing.iter().find(|missing| missing.part == part).unwrap().why.clone()
    };
    assert_eq!(said(&run, "kubernetes/prod/events"), "the run had used up what it may: 500 calls");
    assert_eq!(said(&run, "kubernetes/prod/logs"), "the pods are not known");
    let slow = stores(cluster()).each_call_takes(20.0);
    let run = slow.run::<CaptureState>(json!({ "redis": ["cache"], "kubernetes": ["prod"] }));
    assert_eq!(said(&run, "kubernetes/prod/events"), "the time of the run was used up before");
}
