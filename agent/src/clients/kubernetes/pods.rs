//! Pods, as most checks want them.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::transport::{Query, What};
use super::{Kubernetes, names};
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

/// State of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Image it is to run.
    pub image: String,
    /// Whether it passes its readiness probe.
    pub ready: bool,
    /// How often it was restarted.
    pub restarts: u32,
    /// `waiting`, `running` or `terminated`.
    pub state: String,
    /// Reason of that state.
    pub reason: Option<String>,
    /// Reason of its previous end.
    pub last_end_reason: Option<String>,
    /// Exit status of its previous end.
    pub last_exit_code: Option<i32>,
    /// What is set aside for it.
    pub requests: Quantities,
    /// What it may use at most.
    pub limits: Quantities,
}

/// State of a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its unique identifier.
    pub uid: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Why it failed, was evicted or cannot be placed, if that is given.
    pub reason: Option<String>,
    /// Whether the pod as a whole is ready.
    pub ready: bool,
    /// Node that it runs on.
    pub node: Option<String>,
    /// Seconds since it was created.
    pub age: f64,
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
        let (spec, status) = (pod.spec.unwrap_or_default(), pod.status.unwrap_or_default());
        let conditions = status.conditions.unwrap_or_default();
        let condition = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
        let unplaced = condition("PodScheduled").filter(|condition| condition.status == "False");
        let created = pod.metadata.creation_timestamp.map_or(0, |time| time.0.as_millisecond());
        let statuses = status.container_statuses.unwrap_or_default();
        let container = |container: core::Container| {
            let status = statuses.iter().find(|status| status.name == container.name);
            Container::read(container, status)
        };
        Self {
            name: pod.metadata.name.unwrap_or_default(),
            uid: pod.metadata.uid.unwrap_or_default(),
            phase: status.phase.unwrap_or_else(|| "Unknown".to_owned()),
            ready: condition("Ready").is_some_and(|condition| condition.status == "True"),
            reason: status.reason.or_else(|| unplaced.and_then(|condition| condition.reason.clone())),
            node: spec.node_name,
            age: seconds_since(created, now_ms),
            containers: spec.containers.into_iter().map(container).collect(),
        }
    }
}

impl Container {
    fn read(container: core::Container, status: Option<&core::ContainerStatus>) -> Self {
        let (state, reason) = state(status.and_then(|status| status.state.as_ref()));
        let ended = status.and_then(|status| status.last_state.as_ref()?.terminated.as_ref());
        let resources = container.resources.unwrap_or_default();
        Self {
            name: container.name,
            image: container.image.unwrap_or_default(),
            ready: status.is_some_and(|status| status.ready),
            restarts: status.map_or(0, |status| status.restart_count.unsigned_abs()),
            state: state.to_owned(),
            reason,
            last_end_reason: ended.and_then(|ended| ended.reason.clone()),
            last_exit_code: ended.map(|ended| ended.exit_code),
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
