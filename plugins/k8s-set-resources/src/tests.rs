use super::*;
use paramedic_sdk::kubernetes::{GET_ROLLOUT, Rollout, SET_RESOURCES};
use paramedic_sdk::testing::{Host, assert_well_described, conflict, out_of_bounds, receipt, unchanged};
use paramedic_sdk::{Error, Status};
use serde_json::json;

fn host(message: Option<&str>) -> Host {
    let message = message.map(str::to_owned);
    let rollout = Rollout { desired: 1, updated: 0, ready: 1, available: 1, complete: message.is_none(), message };
    let set = receipt("set requests and limits of redis in prod/statefulset/redis");
    Host::new().answers(SET_RESOURCES, "prod", Ok(set)).answers(GET_ROLLOUT, "prod statefulset redis", Ok(rollout))
}

fn redis(more: &serde_json::Value) -> serde_json::Value {
    let mut params =
        json!({ "kind": "StatefulSet", "name": "redis", "container": "redis", "limits": { "memory": "4Gi" } });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sSetResources>();
}

#[test]
fn resources_are_set_and_the_rollout_is_followed() {
    let planned = host(None).plan::<K8sSetResources>(redis(&json!({})));
    assert_eq!(planned.outcome().summary(), "would set requests and limits of redis in prod/statefulset/redis");
    let applied = planned.next().apply::<K8sSetResources>(redis(&json!({})));
    assert_eq!(applied.changes(), ["kubernetes-actions/set-resources prod statefulset redis redis - memory=4Gi"]);
    let words =
        "gave redis in statefulset redis of prod limits of 4Gi memory, and statefulset redis is ready after 0.0 ms";
    assert_eq!((applied.outcome().summary().as_str(), applied.outcome().status()), (words, Status::Ok));
    let both = json!({ "name": "api", "container": "api", "requests": { "cpu": "500m" }, "limits": { "cpu": "1", "memory": "2Gi" } });
    let run = Host::new().answers(SET_RESOURCES, "prod", Ok(unchanged())).apply::<K8sSetResources>(both);
    assert_eq!(run.changes(), ["kubernetes-actions/set-resources prod deployment api api cpu=500m cpu=1,memory=2Gi"]);
    let words = "nothing to do: api in deployment api of prod has requests of 500m cpu and limits of 1 cpu, 2Gi memory";
    assert_eq!(run.outcome().summary(), words);
}

#[test]
fn pods_that_do_not_become_ready_with_them_get_those_of_before() {
    let waits = "0 of 1 replicas are ready";
    let run = host(Some(waits)).apply::<K8sSetResources>(redis(&json!({ "ready_within": 30 })));
    let reason = "statefulset redis is not ready after 30 s: 0 of 1 replicas are ready";
    assert_eq!((run.outcome().status(), run.outcome().gives_back()), (Status::Critical, Some(reason)));
    let kept = redis(&json!({ "ready_within": 30, "give_back_if_not_ready": false }));
    let run = host(Some(waits)).apply::<K8sSetResources>(kept);
    assert_eq!((run.outcome().status(), run.outcome().gives_back()), (Status::Critical, None));
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let bounds = out_of_bounds("kubernetes-actions/set-resources", "prod", "memory of 4Gi is above 2Gi");
    let table = [
        (Err(conflict("memory limit of redis was 1Gi, is 2Gi")), Status::Warning, "was 1Gi, is 2Gi"),
        (Err(bounds), Status::Unknown, "memory of 4Gi is above 2Gi"),
        (Err(Error::Invalid("the request would be above the limit".into())), Status::Unknown, "above the limit"),
        (Err(Error::Unavailable("refused".into())), Status::Critical, "unavailable: refused"),
    ];
    for (answer, status, words) in table {
        let run = Host::new().answers(SET_RESOURCES, "prod", answer).apply::<K8sSetResources>(redis(&json!({})));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
    }
}

#[test]
fn there_has_to_be_something_to_set() {
    for more in [json!({ "limits": {} }), json!({ "limits": { "gpu": "1" } }), json!({ "limits": { "memory": "" } })] {
        let run = Host::new().plan::<K8sSetResources>(redis(&more));
        assert!(matches!(run.failure(), Failure::BadParams(_)) && run.calls.is_empty(), "{more}");
    }
}
