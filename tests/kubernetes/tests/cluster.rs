//! What tests ask of the handle: requests that can be counted, faults that happen when they are wanted, time that moves
//! when it is told to, watches that follow.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

#[path = "support/http.rs"]
mod http;

use std::time::{Duration, Instant};

use http::{Call, Response};
use kubernetes_stand_in::{Cluster, Fault, Trouble};
use serde_json::{Value, json};

const API: &str = "/apis/apps/v1/namespaces/shop/deployments/api";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments";

fn call(cluster: &Cluster, method: &str, path: &str, body: Value) -> Call {
    Call {
        method: method.to_owned(),
        path: path.to_owned(),
        token: cluster.token("agent").to_owned(),
        content_type: Some("application/merge-patch+json".to_owned()),
        accept: None,
        body,
    }
}

fn get(cluster: &Cluster, path: &str) -> anyhow::Result<Response> {
    call(cluster, "GET", path, Value::Null).send(&cluster.url())
}

fn scale(cluster: &Cluster, replicas: i64) -> anyhow::Result<Response> {
    let path = format!("{API}/scale?fieldManager=paramedic");
    call(cluster, "PATCH", &path, json!({"spec": {"replicas": replicas}})).send(&cluster.url())
}

fn replicas(cluster: &Cluster) -> Value {
    cluster.get("apps/v1/Deployment", "shop", "api").unwrap()["spec"]["replicas"].clone()
}

#[tokio::test]
async fn every_request_is_noted_with_its_parts() {
    let cluster = Cluster::seeded().await.unwrap();
    scale(&cluster, 4).unwrap();
    let requests = cluster.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PATCH", &*format!("{API}/scale")));
    assert_eq!(request.parameter("fieldManager"), Some("paramedic"));
    assert_eq!(request.body, br#"{"spec":{"replicas":4}}"#);
    cluster.forget_requests();
    assert!(cluster.requests().is_empty());
}

#[tokio::test]
async fn refusals_of_an_overloaded_server_apply_nothing() {
    let cluster = Cluster::seeded().await.unwrap();
    let faults =
        [(Fault::TooManyRequests { retry_after: 7 }, 429), (Fault::InternalError, 500), (Fault::Unavailable, 503)];
    for (fault, status) in faults {
        cluster.fail(fault);
        let refused = scale(&cluster, 9).unwrap();
        assert_eq!(refused.status, status);
        assert_eq!(refused.header("retry-after"), (status == 429).then_some("7"));
    }
    assert_eq!(replicas(&cluster), 3);
    assert_eq!(scale(&cluster, 4).unwrap().status, 200);
}

#[tokio::test]
async fn a_fault_waits_for_the_request_it_is_meant_for() {
    let cluster = Cluster::seeded().await.unwrap();
    cluster.fail(Trouble::from(Fault::Unavailable).on("PATCH").at("/scale").times(2));
    assert_eq!(get(&cluster, API).unwrap().status, 200);
    let statuses = [4, 4, 4].map(|count| scale(&cluster, count).unwrap().status);
    assert_eq!(statuses, [503, 503, 200]);
}

/// Sends in a thread of its own, for requests that may never be answered.
fn send_and_wait(call: Call, url: String, wait: Duration) -> bool {
    let sending = std::thread::spawn(move || call.send(&url));
    let start = Instant::now();
    while start.elapsed() < wait && !sending.is_finished() {
        std::thread::sleep(Duration::from_millis(5));
    }
    sending.is_finished()
}

#[tokio::test]
async fn a_server_can_hang_before_a_change_and_after_it() {
    let cluster = Cluster::seeded().await.unwrap();
    for (fault, wanted) in [(Fault::HangBeforeApplying, 3), (Fault::HangAfterApplying, 9)] {
        cluster.fail(fault);
        let patch = call(&cluster, "PATCH", &format!("{API}/scale"), json!({"spec": {"replicas": 9}}));
        assert!(!send_and_wait(patch, cluster.url(), Duration::from_millis(300)), "an answer came");
        assert_eq!(replicas(&cluster), wanted);
    }
}

#[tokio::test]
async fn a_server_can_accept_and_not_listen() {
    let cluster = Cluster::seeded().await.unwrap();
    cluster.go_deaf();
    let unheard = call(&cluster, "GET", API, Value::Null);
    assert!(!send_and_wait(unheard, cluster.url(), Duration::from_millis(300)), "an answer came");
    assert!(cluster.requests().is_empty());
    cluster.hear();
    assert_eq!(get(&cluster, API).unwrap().status, 200);
}

#[tokio::test]
async fn an_answer_can_be_cut_late_or_too_long() {
    let cluster = Cluster::seeded().await.unwrap();
    cluster.fail(Fault::Cut { after_lines: 0 });
    assert!(get(&cluster, API).is_err(), "a body that is cut is no answer");
    cluster.fail(Fault::Slow(Duration::from_millis(200)));
    let start = Instant::now();
    assert_eq!(get(&cluster, API).unwrap().status, 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
    cluster.fail(Fault::Large { bytes: 3 << 20 });
    assert!(get(&cluster, API).unwrap().body.len() > 3 << 20);
}

#[tokio::test]
async fn a_token_is_refused_from_the_moment_it_is_revoked() {
    let cluster = Cluster::seeded().await.unwrap();
    cluster.fail(Fault::TokenRevoked);
    assert_eq!(get(&cluster, API).unwrap().status, 401);
    assert_eq!(get(&cluster, API).unwrap().status, 401);
    let renewed =
        Call { token: cluster.issue_token("shop", "agent", None).unwrap(), ..call(&cluster, "GET", API, Value::Null) };
    assert_eq!(renewed.send(&cluster.url()).unwrap().status, 200);
}

/// A watch in a thread of its own, begun before this returns.
fn watch(cluster: &Cluster, query: &str) -> std::thread::JoinHandle<anyhow::Result<Response>> {
    let path = format!("{DEPLOYMENTS}?watch=true&{query}");
    let (call, url, before) = (call(cluster, "GET", &path, Value::Null), cluster.url(), cluster.requests().len());
    let watching = std::thread::spawn(move || call.send(&url));
    while cluster.requests().len() == before {
        std::thread::sleep(Duration::from_millis(2));
    }
    watching
}

#[tokio::test]
async fn a_watch_follows_until_its_time_is_up() {
    let cluster = Cluster::seeded().await.unwrap();
    let version = cluster.version();
    let query = format!("resourceVersion={version}&timeoutSeconds=60&labelSelector=app%3Dapi&allowWatchBookmarks=true");
    let watching = watch(&cluster, &query);
    scale(&cluster, 4).unwrap();
    cluster.controllers().noise("apps/v1/Deployment", "shop", "api", 2);
    cluster.advance(Duration::from_secs(59));
    assert!(!watching.is_finished());
    cluster.advance(Duration::from_secs(1));
    let lines = watching.join().unwrap().unwrap().value(true);
    let kinds: Vec<&str> = lines.as_array().unwrap().iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["MODIFIED", "MODIFIED", "MODIFIED", "BOOKMARK"]);
}

#[tokio::test]
async fn an_object_that_leaves_a_selector_is_deleted_for_its_watch() {
    let cluster = Cluster::seeded().await.unwrap();
    let query = format!("resourceVersion={}&timeoutSeconds=60&labelSelector=app%3Dapi", cluster.version());
    let watching = watch(&cluster, &query);
    call(&cluster, "PATCH", API, json!({"metadata": {"labels": {"app": null}}})).send(&cluster.url()).unwrap();
    cluster.advance(Duration::from_secs(60));
    let lines = watching.join().unwrap().unwrap().value(true);
    assert_eq!(lines[0]["type"], "DELETED");
}

#[tokio::test]
async fn a_watch_can_break_off_in_the_middle_of_a_line() {
    let cluster = Cluster::seeded().await.unwrap();
    cluster.fail(Fault::Cut { after_lines: 1 });
    let watching = watch(&cluster, "timeoutSeconds=60");
    assert!(watching.join().unwrap().is_err(), "a stream that is cut has no end");
}

#[tokio::test]
async fn a_copy_goes_its_own_way() {
    let cluster = Cluster::seeded().await.unwrap();
    let copy = cluster.copy().await.unwrap();
    scale(&copy, 7).unwrap();
    assert_eq!((replicas(&cluster), replicas(&copy)), (json!(3), json!(7)));
}

#[tokio::test]
async fn what_was_forgotten_has_to_be_listed_again() {
    let cluster = Cluster::seeded().await.unwrap();
    let page = get(&cluster, &format!("{DEPLOYMENTS}?limit=1")).unwrap().value(false);
    let token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap().to_owned();
    scale(&cluster, 4).unwrap();
    cluster.compact();
    let expired = get(&cluster, &format!("{DEPLOYMENTS}?limit=1&continue={token}")).unwrap();
    assert_eq!(expired.status, 410);
    let next = expired.value(false).pointer("/metadata/continue").and_then(Value::as_str).unwrap().to_owned();
    assert_eq!(get(&cluster, &format!("{DEPLOYMENTS}?limit=1&continue={next}")).unwrap().status, 200);
}

#[tokio::test]
async fn the_kubeconfig_names_server_user_and_namespace() {
    let cluster = Cluster::start().await.unwrap();
    let config: Value = serde_saphyr::from_str(&cluster.kubeconfig("agent", "shop")).unwrap();
    assert_eq!(config.pointer("/clusters/0/cluster/server"), Some(&json!(cluster.url())));
    assert_eq!(config.pointer("/users/0/user/token"), Some(&json!(cluster.token("agent"))));
    assert_eq!(config.pointer("/contexts/0/context/namespace"), Some(&json!("shop")));
}

#[tokio::test]
async fn an_encrypted_copy_is_found_by_its_kubeconfig() {
    let cluster = Cluster::start().await.unwrap().copy_encrypted().await.unwrap();
    let config: Value = serde_saphyr::from_str(&cluster.kubeconfig("admin", "shop")).unwrap();
    let server = config.pointer("/clusters/0/cluster/server").and_then(Value::as_str).unwrap();
    assert!(server.starts_with("https://127.0.0.1:"), "{server}");
    assert!(config.pointer("/clusters/0/cluster/certificate-authority-data").is_some());
    assert!(cluster.authority().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    let plain = call(&cluster, "GET", "/version", Value::Null);
    assert!(plain.send(&server.replace("https", "http")).is_err(), "answered in the clear");
}

#[tokio::test]
async fn a_status_is_written_through_its_subresource_alone() {
    let cluster = Cluster::seeded().await.unwrap();
    let admin = |path: &str| Call {
        token: cluster.token("admin").to_owned(),
        ..call(&cluster, "PATCH", path, json!({"spec": {"replicas": 8}, "status": {"observedGeneration": 99}}))
    };
    let status = admin(&format!("{API}/status")).send(&cluster.url()).unwrap().value(false);
    assert_eq!((&status["spec"]["replicas"], &status["status"]["observedGeneration"]), (&json!(3), &json!(99)));
    let main = admin(API).send(&cluster.url()).unwrap().value(false);
    assert_eq!((&main["spec"]["replicas"], &main["metadata"]["generation"]), (&json!(8), &json!(2)));
}

fn as_admin(cluster: &Cluster, method: &str, path: &str, body: Value) -> Response {
    let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let plain = call(cluster, method, path, body);
    let asked = Call { token: cluster.token("admin").to_owned(), content_type: Some(content_type.to_owned()), ..plain };
    asked.send(&cluster.url()).unwrap()
}

#[tokio::test]
async fn a_namespace_takes_along_what_is_in_it_and_goes_last() {
    let cluster = Cluster::seeded().await.unwrap();
    let kept = cluster.list("v1/Pod", Some("small")).len();
    assert_eq!(as_admin(&cluster, "DELETE", "/api/v1/namespaces/shop", Value::Null).status, 200);
    let going = cluster.get("v1/Namespace", "", "shop").unwrap();
    assert_eq!(going["status"]["phase"], "Terminating");
    let late = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}});
    assert_eq!(as_admin(&cluster, "POST", "/api/v1/namespaces/shop/configmaps", late).status, 403);
    cluster.controllers().progress();
    assert!(cluster.list("apps/v1/Deployment", Some("shop")).is_empty());
    let pods = cluster.list("v1/Pod", Some("shop"));
    assert!(!pods.is_empty() && pods.iter().all(|pod| !pod["metadata"]["deletionTimestamp"].is_null()), "{pods:?}");
    assert!(cluster.get("v1/Namespace", "", "shop").is_some());
    cluster.controllers().complete();
    assert!(cluster.get("v1/Namespace", "", "shop").is_none());
    assert!(cluster.list("v1/Pod", Some("shop")).is_empty());
    assert_eq!(cluster.list("v1/Pod", Some("small")).len(), kept);
    let again = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    assert_eq!(as_admin(&cluster, "POST", "/api/v1/namespaces", again).status, 201);
    let fresh = cluster.get("v1/Namespace", "", "shop").unwrap();
    assert_eq!(fresh["status"]["phase"], "Active");
    assert_eq!(fresh["metadata"]["labels"]["kubernetes.io/metadata.name"], "shop");
}

#[tokio::test]
async fn pods_without_a_node_wait_for_who_binds_them_and_are_bound_once() {
    let cluster = Cluster::start().await.unwrap();
    cluster.delete("v1/Node", "", "fake-0").unwrap();
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}, spec: {containers: [{name: a, image: \"a:1\"}]}}";
    cluster.apply(pod).unwrap();
    cluster.controllers().complete();
    let now = || cluster.get("v1/Pod", "shop", "a").unwrap();
    assert!(now()["spec"]["nodeName"].is_null(), "{}", now());
    let binding = "/api/v1/namespaces/shop/pods/a/binding";
    let to = |kind: &str, node: &str| json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"}, "target": {"kind": kind, "name": node}});
    assert_eq!(as_admin(&cluster, "POST", binding, to("Pod", "b")).status, 400);
    assert_eq!(as_admin(&cluster, "POST", binding, to("Node", "mine")).status, 201);
    assert_eq!(as_admin(&cluster, "POST", binding, to("Node", "other")).status, 409);
    assert_eq!(now()["spec"]["nodeName"], "mine");
    cluster.controllers().complete();
    assert!(now()["status"]["containerStatuses"].is_null(), "who plays the node has to start it");
    let status = json!({"status": {"phase": "Running", "podIP": "10.0.0.1"}});
    assert_eq!(as_admin(&cluster, "PATCH", "/api/v1/namespaces/shop/pods/a/status", status).status, 200);
    assert_eq!(now()["status"]["podIP"], "10.0.0.1");
    let pod = "/api/v1/namespaces/shop/pods/a";
    assert_eq!(as_admin(&cluster, "DELETE", pod, Value::Null).status, 200);
    cluster.controllers().complete();
    assert_eq!(now()["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(as_admin(&cluster, "DELETE", pod, json!({"gracePeriodSeconds": 0})).status, 200);
    assert!(cluster.get("v1/Pod", "shop", "a").is_none());
    let missing = "/api/v1/namespaces/shop/pods/b/binding";
    assert_eq!(as_admin(&cluster, "POST", missing, to("Node", "mine")).status, 404);
}
