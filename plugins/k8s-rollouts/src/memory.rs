//! Since when rollouts have been under way, as far as earlier runs saw. The cluster tells it of Deployments alone.

use paramedic_sdk::{Instant, Seconds, clock, log, state};
use std::collections::BTreeMap;

/// What was not looked at for so long is forgotten.
const REMEMBERED_SECONDS: Seconds = 7.0 * 24.0 * 3600.0;
/// Bytes that are remembered; the agent keeps 16 KiB.
const MOST_BYTES: usize = 12 * 1024;

/// When each rollout under way was first seen so, by `kind/name`.
#[derive(Debug, Default)]
pub(crate) struct Memory(BTreeMap<String, Instant>);

impl Memory {
    pub(crate) fn recall(target: &str) -> Self {
        let entry = state::get(&key(target)).unwrap_or_else(|error| {
            log::warn(&format!("cannot recall the rollouts of {target}: {error}"));
            None
        });
        Self(entry.and_then(|entry| serde_json::from_str(&entry.value).ok()).unwrap_or_default())
    }

    /// Seconds that a rollout has been under way; 0 if it was not before.
    pub(crate) fn under_way(&mut self, workload: String) -> Seconds {
        clock::age(*self.0.entry(workload).or_insert_with(clock::now))
    }

    pub(crate) fn over(&mut self, workload: &str) {
        self.0.remove(workload);
    }

    pub(crate) fn store(mut self, target: &str) {
        // A name, its quotes, an instant and what stands between them.
        while self.0.keys().map(|name| name.len() + 24).sum::<usize>() > MOST_BYTES {
            self.0.pop_first();
        }
        let stored = serde_json::to_string(&self.0)
            .map_err(|error| paramedic_sdk::Error::Other(error.to_string()))
            .and_then(|text| state::put(&key(target), &text, Some(REMEMBERED_SECONDS)));
        if let Err(error) = stored {
            log::warn(&format!("cannot remember the rollouts of {target}: {error}"));
        }
    }
}

fn key(target: &str) -> String {
    format!("rollouts/{target}")
}
