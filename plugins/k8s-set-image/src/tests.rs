use super::*;
use paramedic_sdk::kubernetes::{GET_ROLLOUT, Rollout, SET_IMAGE};
use paramedic_sdk::testing::{
    Host, Run, assert_takes, assert_well_described, conflict, out_of_bounds, receipt, unchanged,
};
use paramedic_sdk::{Error, Status};
use serde_json::{Value, json};

#[path = "../../k8s-events/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod events;

const IMAGE: &str = "registry.example.org/api:2";

fn params(more: &Value) -> Value {
    let mut params = json!({ "name": "api", "container": "api", "image": IMAGE, "ready_within": 30 });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

fn host(message: Option<&str>) -> Host {
    let message = message.map(str::to_owned);
    let rollout = Rollout { desired: 3, updated: 1, ready: 3, available: 3, complete: message.is_none(), message };
    let set = receipt("set the image of api in prod/deployment/api to registry.example.org/api:2");
    Host::new().answers(SET_IMAGE, "prod", Ok(set)).answers(GET_ROLLOUT, "prod deployment api", Ok(rollout))
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert_eq!((outcome.status(), outcome.summary().as_str()), (status, words));
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sSetImage>();
}

#[test]
fn an_image_is_set_and_its_rollout_followed() {
    let planned = host(None).plan::<K8sSetImage>(params(&json!({})));
    assert_says(
        &planned,
        Status::Ok,
        "would set the image of api in prod/deployment/api to registry.example.org/api:2",
    );
    let applied = planned.next().apply::<K8sSetImage>(params(&json!({})));
    assert_eq!(applied.changes(), [format!("kubernetes-actions/set-image prod deployment api api {IMAGE}")]);
    let words =
        format!("set the image of api in deployment api of prod to {IMAGE}, and deployment api is ready after 0.0 ms");
    assert_says(&applied, Status::Ok, &words);
}

#[test]
fn an_image_that_does_not_become_ready_is_given_back() {
    let waits = "1 of 3 new replicas are available";
    let run = host(Some(waits)).apply::<K8sSetImage>(params(&json!({})));
    let reason = format!("deployment api is not ready after 30 s: {waits}");
    assert_says(
        &run,
        Status::Critical,
        &format!("set the image of api in deployment api of prod to {IMAGE}, but {reason}"),
    );
    assert_eq!(run.outcome().gives_back(), Some(reason.as_str()));
    assert_takes::<events::Params>(&run.outcome().suggestions()[0]);
    let run = host(Some(waits)).apply::<K8sSetImage>(params(&json!({ "give_back_if_not_ready": false })));
    assert_eq!((run.outcome().status(), run.outcome().gives_back()), (Status::Critical, None));
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let bounds = out_of_bounds("kubernetes-actions/set-image", "prod", "the grant covers registry.example.org/*");
    let table = [
        (Ok(unchanged()), Status::Ok, "nothing to do: the image of api in deployment api of prod is registry"),
        (
            Err(conflict("a rollout that `helm` began 9 s ago is on its way")),
            Status::Warning,
            "nothing was done: a rollout",
        ),
        (Err(bounds), Status::Unknown, "the grant covers registry.example.org/*"),
        (Err(Error::NotFound("there is no container api".into())), Status::Critical, "there is no container api"),
    ];
    for (answer, status, words) in table {
        let run = Host::new().answers(SET_IMAGE, "prod", answer).apply::<K8sSetImage>(params(&json!({})));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
        assert_eq!((run.calls.len(), run.outcome().gives_back()), (1, None));
    }
}

#[test]
fn parameters_without_sense_are_refused() {
    for more in
        [json!({ "image": "" }), json!({ "container": "" }), json!({ "ready_within": 0 }), json!({ "tag": "2" })]
    {
        let run = Host::new().plan::<K8sSetImage>(params(&more));
        assert!(matches!(run.failure(), Failure::BadParams(_)), "{more}");
    }
}
