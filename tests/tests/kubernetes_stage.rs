//! What a scenario of a cluster stands on: it is gone afterwards, whatever happened, and says what keeps it from being there.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use kubernetes_stand_in::Cluster;
use paramedic_tests::kubernetes::{Served, Stage};
use paramedic_tests::wait;
use serde_json::{Value, json};

const POD: &str = "v1/Pod";
const DEPLOYMENT: &str = "apps/v1/Deployment";

fn everywhere(served: &Served, kind: &str) -> Vec<Value> {
    let looking = Stage::by_kubeconfig(&served.kubeconfig().unwrap(), "looking").unwrap();
    let all = looking.list_everywhere(kind).unwrap().into_iter();
    all.filter(|object| object["metadata"]["name"] != looking.namespace()).map(|it| it["metadata"].clone()).collect()
}

#[test]
fn a_scenario_that_fails_leaves_nothing_behind() {
    for served in [Served::start().unwrap(), Served::start_without_nodes().unwrap()] {
        let kubeconfig = served.kubeconfig().unwrap();
        let failed = catch_unwind(AssertUnwindSafe(|| {
            let stage = Stage::by_kubeconfig(&kubeconfig, "doomed").unwrap();
            stage.open_shop().unwrap();
            assert!(stage.list(POD).unwrap().len() > 6);
            panic!("a scenario fails here, on purpose");
        }));
        assert!(failed.is_err());
        let left: Vec<String> = ["v1/Namespace", "v1/Node", POD, DEPLOYMENT]
            .into_iter()
            .flat_map(|kind| everywhere(&served, kind))
            .map(|metadata| format!("{} {}", metadata["namespace"], metadata["name"]))
            .filter(|place| place.contains("doomed"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn two_scenarios_do_not_see_each_other() {
    let served = Served::start().unwrap();
    let [one, other] = [(); 2].map(|()| Stage::by_kubeconfig(&served.kubeconfig().unwrap(), "both").unwrap());
    one.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: agent}}").unwrap();
    assert!(other.get("v1/ServiceAccount", "agent").unwrap().is_none());
    let elsewhere = format!("{{apiVersion: v1, kind: Secret, metadata: {{name: x, namespace: {}}}}}", one.namespace());
    assert!(other.apply(&elsewhere).unwrap_err().to_string().contains(other.namespace()));
}

#[test]
fn the_node_that_one_scenario_plays_is_none_for_another() {
    let served = Served::start_without_nodes().unwrap();
    let [_one, other] = [(); 2].map(|()| Stage::by_kubeconfig(&served.kubeconfig().unwrap(), "both").unwrap());
    other.open_shop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_make_a_namespace_is_told_what_is_needed() {
    let cluster = Cluster::seeded_now().await.unwrap();
    let error = Stage::by_kubeconfig(&cluster.kubeconfig("agent", "shop"), "paramedic-test").unwrap_err();
    let text = format!("{error:#}");
    assert!(text.starts_with("cannot make the namespace paramedic-test-"), "{text}");
    assert!(text.contains("may create and delete namespaces") && text.contains("is forbidden"), "{text}");
}

#[test]
fn pods_run_and_go_on_a_node_that_is_played() {
    let served = Served::start_without_nodes().unwrap();
    let stage = Stage::by_kubeconfig(&served.kubeconfig().unwrap(), "played").unwrap();
    stage.open_shop().unwrap();
    let pods = || {
        let pods = stage.list(POD).unwrap().into_iter();
        pods.filter(|pod| pod["metadata"]["labels"]["app"] == "api").collect::<Vec<_>>()
    };
    assert!(pods().iter().all(|pod| pod["spec"]["nodeName"] == stage.namespace()), "{:?}", pods());
    // One image cannot be pulled, and so the rollout stands still.
    let container = json!({ "name": "api", "image": stage.images().bad });
    let patch = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
    stage.patch(DEPLOYMENT, "api", &patch).unwrap();
    let waits = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff";
    wait::until("a pod that waits for its image", || Ok(pods().iter().any(waits).then_some(()))).unwrap();
    stage.delete(DEPLOYMENT, "api").unwrap();
    wait::until("the pods to be gone", || Ok(pods().is_empty().then_some(()))).unwrap();
}
