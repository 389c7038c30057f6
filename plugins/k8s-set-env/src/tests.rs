use super::*;
use paramedic_sdk::Change;
use paramedic_sdk::kubernetes::{GET_ROLLOUT, Rollout, SET_ENV, UNSET_ENV};
use paramedic_sdk::testing::{Host, Run, assert_well_described, conflict, denied, out_of_bounds, receipt, unchanged};
use serde_json::json;

const SET: &str = "kubernetes-actions/set-env";

fn changed(summary: &str, field: &str, after: Option<&str>) -> Receipt {
    let change = Change { field: field.to_owned(), before: None, after: after.map(str::to_owned) };
    Receipt { changes: vec![change], reversible: true, ..receipt(summary) }
}

fn rollout(message: Option<&str>) -> Rollout {
    let message = message.map(str::to_owned);
    Rollout { desired: 2, updated: 1, ready: 2, available: 2, complete: message.is_none(), message }
}

fn host() -> Host {
    Host::new()
        .answers(SET_ENV, "prod", Ok(changed("set A in prod/deployment/api", "A of api", Some("1"))))
        .answers(UNSET_ENV, "prod", Ok(changed("remove B in prod/deployment/api", "B of api", None)))
        .answers(GET_ROLLOUT, "prod deployment api", Ok(rollout(None)))
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert_eq!((outcome.status(), outcome.summary().as_str()), (status, words));
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<K8sSetEnv>();
}

#[test]
fn variables_are_set_and_removed_and_the_rollout_is_followed() {
    let set = json!({ "name": "api", "set": { "A": "1", "C": "x y" } });
    let planned = host().plan::<K8sSetEnv>(set.clone());
    assert_says(&planned, Status::Ok, "would set A in prod/deployment/api");
    assert_eq!(planned.changes(), ["kubernetes-actions/set-env prod deployment api A=1 C=x y"]);
    let applied = planned.next().apply::<K8sSetEnv>(set);
    assert_says(&applied, Status::Ok, "set A, C of deployment api of prod, and deployment api is ready after 0.0 ms");

    let unset = host().apply::<K8sSetEnv>(json!({ "name": "api", "unset": ["B"], "container": "proxy" }));
    assert_eq!(unset.changes(), ["kubernetes-actions/unset-env prod deployment api proxy B"]);
    assert!(unset.outcome().summary().starts_with("removed B of proxy in deployment api of prod, and"));

    let both = json!({ "name": "api", "set": { "A": "1" }, "unset": ["B"] });
    let planned = host().plan::<K8sSetEnv>(both.clone());
    assert_says(&planned, Status::Ok, "would set A in prod/deployment/api; would remove B in prod/deployment/api");
    let applied = planned.next().apply::<K8sSetEnv>(both);
    let words = "set A of deployment api of prod; removed B of deployment api of prod, and deployment api is ready after 0.0 ms";
    assert_says(&applied, Status::Ok, words);
    assert_eq!(applied.table("Changes").rows, [["A of api", "", "1"], ["B of api", "", ""]]);
}

#[test]
fn nothing_to_do_is_fine() {
    let host = || host_with(Ok(unchanged()), Ok(unchanged()));
    let run = host().apply::<K8sSetEnv>(json!({ "name": "api", "set": { "A": "1" }, "unset": ["B"] }));
    let words = "nothing to do: deployment api of prod has A set so; nothing to do: deployment api of prod has no B";
    assert_says(&run, Status::Ok, words);
    assert_eq!(run.calls.len(), 2, "there is no rollout to follow");
}

fn host_with(set: Result<Receipt, Error>, unset: Result<Receipt, Error>) -> Host {
    let host = Host::new().answers(SET_ENV, "prod", set).answers(UNSET_ENV, "prod", unset);
    host.answers(GET_ROLLOUT, "prod", Ok(rollout(None)))
}

#[test]
fn pods_that_do_not_start_with_it_get_what_was_before() {
    let stuck = || Host::new().answers(GET_ROLLOUT, "prod", Ok(rollout(Some("it is late"))));
    let run = stuck().apply::<K8sSetEnv>(json!({ "name": "api", "set": { "A": "1" }, "ready_within": 9 }));
    let reason = "deployment api is not ready after 9.0 s: it is late";
    assert_says(&run, Status::Critical, &format!("set A of deployment api of prod, but {reason}"));
    assert_eq!(run.outcome().gives_back(), Some(reason));
    let kept = json!({ "name": "api", "set": { "A": "1" }, "ready_within": 9, "give_back_if_not_ready": false });
    let run = stuck().apply::<K8sSetEnv>(kept);
    assert_eq!((run.outcome().status(), run.outcome().gives_back()), (Status::Critical, None));
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let moved = || Err(conflict("A of api was absent, is a value (6f)"));
    let bounds = || Err(out_of_bounds(SET, "kubernetes/prod", "the grant covers CACHE_TTL"));
    let done = || Ok(receipt("change it"));
    let table = [
        (moved(), done(), Status::Warning, "nothing was done: A of api was absent, is a value (6f)", 1),
        (bounds(), done(), Status::Unknown, "the grant covers CACHE_TTL", 1),
        (Err(Error::TimedOut("5 s".into())), done(), Status::Critical, "no answer came in time", 1),
        (
            done(),
            moved(),
            Status::Critical,
            "set A of deployment api of prod; nothing was done: A of api was absent",
            3,
        ),
        (Ok(unchanged()), moved(), Status::Warning, "nothing was done: A of api was absent", 2),
        (
            done(),
            Err(denied("kubernetes-actions/unset-env", "prod")),
            Status::Critical,
            "lacks it, and deployment api",
            3,
        ),
    ];
    for (set, unset, status, words, calls) in table {
        let run =
            host_with(set, unset).apply::<K8sSetEnv>(json!({ "name": "api", "set": { "A": "1" }, "unset": ["B"] }));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
        assert_eq!(run.calls.len(), calls, "{summary}");
    }
}

#[test]
fn parameters_without_sense_are_refused() {
    let table = [
        json!({ "name": "api" }),
        json!({ "name": "api", "set": { "A": 1 } }),
        json!({ "name": "api", "set": { "A": "1" }, "unset": ["A"] }),
        json!({ "set": { "A": "1" } }),
        json!({ "name": "api", "set": { "A": "1" }, "container": "" }),
    ];
    for params in table {
        let run = Host::new().plan::<K8sSetEnv>(params.clone());
        assert!(matches!(run.failure(), Failure::BadParams(_)) && run.calls.is_empty(), "{params}");
    }
}
