//! Parameters of pg-restore-pitr.

use paramedic_sdk::Seconds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of pg-restore-pitr.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The Kubernetes target.
    #[serde(default = "prod")]
    pub target: String,
    /// The CronJob whose template restores into a database of its own. It has no default.
    #[schemars(length(min = 1, max = 253))]
    pub cron_job: String,
    /// The point in time, in RFC 3339, such as `2026-03-01T03:25:00Z`: shortly before the data went bad. It has no default.
    #[schemars(length(min = 20, max = 40))]
    pub target_time: String,
    /// The environment variable by which the Job is told the point in time.
    #[schemars(length(min = 1, max = 253))]
    #[serde(default = "target_time")]
    pub variable: String,
    /// Seconds that the run follows the Job; one that takes longer goes on by itself.
    #[schemars(range(min = 1, max = 880))]
    #[serde(default = "ten_minutes")]
    pub follow_for: Seconds,
    /// The last lines of the Job's log to keep.
    #[schemars(range(min = 0, max = 200))]
    #[serde(default = "lines")]
    pub lines: u32,
}

fn prod() -> String {
    "prod".to_owned()
}

fn target_time() -> String {
    "TARGET_TIME".to_owned()
}

fn ten_minutes() -> Seconds {
    600.0
}

fn lines() -> u32 {
    20
}
