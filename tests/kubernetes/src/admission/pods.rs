//! What a pod has that its template has not.

use serde_json::{Value, json};

use crate::objects;

/// Completes a new pod as the admission plugins of a server do: service account, tolerations, priority, its class.
pub fn prepare_new(pod: &mut Value) {
    for container in pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut).into_iter().flatten() {
        limits_are_requests(container);
    }
    let class = service_class(pod);
    service_account(pod);
    let tolerations: Vec<Value> = ["not-ready", "unreachable"]
        .iter()
        .map(|taint| {
            let key = format!("node.kubernetes.io/{taint}");
            json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
        })
        .collect();
    objects::set(pod, "/spec/tolerations", tolerations);
    objects::set(pod, "/spec/priority", 0);
    objects::set(pod, "/spec/enableServiceLinks", true);
    objects::set(pod, "/spec/preemptionPolicy", "PreemptLowerPriority");
    objects::set(pod, "/status", json!({"phase": "Pending", "qosClass": class}));
}

/// A limit without a request is a request too.
fn limits_are_requests(container: &mut Value) {
    let limits = container.pointer("/resources/limits").and_then(Value::as_object).cloned().unwrap_or_default();
    for (resource, amount) in limits {
        let pointer = format!("/resources/requests/{}", resource.replace('/', "~1"));
        if container.pointer(&pointer).is_none() {
            objects::set(container, &pointer, amount);
        }
    }
}

fn service_class(pod: &Value) -> &'static str {
    let containers: Vec<&Value> = objects::items(pod, "/spec/containers").collect();
    let has = |container: &Value, kind: &str, resource: &str| {
        container.pointer(&format!("/resources/{kind}/{resource}")).is_some()
    };
    let is_guaranteed = |container: &&Value| {
        ["cpu", "memory"].iter().all(|resource| {
            has(container, "limits", resource)
                && container.pointer(&format!("/resources/limits/{resource}"))
                    == container.pointer(&format!("/resources/requests/{resource}"))
        })
    };
    let asks = |container: &&Value| {
        ["limits", "requests"].iter().any(|kind| has(container, kind, "cpu") || has(container, kind, "memory"))
    };
    match (containers.iter().all(is_guaranteed), containers.iter().any(asks)) {
        (true, true) => "Guaranteed",
        (_, true) => "Burstable",
        _ => "BestEffort",
    }
}

fn service_account(pod: &mut Value) {
    let account = match objects::text(pod, "/spec/serviceAccountName") {
        "" => "default".to_owned(),
        name => name.to_owned(),
    };
    objects::set(pod, "/spec/serviceAccountName", account.clone());
    objects::set(pod, "/spec/serviceAccount", account);
    let uid = objects::uid(pod);
    let end = uid.get(uid.len().saturating_sub(5)..).unwrap_or_default();
    let volume = format!("kube-api-access-{end}");
    let mount = json!({
        "name": volume, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    });
    for container in pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut).into_iter().flatten() {
        push(container, "/volumeMounts", mount.clone());
    }
    let field = json!({"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}});
    let authority = |name: &str, key: &str| json!({"configMap": {"name": name, "items": [{"key": key, "path": key}]}});
    let sources = json!([
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        authority("kube-root-ca.crt", "ca.crt"), {"downwardAPI": {"items": [field]}},
    ]);
    let projected = json!({"name": volume, "projected": {"sources": sources, "defaultMode": 420}});
    push(pod, "/spec/volumes", projected);
}

fn push(object: &mut Value, pointer: &str, item: Value) {
    let mut list = objects::items(object, pointer).cloned().collect::<Vec<_>>();
    list.push(item);
    objects::set(object, pointer, list);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_a_pod_follows_from_what_it_asks_for() {
        let cases = [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
            (json!({"limits": {"memory": "1Gi"}}), "Burstable"),
        ];
        for (resources, class) in cases {
            let mut pod = json!({"metadata": {"uid": "12345678"}, "spec": {"containers": [{"resources": resources}]}});
            prepare_new(&mut pod);
            assert_eq!(objects::text(&pod, "/status/qosClass"), class, "{resources}");
        }
    }
}
