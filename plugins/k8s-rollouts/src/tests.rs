use super::*;
use paramedic_sdk::kubernetes::{GET_ROLLOUT, LIST_OBJECTS, ObjectPage};
use paramedic_sdk::testing::{Host, Run, assert_takes, assert_well_described, denied, remote};
use serde_json::Value;

#[path = "../../k8s-pods/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod pods;

fn object(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "generation": 7 },
        "spec": { "selector": { "matchLabels": { "app": name, "tier": "web" } } },
        "status": { "observedGeneration": 7 },
    })
}

fn with(name: &str, pointer: &str, value: Value) -> Value {
    let mut object = object(name);
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[field] = value;
    object
}

fn stuck(name: &str) -> Value {
    let condition = json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" });
    with(name, "/status/conditions", json!([condition]))
}

fn page(objects: &[Value], next: Option<&str>) -> Result<ObjectPage, Error> {
    Ok(ObjectPage { items: objects.iter().map(Value::to_string).collect(), next: next.map(str::to_owned) })
}

fn complete() -> Rollout {
    Rollout { desired: 3, updated: 3, ready: 3, available: 3, complete: true, message: None }
}

fn open(message: &str) -> Rollout {
    Rollout { updated: 1, complete: false, message: Some(message.to_owned()), ..complete() }
}

/// Deployments alone, all of them complete unless told.
fn host(deployments: &[Value]) -> Host {
    Host::new()
        .answers(LIST_OBJECTS, "prod deployments.apps", page(deployments, None))
        .answers(LIST_OBJECTS, "prod", page(&[], None))
        .answers(GET_ROLLOUT, "prod", Ok(complete()))
}

fn check(deployments: &[Value], of_api: Rollout) -> Run {
    host(deployments).answers(GET_ROLLOUT, "prod deployment api", Ok(of_api)).run::<K8sRollouts>(json!({}))
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
    assert_well_described::<K8sRollouts>();
}

#[test]
fn rollouts_that_are_complete_are_fine() {
    let host = Host::new()
        .answers(LIST_OBJECTS, "prod deployments.apps", page(&[object("api"), object("web")], None))
        .answers(LIST_OBJECTS, "prod statefulsets.apps", page(&[object("mail")], None))
        .answers(LIST_OBJECTS, "prod daemonsets.apps", page(&[object("proxy")], None))
        .answers(GET_ROLLOUT, "prod deployment", Ok(complete()))
        .answers(GET_ROLLOUT, "prod statefulset mail", Ok(complete()))
        .answers(GET_ROLLOUT, "prod daemonset proxy", Ok(complete()));
    let run = host.run::<K8sRollouts>(json!({}));
    assert_says(&run, Status::Ok, "4 rollouts of prod, all complete");
    run.assert_all_asked();
    assert_eq!(run.table("Rollouts").rows[2], ["statefulset", "mail", "complete", "3", "3", "3", "3", ""]);
    assert_eq!((run.metric("rollouts"), run.metric("rollouts_stuck")), (4.0, 0.0));
    assert!(run.outcome().suggestions().is_empty());
}

#[test]
fn one_that_is_stuck_is_critical_and_its_pods_are_to_tell_why() {
    let message = "it is stuck: no progress for 600 s; its pods tell why";
    let run = check(&[object("web"), stuck("api")], open(message));
    assert_says(&run, Status::Critical, &format!("the rollout of deployment api is stuck: {message}"));
    let next = &run.outcome().suggestions()[0];
    let workload = json!({ "kind": "Deployment", "name": "api" });
    assert_eq!(next.params, json!({ "target": "prod", "labels": "app=api,tier=web", "workload": workload }));
    assert_eq!(run.table("Rollouts").rows[0][2], "stuck");
    let failure = json!([{ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate" }]);
    let failing = with("api", "/status/conditions", failure);
    let run = check(&[failing], open("pods cannot be made: FailedCreate"));
    assert_says(&run, Status::Critical, "deployment api is stuck: pods cannot be made: FailedCreate");
    // These conditions are those of the rollout before.
    let mut unseen = stuck("api");
    unseen["metadata"]["generation"] = json!(8);
    assert_says(&check(&[unseen], open("its controller has not seen it")), Status::Ok, "one not complete");
    assert_says(&check(&[stuck("api")], complete()), Status::Ok, "1 rollout of prod, all complete");
}

#[test]
fn one_that_is_paused_is_judged_as_the_operator_says() {
    let paused = || [with("api", "/spec/paused", json!(true))];
    let message = "it is paused: nothing is rolled out until it is resumed";
    let words = format!("the rollout of deployment api is paused: {message}");
    let run = check(&paused(), open(message));
    assert_says(&run, Status::Warning, &words);
    assert!(run.outcome().suggestions().is_empty());
    for (verdict, status) in [("ok", Status::Ok), ("critical", Status::Critical)] {
        let host = host(&paused()).answers(GET_ROLLOUT, "prod deployment api", Ok(open(message)));
        assert_says(&host.run::<K8sRollouts>(json!({ "paused": verdict })), status, &words);
    }
}

#[test]
fn one_under_way_is_judged_by_how_long_it_has_been_seen_so() {
    let message = "1 of 3 replicas have the newest template";
    let first = check(&[object("api"), object("web")], open(message));
    let words = format!("2 rollouts of prod, one not complete: the rollout of deployment api is under way: {message}");
    assert_says(&first, Status::Ok, &words);
    let second = first.next().later(901.0).run::<K8sRollouts>(json!({}));
    assert_says(&second, Status::Warning, &format!("deployment api is under way for at least 15 min 1 s: {message}"));
    assert_eq!(second.outcome().suggestions().len(), 1);
    let third = second.next().later(2700.0).run::<K8sRollouts>(json!({}));
    assert_says(&third, Status::Critical, "under way for at least 1 h");
    let done = third.next().answers(GET_ROLLOUT, "prod deployment api", Ok(complete())).run::<K8sRollouts>(json!({}));
    // The answer that it is complete is the one after this.
    let done = done.next().run::<K8sRollouts>(json!({}));
    assert_says(&done, Status::Ok, "all complete");
    let again = done.next().answers(GET_ROLLOUT, "prod deployment api", Ok(open(message)));
    let again = again.run::<K8sRollouts>(json!({})).next().run::<K8sRollouts>(json!({}));
    assert_says(&again, Status::Ok, "one not complete");
    let forgetful = host(&[object("api")]).forgetful().run::<K8sRollouts>(json!({}));
    assert_says(&forgetful, Status::Ok, "all complete");
    assert_eq!(forgetful.log.len(), 2);
}

#[test]
fn no_workload_at_all_tells_nothing() {
    assert_says(&host(&[]).run::<K8sRollouts>(json!({})), Status::Unknown, "prod has no workload");
    let run = host(&[]).run::<K8sRollouts>(json!({ "labels": "app=api", "kinds": ["StatefulSet"] }));
    assert_says(&run, Status::Unknown, "prod has no workload with app=api");
    assert_eq!(run.calls.len(), 1);
    // One that was removed since it was listed is no trouble.
    let gone = host(&[object("api")]).answers(GET_ROLLOUT, "prod deployment api", Err(Error::NotFound("gone".into())));
    assert_says(&gone.run::<K8sRollouts>(json!({})), Status::Unknown, "prod has no workload");
}

#[test]
fn how_many_are_looked_at_is_bounded_and_told() {
    let objects: Vec<Value> = (0..50).map(|n| object(&format!("app-{n}"))).collect();
    let run = host(&objects).run::<K8sRollouts>(json!({ "workloads": 20, "limit": 10 }));
    assert_says(&run, Status::Ok, "20 rollouts of prod, all complete");
    let details = run.outcome().details().unwrap();
    assert!(details.contains("There are more workloads than the 20 that were looked at"), "{details}");
    assert!(details.contains("10 of 20 rollouts"), "{details}");
    let run = host(&objects).run::<K8sRollouts>(json!({}));
    assert_eq!(run.outcome().details(), None);
    let paged = Host::new()
        .answers(LIST_OBJECTS, "prod deployments.apps", page(&objects, Some("next")))
        .answers(LIST_OBJECTS, "prod deployments.apps next", page(&[object("last")], None))
        .answers(LIST_OBJECTS, "prod", page(&[], None))
        .answers(GET_ROLLOUT, "prod", Ok(complete()));
    assert_says(&paged.run::<K8sRollouts>(json!({ "workloads": 100 })), Status::Ok, "51 rollouts");
    let endless = host(&[]).answers(LIST_OBJECTS, "prod deployments.apps", page(&[], Some("next")));
    let endless = endless.answers(LIST_OBJECTS, "prod deployments.apps next", page(&[], Some("next")));
    assert!(endless.run::<K8sRollouts>(json!({})).calls.len() <= 60);
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let host = Host::new()
        .answers(LIST_OBJECTS, "prod deployments.apps", Err(Error::TooLarge("50 deployments.apps".into())))
        .answers(LIST_OBJECTS, "prod deployments.apps", page(&[object("api")], None))
        .answers(LIST_OBJECTS, "prod", page(&[], None))
        .answers(GET_ROLLOUT, "prod", Ok(complete()));
    assert_says(&host.run::<K8sRollouts>(json!({})), Status::Ok, "1 rollout of prod");
}

#[test]
fn kinds_that_cannot_be_listed_do_not_hide_the_others() {
    let with = |error: Error| {
        Host::new()
            .answers(LIST_OBJECTS, "prod deployments.apps", page(&[object("api")], None))
            .answers(LIST_OBJECTS, "prod", Err(error))
            .answers(GET_ROLLOUT, "prod", Ok(complete()))
            .run::<K8sRollouts>(json!({}))
    };
    let run = with(denied("kubernetes/list-objects", "prod"));
    assert_says(&run, Status::Ok, "1 rollout of prod, all complete");
    assert!(run.outcome().details().unwrap().contains("Left out: daemonsets of prod could not be listed"));
    let run = with(remote("kubernetes", "Forbidden", "the agent may not list statefulsets.apps"));
    assert_says(&run, Status::Unknown, "statefulsets of prod could not be listed: kubernetes answered Forbidden");
}

#[test]
fn errors_of_the_host_leave_the_verdict_open() {
    let errors = [
        denied("kubernetes/list-objects", "prod"),
        remote("kubernetes", "Forbidden", "the agent may not list deployments.apps"),
        Error::Unavailable("the API server cannot be reached".into()),
        Error::TimedOut("5 s".into()),
        Error::Exhausted("calls".into()),
    ];
    for error in errors {
        let run = Host::new().answers(LIST_OBJECTS, "prod", Err(error.clone())).run::<K8sRollouts>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error.clone()));
        let host = Host::new()
            .answers(LIST_OBJECTS, "prod deployments.apps", page(&[object("api")], None))
            .answers(LIST_OBJECTS, "prod", page(&[], None))
            .answers(GET_ROLLOUT, "prod", Err(error.clone()));
        assert_eq!(host.run::<K8sRollouts>(json!({})).failure(), &Failure::Host(error));
    }
}

#[test]
fn a_budget_that_runs_out_leaves_the_rest_open() {
    let objects: Vec<Value> = ["api", "mail", "shop", "web"].map(object).into();
    let host = host(&objects).answers(GET_ROLLOUT, "prod deployment mail", Err(Error::Exhausted("calls".into())));
    let run = host.run::<K8sRollouts>(json!({}));
    let words = "the rollout of deployment mail could not be looked at, nor of 2 more: exhausted: calls";
    assert_says(&run, Status::Unknown, words);
}

#[test]
fn odd_objects_do_not_confuse_it() {
    let odd = Rollout {
        desired: u32::MAX,
        updated: u32::MAX,
        ready: u32::MAX,
        available: 0,
        complete: false,
        message: Some("\u{202e}\n\u{1b}[31m\u{1f4a5}".repeat(2000)),
    };
    let hostile = with("api", "/metadata/name", json!("\u{1f4a5}".repeat(900)));
    let objects = [json!(7), json!({ "metadata": {} }), json!({ "metadata": { "name": 5 } }), hostile];
    let run = host(&objects).answers(GET_ROLLOUT, "prod", Ok(odd.clone())).run::<K8sRollouts>(json!({}));
    assert_says(&run, Status::Ok, "1 rollout of prod");
    let many: Vec<Value> = (0..200).map(|n| stuck(&format!("app-{n}"))).collect();
    let host = Host::new().answers(LIST_OBJECTS, "prod deployments.apps", page(&many, None));
    let host = host.answers(LIST_OBJECTS, "prod", page(&[], None)).answers(GET_ROLLOUT, "prod", Ok(odd));
    let run = host.run::<K8sRollouts>(json!({ "workloads": 200, "limit": 200 }));
    assert_eq!(run.outcome().status(), Status::Critical);
    assert_eq!((run.metric("rollouts_stuck"), run.table("Rollouts").rows.len()), (200.0, 200));
}

#[test]
fn parameters_without_sense_are_refused() {
    let table = [
        json!({ "kinds": [] }),
        json!({ "kinds": ["Job"] }),
        json!({ "workloads": 0 }),
        json!({ "workloads": 201 }),
        json!({ "paused": "bad" }),
        json!({ "progress_warning": "10m" }),
        json!({ "workload": "api" }),
    ];
    for params in table {
        let run = Host::new().run::<K8sRollouts>(params.clone());
        assert!(matches!(run.failure(), Failure::BadParams(_)), "{params}");
    }
}
