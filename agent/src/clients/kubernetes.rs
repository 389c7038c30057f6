//! A namespace of a Kubernetes cluster, looked at and changed through its API server.
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
//! set to is left out of every answer. How things are changed tells `change`.

mod access;
mod announce;
mod change;
mod doctor;
mod events;
mod failure;
mod logs;
mod names;
mod objects;
mod pods;
mod review;
mod rights;
mod rollout;
mod seal;
mod shared;
mod status;
mod transport;
mod usage;

use std::sync::Arc;

use tokio::sync::OnceCell;

pub use access::{Access, InvalidAccess};
pub use change::{EnvRequest, Eviction, ResourceAmounts, SetResources, Variable};
pub use events::{Event, EventList};
pub use logs::{LogLine, LogPage, LogQuery, PodRef};
pub use objects::{ObjectPage, ObjectQuery};
pub use pods::{Container, ContainerEnd, Pod, Quantities, Removal};
pub use rollout::{Rollout, Workload, WorkloadKind};
pub use seal::{KEY_BYTES, Seal};
pub use usage::Usage;

use crate::domain::{CallError, CallLimits, ChangeCall, Diagnosis, TargetName};
use crate::journal::Change;
use crate::policy::rbac::Needs;
use crate::policy::{Permit, op};
use names::checked_namespace;

/// What an operator configures for a target.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace; nothing outside of it is ever asked for.
    pub namespace: String,
    /// The cluster, and who the agent is there.
    pub access: Access,
    /// For what records keep of values that nobody may read in them.
    pub seal: Arc<Seal>,
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
    seal: Arc<Seal>,
    client: OnceCell<kube::Client>,
}

impl Kubernetes {
    /// The target `name`. Nothing connects yet.
    pub fn new(name: TargetName, settings: Settings) -> Result<Self, InvalidSettings> {
        let namespace = checked_namespace(settings.namespace.clone()).map_err(InvalidSettings::Namespace)?;
        settings.access.check()?;
        let Settings { access, seal, .. } = settings;
        Ok(Self { name, namespace, access, seal, client: OnceCell::new() })
    }

    /// What is wrong with the target, for its operator: whether it can be reached, and how the agent's rights there differ from
    /// those that are needed.
    pub async fn diagnose(&self, needs: &Needs) -> Vec<Diagnosis> {
        doctor::examine(self, needs).await
    }

    /// Whether the agent may ask the cluster about callers.
    pub async fn diagnose_reviews(&self) -> Vec<Diagnosis> {
        doctor::examine_reviews(self).await
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

    /// Recent events; of one object `kind/name`, or of all.
    pub async fn list_events(
        &self,
        _permit: &Permit<op::KubernetesListEvents>,
        limits: &CallLimits,
        object: Option<&str>,
    ) -> Result<EventList, CallError> {
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

    /// The number of replicas of a workload.
    pub fn scale(
        self: &Arc<Self>,
        permit: Permit<op::KubernetesScale>,
        workload: Workload,
        replicas: u32,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::scale(self, permit, workload, replicas)
    }

    /// Replacing all pods of a workload.
    pub fn restart(
        self: &Arc<Self>,
        permit: Permit<op::KubernetesRestart>,
        workload: Workload,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::restart(self, permit, workload)
    }

    /// Going back to an earlier revision; without a number, to the newest earlier one that is ready.
    pub fn rollback(
        self: &Arc<Self>,
        permit: Permit<op::KubernetesRollback>,
        workload: Workload,
        revision: Option<u32>,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::rollback(self, permit, workload, revision)
    }

    /// Setting environment variables.
    pub fn set_env(
        self: &Arc<Self>,
        permit: Permit<op::KubernetesSetEnv>,
        request: EnvRequest,
        variables: Vec<Variable>,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::set_env(self, permit, request, variables)
    }

    /// Removing environment variables.
    pub fn unset_env(
        self: &Arc<Self>,
        permit: Permit<op::KubernetesUnsetEnv>,
        request: EnvRequest,
        names: Vec<String>,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::unset_env(self, permit, request, names)
    }

    /// Setting the image of a container.
    pub fn set_image(
        self: &Arc<Self>,
        permit: Permit<op::KubernetesSetImage>,
        workload: Workload,
        container: String,
        image: String,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::set_image(self, permit, workload, container, image)
    }

    /// Setting requests and limits of a container.
    pub fn set_resources(
        self: &Arc<Self>,
        permit: Permit<op::KubernetesSetResources>,
        set: SetResources,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::set_resources(self, permit, set)
    }

    /// Evicting a pod.
    pub fn evict_pod(
        self: &Arc<Self>,
        permit: Permit<op::KubernetesEvictPod>,
        eviction: Eviction,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::evict_pod(self, permit, eviction)
    }

    /// Starting a Job from the template of a CronJob, with variables added or replaced.
    pub fn run_job(
        self: &Arc<Self>,
        permit: Permit<op::KubernetesRunJob>,
        cron_job: String,
        variables: Vec<Variable>,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::run_job(self, permit, cron_job, variables)
    }

    /// Taking the pods of a Service out of its traffic.
    pub fn detach_service(
        self: &Arc<Self>,
        permit: Permit<op::KubernetesDetachService>,
        service: String,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::detach_service(self, permit, service)
    }

    /// The change that a record of the agent asks for.
    pub fn recorded(self: &Arc<Self>, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError> {
        change::recorded(self, call)
    }
}
