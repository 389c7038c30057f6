//! The workloads of a namespace: their names, and what their objects tell that a rollout's numbers do not.

use crate::Params;
use paramedic_sdk::kubernetes::{self, ObjectPage, ObjectQuery};
use paramedic_sdk::{Error, Failure, WorkloadKind, log};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Objects of one page, and of one where those would be more than an answer may be.
const PAGES: [u32; 2] = [50, 5];
/// Pages of one kind. A page may be empty and still have a mark.
const MOST_PAGES: usize = 50;

/// A workload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) kind: WorkloadKind,
    pub(crate) name: String,
    /// No change is rolled out until somebody resumes it.
    pub(crate) is_paused: bool,
    /// It has given up, or cannot make pods.
    pub(crate) is_stuck: bool,
    /// Selects its pods; empty if that is not a plain list of labels.
    pub(crate) pods: String,
}

/// What was found, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Workloads {
    pub(crate) all: Vec<Found>,
    pub(crate) has_more: bool,
    /// Kinds that could not be listed, with the reason.
    pub(crate) unseen: Vec<(WorkloadKind, Error)>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    metadata: Metadata,
    spec: Spec,
    status: ObjectStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: String,
    generation: i64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    paused: bool,
    selector: Selector,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<serde_json::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ObjectStatus {
    observed_generation: i64,
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
}

fn resource(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "deployments.apps",
        WorkloadKind::StatefulSet => "statefulsets.apps",
        WorkloadKind::DaemonSet => "daemonsets.apps",
    }
}

/// The workloads of all kinds that are wanted. One kind that cannot be listed does not hide the others.
pub(crate) fn list(params: &Params) -> Result<Workloads, Failure> {
    let mut workloads = Workloads::default();
    for kind in &params.kinds {
        if let Err(error) = list_kind(*kind, &mut workloads, params) {
            log::warn(&format!("cannot list {} of {}: {error}", resource(*kind), params.target));
            workloads.unseen.push((*kind, error));
        }
    }
    match workloads.unseen.first() {
        Some((_, error)) if workloads.unseen.len() == params.kinds.len() => Err(error.clone().into()),
        _ => Ok(workloads),
    }
}

fn list_kind(kind: WorkloadKind, workloads: &mut Workloads, params: &Params) -> Result<(), Error> {
    let mut after = None;
    for _ in 0..MOST_PAGES {
        let page = page(kind, after.as_deref(), params)?;
        for object in page.items.iter().filter_map(|json| Found::parse(kind, json)) {
            if workloads.all.len() >= params.workloads {
                workloads.has_more = true;
                return Ok(());
            }
            workloads.all.push(object);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    workloads.has_more |= after.is_some();
    Ok(())
}

fn page(kind: WorkloadKind, after: Option<&str>, params: &Params) -> Result<ObjectPage, Error> {
    let [large, small] = PAGES.map(|limit| {
        let query = ObjectQuery::all(&params.target, resource(kind), limit).labelled(&params.labels);
        after.map_or(query.clone(), |mark| query.after(mark))
    });
    match kubernetes::list_objects(&large) {
        Err(Error::TooLarge(_)) => kubernetes::list_objects(&small),
        answer => answer,
    }
}

impl Found {
    /// None where it has no name, for then it cannot be asked about.
    fn parse(kind: WorkloadKind, json: &str) -> Option<Self> {
        let Object { metadata, spec, status } = serde_json::from_str(json).ok()?;
        // Until the controller has seen the newest template, conditions are those of the rollout before.
        let is_seen = status.observed_generation >= metadata.generation;
        let is_stuck = is_seen && status.conditions.iter().any(Condition::is_stuck);
        let labels = spec.selector.match_labels.iter().map(|(name, value)| format!("{name}={value}"));
        let pods = if spec.selector.match_expressions.is_empty() {
            labels.collect::<Vec<_>>().join(",")
        } else {
            String::new()
        };
        (!metadata.name.is_empty()).then_some(Self {
            kind,
            name: metadata.name,
            is_paused: spec.paused,
            is_stuck,
            pods,
        })
    }
}

impl Condition {
    fn is_stuck(&self) -> bool {
        let gave_up = self.kind == "Progressing" && self.status == "False" && self.reason == "ProgressDeadlineExceeded";
        gave_up || (self.kind == "ReplicaFailure" && self.status == "True")
    }
}
