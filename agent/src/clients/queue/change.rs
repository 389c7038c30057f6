//! Changing a queue: pause, resume, clean and retry, each as the library of the configured version does it.
//!
//! ```text
//! preview ─► plain commands: figures, ground, scope
//! perform ─► a script of ours for each step ─► the queue there? the version? the ground? ─► the effect, in the same step
//! ```
//!
//! A script goes out once. One whose answer never came is in doubt until somebody has looked at the queue.

mod jobs;
mod script;
mod switch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::FromRedisValue;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::resp::{Command, Lost, ServerError};
use super::overview::{self, ANSWER_BYTES};
use super::{JobSelection, Queue};
use crate::domain::{CallError, CallLimits, ChangeCall, Fact, Operation, System};
use crate::journal::{Change, Halt};
use crate::policy::{Permit, op, permit_undo};

pub(super) use jobs::{clean, retry};
pub(super) use switch::{pause, resume};

/// What a step needs at most. With less time left none is begun, so that its answer is heard.
const STEP_TIME: Duration = Duration::from_millis(200);

/// Others are served between two steps.
const PAUSE: Duration = Duration::from_millis(5);

/// The change that `call` asks for, by the right to give back what the host did.
pub(super) fn recorded(queue: &Arc<Queue>, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError> {
    match call.operation {
        Operation::QueuePause => {
            let NoArguments {} = arguments(call)?;
            Ok(pause(queue, permit_undo::<op::QueuePause>(&call.target)))
        }
        Operation::QueueResume => {
            let NoArguments {} = arguments(call)?;
            Ok(resume(queue, permit_undo::<op::QueueResume>(&call.target)))
        }
        Operation::QueueCleanFailed => {
            let selection: JobSelection = arguments(call)?;
            clean(queue, permit_undo::<op::QueueCleanFailed>(&call.target), selection)
        }
        Operation::QueueRetryFailed => {
            let selection: JobSelection = arguments(call)?;
            retry(queue, permit_undo::<op::QueueRetryFailed>(&call.target), selection)
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
        | Operation::HttpGet
        | Operation::KubernetesGetObject
        | Operation::KubernetesListObjects
        | Operation::KubernetesListPods
        | Operation::KubernetesGetRollout
        | Operation::KubernetesListEvents
        | Operation::KubernetesListUsage
        | Operation::KubernetesReadLogs
        | Operation::KubernetesReadLog
        | Operation::HttpHead
        | Operation::KubernetesScale
        | Operation::KubernetesRestart
        | Operation::KubernetesRollback
        | Operation::KubernetesSetEnv
        | Operation::KubernetesUnsetEnv
        | Operation::KubernetesSetImage
        | Operation::KubernetesSetResources
        | Operation::KubernetesEvictPod
        | Operation::KubernetesRunJob
        | Operation::KubernetesDetachService
        | Operation::HttpSend => Err(CallError::Invalid(format!("{} changes no queue", call.operation))),
    }
}

/// The arguments of a change that has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

fn arguments<T: DeserializeOwned>(call: &ChangeCall) -> Result<T, CallError> {
    let invalid = |_| CallError::Invalid(format!("the recorded arguments are not those of {}", call.operation));
    serde_json::from_str(&call.arguments).map_err(invalid)
}

/// A permit for one of the operations on a queue. A change keeps the one that it was made with.
#[derive(Debug)]
enum Right {
    Pause(Permit<op::QueuePause>),
    Resume(Permit<op::QueueResume>),
    Clean(Permit<op::QueueCleanFailed>),
    Retry(Permit<op::QueueRetryFailed>),
}

impl Right {
    fn call(&self, arguments: String) -> ChangeCall {
        let (operation, target) = match self {
            Self::Pause(permit) => (Operation::QueuePause, permit.target()),
            Self::Resume(permit) => (Operation::QueueResume, permit.target()),
            Self::Clean(permit) => (Operation::QueueCleanFailed, permit.target()),
            Self::Retry(permit) => (Operation::QueueRetryFailed, permit.target()),
        };
        ChangeCall { operation, target: target.clone(), arguments }
    }
}

fn library_fact(queue: &Queue) -> Fact {
    Fact { name: "library".to_owned(), value: queue.library.to_string() }
}

/// To change a queue of another version than the target says is not an error of the server but a ground that is not so.
fn as_conflict(error: CallError) -> CallError {
    match error {
        CallError::Remote(remote) if remote.code == overview::MISMATCH => CallError::Conflict(remote.message),
        error => error,
    }
}

/// What a script did not get to say.
#[derive(Debug)]
enum Silence {
    /// It did not run.
    Unrun(CallError),
    /// It ran or did not, as a whole: no answer came.
    InDoubt(CallError),
    /// It broke off: a command in it met an error, and what went before it stays.
    Broken(CallError),
}

/// Run a script of ours once and take its answer.
async fn run<T: FromRedisValue>(queue: &Queue, limits: &CallLimits, script: Command) -> Result<T, Silence> {
    let mut answers = queue.server.tell(limits, &[script], ANSWER_BYTES).await.map_err(|lost| match lost {
        Lost::Unsent(error) => Silence::Unrun(error),
        Lost::Unanswered(error) => Silence::InDoubt(error),
    })?;
    match answers.try_take() {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_refusal(&error) => Err(Silence::Unrun(error.to_call_error(System::Queue))),
        Ok(Err(error)) => Err(Silence::Broken(error.to_call_error(System::Queue))),
        Err(error) => Err(Silence::InDoubt(error)),
    }
}

/// True for the errors with which a server turns a script away before it runs. They can come from a command within the
/// script as well, and then say so.
fn is_refusal(error: &ServerError) -> bool {
    let turned_away =
        ["NOPERM", "OOM", "READONLY", "LOADING", "BUSY", "MISCONF", "MASTERDOWN", "NOREPLICAS", "CROSSSLOT"];
    turned_away.contains(&error.code()) && !error.is_from_script()
}

/// Why no further step should begin.
fn stop(limits: &CallLimits, halt: &Halt) -> Option<String> {
    if halt.is_asked() {
        return Some("it was asked to halt".to_owned());
    }
    let is_over = Instant::now() + STEP_TIME >= limits.deadline;
    is_over.then(|| "the time for it was over".to_owned())
}

/// What a script answers instead of doing anything.
fn objection(queue: &Queue, answer: &str) -> CallError {
    match answer {
        "missing" => overview::missing(&queue.keys),
        "version" => {
            let library = queue.library;
            CallError::Conflict(format!("the queue was opened by another version than {library} a moment ago"))
        }
        other => CallError::Unavailable(format!("the script answered {}", other.chars().take(20).collect::<String>())),
    }
}
