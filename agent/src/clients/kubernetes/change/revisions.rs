//! Earlier templates of a workload, as the cluster keeps them.

use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::super::Kubernetes;
use super::super::pods::Page;
use super::super::rollout::{Workload, WorkloadKind};
use super::super::transport::{Query, What};
use crate::domain::{CallError, CallLimits};

/// Where a Deployment's revision stands on its `ReplicaSet`.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// What a Deployment adds to the template of its `ReplicaSet`.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// A template that the workload had or has.
pub(super) struct Revision {
    /// Its number: the highest is the newest.
    pub(super) number: i64,
    /// The object that keeps it, whose name stays the same where the number moves.
    pub(super) name: String,
    /// The template, as it stands in the workload.
    pub(super) template: Value,
    /// How many pods of it are available at the moment, where that is known.
    pub(super) available: u32,
}

/// The revisions of a workload, newest first.
pub(super) async fn list(
    cluster: &Kubernetes,
    limits: &CallLimits,
    workload: &Workload,
    object: &Value,
) -> Result<Vec<Revision>, CallError> {
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
    let plural = match workload.kind {
        WorkloadKind::Deployment => "replicasets",
        WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => "controllerrevisions",
    };
    let path = format!("/apis/apps/v1/namespaces/{}/{plural}", cluster.namespace);
    let what = What::new(format!("list {plural}"), format!("list of {plural}"));
    let query = Query::new().with_some("labelSelector", selector(object));
    let mut revisions: Vec<_> = if workload.kind == WorkloadKind::Deployment {
        let page: Page<ReplicaSet> = cluster.get(limits, &path, query, &what).await?;
        page.items.into_iter().filter(|set| is_owned(&set.metadata, uid)).filter_map(of_replica_set).collect()
    } else {
        let page: Page<ControllerRevision> = cluster.get(limits, &path, query, &what).await?;
        page.items.into_iter().filter(|kept| is_owned(&kept.metadata, uid)).filter_map(of_controller).collect()
    };
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.number));
    Ok(revisions)
}

/// The labels that the workload selects its pods by, which its revisions have as well.
fn selector(object: &Value) -> Option<String> {
    let labels = object.pointer("/spec/selector/matchLabels")?.as_object()?;
    let label = |(name, value): (&String, &Value)| Some(format!("{name}={}", value.as_str()?));
    Some(labels.iter().filter_map(label).collect::<Vec<_>>().join(","))
}

fn is_owned(metadata: &ObjectMeta, uid: &str) -> bool {
    metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
}

fn of_replica_set(set: ReplicaSet) -> Option<Revision> {
    let number = set.metadata.annotations?.get(REVISION)?.parse().ok()?;
    let mut template = serde_json::to_value(set.spec?.template?).ok()?;
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    let available = set.status.and_then(|status| status.available_replicas).unwrap_or(0);
    Some(Revision { number, name: set.metadata.name?, template, available: u32::try_from(available).unwrap_or(0) })
}

fn of_controller(kept: ControllerRevision) -> Option<Revision> {
    let mut template = kept.data?.0.pointer("/spec/template")?.clone();
    template.as_object_mut()?.remove("$patch");
    Some(Revision { number: kept.revision, name: kept.metadata.name?, template, available: 0 })
}

/// True for the same template. One that is not set and one that is null are the same.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys());
            let get = |map: &serde_json::Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
            keys.into_iter().all(|key| is_same(&get(one, key), &get(other, key)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        _ => one == other,
    }
}
