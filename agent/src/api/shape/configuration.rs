//! The configuration, as far as it is told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain;

/// What was different in a configuration that is in force now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// When it was put in force.
    #[schema(format = DateTime, example = "2026-03-01T03:00:00.000Z")]
    pub at: String,
    /// What was added, removed or changed.
    #[schema(example = json!(["changed plugins.pg-ready", "added sweeps.health"]))]
    pub changed: Vec<String>,
    /// Settings that are other ones than the agent was started with, and hold only after a restart.
    #[schema(example = json!(["server.listen"]))]
    pub needs_restart: Vec<String>,
}

impl From<domain::Reloaded> for Reloaded {
    fn from(reloaded: domain::Reloaded) -> Self {
        Self {
            at: reloaded.at.to_string(),
            changed: reloaded.changed,
            needs_restart: reloaded.needs_restart.into_iter().map(str::to_owned).collect(),
        }
    }
}
