//! Parameters of queue-clean.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of queue-clean.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The queue target.
    pub target: String,
    /// Only jobs that failed at least so many seconds ago.
    #[schemars(range(min = 0))]
    pub min_age: f64,
    /// Only jobs of this name; null for all.
    pub job_name: Option<String>,
    /// Only jobs that failed for this reason, written as queue-failed-jobs shows it; null for all.
    pub reason: Option<String>,
    /// Most jobs to remove, the oldest first.
    #[schemars(range(min = 1, max = 100_000))]
    pub limit: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self { target: "email".to_owned(), min_age: 3600.0, job_name: None, reason: None, limit: 1000 }
    }
}
