//! Looking at a job queue: BullMQ 3 to 6, and Bull 4. A queue is a target; the payload of a job is never returned.

use crate::bindings::paramedic::plugin::queue as host;

pub use crate::bindings::paramedic::plugin::queue_types::JobState;
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
