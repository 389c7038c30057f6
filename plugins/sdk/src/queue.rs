//! Looking at a job queue and changing it: BullMQ 3 to 6, and Bull 4. A queue is a target; the payload of a job is never
//! returned.

use crate::Receipt;
use crate::bindings::paramedic::plugin::queue as host;
use crate::bindings::paramedic::plugin::queue_actions as actions;

pub use crate::bindings::paramedic::plugin::queue_types::JobState;
pub use actions::Selection;
pub use host::{FailureGroup, Failures, JobCount, Overview};

host_function! {
    /// The state of the queue.
    "queue/inspect" as INSPECT,
    fn inspect(target: &str) -> Overview = host::inspect(target)
}

host_function! {
    /// Failed jobs by reason, looking at the newest `limit` of them.
    "queue/list-failures" as LIST_FAILURES,
    fn list_failures(target: &str, limit: u32) -> Failures = host::list_failures(target, limit)
}

changing_function! {
    /// Let workers take no new job. Jobs being worked on finish.
    "queue-actions/pause" as PAUSE,
    fn pause(target: &str) -> Receipt = actions::pause(target)
}

changing_function! {
    /// Let workers take jobs again.
    "queue-actions/resume" as RESUME,
    fn resume(target: &str) -> Receipt = actions::resume(target)
}

changing_function! {
    /// Remove failed jobs for good. The answer has the number of `jobs`.
    "queue-actions/clean-failed" as CLEAN_FAILED,
    fn clean_failed(target: &str, selection: &Selection) -> Receipt = actions::clean_failed(target, selection)
}

changing_function! {
    /// Put failed jobs back to work; what they do is then done again. The answer has the number of `jobs`.
    "queue-actions/retry-failed" as RETRY_FAILED,
    fn retry_failed(target: &str, selection: &Selection) -> Receipt = actions::retry_failed(target, selection)
}

impl Overview {
    /// Jobs in a state; 0 where the library of that version does not know it.
    pub fn count(&self, state: JobState) -> u64 {
        self.counts.iter().filter(|entry| entry.state == state).map(|entry| entry.count).sum()
    }

    /// Jobs that a worker could take if there were one and the queue were not paused.
    pub fn ready(&self) -> u64 {
        [JobState::Waiting, JobState::Prioritized, JobState::Paused].map(|state| self.count(state)).iter().sum()
    }

    /// The library with its major version, such as `BullMQ 5`.
    pub fn library(&self) -> String {
        format!("{} {}", if self.bull { "Bull" } else { "BullMQ" }, self.version)
    }
}

/// A state in BullMQ's own spelling.
pub fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Waiting => "waiting",
        JobState::Prioritized => "prioritized",
        JobState::Active => "active",
        JobState::Delayed => "delayed",
        JobState::Failed => "failed",
        JobState::Completed => "completed",
        JobState::WaitingChildren => "waiting-children",
        JobState::Paused => "paused",
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl crate::testing::Argument for &Selection {
    fn write(self, to: &mut Vec<String>) {
        self.min_age.write(to);
        self.job_name.write(to);
        self.reason.write(to);
        self.limit.write(to);
    }
}
