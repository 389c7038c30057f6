use super::*;
use paramedic_sdk::kubernetes::{GET_ROLLOUT, LIST_PODS, Quantities};
use paramedic_sdk::testing::{Host, Run, assert_takes, assert_well_described, denied, remote};

#[path = "../../k8s-crashes/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod crashes;

#[path = "../../k8s-events/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod events;

#[path = "../../k8s-rollout-restart/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod restart;

fn none() -> Quantities {
    Quantities { cpu: None, memory: None, others: Vec::new() }
}

fn container(ready: bool, state: &str, reason: Option<&str>) -> Container {
    Container {
        name: "api".to_owned(),
        image: "registry.example/api:7".to_owned(),
        ready,
        restarts: 0,
        state: state.to_owned(),
        reason: reason.map(str::to_owned),
        last_end_reason: None,
        last_exit_code: None,
        requests: none(),
        limits: none(),
    }
}

fn pod(name: &str, container: Container) -> Pod {
    Pod {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        phase: "Running".to_owned(),
        reason: None,
        ready: container.ready,
        node: Some("node-1".to_owned()),
        age: 7200.0,
        containers: vec![container],
    }
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
        last_end_reason: Some("OOMKilled".to_owned()),
        last_exit_code: Some(137),
        ..container(false, "waiting", Some("CrashLoopBackOff"))
    };
    pod(name, ended)
}

fn unplaced(name: &str) -> Pod {
    let pod = Pod { containers: vec![container(false, "waiting", None)], ..ready(name) };
    Pod { ready: false, phase: "Pending".to_owned(), reason: Some("Unschedulable".to_owned()), node: None, ..pod }
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
    let ended = pod("api-3", container(false, "terminated", Some("Error")));
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
        (ended, "1 with a container that ended (api-3; Error)", "k8s-crashes"),
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
    assert_eq!(suggested(&starting(121.0)), ["k8s-crashes"], "an init container that crashes shows nowhere else");
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
        let ended = Container { restarts, last_end_reason: Some("Error".into()), ..container(true, "running", None) };
        vec![ready("api-1"), pod("api-2", Container { last_exit_code: Some(1), ..ended })]
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
