//! A namespace of a Kubernetes cluster, looked at through its API server.
//!
//! ```text
//! arguments ─► permit ─► path ─► request, once ─► status ─► capped body ─► types of the cluster ─► types of ours
//! ```
//!
//! kube makes the connection, keeps the token fresh and speaks TLS. Requests are made here, because the library has no time limit,
//! sends again by itself what was refused, reads answers of any size, and puts what the server said into its errors. Here
//! each request is sent once, ends at the run's deadline, and is read up to a bound; of an error only what is known to hold no
//! data of the cluster is passed on.
//!
//! Secrets cannot be read: no permit covers them, and no path leads to them. What an environment variable of a container is
//! set to is left out of every answer.

mod access;
mod doctor;
mod events;
mod failure;
mod logs;
mod names;
mod objects;
mod pods;
mod quantity;
mod rollout;
mod transport;
mod usage;

use tokio::sync::OnceCell;

pub use access::{Access, InvalidAccess};
pub use events::Event;
pub use logs::{LogLine, LogPage, LogQuery, PodRef};
pub use objects::{ObjectPage, ObjectQuery};
pub use pods::{Container, Pod, Quantities};
pub use rollout::{Rollout, Workload, WorkloadKind};
pub use usage::Usage;

use crate::domain::{CallError, CallLimits, Diagnosis, TargetName};
use crate::policy::{Permit, op};
use names::checked_namespace;

/// What an operator configures for a target.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace; nothing outside of it is ever asked for.
    pub namespace: String,
    /// The cluster, and who the agent is there.
    pub access: Access,
}

/// Why settings were refused. For the operator; no credentials are in it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// The name of the namespace is none.
    #[error("`{0}` is no name of a namespace: up to 63 lower-case letters, digits and `-`")]
    Namespace(String),
    /// The way into the cluster is refused.
    #[error(transparent)]
    Access(#[from] InvalidAccess),
}

/// A namespace of a cluster.
pub struct Kubernetes {
    name: TargetName,
    namespace: String,
    access: Access,
    client: OnceCell<kube::Client>,
}

impl Kubernetes {
    /// The target `name`. Nothing connects yet.
    pub fn new(name: TargetName, settings: Settings) -> Result<Self, InvalidSettings> {
        let namespace = checked_namespace(settings.namespace).map_err(InvalidSettings::Namespace)?;
        settings.access.check()?;
        Ok(Self { name, namespace, access: settings.access, client: OnceCell::new() })
    }

    /// What is wrong with the target, for its operator.
    pub async fn diagnose(&self) -> Vec<Diagnosis> {
        doctor::examine(self).await
    }

    /// One object as JSON.
    pub async fn get_object(
        &self,
        permit: &Permit<op::KubernetesGetObject>,
        limits: &CallLimits,
        resource: &str,
        name: &str,
    ) -> Result<String, CallError> {
        permit.admit_resource(resource)?;
        objects::get(self, limits, resource, name).await
    }

    /// A page of objects as JSON.
    pub async fn list_objects(
        &self,
        permit: &Permit<op::KubernetesListObjects>,
        limits: &CallLimits,
        query: &ObjectQuery,
    ) -> Result<ObjectPage, CallError> {
        permit.admit_resource(&query.resource)?;
        objects::list(self, limits, query).await
    }

    /// The pods that match a label selector.
    pub async fn list_pods(
        &self,
        _permit: &Permit<op::KubernetesListPods>,
        limits: &CallLimits,
        labels: &str,
    ) -> Result<Vec<Pod>, CallError> {
        pods::list(self, limits, labels).await
    }

    /// How far the rollout of a workload has come.
    pub async fn get_rollout(
        &self,
        _permit: &Permit<op::KubernetesGetRollout>,
        limits: &CallLimits,
        workload: &Workload,
    ) -> Result<Rollout, CallError> {
        rollout::get(self, limits, workload).await
    }

    /// Recent events, newest first; of one object `kind/name`, or of all.
    pub async fn list_events(
        &self,
        _permit: &Permit<op::KubernetesListEvents>,
        limits: &CallLimits,
        object: Option<&str>,
    ) -> Result<Vec<Event>, CallError> {
        events::list(self, limits, object).await
    }

    /// What the containers of the pods that match a label selector use.
    pub async fn list_usage(
        &self,
        _permit: &Permit<op::KubernetesListUsage>,
        limits: &CallLimits,
        labels: &str,
    ) -> Result<Vec<Usage>, CallError> {
        usage::list(self, limits, labels).await
    }

    /// Lines of the logs of all containers of the pods that match a label selector, in order of time.
    pub async fn read_logs(
        &self,
        _permit: &Permit<op::KubernetesReadLogs>,
        limits: &CallLimits,
        labels: &str,
        query: &LogQuery,
    ) -> Result<LogPage, CallError> {
        logs::of_pods(self, limits, labels, query).await
    }

    /// Lines of the log of one container.
    pub async fn read_log(
        &self,
        _permit: &Permit<op::KubernetesReadLog>,
        limits: &CallLimits,
        pod: &PodRef,
        query: &LogQuery,
    ) -> Result<LogPage, CallError> {
        logs::of_container(self, limits, pod, query).await
    }
}
