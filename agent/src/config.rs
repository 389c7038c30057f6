//! The configuration file and the environment, as typed settings.
//!
//! This is the one place that reads the environment. It knows `domain` and nothing else of the agent: `app` turns these
//! plain values into the settings of each part.

mod agent;
mod plugins;
mod targets;

use std::collections::BTreeMap;

pub use agent::{Engine, Retain, Server, Store, Token};
pub use plugins::{Plugin, Source};
pub use targets::{HttpTarget, PostgresTarget, QueueLibrary, QueueTarget, RedisTarget, Targets};

use crate::domain::PluginName;

/// Everything that an operator configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The HTTP API.
    pub server: Server,
    /// Who may ask. Empty means nobody.
    pub tokens: Vec<Token>,
    /// The agent's own database.
    pub store: Store,
    /// How plugins are run.
    pub engine: Engine,
    /// The systems that plugins may be granted.
    pub targets: Targets,
    /// The plugins.
    pub plugins: BTreeMap<PluginName, Plugin>,
}
