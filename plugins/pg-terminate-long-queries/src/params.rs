//! Parameters of pg-terminate-long-queries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of pg-terminate-long-queries.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    pub target: String,
    /// Seconds that a statement may run.
    #[schemars(range(min = 1))]
    pub min_age: f64,
    /// What to do: `terminate` disconnects the session, `cancel` ends its statement and leaves it connected.
    pub action: Action,
    /// Only sessions of applications that gave themselves one of these names; empty for all. The empty name is that of an
    /// application without one.
    #[schemars(length(max = 100))]
    pub applications: Vec<String>,
    /// Only sessions of these roles; empty for all.
    #[schemars(length(max = 100))]
    pub users: Vec<String>,
    /// Most sessions to touch.
    #[schemars(range(min = 1, max = 200))]
    pub limit: usize,
}

/// What to do to a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Disconnect it.
    #[default]
    Terminate,
    /// End its statement and leave it connected.
    Cancel,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "main".to_owned(),
            min_age: 300.0,
            action: Action::default(),
            applications: Vec::new(),
            users: Vec::new(),
            limit: 5,
        }
    }
}
