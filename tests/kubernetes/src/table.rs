//! Objects as a Table, the form in which kubectl asks for them.

use serde_json::{Value, json};

use crate::objects;
use crate::resources::Resource;
use crate::time::Clock;

const POD_COLUMNS: [(&str, &str, i64); 9] = [
    ("Name", "name", 0),
    ("Ready", "", 0),
    ("Status", "", 0),
    ("Restarts", "", 0),
    ("Age", "", 0),
    ("IP", "", 1),
    ("Node", "", 1),
    ("Nominated Node", "", 1),
    ("Readiness Gates", "", 1),
];
const COLUMNS: [(&str, &str, i64); 2] = [("Name", "name", 0), ("Age", "", 0)];

/// The table of these objects. Pods have the columns of a real server, everything else its name and age.
#[must_use]
pub fn table(resource: &Resource, metadata: &Value, shown: &[Value], clock: Clock) -> Value {
    let is_pods = resource.plural == "pods";
    let columns = if is_pods { POD_COLUMNS.as_slice() } else { COLUMNS.as_slice() };
    let columns: Vec<Value> = columns
        .iter()
        .map(|(name, format, priority)| {
            json!({"name": name, "type": "string", "format": format, "description": "", "priority": priority})
        })
        .collect();
    let rows: Vec<Value> = shown
        .iter()
        .map(|object| {
            let cells = if is_pods { pod_cells(object, clock) } else { vec![name(object), age(object, clock)] };
            let partial = json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.get("metadata"),
            });
            json!({"cells": cells, "object": partial})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns,
        "rows": rows,
    })
}

fn name(object: &Value) -> String {
    objects::name(object).to_owned()
}

fn age(object: &Value, clock: Clock) -> String {
    let created = objects::text(object, "/metadata/creationTimestamp");
    clock.since(created).map_or("<unknown>".to_owned(), |seconds| format!("{seconds}s"))
}

fn pod_cells(pod: &Value, clock: Clock) -> Vec<String> {
    let containers: Vec<&Value> = objects::items(pod, "/status/containerStatuses").collect();
    let ready = containers.iter().filter(|status| status.get("ready") == Some(&Value::Bool(true))).count();
    let wanted = objects::items(pod, "/spec/containers").count();
    let restarts: i64 = containers.iter().filter_map(|status| objects::number(status, "/restartCount")).sum();
    let mut waiting = containers.iter().map(|status| objects::text(status, "/state/waiting/reason"));
    let reason = waiting.rfind(|reason| !reason.is_empty());
    let status = reason.unwrap_or_else(|| objects::text(pod, "/status/phase"));
    let or_none = |pointer| match objects::text(pod, pointer) {
        "" => "<none>".to_owned(),
        text => text.to_owned(),
    };
    vec![
        name(pod),
        format!("{ready}/{wanted}"),
        if objects::is_going(pod) { "Terminating".to_owned() } else { status.to_owned() },
        restarts.to_string(),
        age(pod, clock),
        or_none("/status/podIP"),
        or_none("/spec/nodeName"),
        or_none("/status/nominatedNodeName"),
        "<none>".to_owned(),
    ]
}
