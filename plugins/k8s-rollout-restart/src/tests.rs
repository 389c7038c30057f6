use super::*;
use paramedic_sdk::kubernetes::{GET_ROLLOUT, RESTART, Rollout};
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied, receipt, unchanged};
use paramedic_sdk::{Error, Status};
use serde_json::json;

fn rollout(updated: u32, message: Option<&str>) -> Rollout {
    let message = message.map(str::to_owned);
    Rollout { desired: 3, updated, ready: 3, available: 3, complete: message.is_none(), message }
}

fn host() -> Host {
    Host::new().answers(RESTART, "prod", Ok(receipt("restart prod/statefulset/db"))).answers(
        GET_ROLLOUT,
        "prod statefulset db",
        Ok(rollout(1, Some("1 of 3 replicas have the newest template"))),
    )
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sRolloutRestart>();
}

#[test]
fn a_workload_is_restarted_and_followed_with_its_progress() {
    let params = json!({ "kind": "StatefulSet", "name": "db" });
    let planned = host().plan::<K8sRolloutRestart>(params.clone());
    assert_eq!(planned.outcome().summary(), "would restart prod/statefulset/db");
    assert_eq!(planned.calls.len(), 1, "nothing is waited for in a plan");
    let host = planned.next().answers(GET_ROLLOUT, "prod statefulset db", Ok(rollout(3, None)));
    let applied = host.apply::<K8sRolloutRestart>(params);
    assert_eq!(applied.changes(), ["kubernetes-actions/restart prod statefulset db"]);
    let words = "restarted statefulset db of prod, and statefulset db is ready after 1.0 s";
    assert_eq!((applied.outcome().summary().as_str(), applied.outcome().status()), (words, Status::Ok));
    assert_eq!(applied.log.len(), 2, "{:?}", applied.log);
}

#[test]
fn pods_that_do_not_become_ready_are_critical_and_nothing_is_given_back() {
    let params = json!({ "kind": "StatefulSet", "name": "db", "ready_within": 20 });
    let run = host().apply::<K8sRolloutRestart>(params);
    let words = "statefulset db is not ready after 20 s: 1 of 3 replicas have the newest template";
    assert!(run.outcome().summary().ends_with(words), "{}", run.outcome().summary());
    assert_eq!((run.outcome().status(), run.outcome().gives_back()), (Status::Critical, None));
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let operation = "kubernetes-actions/restart";
    let table = [
        (Ok(unchanged()), Status::Ok, "nothing to do: deployment api of prod was restarted already"),
        (Err(conflict("its rollouts are paused")), Status::Warning, "nothing was done: its rollouts are paused"),
        (Err(denied(operation, "kubernetes/prod")), Status::Unknown, "the grant of this plugin lacks it"),
        (Err(Error::NotFound("there is no deployment api".into())), Status::Critical, "there is no deployment api"),
        (Err(Error::TimedOut("5 s".into())), Status::Critical, "no answer came in time"),
    ];
    for (answer, status, words) in table {
        let run = Host::new().answers(RESTART, "prod deployment api", answer);
        let run = run.apply::<K8sRolloutRestart>(json!({ "name": "api" }));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
    }
}

#[test]
fn parameters_without_sense_are_refused() {
    for params in [json!({}), json!({ "name": "" }), json!({ "name": "api", "kind": "Job" })] {
        assert!(matches!(Host::new().plan::<K8sRolloutRestart>(params.clone()).failure(), Failure::BadParams(_)));
    }
    let long = json!({ "name": "api", "ready_within": 881 });
    assert!(matches!(Host::new().plan::<K8sRolloutRestart>(long).failure(), Failure::BadParams(_)));
}
