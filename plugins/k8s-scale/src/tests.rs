use super::*;
use paramedic_sdk::kubernetes::SCALE;
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied, out_of_bounds, receipt, unchanged};
use paramedic_sdk::{Change, Error, Status};
use serde_json::json;

fn scaled() -> Receipt {
    let (before, after) = (Some("3".to_owned()), Some("10".to_owned()));
    let changes = vec![Change { field: "replicas".to_owned(), before, after }];
    Receipt { changes, reversible: true, ..receipt("scale prod/deployment/api from 3 to 10") }
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sScale>();
}

#[test]
fn a_workload_is_scaled_and_told_in_the_tense_of_the_run() {
    let params = json!({ "name": "api", "replicas": 10 });
    let planned = Host::new().answers(SCALE, "prod deployment api 10", Ok(scaled())).plan::<K8sScale>(params.clone());
    assert_eq!(planned.outcome().summary(), "would scale prod/deployment/api from 3 to 10");
    assert!(planned.outcome().suggestions().is_empty());
    let applied = planned.next().apply::<K8sScale>(params);
    let words = "scaled deployment api of prod from 3 to 10";
    assert_eq!((applied.outcome().summary().as_str(), applied.outcome().status()), (words, Status::Ok));
    assert_eq!(applied.table("Changes").rows[0], ["replicas", "3", "10"]);
    assert_eq!(applied.outcome().suggestions()[0].plugin, "k8s-rollouts");
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let operation = "kubernetes-actions/scale";
    let invalid = Error::Invalid("a DaemonSet has no number of replicas".into());
    let table = [
        (Ok(unchanged()), Status::Ok, "nothing to do: deployment api of prod has 40 replicas"),
        (Err(conflict("replicas was 3, is 5")), Status::Warning, "nothing was done: replicas was 3, is 5"),
        (
            Err(out_of_bounds(operation, "kubernetes/prod", "at most 20 replicas")),
            Status::Unknown,
            "at most 20 replicas",
        ),
        (Err(denied(operation, "kubernetes/prod")), Status::Unknown, "the grant of this plugin lacks it"),
        (Err(invalid), Status::Unknown, "a DaemonSet has no number of replicas"),
        (Err(Error::NotFound("there is no deployment api".into())), Status::Critical, "there is no deployment api"),
    ];
    for (answer, status, words) in table {
        let run =
            Host::new().answers(SCALE, "prod", answer).apply::<K8sScale>(json!({ "name": "api", "replicas": 40 }));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
    }
}

#[test]
fn a_number_has_to_be_given() {
    for params in [json!({}), json!({ "name": "api" }), json!({ "name": "api", "replicas": -1 })] {
        let run = Host::new().plan::<K8sScale>(params.clone());
        assert!(matches!(run.failure(), Failure::BadParams(_)) && run.calls.is_empty(), "{params}");
    }
}
