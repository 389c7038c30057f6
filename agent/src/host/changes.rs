//! Changes that were recorded, made again from their record: to give them back, or to find out what became of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::Targets;
use crate::domain::{CallError, ChangeCall, Operation, TargetName};
use crate::journal::Change;

impl Targets {
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
