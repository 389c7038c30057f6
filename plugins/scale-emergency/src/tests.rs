use super::*;
use paramedic_sdk::Status;
use paramedic_sdk::kubernetes::SCALE;
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied, out_of_bounds, unchanged};

const OPERATION: &str = "kubernetes-actions/scale";

fn params() -> serde_json::Value {
    json!({ "workloads": [
        { "name": "api", "replicas": 20 },
        { "name": "worker", "replicas": 10 },
        { "kind": "StatefulSet", "name": "proxy", "replicas": 3 },
    ] })
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<ScaleEmergency>();
}

#[test]
fn all_of_them_are_one_plan_in_their_order() {
    let asked = [
        "kubernetes-actions/scale prod deployment api 20",
        "kubernetes-actions/scale prod deployment worker 10",
        "kubernetes-actions/scale prod statefulset proxy 3",
    ];
    let planned = Host::new().plan::<ScaleEmergency>(params());
    assert_eq!(planned.changes(), asked);
    assert_eq!(planned.outcome().summary(), "would scale 3 workloads of prod");
    let applied = planned.next().apply::<ScaleEmergency>(params());
    assert_eq!(applied.changes(), asked);
    let words = "scaled 3 workloads of prod";
    assert_eq!((applied.outcome().summary().as_str(), applied.outcome().status()), (words, Status::Ok));
    assert_eq!(applied.table("Workloads").rows[2], ["statefulset", "proxy", "3", "scaled"]);
}

#[test]
fn what_became_of_each_is_told() {
    let missing = Error::NotFound("there is no deployment worker".to_owned());
    let table = [
        (
            Err(missing),
            Status::Critical,
            "scaled 2 workloads of prod, 1 failed (kubernetes answered NotFound: there is no deployment worker)",
            "failed: kubernetes answered NotFound: there is no deployment worker",
        ),
        (
            Err(conflict("replicas was 2, is 4")),
            Status::Warning,
            "scaled 2 workloads of prod, 1 had changed meanwhile and was left alone",
            "changed: replicas was 2, is 4",
        ),
        (
            Err(out_of_bounds(OPERATION, "kubernetes/prod", "at most 8")),
            Status::Warning,
            "scaled 2 workloads of prod, 1 is outside the bounds of the grant (at most 8)",
            "out of bounds: at most 8",
        ),
        (
            Ok(unchanged()),
            Status::Ok,
            "scaled 2 workloads of prod, 1 was at its number already",
            "at its number already",
        ),
    ];
    for (answer, status, words, result) in table {
        let run = Host::new().answers(SCALE, "prod deployment worker", answer).apply::<ScaleEmergency>(params());
        assert_eq!((run.outcome().status(), run.outcome().summary().as_str()), (status, words));
        let results: Vec<&str> = run.table("Workloads").rows.iter().map(|row| row[3].as_str()).collect();
        assert_eq!(results, ["scaled", result, "scaled"]);
    }
    let run =
        Host::new().answers(SCALE, "prod", Err(denied(OPERATION, "kubernetes/prod"))).plan::<ScaleEmergency>(params());
    assert_eq!((run.outcome().status(), run.calls.len()), (Status::Unknown, 1));
}

#[test]
fn one_workload_has_one_number() {
    let twice = json!({ "workloads": [{ "name": "api", "replicas": 2 }, { "name": "api", "replicas": 3 }] });
    let run = Host::new().plan::<ScaleEmergency>(twice);
    assert_eq!(run.failure(), &Failure::BadParams("`workloads` names deployment api twice".to_owned()));
    let kinds = json!({ "workloads": [
        { "name": "api", "replicas": 2 }, { "kind": "StatefulSet", "name": "api", "replicas": 3 },
    ] });
    assert_eq!(Host::new().plan::<ScaleEmergency>(kinds).changes().len(), 2);
    for params in [json!({}), json!({ "workloads": [] }), json!({ "workloads": [{ "name": "api" }] })] {
        assert!(
            matches!(Host::new().plan::<ScaleEmergency>(params.clone()).failure(), Failure::BadParams(_)),
            "{params}"
        );
    }
}
