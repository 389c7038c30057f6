//! What an object says when nobody said anything.

use serde_json::{Value, json};

use crate::objects;
use crate::resources::Resource;

/// Fills in defaults.
pub fn complete(resource: &Resource, object: &mut Value) {
    match resource.plural.as_str() {
        "deployments" => {
            template(object, "/spec/template");
            each(object, &[("/spec/replicas", json!(1)), ("/spec/strategy/type", json!("RollingUpdate"))]);
            if objects::text(object, "/spec/strategy/type") == "RollingUpdate" {
                let rolling = "/spec/strategy/rollingUpdate";
                each(object, &[(&format!("{rolling}/maxUnavailable"), json!("25%"))]);
                each(object, &[(&format!("{rolling}/maxSurge"), json!("25%"))]);
            }
            each(object, &[("/spec/revisionHistoryLimit", json!(10)), ("/spec/progressDeadlineSeconds", json!(600))]);
        }
        "replicasets" => {
            template(object, "/spec/template");
            each(object, &[("/spec/replicas", json!(1))]);
        }
        "statefulsets" => stateful_set(object),
        "daemonsets" => {
            template(object, "/spec/template");
            let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
            if objects::text(object, "/spec/updateStrategy/type").is_empty() {
                objects::set(object, "/spec/updateStrategy", strategy);
            }
            each(object, &[("/spec/revisionHistoryLimit", json!(10))]);
        }
        "pods" => pod_spec(object, "/spec"),
        "services" => service(object),
        "jobs" => {
            template(object, "/spec/template");
            job(object);
        }
        "cronjobs" => {
            template(object, "/spec/jobTemplate/spec/template");
            let limits = [("/spec/successfulJobsHistoryLimit", json!(3)), ("/spec/failedJobsHistoryLimit", json!(1))];
            each(object, &[("/spec/concurrencyPolicy", json!("Allow")), ("/spec/suspend", json!(false))]);
            each(object, &limits);
        }
        "horizontalpodautoscalers" => each(object, &[("/spec/minReplicas", json!(1))]),
        "namespaces" => {
            each(object, &[("/spec/finalizers", json!(["kubernetes"])), ("/status/phase", json!("Active"))])
        }
        "secrets" => each(object, &[("/type", json!("Opaque"))]),
        _ => {}
    }
}

/// Sets what is not there.
fn each(object: &mut Value, defaults: &[(&str, Value)]) {
    for (pointer, value) in defaults {
        if object.pointer(pointer).is_none_or(Value::is_null) {
            objects::set(object, pointer, value.clone());
        }
    }
}

fn stateful_set(object: &mut Value) {
    template(object, "/spec/template");
    each(
        object,
        &[
            ("/spec/replicas", json!(1)),
            ("/spec/podManagementPolicy", json!("OrderedReady")),
            ("/spec/updateStrategy/type", json!("RollingUpdate")),
            ("/spec/revisionHistoryLimit", json!(10)),
            ("/spec/persistentVolumeClaimRetentionPolicy", json!({"whenDeleted": "Retain", "whenScaled": "Retain"})),
        ],
    );
    if objects::text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
        each(object, &[("/spec/updateStrategy/rollingUpdate/partition", json!(0))]);
    }
}

fn service(object: &mut Value) {
    for port in list_mut(object, "/spec/ports") {
        let number = port.get("port").cloned().unwrap_or_default();
        each(port, &[("/protocol", json!("TCP")), ("/targetPort", number)]);
    }
    let address = if objects::text(object, "/spec/clusterIP").is_empty() { "127.0.0.1" } else { "None" };
    each(
        object,
        &[
            ("/spec/type", json!("ClusterIP")),
            ("/spec/clusterIP", json!(address)),
            ("/spec/sessionAffinity", json!("None")),
            ("/spec/ipFamilies", json!(["IPv4"])),
            ("/spec/ipFamilyPolicy", json!("SingleStack")),
            ("/spec/internalTrafficPolicy", json!("Cluster")),
        ],
    );
    let addresses = json!([objects::text(object, "/spec/clusterIP")]);
    each(object, &[("/spec/clusterIPs", addresses)]);
}

fn job(object: &mut Value) {
    each(
        object,
        &[
            ("/spec/parallelism", json!(1)),
            ("/spec/completions", json!(1)),
            ("/spec/backoffLimit", json!(6)),
            ("/spec/completionMode", json!("NonIndexed")),
            ("/spec/suspend", json!(false)),
            ("/spec/podReplacementPolicy", json!("TerminatingOrFailed")),
            ("/spec/manualSelector", json!(false)),
        ],
    );
}

/// What a namespace has from its first moment on.
pub fn prepare_new_namespace(object: &mut Value) {
    let name = objects::name(object).to_owned();
    objects::set(object, "/metadata/labels/kubernetes.io~1metadata.name", name);
    objects::set(object, "/spec", json!({"finalizers": ["kubernetes"]}));
    objects::set(object, "/status", json!({"phase": "Active"}));
}

/// A new Job gets a selector and labels by which it knows its pods.
pub fn prepare_new_job(object: &mut Value) {
    let (uid, name) = (objects::uid(object).to_owned(), objects::name(object).to_owned());
    objects::set(object, "/spec/selector", json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
    let labels = [
        ("batch.kubernetes.io~1controller-uid", &uid),
        ("batch.kubernetes.io~1job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ];
    for (label, value) in labels {
        objects::set(object, &format!("/spec/template/metadata/labels/{label}"), value.clone());
    }
}

fn template(object: &mut Value, pointer: &str) {
    pod_spec(object, &format!("{pointer}/spec"));
}

fn pod_spec(object: &mut Value, pointer: &str) {
    let Some(spec) = object.pointer_mut(pointer) else { return };
    for list in ["/containers", "/initContainers"] {
        for container in list_mut(spec, list) {
            self::container(container);
        }
    }
    each(
        spec,
        &[
            ("/restartPolicy", json!("Always")),
            ("/terminationGracePeriodSeconds", json!(30)),
            ("/dnsPolicy", json!("ClusterFirst")),
            ("/securityContext", json!({})),
            ("/schedulerName", json!("default-scheduler")),
        ],
    );
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        objects::set(spec, "/serviceAccount", account);
    }
}

fn container(container: &mut Value) {
    for port in list_mut(container, "/ports") {
        each(port, &[("/protocol", json!("TCP"))]);
    }
    let image = objects::text(container, "/image");
    let has_tag = image.rsplit('/').next().is_some_and(|last| last.contains(':') && !last.ends_with(":latest"));
    let policy = if has_tag { "IfNotPresent" } else { "Always" };
    each(
        container,
        &[
            ("/imagePullPolicy", json!(policy)),
            ("/terminationMessagePath", json!("/dev/termination-log")),
            ("/terminationMessagePolicy", json!("File")),
            ("/resources", json!({})),
        ],
    );
}

fn list_mut<'a>(value: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}
