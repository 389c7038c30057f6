//! Changes that were recorded, made again from their record: to give them back, or to find out what became of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Targets;
use crate::domain::{CallError, CallLimits, ChangeCall, Interface, Limits, Operation, Run, TargetName};
use crate::journal::Change;

/// How long the note of one change may take.
const NOTE: Duration = Duration::from_secs(10);

impl Targets {
    /// Note on the objects themselves what `run` changed, where their system has a place for that. That it cannot be noted
    /// changes nothing about the run.
    pub async fn announce(&self, run: &Run) {
        for change in &run.changes.made {
            let call = &change.planned.call;
            let is_noted = call.operation.interface() == Interface::KubernetesActions;
            let Some(cluster) = self.kubernetes.get(&call.target).filter(|_| is_noted) else { continue };
            let limits = CallLimits { deadline: Instant::now() + NOTE, answer_bytes: Limits::DEFAULT.answer_bytes };
            if let Err(error) = cluster.announce(&limits, run, change).await {
                tracing::warn!(%error, run.id = %run.id, "a change is not noted in the cluster");
            }
        }
    }

    /// The change that `call` asks for. It rests on a record of the agent, and no grant is asked.
    pub fn recorded(&self, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError> {
        match call.operation {
            Operation::PostgresCancelQuery | Operation::PostgresTerminateSession => {
                find(&self.postgres, &call.target)?.recorded(call)
            }
            Operation::RedisRemoveKeys | Operation::RedisExpireKeys => find(&self.redis, &call.target)?.recorded(call),
            Operation::QueuePause
            | Operation::QueueResume
            | Operation::QueueCleanFailed
            | Operation::QueueRetryFailed => find(&self.queue, &call.target)?.recorded(call),
            Operation::HttpSend => find(&self.http, &call.target)?.recorded(call),
            Operation::KubernetesScale
            | Operation::KubernetesRestart
            | Operation::KubernetesRollback
            | Operation::KubernetesSetEnv
            | Operation::KubernetesUnsetEnv
            | Operation::KubernetesSetImage
            | Operation::KubernetesSetResources
            | Operation::KubernetesEvictPod
            | Operation::KubernetesRunJob
            | Operation::KubernetesDetachService => find(&self.kubernetes, &call.target)?.recorded(call),
            Operation::PostgresInspect
            | Operation::PostgresSessions
            | Operation::PostgresStatements
            | Operation::PostgresReplication
            | Operation::PostgresQuery
            | Operation::RedisPing
            | Operation::RedisInfo
            | Operation::RedisScan
            | Operation::RedisUsage
            | Operation::RedisSlowLog
            | Operation::RedisRead
            | Operation::QueueInspect
            | Operation::QueueListFailures
            | Operation::HttpGet
            | Operation::HttpHead
            | Operation::KubernetesGetObject
            | Operation::KubernetesListObjects
            | Operation::KubernetesListPods
            | Operation::KubernetesGetRollout
            | Operation::KubernetesListEvents
            | Operation::KubernetesListUsage
            | Operation::KubernetesReadLogs
            | Operation::KubernetesReadLog => Err(CallError::Invalid(format!("{} changes nothing", call.operation))),
        }
    }
}

fn find<'a, C>(clients: &'a HashMap<TargetName, Arc<C>>, name: &TargetName) -> Result<&'a Arc<C>, CallError> {
    clients.get(name).ok_or_else(|| CallError::NotFound(format!("the target {name} is not configured any more")))
}
