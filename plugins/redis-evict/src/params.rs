//! Parameters of redis-evict.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of redis-evict.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The Redis target.
    #[serde(default = "cache")]
    pub target: String,
    /// Glob pattern of the keys to free, such as `cart:*`. It has no default.
    #[schemars(length(min = 1, max = 500))]
    pub pattern: String,
    /// What to do: `expire` gives an expiry to keys that have none, `remove` removes keys at once.
    #[serde(default)]
    pub mode: Mode,
    /// Seconds until a key that is given an expiry is gone. Of no meaning for `remove`.
    #[schemars(range(min = 1))]
    #[serde(default = "hour")]
    pub ttl: f64,
    /// Only keys that nobody used for so many seconds, where the server knows it; null for all.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub min_idle: Option<f64>,
    /// Most keys to touch.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(default = "most")]
    pub limit: u32,
}

/// What to do to a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Let it expire.
    #[default]
    Expire,
    /// Remove it.
    Remove,
}

fn cache() -> String {
    "cache".to_owned()
}

fn hour() -> f64 {
    3600.0
}

fn most() -> u32 {
    10_000
}
