//! Parameters of queue-pause.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of queue-pause.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The queue target.
    pub target: String,
}

impl Default for Params {
    fn default() -> Self {
        Self { target: "email".to_owned() }
    }
}
