//! Parameters of pg-terminate-idle.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of pg-terminate-idle.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    pub target: String,
    /// Seconds that a session may be idle; null leaves such sessions alone.
    #[schemars(range(min = 1))]
    pub max_idle: Option<f64>,
    /// Seconds that a session may be idle with a transaction open; null leaves such sessions alone.
    #[schemars(range(min = 1))]
    pub max_idle_in_transaction: Option<f64>,
    /// Only sessions of applications that gave themselves one of these names; empty for all. The empty name is that of an
    /// application without one.
    #[schemars(length(max = 100))]
    pub applications: Vec<String>,
    /// Only sessions of these roles; empty for all.
    #[schemars(length(max = 100))]
    pub users: Vec<String>,
    /// Most sessions to end.
    #[schemars(range(min = 1, max = 200))]
    pub limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "main".to_owned(),
            max_idle: Some(600.0),
            max_idle_in_transaction: Some(300.0),
            applications: Vec::new(),
            users: Vec::new(),
            limit: 20,
        }
    }
}
