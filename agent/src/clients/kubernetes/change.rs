//! Changing what is in a namespace, each as a value: previewed, compared, done once, and given back.
//!
//! ```text
//! preview ─► look ─► draft: differences, ground, patch, inverse ─► the server's dry run of the patch
//! perform ─► look ─► draft ─► ground as planned? ─► the patch, at the very version that was looked at ─► done
//!              ▲                                            │
//!              └──────── somebody wrote in between ◄────────┘
//! ```
//!
//! A draft is made from the object without asking anybody, so that preview, perform and settling cannot differ. A status that is
//! written meanwhile moves the version of the object and nothing that a draft rests on: the object is read again then, and
//! only a real difference is a conflict. What was sent and not answered is in doubt until the object was looked at.
//!
//! Nobody's rollout is disturbed: while somebody else's is on its way, nothing of the workload's template is changed (care). Values of
//! environment variables never stand in a plan or a record. What has to be put back is kept under seal, and what has to be
//! compared by its mark (seal).

mod care;
mod container;
mod edit;
mod env;
mod evict;
mod job;
mod restart;
mod revisions;
mod rollback;
mod scale;
mod service;
mod template;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rollout::Workload;
use super::{Kubernetes, names};
use crate::domain::{CallError, ChangeCall, ObjectKind, Operation};
use crate::journal::{Change, canonical};
use crate::policy::{ChangeOp, Permit, op, permit_undo};
use edit::Edit;

pub use container::{ResourceAmounts, SetResources};
pub use env::Variable;

/// What a call asks for beside its target.
#[derive(Clone, Debug)]
pub struct EnvRequest {
    /// Whose environment.
    pub workload: Workload,
    /// The container; none stands for all.
    pub container: Option<String>,
}

/// Refuse names that are none, and objects outside the permit.
fn admit<O>(permit: &Permit<O>, workload: &Workload) -> Result<(), CallError>
where
    O: ChangeOp<Bounds = op::Handling>,
{
    names::check_name("the name of the workload", &workload.name)?;
    Ok(permit.admit_object(workload.kind.object(), &workload.name)?)
}

pub(super) fn scale(
    cluster: &Arc<Kubernetes>,
    permit: Permit<op::KubernetesScale>,
    workload: Workload,
    replicas: u32,
) -> Result<Arc<dyn Change>, CallError> {
    admit(&permit, &workload)?;
    permit.admit_replicas(replicas)?;
    let scale = scale::Scale::new(workload, replicas)?;
    Ok(Arc::new(Edit::new(cluster, permit, canonical(&scale), scale)))
}

pub(super) fn restart(
    cluster: &Arc<Kubernetes>,
    permit: Permit<op::KubernetesRestart>,
    workload: Workload,
) -> Result<Arc<dyn Change>, CallError> {
    admit(&permit, &workload)?;
    let restart = restart::Restart { workload };
    Ok(Arc::new(Edit::new(cluster, permit, canonical(&restart), restart)))
}

pub(super) fn rollback(
    cluster: &Arc<Kubernetes>,
    permit: Permit<op::KubernetesRollback>,
    workload: Workload,
    revision: Option<u32>,
) -> Result<Arc<dyn Change>, CallError> {
    admit(&permit, &workload)?;
    let rollback = rollback::Rollback::to_number(workload, revision);
    Ok(Arc::new(Edit::new(cluster, permit, canonical(&rollback), rollback)))
}

pub(super) fn set_env(
    cluster: &Arc<Kubernetes>,
    permit: Permit<op::KubernetesSetEnv>,
    request: EnvRequest,
    variables: Vec<Variable>,
) -> Result<Arc<dyn Change>, CallError> {
    admit(&permit, &request.workload)?;
    for variable in &variables {
        permit.admit_variable(&variable.name, Some(&variable.value))?;
    }
    let set = env::SetEnv::new(request, variables)?;
    Ok(Arc::new(Edit::new(cluster, permit, canonical(&set), set)))
}

pub(super) fn unset_env(
    cluster: &Arc<Kubernetes>,
    permit: Permit<op::KubernetesUnsetEnv>,
    request: EnvRequest,
    names: Vec<String>,
) -> Result<Arc<dyn Change>, CallError> {
    admit(&permit, &request.workload)?;
    for name in &names {
        permit.admit_variable(name, None)?;
    }
    let unset = env::UnsetEnv::new(request, names)?;
    Ok(Arc::new(Edit::new(cluster, permit, canonical(&unset), unset)))
}

pub(super) fn set_image(
    cluster: &Arc<Kubernetes>,
    permit: Permit<op::KubernetesSetImage>,
    workload: Workload,
    container: String,
    image: String,
) -> Result<Arc<dyn Change>, CallError> {
    admit(&permit, &workload)?;
    permit.admit_image(&image)?;
    let set = container::SetImage::new(workload, container, image)?;
    Ok(Arc::new(Edit::new(cluster, permit, canonical(&set), set)))
}

pub(super) fn set_resources(
    cluster: &Arc<Kubernetes>,
    permit: Permit<op::KubernetesSetResources>,
    set: SetResources,
) -> Result<Arc<dyn Change>, CallError> {
    admit(&permit, &set.workload)?;
    for (resource, quantity) in set.quantities()? {
        permit.admit_quantity(resource, quantity)?;
    }
    Ok(Arc::new(Edit::new(cluster, permit, canonical(&set), set)))
}

pub(super) fn evict_pod(
    cluster: &Arc<Kubernetes>,
    permit: Permit<op::KubernetesEvictPod>,
    eviction: evict::Eviction,
) -> Result<Arc<dyn Change>, CallError> {
    names::check_name("the name of the pod", &eviction.pod)?;
    permit.admit_object(ObjectKind::Pod, &eviction.pod)?;
    Ok(Arc::new(evict::Evict::new(cluster, permit, eviction)))
}

pub(super) fn run_job(
    cluster: &Arc<Kubernetes>,
    permit: Permit<op::KubernetesRunJob>,
    cron_job: String,
    variables: Vec<Variable>,
) -> Result<Arc<dyn Change>, CallError> {
    names::check_name("the name of the CronJob", &cron_job)?;
    permit.admit_object(ObjectKind::CronJob, &cron_job)?;
    for variable in &variables {
        permit.admit_variable(&variable.name, Some(&variable.value))?;
    }
    Ok(Arc::new(job::RunJob::new(cluster, permit, job::Start::new(cron_job, variables)?)))
}

pub(super) fn detach_service(
    cluster: &Arc<Kubernetes>,
    permit: Permit<op::KubernetesDetachService>,
    service: String,
) -> Result<Arc<dyn Change>, CallError> {
    names::check_name("the name of the Service", &service)?;
    permit.admit_object(ObjectKind::Service, &service)?;
    let detach = service::Detach::new(service);
    Ok(Arc::new(Edit::new(cluster, permit, canonical(&detach), detach)))
}

pub use evict::Eviction;

/// The change that `call` asks for, by the right to give back what the host did.
pub(super) fn recorded(cluster: &Arc<Kubernetes>, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError> {
    fn edit<O, A>(cluster: &Arc<Kubernetes>, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError>
    where
        O: ChangeOp<Bounds = op::Handling>,
        A: edit::Alteration + Serialize + DeserializeOwned + 'static,
    {
        let alteration: A = arguments(call)?;
        Ok(Arc::new(Edit::new(cluster, permit_undo::<O>(&call.target), call.arguments.clone(), alteration)))
    }
    match call.operation {
        Operation::KubernetesScale => edit::<op::KubernetesScale, scale::Scale>(cluster, call),
        Operation::KubernetesRestart => edit::<op::KubernetesRestart, restart::Restart>(cluster, call),
        Operation::KubernetesRollback => edit::<op::KubernetesRollback, rollback::Rollback>(cluster, call),
        Operation::KubernetesSetEnv => edit::<op::KubernetesSetEnv, env::SetOrRestore>(cluster, call),
        Operation::KubernetesUnsetEnv => edit::<op::KubernetesUnsetEnv, env::UnsetEnv>(cluster, call),
        Operation::KubernetesSetImage => edit::<op::KubernetesSetImage, container::SetImage>(cluster, call),
        Operation::KubernetesSetResources => edit::<op::KubernetesSetResources, SetResources>(cluster, call),
        Operation::KubernetesDetachService => edit::<op::KubernetesDetachService, service::Detach>(cluster, call),
        Operation::KubernetesEvictPod => {
            Ok(Arc::new(evict::Evict::new(cluster, permit_undo(&call.target), arguments(call)?)))
        }
        Operation::KubernetesRunJob => {
            Ok(Arc::new(job::RunJob::new(cluster, permit_undo(&call.target), arguments(call)?)))
        }
        Operation::PostgresInspect
        | Operation::PostgresSessions
        | Operation::PostgresStatements
        | Operation::PostgresReplication
        | Operation::PostgresQuery
        | Operation::PostgresCancelQuery
        | Operation::PostgresTerminateSession
        | Operation::RedisPing
        | Operation::RedisInfo
        | Operation::RedisScan
        | Operation::RedisUsage
        | Operation::RedisSlowLog
        | Operation::RedisRead
        | Operation::RedisRemoveKeys
        | Operation::RedisExpireKeys
        | Operation::QueueInspect
        | Operation::QueueListFailures
        | Operation::QueuePause
        | Operation::QueueResume
        | Operation::QueueCleanFailed
        | Operation::QueueRetryFailed
        | Operation::HttpGet
        | Operation::HttpHead
        | Operation::HttpSend
        | Operation::KubernetesGetObject
        | Operation::KubernetesListObjects
        | Operation::KubernetesListPods
        | Operation::KubernetesGetRollout
        | Operation::KubernetesListEvents
        | Operation::KubernetesListUsage
        | Operation::KubernetesReadLogs
        | Operation::KubernetesReadLog => {
            Err(CallError::Invalid(format!("{} changes nothing in a cluster", call.operation)))
        }
    }
}

fn arguments<T: DeserializeOwned>(call: &ChangeCall) -> Result<T, CallError> {
    let invalid = |_| CallError::Invalid(format!("the recorded arguments are not those of {}", call.operation));
    serde_json::from_str(&call.arguments).map_err(invalid)
}
