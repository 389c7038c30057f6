//! How far the rollout of a workload has come.
//!
//! The counts of a status are about the newest template only once the controller has seen that one: until then they, and the
//! conditions, are those of the rollout before. So nothing is complete before that, whatever the numbers say.

use k8s_openapi::api::apps::v1 as apps;
use serde::{Deserialize, Serialize};

use super::transport::{Query, What};
use super::{Kubernetes, names};
use crate::domain::{CallError, CallLimits, ObjectKind};

/// The kinds of workload that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

/// Names a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

/// How far a rollout has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Replicas asked for.
    pub desired: u32,
    /// Replicas that have the newest template.
    pub updated: u32,
    /// Replicas that are ready.
    pub ready: u32,
    /// Replicas that have been ready long enough.
    pub available: u32,
    /// True when the newest template is fully rolled out.
    pub complete: bool,
    /// Why it is stuck or not complete.
    pub message: Option<String>,
}

impl WorkloadKind {
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
        }
    }

    /// The same among all kinds that something can be done to.
    pub(super) const fn object(self) -> ObjectKind {
        match self {
            Self::Deployment => ObjectKind::Deployment,
            Self::StatefulSet => ObjectKind::StatefulSet,
            Self::DaemonSet => ObjectKind::DaemonSet,
        }
    }

    /// As people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }
}

pub(super) async fn get(cluster: &Kubernetes, limits: &CallLimits, workload: &Workload) -> Result<Rollout, CallError> {
    names::check_name("the name of the workload", &workload.name)?;
    let Workload { kind, name } = workload;
    let path = format!("/apis/apps/v1/namespaces/{}/{}/{name}", cluster.namespace, kind.plural());
    let (kind_name, query) = (kind.as_str(), Query::new());
    let what = What::new(format!("look at {kind_name} {name}"), format!("{kind_name} {name}"));
    Ok(match kind {
        WorkloadKind::Deployment => of_deployment(&cluster.get(limits, &path, query, &what).await?),
        WorkloadKind::StatefulSet => of_stateful_set(&cluster.get(limits, &path, query, &what).await?),
        WorkloadKind::DaemonSet => of_daemon_set(&cluster.get(limits, &path, query, &what).await?),
    })
}

/// What the controller has seen of the newest template.
fn is_unseen(generation: Option<i64>, observed: Option<i64>) -> bool {
    observed.unwrap_or(0) < generation.unwrap_or(0)
}

const UNSEEN: &str = "its controller has not seen the newest template yet";

/// As `kubectl rollout status` judges it.
fn of_deployment(deployment: &apps::Deployment) -> Rollout {
    let spec = deployment.spec.clone().unwrap_or_default();
    let status = deployment.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let condition = |kind: &str, wanted: &str| {
        conditions.iter().find(|condition| condition.type_ == kind && condition.status == wanted)
    };
    let reason = |condition: Option<&apps::DeploymentCondition>| condition.and_then(|found| found.reason.clone());
    let counts = Counts {
        desired: count(spec.replicas, 1),
        existing: count(status.replicas, 0),
        updated: count(status.updated_replicas, 0),
        ready: count(status.ready_replicas, 0),
        available: count(status.available_replicas, 0),
    };
    let message = if is_unseen(deployment.metadata.generation, status.observed_generation) {
        Some(UNSEEN.to_owned())
    } else if spec.paused == Some(true) {
        Some("it is paused: nothing is rolled out until it is resumed".to_owned())
    } else if reason(condition("Progressing", "False")).as_deref() == Some("ProgressDeadlineExceeded") {
        let seconds = spec.progress_deadline_seconds.unwrap_or(600);
        Some(format!("it is stuck: no progress for {seconds} s; its pods tell why"))
    } else if let Some(reason) = reason(condition("ReplicaFailure", "True")) {
        Some(format!("pods cannot be made: {reason}"))
    } else {
        counts.rest()
    };
    counts.rollout(message)
}

/// It has neither conditions nor a deadline; with `OnDelete` or a partition only a part is ever updated.
fn of_stateful_set(set: &apps::StatefulSet) -> Rollout {
    let (spec, status) = (set.spec.clone().unwrap_or_default(), set.status.clone().unwrap_or_default());
    let desired = count(spec.replicas, 1);
    let strategy = spec.update_strategy.unwrap_or_default();
    let partition = strategy.rolling_update.and_then(|rolling| rolling.partition);
    let counts = Counts {
        desired,
        existing: status.replicas.unsigned_abs(),
        updated: count(status.updated_replicas, 0),
        ready: count(status.ready_replicas, 0),
        available: count(status.available_replicas, 0),
    };
    let is_manual = strategy.type_.as_deref() == Some("OnDelete");
    let to_update = if is_manual { 0 } else { desired.saturating_sub(count(partition, 0)) };
    let message = if is_unseen(set.metadata.generation, status.observed_generation) {
        Some(UNSEEN.to_owned())
    } else if counts.updated < to_update && status.update_revision != status.current_revision {
        Some(format!("{} of {to_update} replicas have the newest template", counts.updated))
    } else if counts.ready < desired {
        Some(format!("{} of {desired} replicas are ready", counts.ready))
    } else {
        None
    };
    counts.rollout(message)
}

fn of_daemon_set(set: &apps::DaemonSet) -> Rollout {
    let status = set.status.clone().unwrap_or_default();
    let counts = Counts {
        desired: status.desired_number_scheduled.unsigned_abs(),
        existing: status.current_number_scheduled.unsigned_abs(),
        updated: count(status.updated_number_scheduled, 0),
        ready: status.number_ready.unsigned_abs(),
        available: count(status.number_available, 0),
    };
    let is_unseen = is_unseen(set.metadata.generation, status.observed_generation);
    let message = if is_unseen { Some(UNSEEN.to_owned()) } else { counts.rest() };
    counts.rollout(message)
}

struct Counts {
    desired: u32,
    existing: u32,
    updated: u32,
    ready: u32,
    available: u32,
}

impl Counts {
    /// What is still to be done, in the order in which it happens.
    fn rest(&self) -> Option<String> {
        let Self { desired, existing, updated, available, .. } = self;
        if updated < desired {
            return Some(format!("{updated} of {desired} replicas have the newest template"));
        }
        if existing > updated {
            return Some(format!("{} old replicas are not gone yet", existing - updated));
        }
        (available < updated).then(|| format!("{available} of {updated} new replicas are available"))
    }

    fn rollout(self, message: Option<String>) -> Rollout {
        let Self { desired, updated, ready, available, .. } = self;
        Rollout { desired, updated, ready, available, complete: message.is_none(), message }
    }
}

/// Counts are left out of a status where they are zero.
fn count(given: Option<i32>, absent: u32) -> u32 {
    given.map_or(absent, |count| u32::try_from(count).unwrap_or(0))
}
