//! The template of a workload's pods, and the containers in it.

use serde_json::{Value, json};

use super::super::rollout::{Workload, WorkloadKind};
use super::edit::Place;
use crate::domain::CallError;

/// Where a workload is.
pub(super) fn place(workload: &Workload) -> Place {
    Place {
        api: "/apis/apps/v1",
        plural: workload.kind.plural(),
        kind: workload.kind.as_str(),
        name: workload.name.clone(),
        subresource: None,
    }
}

/// Its containers, without the init ones.
pub(super) fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/spec/template/spec/containers").and_then(Value::as_array).into_iter().flatten()
}

/// What a container or a variable is called.
pub(super) fn name(named: &Value) -> &str {
    named.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// An amount of a container: `part` is `requests` or `limits`.
pub(super) fn amount<'a>(container: &'a Value, part: &str, resource: &str) -> Option<&'a str> {
    container.get("resources")?.get(part)?.get(resource)?.as_str()
}

/// The template of a workload's pods.
pub(super) fn of(object: &Value) -> &Value {
    object.pointer("/spec/template").unwrap_or(&Value::Null)
}

/// The container of that name. The server would add one that is not there.
pub(super) fn container<'a>(object: &'a Value, wanted: &str) -> Result<&'a Value, CallError> {
    containers(object).find(|container| name(container) == wanted).ok_or_else(|| {
        let there: Vec<_> = containers(object).map(name).collect();
        CallError::NotFound(format!("there is no container {wanted}; there are {}", there.join(", ")))
    })
}

/// A strategic patch of containers, which are joined by their names.
pub(super) fn patch(containers: Vec<Value>) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": containers } } } })
}

/// What follows from a new template.
pub(super) fn consequence(kind: WorkloadKind, object: &Value) -> String {
    let strategy = object.pointer("/spec/updateStrategy/type").and_then(Value::as_str);
    match (kind, strategy) {
        (WorkloadKind::StatefulSet | WorkloadKind::DaemonSet, Some("OnDelete")) => {
            "pods get it when somebody deletes them: its strategy is OnDelete".to_owned()
        }
        (WorkloadKind::Deployment, _) if object.pointer("/spec/strategy/type") == Some(&json!("Recreate")) => {
            "all pods are ended before new ones start: its strategy is Recreate".to_owned()
        }
        (WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet, _) => {
            "its pods are replaced one after the other".to_owned()
        }
    }
}
