use super::*;
use paramedic_sdk::kubernetes::{GET_ROLLOUT, ROLLBACK, Rollout};
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied, receipt, unchanged};
use paramedic_sdk::{Change, Error, Status};
use serde_json::json;

fn host(message: Option<&str>) -> Host {
    let message = message.map(str::to_owned);
    let rollout = Rollout { desired: 3, updated: 1, ready: 3, available: 3, complete: message.is_none(), message };
    let (before, after) = (Some("4 (api-9f)".to_owned()), Some("3 (api-6b)".to_owned()));
    let changes = vec![Change { field: "revision".to_owned(), before, after }];
    let rolled =
        Receipt { changes, reversible: true, ..receipt("roll prod/deployment/api back to revision 3 (api-6b)") };
    Host::new().answers(ROLLBACK, "prod", Ok(rolled)).answers(GET_ROLLOUT, "prod deployment api", Ok(rollout))
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sRollback>();
}

#[test]
fn the_revision_is_named_in_the_plan_and_afterwards() {
    let planned = host(None).plan::<K8sRollback>(json!({ "name": "api" }));
    assert_eq!(planned.outcome().summary(), "would roll prod/deployment/api back to revision 3 (api-6b)");
    assert_eq!(planned.changes(), ["kubernetes-actions/rollback prod deployment api"]);
    let applied = planned.next().apply::<K8sRollback>(json!({ "name": "api" }));
    let words = "rolled deployment api of prod back to revision 3 (api-6b), and deployment api is ready after 0.0 ms";
    assert_eq!((applied.outcome().summary().as_str(), applied.outcome().status()), (words, Status::Ok));
    let named = host(None).plan::<K8sRollback>(json!({ "name": "api", "revision": 2 }));
    assert_eq!(named.changes(), ["kubernetes-actions/rollback prod deployment api 2"]);
}

#[test]
fn pods_that_do_not_become_ready_are_critical_and_nothing_is_given_back() {
    let waits = "1 of 3 replicas have the newest template";
    let run = host(Some(waits)).apply::<K8sRollback>(json!({ "name": "api", "ready_within": 30 }));
    assert!(
        run.outcome()
            .summary()
            .ends_with("deployment api is not ready after 30 s: 1 of 3 replicas have the newest template")
    );
    assert_eq!((run.outcome().status(), run.outcome().gives_back()), (Status::Critical, None));
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let unproven =
        "no earlier revision of deployment api is known to have been ready; name one of those that are kept: 1, 2";
    let table = [
        (Ok(unchanged()), Status::Ok, "nothing to do: deployment api of prod has that revision"),
        (Err(conflict(unproven)), Status::Warning, "name one of those that are kept: 1, 2"),
        (Err(Error::NotFound("the cluster keeps no earlier revision".into())), Status::Critical, "no earlier revision"),
        (Err(denied("kubernetes-actions/rollback", "prod")), Status::Unknown, "the grant of this plugin lacks it"),
    ];
    for (answer, status, words) in table {
        let run = Host::new().answers(ROLLBACK, "prod", answer).apply::<K8sRollback>(json!({ "name": "api" }));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
    }
}

#[test]
fn parameters_without_sense_are_refused() {
    for params in [json!({}), json!({ "name": "api", "revision": 0 }), json!({ "name": "api", "to": 2 })] {
        assert!(matches!(Host::new().plan::<K8sRollback>(params.clone()).failure(), Failure::BadParams(_)), "{params}");
    }
}
