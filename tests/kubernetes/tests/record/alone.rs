//! Lines by themselves: what a line rests on is loaded, and the line is sent as it was recorded.

use kubernetes_stand_in::Cluster;
use serde_json::{Value, json};

use crate::exchange::Exchange;
use crate::http::Call;
use crate::replay;
use crate::shape::{self, Managed};

/// Sends every line that says what it rests on; gives those that failed, and how.
pub async fn run(exchanges: &[Exchange]) -> Vec<(&str, String)> {
    let seeded = Cluster::start().await.expect("a cluster starts");
    replay::seed(&seeded);
    replay::bind_delegator(&seeded);
    let mut failures = Vec::new();
    for exchange in exchanges.iter().filter(|exchange| !exchange.given.is_empty()) {
        let cluster = seeded.copy().await.expect("a cluster starts");
        let given = exchange.given.iter().filter_map(|id| exchanges.iter().find(|other| other.id == *id));
        let answers: Vec<&Value> = given.map(|other| &other.answer).collect();
        answers.iter().for_each(|answer| load(&cluster, answer));
        let has_owners = answers.iter().any(|answer| answer.pointer("/metadata/managedFields").is_some());
        let managed = if has_owners { Managed::Known } else { Managed::Unknown };
        let call = Call {
            method: exchange.method.clone(),
            path: exchange.path.clone(),
            token: cluster.token(&exchange.caller).to_owned(),
            content_type: exchange.content_type.clone(),
            accept: exchange.accept.clone(),
            body: exchange.body.clone(),
        };
        let difference = match call.send(&cluster.url()) {
            Ok(response) => shape::difference(exchange, &response, managed),
            Err(error) => Some(format!("no answer: {error:#}")),
        };
        failures.extend(difference.map(|difference| (exchange.id.as_str(), difference)));
    }
    failures
}

/// Plants what an answer shows: an object, the elements of a list, or the workload behind a scale.
fn load(cluster: &Cluster, answer: &Value) {
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = text("/kind");
    if let (Some(kind), Some(items)) = (kind.strip_suffix("List"), answer.get("items").and_then(Value::as_array)) {
        for item in items {
            let mut item = item.clone();
            item["kind"] = kind.into();
            item["apiVersion"] = text("/apiVersion").into();
            cluster.put(item);
        }
        return;
    }
    if kind != "Scale" {
        cluster.put(answer.clone());
        return;
    }
    let (space, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let mut workload = cluster.get("apps/v1/Deployment", space, name).expect("the scale of a workload that was seeded");
    for key in ["uid", "resourceVersion"] {
        workload["metadata"][key] = answer["metadata"][key].clone();
    }
    workload["spec"]["replicas"] = answer.pointer("/spec/replicas").cloned().unwrap_or(json!(0));
    workload["status"]["replicas"] = answer["status"]["replicas"].clone();
    cluster.put(workload);
}
