use super::*;
use paramedic_sdk::kubernetes::{ContainerEnd, GET_ROLLOUT, LIST_PODS, Removal};
use paramedic_sdk::testing::{self, Host, Run, assert_takes, assert_well_described, denied, remote};

#[path = "../../k8s-crashes/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod crashes;

#[path = "../../k8s-events/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod events;

#[path = "../../k8s-rollout-restart/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod restart;

fn container(ready: bool, state: &str, reason: Option<&str>) -> Container {
    let (state, reason, started) = (state.to_owned(), reason.map(str::to_owned), ready);
    Container { ready, started, state, reason, ..testing::container("api") }
}

/// How a container ended.
fn end(reason: &str, exit_code: i32) -> Option<ContainerEnd> {
    Some(ContainerEnd { exit_code, signal: None, reason: Some(reason.to_owned()), finished: None })
}

/// The status is that of its container, where it has one.
fn pod(name: &str, container: Container) -> Pod {
    let status = container.reason.clone().unwrap_or_else(|| "Running".to_owned());
    Pod { status, ..testing::pod(name, "app=api", vec![container]) }
}

/// A pod that waits for its init containers.
fn initializing(name: &str, status: &str, init_containers: Vec<Container>) -> Pod {
    let pod = pod(name, container(false, "waiting", Some("PodInitializing")));
    Pod { phase: "Pending".to_owned(), status: status.to_owned(), init_containers, ..pod }
}

/// An init container.
fn init(name: &str, state: &str, reason: Option<&str>) -> Container {
    Container { name: name.to_owned(), ..container(false, state, reason) }
}

/// One that has done its work.
fn done(name: &str) -> Container {
    Container { ready: true, end: end("Completed", 0), ..init(name, "terminated", Some("Completed")) }
}

/// One that goes on beside the others.
fn sidecar(name: &str, is_up: bool, state: &str, reason: Option<&str>) -> Container {
    Container { sidecar: true, ready: is_up, started: is_up, ..init(name, state, reason) }
}

fn ready(name: &str) -> Pod {
    pod(name, container(true, "running", None))
}

fn waiting(name: &str, reason: &str) -> Pod {
    Pod { phase: "Pending".to_owned(), ..pod(name, container(false, "waiting", Some(reason))) }
}

fn crashing(name: &str) -> Pod {
    let ended = Container {
        restarts: 7,
        last_end: end("OOMKilled", 137),
        ..container(false, "waiting", Some("CrashLoopBackOff"))
    };
    pod(name, ended)
}

fn unplaced(name: &str) -> Pod {
    let pod = Pod { containers: vec![container(false, "waiting", None)], ..ready(name) };
    let (phase, status) = ("Pending".to_owned(), "Pending".to_owned());
    Pod { ready: false, phase, status, reason: Some("Unschedulable".to_owned()), node: None, ..pod }
}

fn rollout(desired: u32) -> Rollout {
    Rollout { desired, updated: desired, ready: desired, available: desired, complete: true, message: None }
}

fn host(pods: Vec<Pod>) -> Host {
    Host::new().answers(LIST_PODS, "prod app=api", Ok(pods))
}

fn check(pods: Vec<Pod>) -> Run {
    host(pods).run::<K8sPods>(json!({}))
}

fn check_wanted(pods: Vec<Pod>, rollout: Result<Rollout, Error>) -> Run {
    let params = json!({ "workload": { "kind": "Deployment", "name": "api" } });
    host(pods).answers(GET_ROLLOUT, "prod deployment api", rollout).run::<K8sPods>(params)
}

/// What is suggested has to be what the suggested plugin takes.
#[track_caller]
fn assert_suggests_what_is_taken(run: &Run) {
    for suggestion in run.outcome().suggestions() {
        match suggestion.plugin.as_str() {
            "k8s-crashes" => assert_takes::<crashes::Params>(suggestion),
            "k8s-events" => assert_takes::<events::Params>(suggestion),
            "k8s-rollout-restart" => assert_takes::<restart::Params>(suggestion),
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

fn suggested(run: &Run) -> Vec<&str> {
    run.outcome().suggestions().iter().map(|suggestion| suggestion.plugin.as_str()).collect()
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sPods>();
}

#[test]
fn pods_that_are_ready_are_fine() {
    let run = check(vec![ready("api-1"), ready("api-2")]);
    assert_says(&run, Status::Ok, "2 of 2 pods of app=api are ready");
    assert!(run.outcome().suggestions().is_empty());
    assert_eq!(run.table("Pods").rows[0], ["api-1", "1/1", "0", "Running", "", "node-1", "2 h"]);
    assert_eq!((run.metric("pods_ready"), run.metric("pods_ready_percent")), (2.0, 100.0));
    let run = check_wanted(vec![ready("api-1"), ready("api-2")], Ok(rollout(2)));
    assert_says(&run, Status::Ok, "2 of 2 wanted pods of deployment api are ready");
    run.assert_all_asked();
}

#[test]
fn what_keeps_pods_from_being_ready_is_named() {
    let with = |pod: Pod| vec![ready("api-1"), ready("api-2"), pod];
    let ended = pod("api-3", Container { end: end("Error", 1), ..container(false, "terminated", Some("Error")) });
    let lost = Pod { phase: "Unknown".to_owned(), ready: false, ..ready("api-3") };
    let table = [
        (
            crashing("api-3"),
            "1 crashing again and again (api-3; CrashLoopBackOff, last end OOMKilled, exit 137)",
            "k8s-crashes",
        ),
        (
            waiting("api-3", "ImagePullBackOff"),
            "1 without the image registry.example/api:7 (api-3; ImagePullBackOff)",
            "k8s-events",
        ),
        (
            waiting("api-3", "ErrImagePull"),
            "1 without the image registry.example/api:7 (api-3; ErrImagePull)",
            "k8s-events",
        ),
        (
            waiting("api-3", "CreateContainerConfigError"),
            "1 that cannot be started (api-3; CreateContainerConfigError)",
            "k8s-events",
        ),
        (unplaced("api-3"), "1 without a node to run on (api-3; Unschedulable)", "k8s-events"),
        (ended, "1 with a container that ended (api-3; Error, exit 1)", "k8s-crashes"),
        (lost, "1 on a node that does not report (api-3; Unknown)", "k8s-events"),
    ];
    for (pod, words, next) in table {
        let run = check(with(pod));
        assert_says(&run, Status::Warning, words);
        assert!(run.outcome().summary().starts_with("2 of 3 pods of app=api are ready: 1 "), "{words}");
        assert_eq!(suggested(&run), [next], "{words}");
    }
    let starting = |age| check(with(Pod { age, ..waiting("api-3", "PodInitializing") }));
    assert_says(&starting(5.0), Status::Warning, "1 starting (api-3)");
    assert!(starting(5.0).outcome().suggestions().is_empty());
    assert_eq!(suggested(&starting(121.0)), ["k8s-events"], "what keeps it shows in events alone");
}

#[test]
fn a_pod_that_its_init_containers_keep_is_named_as_kubectl_names_it() {
    let waits = |name: &str, reason: &str| init(name, "waiting", Some(reason));
    let crashing = Container { restarts: 4, last_end: end("Error", 1), ..waits("migrate", "CrashLoopBackOff") };
    let ended = Container { end: end("Error", 3), ..init("migrate", "terminated", Some("Error")) };
    let bare = ContainerEnd { reason: None, signal: Some(9), exit_code: 137, finished: None };
    let killed = Container { end: Some(bare), ..init("migrate", "terminated", None) };
    let before = || waits("late", "PodInitializing");
    let table = [
        (
            "Init:CrashLoopBackOff",
            vec![done("fetch"), crashing, before()],
            "1 crashing again and again (api-3; Init:CrashLoopBackOff in migrate, last end Error, exit 1)",
            vec!["k8s-crashes"],
        ),
        (
            "Init:Error",
            vec![ended],
            "1 with a container that ended (api-3; Init:Error, exit 3 in migrate)",
            vec!["k8s-crashes"],
        ),
        (
            "Init:Signal:9",
            vec![killed],
            "1 with a container that ended (api-3; Init:signal 9, exit 137 in migrate)",
            vec!["k8s-crashes"],
        ),
        (
            "Init:ImagePullBackOff",
            vec![waits("migrate", "ImagePullBackOff")],
            "1 without the image registry.example/api:7 (api-3; Init:ImagePullBackOff in migrate)",
            vec!["k8s-events"],
        ),
        (
            "Init:CreateContainerConfigError",
            vec![waits("migrate", "CreateContainerConfigError")],
            "1 that cannot be started (api-3; Init:CreateContainerConfigError in migrate)",
            vec!["k8s-events"],
        ),
        (
            "Init:1/2",
            vec![done("fetch"), init("migrate", "running", None)],
            "1 starting (api-3; Init:1/2)",
            vec!["k8s-events"],
        ),
        (
            "Init:0/1",
            vec![sidecar("proxy", false, "running", None)],
            "1 starting (api-3; Init:0/1)",
            vec!["k8s-events"],
        ),
        (
            "Init:CrashLoopBackOff",
            vec![sidecar("proxy", false, "waiting", Some("CrashLoopBackOff"))],
            "1 crashing again and again (api-3; Init:CrashLoopBackOff in proxy)",
            vec!["k8s-crashes"],
        ),
    ];
    for (status, init_containers, words, next) in table {
        let run = check(vec![ready("api-1"), ready("api-2"), initializing("api-3", status, init_containers)]);
        assert_says(&run, Status::Warning, words);
        assert_eq!(suggested(&run), next, "{words}");
        let row = &run.table("Pods").rows[0];
        assert_eq!([row[0].as_str(), row[3].as_str()], ["api-3", status]);
    }
}

#[test]
fn sidecars_count_as_containers_and_init_containers_that_are_done_do_not() {
    let crashing = Container {
        restarts: 9,
        last_end: end("Error", 2),
        ..sidecar("proxy", false, "waiting", Some("CrashLoopBackOff"))
    };
    let with = |proxy: Container, ready: bool, status: &str| {
        let init_containers = vec![Container { restarts: 8, ..done("migrate") }, proxy];
        Pod { init_containers, ready, status: status.to_owned(), ..pod("api-1", container(true, "running", None)) }
    };
    let run = check(vec![with(crashing, false, "Init:CrashLoopBackOff"), ready("api-2"), ready("api-3")]);
    assert_says(&run, Status::Warning, "Init:CrashLoopBackOff in proxy, last end Error, exit 2");
    assert_says(&run, Status::Warning, "api-1/proxy was restarted 9 times");
    assert_eq!(run.table("Pods").rows[0][..5], ["api-1", "1/2", "9", "Init:CrashLoopBackOff", "Error, exit 2"]);
    let run = check(vec![with(sidecar("proxy", true, "running", None), true, "Running")]);
    assert_says(&run, Status::Ok, "1 of 1 pods of app=api are ready");
    assert_eq!(run.table("Pods").rows[0][..4], ["api-1", "2/2", "0", "Running"]);
    let hanging = Container { ready: false, ..sidecar("proxy", true, "running", None) };
    let run = check(vec![with(hanging, false, "Running"), ready("api-2"), ready("api-3")]);
    assert_says(&run, Status::Warning, "1 running and not ready (api-1)");
}

#[test]
fn pods_that_are_being_removed_are_trouble_only_after_their_grace_period() {
    let going = |name: &str, overdue, finalizers: &[&str]| {
        let finalizers = finalizers.iter().map(|name| (*name).to_owned()).collect();
        let removal = Some(Removal { grace: 30.0, overdue, finalizers });
        Pod { removal, status: "Terminating".to_owned(), ready: false, ..ready(name) }
    };
    let run = check_wanted(vec![ready("api-1"), ready("api-2"), going("api-3", 0.0, &[])], Ok(rollout(2)));
    assert_says(&run, Status::Ok, "2 of 2 wanted pods");
    assert!(run.outcome().details().unwrap().contains("within their grace period: 1 pod"));
    assert_eq!((run.metric("pods_removed_late"), run.table("Pods").rows[2][3].as_str()), (0.0, "Terminating"));
    // A node takes a moment to tell that it has killed them.
    assert_says(&check(vec![ready("api-1"), going("api-2", 14.0, &[])]), Status::Ok, "1 of 1 pods");

    let run = check(vec![ready("api-1"), going("api-2", 400.0, &[])]);
    let words = "1 pod Terminating for 6 min 40 s longer than the grace period (api-2; no finalizer holds it)";
    assert_says(&run, Status::Warning, words);
    assert!(run.outcome().details().unwrap().contains("on a node that does not answer"));
    assert_eq!((suggested(&run), run.metric("pods_removed_late")), (vec!["k8s-events"], 1.0));
    assert_eq!(run.table("Pods").rows[0][0], "api-2");

    let held = ["example.com/backup", "example.com/audit"];
    let run = check(vec![
        ready("api-1"),
        going("api-2", 60.0, &held),
        going("api-3", 90.0, &held),
        going("api-4", 9.0, &held),
    ]);
    let words = "2 pods Terminating for 1 min 30 s longer than the grace period (api-2, api-3; held by the finalizer \
                 example.com/backup and 1 more)";
    assert_says(&run, Status::Warning, words);
    let run = check(vec![going("api-1", 0.0, &[]), going("api-2", 0.0, &[])]);
    assert_says(&run, Status::Critical, "2 pods of app=api are being removed, and there is no other");
}

#[test]
fn a_restart_is_suggested_for_pods_that_run_and_hang_and_for_no_others() {
    let hanging = pod("api-2", container(false, "running", None));
    let run = check_wanted(vec![ready("api-1"), hanging.clone()], Ok(rollout(2)));
    assert_says(
        &run,
        Status::Warning,
        "1 of 2 wanted pods of deployment api are ready: 1 running and not ready (api-2)",
    );
    let next = &run.outcome().suggestions()[0];
    assert_eq!(next.params, json!({ "target": "prod", "kind": "Deployment", "name": "api" }));
    assert_eq!(suggested(&run), ["k8s-rollout-restart"]);
    let young = Pod { age: 5.0, ..hanging.clone() };
    for (pods, why) in [(vec![ready("a"), young], "young"), (vec![ready("a"), crashing("b")], "crashing")] {
        let run = check_wanted(pods, Ok(rollout(2)));
        assert!(!suggested(&run).contains(&"k8s-rollout-restart"), "{why}");
    }
    assert!(suggested(&check(vec![ready("api-1"), hanging])).is_empty(), "nothing is known of its workload");
}

#[test]
fn fewer_than_wanted_are_judged_by_their_share_and_none_is_critical() {
    let table = [
        (vec![], 3, Status::Critical, "0 of 3 wanted pods of deployment api are ready: 3 not made"),
        (vec![ready("a")], 3, Status::Critical, "1 of 3 wanted pods of deployment api are ready: 2 not made"),
        (
            vec![ready("a"), ready("b")],
            3,
            Status::Warning,
            "2 of 3 wanted pods of deployment api are ready: 1 not made",
        ),
        (vec![], 0, Status::Ok, "no pod of deployment api is wanted"),
        (vec![ready("a"), ready("b")], 1, Status::Ok, "2 of 1 wanted pods"),
        (vec![ready("a"), ready("b"), crashing("c")], 2, Status::Warning, "1 crashing again and again (c;"),
        (vec![crashing("c")], 1, Status::Critical, "0 of 1 wanted pods"),
    ];
    for (pods, desired, status, words) in table {
        assert_says(&check_wanted(pods, Ok(rollout(desired))), status, words);
    }
    assert_says(
        &check(Vec::new()),
        Status::Critical,
        "no pod has the labels app=api: nothing runs, or the labels are wrong",
    );
}

#[test]
fn restarts_are_judged_and_told_with_the_last_end() {
    let restarted = |restarts| {
        let ended = Container { restarts, last_end: end("Error", 1), ..container(true, "running", None) };
        vec![ready("api-1"), pod("api-2", ended)]
    };
    assert_says(&check(restarted(5)), Status::Ok, "2 of 2 pods");
    let run = check(restarted(6));
    assert_says(&run, Status::Warning, "api-2/api was restarted 6 times in 2 h, at last after Error, exit 1");
    assert_eq!((run.metric("container_restarts_most"), suggested(&run)), (6.0, vec!["k8s-crashes"]));
    let params = json!({ "restarts_critical": 5 });
    assert_says(&host(restarted(6)).run::<K8sPods>(params), Status::Critical, "was restarted 6 times");
}

#[test]
fn pods_that_are_over_are_named_and_not_counted() {
    let evicted = |name| Pod { phase: "Failed".into(), reason: Some("Evicted".into()), ready: false, ..ready(name) };
    let done = Pod { phase: "Succeeded".into(), ready: false, ..ready("job-1") };
    let run = check(vec![ready("api-1"), evicted("api-2"), evicted("api-3"), done]);
    assert_says(&run, Status::Ok, "1 of 1 pods of app=api are ready");
    assert!(run.outcome().details().unwrap().contains("they are over: 2 Evicted, 1 Succeeded"));
}

#[test]
fn without_the_number_wanted_the_pods_are_judged_all_the_same() {
    let errors = [
        denied("kubernetes/get-rollout", "prod"),
        Error::NotFound("there is no deployment api".into()),
        remote("kubernetes", "Forbidden", "the agent may not look"),
    ];
    for error in errors {
        let words = format!("how many pods deployment api asks for is not known: {error}");
        assert_says(&check_wanted(vec![ready("api-1")], Err(error.clone())), Status::Unknown, &words);
        let run = check_wanted(vec![ready("api-1"), ready("api-2"), crashing("api-3")], Err(error));
        assert_says(&run, Status::Warning, "1 crashing again and again");
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
        Error::Exhausted("calls".into()),
    ];
    for error in errors {
        let run = Host::new().answers(LIST_PODS, "prod", Err(error.clone())).run::<K8sPods>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
}

#[test]
fn odd_pods_do_not_confuse_it() {
    let odd = Container {
        restarts: u32::MAX,
        name: "\u{202e}ipa".into(),
        ..container(false, "", Some("\n\u{7}Odd\u{1f4a5}"))
    };
    let pod =
        Pod { age: -5.0, containers: vec![odd.clone(), odd], ..pod(&"x".repeat(5000), container(false, "", None)) };
    let empty = Pod { containers: Vec::new(), age: f64::NAN, phase: String::new(), ready: false, ..ready("") };
    let run = check(vec![pod, empty]);
    assert_says(&run, Status::Critical, "0 of 2 pods of app=api are ready");
    assert!(run.outcome().summary().contains("Odd\u{1f4a5}"), "{}", run.outcome().summary());
    assert_eq!(run.metric("container_restarts_most"), f64::from(u32::MAX));
    let many = (0..400).map(|n| waiting(&format!("api-{n}"), &format!("Reason{n}"))).collect();
    let run = check(many);
    assert_eq!(run.table("Pods").rows.len(), 30);
    assert!(run.outcome().details().unwrap().contains("30 of 400 pods"));
}

#[test]
fn parameters_without_sense_are_refused() {
    let table = [
        json!({ "labels": "" }),
        json!({ "limit": 0 }),
        json!({ "restarts_warning": "many" }),
        json!({ "workload": { "kind": "Job", "name": "api" } }),
        json!({ "workload": { "name": "" } }),
        json!({ "workload": { "name": "api", "target": "other" } }),
        json!({ "label": "app=api" }),
    ];
    for params in table {
        let run = Host::new().run::<K8sPods>(params.clone());
        assert!(matches!(run.failure(), Failure::BadParams(_)), "{params}");
    }
}
