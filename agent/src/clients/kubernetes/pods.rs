//! Pods, as most checks want them.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::transport::{Query, What};
use super::{Kubernetes, names, status};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::{CallError, CallLimits};

/// Pods of one request, and of one answer.
const PAGE: u32 = 500;
const MOST: usize = 5_000;

/// Compute resources as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantities {
    /// Processor share, such as `500m`.
    pub cpu: Option<String>,
    /// Memory, such as `2Gi`.
    pub memory: Option<String>,
    /// Any other resource, by name.
    pub others: Vec<(String, String)>,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEnd {
    /// Exit status.
    pub exit_code: i32,
    /// Signal that ended it, where the node tells.
    pub signal: Option<i32>,
    /// Reason, such as `OOMKilled`.
    pub reason: Option<String>,
    /// When it ended, in milliseconds since 1970.
    pub finished_ms: Option<u64>,
}

/// State of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Image it is to run.
    pub image: String,
    /// An init container that goes on beside the others.
    pub sidecar: bool,
    /// Whether it passes its readiness probe; of an init container, whether it is done.
    pub ready: bool,
    /// Whether it runs and has passed its startup probe.
    pub started: bool,
    /// How often it was restarted.
    pub restarts: u32,
    /// `waiting`, `running` or `terminated`.
    pub state: String,
    /// Reason of that state.
    pub reason: Option<String>,
    /// How it ended, while it is terminated.
    pub end: Option<ContainerEnd>,
    /// How the run before this one ended.
    pub last_end: Option<ContainerEnd>,
    /// What is set aside for it.
    pub requests: Quantities,
    /// What it may use at most.
    pub limits: Quantities,
}

/// That a pod is being removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Removal {
    /// Seconds that its containers are given to end.
    pub grace: f64,
    /// Seconds since that was over; 0 while it is not.
    pub overdue: f64,
    /// Who keeps the object until they are done with it.
    pub finalizers: Vec<String>,
}

/// State of a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its unique identifier.
    pub uid: String,
    /// Its labels, by name.
    pub labels: Vec<(String, String)>,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Why it failed, was evicted or cannot be placed, if that is given.
    pub reason: Option<String>,
    /// What `kubectl get pods` shows as its STATUS.
    pub status: String,
    /// Whether the pod as a whole is ready.
    pub ready: bool,
    /// Node that it runs on.
    pub node: Option<String>,
    /// Seconds since it was created.
    pub age: f64,
    /// Set once its removal was asked for.
    pub removal: Option<Removal>,
    /// Its init containers, in the order in which they start.
    pub init_containers: Vec<Container>,
    /// Its containers, without the init ones.
    pub containers: Vec<Container>,
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(super) struct Page<T> {
    #[serde(default = "Vec::new")]
    pub(super) items: Vec<T>,
    #[serde(default)]
    pub(super) metadata: PageMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PageMetadata {
    #[serde(rename = "continue")]
    pub(super) mark: Option<String>,
}

impl PageMetadata {
    /// The mark of the next page; the server writes an empty one on the last.
    pub(super) fn next(self) -> Option<String> {
        self.mark.filter(|mark| !mark.is_empty())
    }
}

pub(super) async fn list(cluster: &Kubernetes, limits: &CallLimits, labels: &str) -> Result<Vec<Pod>, CallError> {
    let now = SystemClock.now().as_millis();
    let found = raw(cluster, limits, labels).await?;
    Ok(found.into_iter().map(|pod| Pod::read(pod, now)).collect())
}

/// The pods as the cluster has them.
pub(super) async fn raw(cluster: &Kubernetes, limits: &CallLimits, labels: &str) -> Result<Vec<core::Pod>, CallError> {
    names::check_selector("labels", labels)?;
    let path = format!("/api/v1/namespaces/{}/pods", cluster.namespace);
    let what = What::new("list pods", format!("namespace {}", cluster.namespace));
    let (mut pods, mut mark) = (Vec::new(), None);
    loop {
        let query =
            Query::new().with("limit", PAGE).with_some("labelSelector", Some(labels)).with_some("continue", mark);
        let page: Page<core::Pod> = cluster.get(limits, &path, query, &what).await?;
        pods.extend(page.items);
        mark = page.metadata.next();
        if mark.is_none() {
            return Ok(pods);
        }
        if pods.len() >= MOST {
            return Err(CallError::TooLarge(format!("more than {MOST} pods match; give labels that fewer have")));
        }
    }
}

impl Pod {
    fn read(pod: core::Pod, now_ms: u64) -> Self {
        let (shown, removal) = (status::of(&pod), Removal::read(&pod.metadata, now_ms));
        let (spec, status) = (pod.spec.unwrap_or_default(), pod.status.unwrap_or_default());
        let conditions = status.conditions.unwrap_or_default();
        let condition = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
        let unplaced = condition("PodScheduled").filter(|condition| condition.status == "False");
        let created = pod.metadata.creation_timestamp.map_or(0, |time| time.0.as_millisecond());
        let init = Container::read_init(spec.init_containers, status.init_container_statuses.as_deref());
        Self {
            name: pod.metadata.name.unwrap_or_default(),
            uid: pod.metadata.uid.unwrap_or_default(),
            labels: pod.metadata.labels.unwrap_or_default().into_iter().collect(),
            phase: status.phase.unwrap_or_else(|| "Unknown".to_owned()),
            ready: condition("Ready").is_some_and(|condition| condition.status == "True"),
            reason: status.reason.or_else(|| unplaced.and_then(|condition| condition.reason.clone())),
            status: shown,
            node: spec.node_name,
            age: seconds_since(created, now_ms),
            removal,
            init_containers: init,
            containers: Container::read_all(spec.containers, status.container_statuses.as_deref()),
        }
    }
}

impl Removal {
    /// The time in the object is the one at which the containers should have ended, not the one at which somebody asked for it.
    fn read(metadata: &ObjectMeta, now_ms: u64) -> Option<Self> {
        let until = metadata.deletion_timestamp.as_ref()?.0.as_millisecond();
        let grace = metadata.deletion_grace_period_seconds.unwrap_or_default();
        Some(Self {
            grace: u32::try_from(grace).unwrap_or_default().into(),
            overdue: seconds_since(until, now_ms),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
        })
    }
}

impl ContainerEnd {
    fn read(ended: &core::ContainerStateTerminated) -> Self {
        let finished = ended.finished_at.as_ref().and_then(|time| u64::try_from(time.0.as_millisecond()).ok());
        Self {
            exit_code: ended.exit_code,
            signal: ended.signal.filter(|signal| *signal != 0),
            reason: ended.reason.clone().filter(|reason| !reason.is_empty()),
            finished_ms: finished,
        }
    }
}

impl Container {
    fn read_all(containers: Vec<core::Container>, statuses: Option<&[core::ContainerStatus]>) -> Vec<Self> {
        let status = |name: &str| statuses.unwrap_or_default().iter().find(|status| status.name == name);
        let read = |container: core::Container| {
            let status = status(&container.name);
            Self::read(container, status)
        };
        containers.into_iter().map(read).collect()
    }

    fn read_init(containers: Option<Vec<core::Container>>, statuses: Option<&[core::ContainerStatus]>) -> Vec<Self> {
        let containers = containers.unwrap_or_default();
        let sidecars: Vec<bool> = containers.iter().map(status::is_sidecar).collect();
        let read = Self::read_all(containers, statuses).into_iter().zip(sidecars);
        read.map(|(container, sidecar)| Self { sidecar, ..container }).collect()
    }

    fn read(container: core::Container, status: Option<&core::ContainerStatus>) -> Self {
        let (state, reason) = state(status.and_then(|status| status.state.as_ref()));
        let end = |state: Option<&core::ContainerState>| {
            state.and_then(|state| state.terminated.as_ref()).map(ContainerEnd::read)
        };
        let resources = container.resources.unwrap_or_default();
        Self {
            name: container.name,
            image: container.image.unwrap_or_default(),
            sidecar: false,
            ready: status.is_some_and(|status| status.ready),
            started: status.is_some_and(|status| status.started == Some(true)),
            restarts: status.map_or(0, |status| status.restart_count.unsigned_abs()),
            state: state.to_owned(),
            reason,
            end: end(status.and_then(|status| status.state.as_ref())),
            last_end: end(status.and_then(|status| status.last_state.as_ref())),
            requests: Quantities::read(resources.requests),
            limits: Quantities::read(resources.limits),
        }
    }
}

/// One that nothing is known of waits: its pod is not placed yet.
fn state(state: Option<&core::ContainerState>) -> (&'static str, Option<String>) {
    let Some(state) = state else { return ("waiting", None) };
    if let Some(terminated) = &state.terminated {
        return ("terminated", terminated.reason.clone());
    }
    if state.running.is_some() {
        return ("running", None);
    }
    ("waiting", state.waiting.as_ref().and_then(|waiting| waiting.reason.clone()))
}

impl Quantities {
    fn read(given: Option<BTreeMap<String, Quantity>>) -> Self {
        let mut quantities = Self::default();
        for (name, Quantity(value)) in given.unwrap_or_default() {
            match name.as_str() {
                "cpu" => quantities.cpu = Some(value),
                "memory" => quantities.memory = Some(value),
                _ => quantities.others.push((name, value)),
            }
        }
        quantities
    }
}

/// Zero for what lies in the future by the clock here.
pub(super) fn seconds_since(then_ms: i64, now_ms: u64) -> f64 {
    let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds")]
    let ms = now.saturating_sub(then_ms).max(0) as f64;
    ms / 1000.0
}
