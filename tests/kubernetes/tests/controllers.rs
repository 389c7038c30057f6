//! The models of the controllers: rollouts that run, get stuck, are taken back and paused; Jobs that end; pods that
//! change hands.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "the helpers of a test may")]

use std::time::Duration;

use kubernetes_stand_in::Cluster;
use serde_json::{Value, json};

const DEPLOYMENT: &str = "apps/v1/Deployment";
const STATEFUL_SET: &str = "apps/v1/StatefulSet";
const POD: &str = "v1/Pod";

async fn seeded() -> Cluster {
    Cluster::seeded().await.unwrap()
}

fn object(cluster: &Cluster, kind: &str, name: &str) -> Value {
    cluster.get(kind, "shop", name).unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// Changes the spec of a workload as a client would, without one.
fn change(cluster: &Cluster, kind: &str, name: &str, pointer: &str, value: Value) {
    let mut changed = object(cluster, kind, name);
    let generation = changed["metadata"]["generation"].as_i64().unwrap();
    changed["metadata"]["generation"] = (generation + 1).into();
    changed["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    *changed.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    cluster.put(changed);
}

fn set_image(cluster: &Cluster, kind: &str, name: &str, image: &str) {
    change(cluster, kind, name, "/spec/template/spec/containers/0/image", image.into());
}

fn condition(object: &Value, name: &str) -> (String, String) {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).unwrap();
    let found = conditions.iter().find(|condition| condition["type"] == name).unwrap();
    (found["status"].as_str().unwrap().to_owned(), found["reason"].as_str().unwrap_or_default().to_owned())
}

fn pods(cluster: &Cluster, app: &str) -> Vec<Value> {
    let all = cluster.list(POD, Some("shop")).into_iter();
    all.filter(|pod| pod.pointer("/metadata/labels/app") == Some(&app.into())).collect()
}

fn is(pair: (String, String), status: &str, reason: &str) -> bool {
    (pair.0.as_str(), pair.1.as_str()) == (status, reason)
}

#[tokio::test]
async fn a_rollout_is_unobserved_then_under_way_then_complete() {
    let cluster = seeded().await;
    set_image(&cluster, DEPLOYMENT, "api", "example.invalid/api:2");
    let unobserved = object(&cluster, DEPLOYMENT, "api");
    assert_eq!(unobserved["status"]["observedGeneration"], 1);
    assert!(is(condition(&unobserved, "Progressing"), "True", "NewReplicaSetAvailable"));
    cluster.controllers().observe();
    let observed = object(&cluster, DEPLOYMENT, "api");
    assert_eq!(observed["status"]["observedGeneration"], 2);
    assert!(is(condition(&observed, "Progressing"), "True", "NewReplicaSetCreated"));
    cluster.controllers().complete();
    let complete = object(&cluster, DEPLOYMENT, "api");
    assert!(is(condition(&complete, "Progressing"), "True", "NewReplicaSetAvailable"));
    assert_eq!(complete["status"]["updatedReplicas"], 3);
    assert_eq!(pods(&cluster, "api").len(), 3);
}

#[tokio::test]
async fn a_rollout_never_has_fewer_pods_serving_than_it_may() {
    let cluster = seeded().await;
    set_image(&cluster, DEPLOYMENT, "api", "example.invalid/api:2");
    for _ in 0..40 {
        cluster.controllers().progress();
        let serving =
            pods(&cluster, "api").into_iter().filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
        let serving = serving.filter(|pod| pod["status"]["phase"] == "Running").count();
        assert!((3..=4).contains(&serving), "{serving} pods serve");
    }
}

#[tokio::test]
async fn a_stuck_rollout_says_so_after_its_deadline_and_goes_back_to_the_old_set() {
    let cluster = seeded().await;
    let good = object(&cluster, DEPLOYMENT, "billing");
    set_image(&cluster, DEPLOYMENT, "billing", "example.invalid/does-not-exist:2");
    cluster.controllers().complete();
    assert!(is(condition(&object(&cluster, DEPLOYMENT, "billing"), "Progressing"), "True", "ReplicaSetUpdated"));
    cluster.advance(Duration::from_secs(6));
    cluster.controllers().complete();
    let stuck = object(&cluster, DEPLOYMENT, "billing");
    assert!(is(condition(&stuck, "Progressing"), "False", "ProgressDeadlineExceeded"));
    assert!(is(condition(&stuck, "Available"), "True", "MinimumReplicasAvailable"));
    change(&cluster, DEPLOYMENT, "billing", "/spec/template", good["spec"]["template"].clone());
    cluster.controllers().complete();
    let back = object(&cluster, DEPLOYMENT, "billing");
    assert_eq!(back["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    let sets = cluster.list("apps/v1/ReplicaSet", Some("shop")).into_iter();
    let history =
        sets.filter_map(|set| set.pointer("/metadata/annotations/deployment.kubernetes.io~1revision-history").cloned());
    assert_eq!(history.collect::<Vec<_>>(), ["1"]);
}

#[tokio::test]
async fn a_paused_deployment_does_not_roll_and_a_resumed_one_does() {
    let cluster = seeded().await;
    let mut paused = object(&cluster, DEPLOYMENT, "api");
    paused["spec"]["paused"] = true.into();
    paused["metadata"]["generation"] = 2.into();
    cluster.put(paused);
    set_image(&cluster, DEPLOYMENT, "api", "example.invalid/api:2");
    cluster.controllers().complete();
    let paused = object(&cluster, DEPLOYMENT, "api");
    assert!(is(condition(&paused, "Progressing"), "Unknown", "DeploymentPaused"));
    assert_eq!(
        (&paused["status"]["observedGeneration"], &paused["status"]["updatedReplicas"]),
        (&json!(3), &Value::Null)
    );
    change(&cluster, DEPLOYMENT, "api", "/spec/paused", false.into());
    cluster.controllers().complete();
    assert!(is(condition(&object(&cluster, DEPLOYMENT, "api"), "Progressing"), "True", "NewReplicaSetAvailable"));
}

#[tokio::test]
async fn recreate_ends_all_old_pods_before_the_first_new_one() {
    let cluster = seeded().await;
    change(&cluster, DEPLOYMENT, "api", "/spec/strategy", json!({"type": "Recreate"}));
    set_image(&cluster, DEPLOYMENT, "api", "example.invalid/api:2");
    for _ in 0..40 {
        cluster.controllers().progress();
        let images: std::collections::BTreeSet<String> =
            pods(&cluster, "api").iter().map(|pod| pod["spec"]["containers"][0]["image"].to_string()).collect();
        assert!(images.len() < 2, "old and new at once: {images:?}");
    }
    assert_eq!(pods(&cluster, "api").len(), 3);
}

#[tokio::test]
async fn a_stateful_set_waits_for_the_pod_that_never_became_ready() {
    let cluster = seeded().await;
    set_image(&cluster, STATEFUL_SET, "redis", "example.invalid/does-not-exist:2");
    cluster.controllers().complete();
    set_image(&cluster, STATEFUL_SET, "redis", "example.invalid/redis:7");
    cluster.controllers().complete();
    let stuck = object(&cluster, STATEFUL_SET, "redis");
    assert_eq!(stuck["status"]["currentRevision"], stuck["status"]["updateRevision"]);
    assert_eq!(stuck["status"]["readyReplicas"], 1);
    cluster.delete(POD, "shop", "redis-1");
    cluster.controllers().complete();
    assert_eq!(object(&cluster, STATEFUL_SET, "redis")["status"]["readyReplicas"], 2);
}

#[tokio::test]
async fn a_daemon_set_replaces_its_pod() {
    let cluster = seeded().await;
    let labels = "{app: logs}";
    let template =
        format!("{{metadata: {{labels: {labels}}}, spec: {{containers: [{{name: logs, image: \"logs:1\"}}]}}}}");
    let set = format!(
        "{{apiVersion: apps/v1, kind: DaemonSet, metadata: {{name: logs, namespace: shop}}, \
         spec: {{selector: {{matchLabels: {labels}}}, template: {template}}}}}"
    );
    cluster.apply(&set).unwrap();
    cluster.controllers().complete();
    set_image(&cluster, "apps/v1/DaemonSet", "logs", "logs:2");
    cluster.controllers().complete();
    let status = object(&cluster, "apps/v1/DaemonSet", "logs")["status"].clone();
    let counts = ["observedGeneration", "updatedNumberScheduled", "numberAvailable", "desiredNumberScheduled"];
    assert_eq!(counts.map(|key| status[key].as_i64().unwrap_or_default()), [2, 1, 1, 1]);
    assert_eq!(pods(&cluster, "logs")[0]["spec"]["containers"][0]["image"], "logs:2");
}

#[tokio::test]
async fn a_pod_without_its_label_is_let_go_replaced_and_taken_back() {
    let cluster = seeded().await;
    let pod = pods(&cluster, "api").remove(0);
    let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap().to_owned();
    change(&cluster, POD, &name, "/metadata/labels/app", "none".into());
    cluster.advance(Duration::from_secs(1));
    cluster.controllers().complete();
    assert!(object(&cluster, POD, &name).pointer("/metadata/ownerReferences").is_none());
    assert_eq!(pods(&cluster, "api").len(), 3);
    change(&cluster, POD, &name, "/metadata/labels/app", "api".into());
    cluster.controllers().complete();
    assert!(object(&cluster, POD, &name).pointer("/metadata/ownerReferences").is_some(), "the older pod stays");
    assert_eq!(pods(&cluster, "api").len(), 3);
}

#[tokio::test]
async fn slices_follow_the_selector_and_stay_when_there_is_none() {
    let cluster = seeded().await;
    let endpoints = |cluster: &Cluster| {
        let slices = cluster.list("discovery.k8s.io/v1/EndpointSlice", Some("shop")).into_iter();
        let mut of_api =
            slices.filter(|it| it.pointer("/metadata/labels/kubernetes.io~1service-name") == Some(&"api".into()));
        of_api.next().unwrap()["endpoints"].clone()
    };
    assert_eq!(endpoints(&cluster).as_array().unwrap().len(), 3);
    let mut service = object(&cluster, "v1/Service", "api");
    service["spec"]["selector"] = json!({});
    cluster.put(service.clone());
    cluster.controllers().complete();
    assert_eq!(endpoints(&cluster).as_array().unwrap().len(), 3);
    service["spec"]["selector"] = json!({"app": "api", "drained": "true"});
    cluster.put(service);
    cluster.controllers().complete();
    assert_eq!(endpoints(&cluster), Value::Null);
}

#[tokio::test]
async fn an_autoscaler_takes_its_replicas_back() {
    let cluster = seeded().await;
    change(&cluster, DEPLOYMENT, "worker", "/spec/replicas", 8.into());
    cluster.controllers().complete();
    assert_eq!(pods(&cluster, "worker").len(), 8);
    cluster.controllers().autoscale();
    let worker = object(&cluster, DEPLOYMENT, "worker");
    assert_eq!(worker["spec"]["replicas"], 4);
    let owners = worker.pointer("/metadata/managedFields").and_then(Value::as_array).unwrap();
    assert!(
        owners.iter().any(|owner| owner["manager"] == "kube-controller-manager" && owner["subresource"] == "scale")
    );
}

#[tokio::test]
async fn what_a_controller_made_goes_with_it() {
    let cluster = seeded().await;
    cluster.delete(DEPLOYMENT, "shop", "api");
    cluster.controllers().complete();
    assert!(pods(&cluster, "api").is_empty());
}

#[tokio::test]
async fn noise_moves_the_version_and_nothing_else() {
    let cluster = seeded().await;
    let before = object(&cluster, DEPLOYMENT, "api");
    cluster.controllers().noise(DEPLOYMENT, "shop", "api", 5);
    let mut after = object(&cluster, DEPLOYMENT, "api");
    assert_ne!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
    after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
    assert_eq!(before, after);
}
