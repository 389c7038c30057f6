//! Looking at a job queue of BullMQ 3 to 6 or of Bull 4.
//!
//! The libraries count with scripts, and some of these change what they count: BullMQ removes markers while it looks.
//! Here everything is read with plain commands in one or two round trips, and nothing is written, not even the `meta`
//! key that a library leaves behind when it opens a queue. The figures are those that the library of the configured
//! version would give; what differs between versions is in `library`. The payload of a job is never read.

mod change;
mod doctor;
mod failures;
mod keys;
mod library;
mod overview;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use library::Library;

use super::resp::{self, InvalidUrl, Server};
use crate::domain::{CallError, CallLimits, ChangeCall, Diagnosis, System, TargetName};
use crate::journal::Change;
use crate::policy::{Permit, op};
use keys::Keys;

/// Where a queue is, and what it is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server that holds it.
    pub server: resp::Settings,
    /// What its keys begin with; `bull` unless the application says otherwise.
    pub prefix: String,
    /// Its name.
    pub name: String,
    /// The library that its producers and workers use.
    pub library: Library,
}

/// Why settings were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// The server's URL.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The library.
    #[error("{0} is no library that can be looked at; choose BullMQ 3, 4, 5 or 6, or Bull 4")]
    Library(Library),
    /// The prefix or the name.
    #[error("prefix and name of a queue must not be empty")]
    Name,
}

/// Where a job stands. The words are BullMQ's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Ready to be taken by a worker.
    Waiting,
    /// Ready, with a priority.
    Prioritized,
    /// Being worked on.
    Active,
    /// Due later.
    Delayed,
    /// Gave up.
    Failed,
    /// Done.
    Completed,
    /// Waits for its children.
    WaitingChildren,
    /// Ready, and held in a list of its own because the queue is paused.
    Paused,
}

/// Number of jobs in a state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobCount {
    /// The state.
    pub state: JobState,
    /// How many.
    pub count: u64,
}

/// A queue at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Major version of the library.
    pub version: u32,
    /// True for Bull, the predecessor of BullMQ.
    pub bull: bool,
    /// Jobs by state: the states that the library's `getJobCounts` has, with its figures.
    pub counts: Vec<JobCount>,
    /// Whether the queue as a whole is paused.
    pub paused: bool,
    /// Seconds since the next job to be taken was created, if one waits.
    pub oldest_waiting: Option<f64>,
    /// Seconds by which the earliest delayed job is overdue, if it is.
    pub overdue: Option<f64>,
    /// Active jobs whose lock has lapsed, among the thousand that are active for longest.
    pub stalled: u64,
    /// Workers connected; none when the server does not tell.
    pub workers: Option<u32>,
    /// Seconds until the rate limit lets the next job pass, if it holds one back.
    pub rate_limited: Option<f64>,
}

/// Failed jobs that look alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureGroup {
    /// Name that the jobs have.
    pub job_name: String,
    /// The reason, masked.
    pub reason: String,
    /// How many of the jobs looked at.
    pub count: u64,
    /// Identifier of the newest one.
    pub newest_id: String,
    /// When the newest one failed, in milliseconds since 1970.
    pub newest: u64,
    /// When the oldest one failed, in milliseconds since 1970.
    pub oldest: u64,
    /// Most attempts that one of them made.
    pub max_attempts: u32,
}

/// Failed jobs, grouped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    /// The groups, largest first.
    pub groups: Vec<FailureGroup>,
    /// How many jobs were looked at.
    pub examined: u64,
    /// How many failed jobs there are.
    pub total: u64,
}

/// Which failed jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JobSelection {
    /// Only jobs that failed at least so many seconds ago.
    pub min_age: f64,
    /// Only jobs of this name.
    pub job_name: Option<String>,
    /// Only jobs whose masked reason is this one.
    pub reason: Option<String>,
    /// At most this many, the oldest first.
    pub limit: u32,
}

/// A queue target.
#[derive(Debug)]
pub struct Queue {
    server: Server,
    keys: Keys,
    library: Library,
}

impl Queue {
    /// The target `name`. Nothing connects yet.
    pub fn new(name: TargetName, settings: Settings) -> Result<Self, InvalidSettings> {
        if !settings.library.is_known() {
            return Err(InvalidSettings::Library(settings.library));
        }
        if settings.prefix.is_empty() || settings.name.is_empty() {
            return Err(InvalidSettings::Name);
        }
        let server = Server::new(System::Queue, name, settings.server)?;
        Ok(Self { server, keys: Keys::new(settings.prefix, settings.name), library: settings.library })
    }

    /// The state of the queue.
    pub async fn inspect(
        &self,
        _permit: &Permit<op::QueueInspect>,
        limits: &CallLimits,
    ) -> Result<Overview, CallError> {
        overview::inspect(self, limits).await
    }

    /// Failed jobs by reason, looking at the newest `limit` of them, 5000 at most.
    pub async fn list_failures(
        &self,
        _permit: &Permit<op::QueueListFailures>,
        limits: &CallLimits,
        limit: u32,
    ) -> Result<Failures, CallError> {
        failures::list(self, limits, limit).await
    }

    /// Let workers take no new job.
    pub fn pause(self: &Arc<Self>, permit: Permit<op::QueuePause>) -> Result<Arc<dyn Change>, CallError> {
        Ok(change::pause(self, permit))
    }

    /// Let workers take jobs again.
    pub fn resume(self: &Arc<Self>, permit: Permit<op::QueueResume>) -> Result<Arc<dyn Change>, CallError> {
        Ok(change::resume(self, permit))
    }

    /// Remove failed jobs for good.
    pub fn clean_failed(
        self: &Arc<Self>,
        permit: Permit<op::QueueCleanFailed>,
        selection: JobSelection,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::clean(self, permit, selection)
    }

    /// Put failed jobs back to work.
    pub fn retry_failed(
        self: &Arc<Self>,
        permit: Permit<op::QueueRetryFailed>,
        selection: JobSelection,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::retry(self, permit, selection)
    }

    /// A change that was recorded, or that gives a recorded one back.
    pub fn recorded(self: &Arc<Self>, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError> {
        change::recorded(self, call)
    }

    /// What is wrong with the target, for its operator.
    pub async fn diagnose(&self) -> Vec<Diagnosis> {
        doctor::examine(self).await
    }
}

/// The `ACL SETUSER` line that makes a user with just the rights that looking takes. Name, password and key pattern are
/// to be filled in.
pub fn user_rules() -> String {
    doctor::rules("PREFIX:NAME:*")
}

/// The same for a user who may also change the queue: pause, resume, clean and retry. For Bull, whose workers hear of it on
/// a channel, with that channel.
pub fn acting_rules() -> String {
    doctor::acting_rules("PREFIX:NAME:*")
}
