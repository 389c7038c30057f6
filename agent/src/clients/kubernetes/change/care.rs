//! Care for others: whose rollout is on its way, who else manages an object, what an autoscaler will do, what a quota leaves.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde::Deserialize;
use serde_json::Value;

use super::super::Kubernetes;
use super::super::pods::Page;
use super::super::rollout::{Workload, WorkloadKind};
use super::super::transport::{MANAGER, Query, What};
use super::template;
use crate::clock::{Clock, SystemClock};
use crate::domain::{CallError, CallLimits, Quantity};

/// How long a rollout is taken to be on its way where the workload says nothing: the server's own `progressDeadlineSeconds`.
const PROGRESS_DEADLINE_SECONDS: i64 = 600;

/// Who wrote an object, as the server noted it.
fn managers(object: &Value) -> Vec<ManagedFieldsEntry> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| ManagedFieldsEntry::deserialize(entry).ok()).collect()
}

/// Who wrote a workload's template last. The server notes whole seconds: of two in the same, it is not the agent.
fn last_writer(object: &Value) -> Option<ManagedFieldsEntry> {
    let wrote = |entry: &ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref();
        entry.subresource.is_none() && fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:template").is_some())
    };
    let is_other = |entry: &ManagedFieldsEntry| entry.manager.as_deref() != Some(MANAGER);
    managers(object).into_iter().filter(wrote).max_by_key(|entry| (entry.time.clone(), is_other(entry)))
}

/// Refuse to touch the template of a workload that is paused, or while somebody else's rollout of it is on its way. One that makes no
/// progress for as long as its own deadline is stuck and in nobody's way.
pub(super) fn stand_down(kind: WorkloadKind, object: &Value) -> Result<(), CallError> {
    if object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Err(CallError::Conflict("its rollouts are paused: what is changed would not be rolled out".to_owned()));
    }
    match rollout_of_others(kind, object) {
        Some(whose) => Err(CallError::Conflict(format!("{whose} is on its way: wait for it, or roll it back"))),
        None => Ok(()),
    }
}

/// Somebody else's rollout that is on its way, in words.
pub(super) fn rollout_of_others(kind: WorkloadKind, object: &Value) -> Option<String> {
    let writer = last_writer(object)?;
    let whose = writer.manager.filter(|manager| manager != MANAGER)?;
    if !is_on_its_way(kind, object) {
        return None;
    }
    let began = writer.time?.0;
    let patience = number(object, "/spec/progressDeadlineSeconds").unwrap_or(PROGRESS_DEADLINE_SECONDS);
    let now = i64::try_from(SystemClock.now().as_millis() / 1000).unwrap_or(i64::MAX);
    let age = now.saturating_sub(began.as_second());
    (age < patience).then(|| format!("a rollout that `{whose}` began {} s ago", age.max(0)))
}

/// True while the newest template is not rolled out. What counts as that depends on the kind: see `rollout`.
fn is_on_its_way(kind: WorkloadKind, object: &Value) -> bool {
    let status = |name: &str| number(object, &format!("/status/{name}")).unwrap_or(0);
    if status("observedGeneration") < number(object, "/metadata/generation").unwrap_or(0) {
        return true;
    }
    match kind {
        WorkloadKind::Deployment => {
            let desired = number(object, "/spec/replicas").unwrap_or(1);
            let is_short = status("updatedReplicas") < desired
                || status("replicas") > status("updatedReplicas")
                || status("availableReplicas") < status("updatedReplicas");
            // Pods that fail long after are no rollout, and neither is one that was given up.
            is_short && !matches!(progress(object), Some("NewReplicaSetAvailable" | "ProgressDeadlineExceeded"))
        }
        WorkloadKind::StatefulSet => {
            object.pointer("/status/updateRevision") != object.pointer("/status/currentRevision")
        }
        WorkloadKind::DaemonSet => status("updatedNumberScheduled") < status("desiredNumberScheduled"),
    }
}

/// The reason of a Deployment's condition `Progressing`.
fn progress(object: &Value) -> Option<&str> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let is_it = |condition: &&Value| condition.get("type").and_then(Value::as_str) == Some("Progressing");
    conditions.iter().find(is_it)?.get("reason")?.as_str()
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// Who may take a change back because they keep the object as it is written somewhere else.
pub(super) fn reconcilers(object: &Value) -> Vec<String> {
    const KNOWN: [&str; 5] = ["argocd", "kustomize-controller", "helm", "flux", "fleet"];
    let reconciler = |entry: ManagedFieldsEntry| {
        let manager = entry.manager?;
        let is_one = entry.operation.as_deref() == Some("Apply") || KNOWN.iter().any(|known| manager.contains(known));
        let is_other = manager != MANAGER && !manager.starts_with("kubectl") && entry.subresource.is_none();
        (is_one && is_other).then_some(manager)
    };
    let mut names: Vec<_> = managers(object).into_iter().filter_map(reconciler).collect();
    names.sort_unstable();
    names.dedup();
    names.iter().map(|name| format!("`{name}` manages the object too, and may take the change back")).collect()
}

/// An autoscaler that owns the number of replicas.
pub(super) struct Autoscaler {
    pub(super) name: String,
    pub(super) least: u32,
    pub(super) most: u32,
}

impl Autoscaler {
    /// What it will do about a number of replicas.
    pub(super) fn will_do(&self, replicas: u32) -> String {
        let Self { name, least, most } = self;
        let owns = format!("the autoscaler `{name}` owns the number of replicas and keeps it from {least} to {most}");
        match replicas {
            0 => format!("{owns}: 0 switches it off, until somebody else sets a number"),
            asked if asked < *least || asked > *most => {
                format!("{owns}: it takes {asked} back within seconds; change its bounds instead")
            }
            asked => format!("{owns}: {asked} holds until its next decision"),
        }
    }
}

/// The autoscaler of a workload, if there is one.
pub(super) async fn autoscaler(
    cluster: &Kubernetes,
    limits: &CallLimits,
    workload: &Workload,
) -> Result<Option<Autoscaler>, CallError> {
    let path = format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers", cluster.namespace);
    let what = What::new("list autoscalers", "list of autoscalers");
    let page: Page<HorizontalPodAutoscaler> = cluster.get(limits, &path, Query::new(), &what).await?;
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    Ok(page.items.into_iter().find_map(|found| {
        let spec = found.spec;
        let target = &spec.scale_target_ref;
        let is_it = target.name == workload.name && target.kind.eq_ignore_ascii_case(workload.kind.as_str());
        is_it.then(|| Autoscaler {
            name: found.metadata.name.unwrap_or_default(),
            least: count(spec.min_replicas.unwrap_or(1)),
            most: count(spec.max_replicas),
        })
    }))
}

/// What quotas of the namespace leave for `more` pods of the template, as far as they leave less. A server takes any number, and then
/// makes no pods.
pub(super) async fn quotas(
    cluster: &Kubernetes,
    limits: &CallLimits,
    template: &Value,
    more: u32,
) -> Result<Vec<String>, CallError> {
    let path = format!("/api/v1/namespaces/{}/resourcequotas", cluster.namespace);
    let what = What::new("list quotas", "list of quotas");
    let page: Result<Page<ResourceQuota>, CallError> = cluster.get(limits, &path, Query::new(), &what).await;
    let quotas = match page {
        Ok(page) => page.items,
        Err(CallError::Remote(error)) if error.code == "Forbidden" => {
            return Ok(vec![
                "the agent may not list the quotas of the namespace, so that they are not looked at".to_owned(),
            ]);
        }
        Err(error) => return Err(error),
    };
    let needs = Needs::of(template, f64::from(more));
    let mut told = Vec::new();
    for quota in quotas {
        let name = quota.metadata.name.unwrap_or_default();
        let status = quota.status.unwrap_or_default();
        let (hard, used) = (status.hard.unwrap_or_default(), status.used.unwrap_or_default());
        for (resource, most) in &hard {
            let amount = |text: &str| text.parse::<Quantity>().map_or(0.0, Quantity::value);
            let room = amount(&most.0) - used.get(resource).map_or(0.0, |used| amount(&used.0));
            if needs.of_resource(resource).is_some_and(|needed| needed > room) {
                let room = room.max(0.0);
                told.push(format!(
                    "the quota `{name}` leaves {room} of {resource}: not all of the {more} more pods fit"
                ));
            }
        }
    }
    Ok(told)
}

/// What pods of a template need of the resources that quotas count.
struct Needs<'a> {
    template: &'a Value,
    pods: f64,
}

impl<'a> Needs<'a> {
    const fn of(template: &'a Value, pods: f64) -> Self {
        Self { template, pods }
    }

    fn of_resource(&self, resource: &str) -> Option<f64> {
        match resource {
            "pods" | "count/pods" => Some(self.pods),
            "cpu" | "requests.cpu" => Some(self.sum("requests", "cpu")),
            "memory" | "requests.memory" => Some(self.sum("requests", "memory")),
            "limits.cpu" => Some(self.sum("limits", "cpu")),
            "limits.memory" => Some(self.sum("limits", "memory")),
            _ => None,
        }
    }

    fn sum(&self, part: &str, resource: &str) -> f64 {
        let containers = self.template.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
        let of_container = |container: &Value| {
            let text = template::amount(container, part, resource)?;
            text.parse::<Quantity>().ok().map(Quantity::value)
        };
        self.pods * containers.filter_map(of_container).sum::<f64>()
    }
}
