//! Knows the configured plugins, and which of them can run.
//!
//! A component is read, digested, judged against its grants, compiled, asked what it is and compared with what it was
//! configured as; only then it is active. One that fails any step is shown with its reason and keeps nobody else from
//! running.
//!
//! Knows the engine, policy and domain; never the API or the scheduler.

mod load;
mod params;
mod targets;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

pub use load::PluginError;
pub use params::{ParamProblem, ParamsError};
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::domain::{Digest, Label, Limits, Metadata, PluginName, Timestamp};
use crate::engine::{Engine, Program};
use crate::host::{Memory, PluginContext, Targets};
use crate::policy::Grants;

/// What the operator configured for one plugin.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: PluginName,
    /// The file of its component.
    pub file: PathBuf,
    /// What it may do.
    pub grants: Arc<Grants>,
    /// Parameters that a request need not give.
    pub defaults: Map<String, Value>,
    /// What the `config` interface answers.
    pub settings: Vec<Label>,
    /// What a run may use.
    pub limits: Limits,
}

/// A plugin that can run.
pub struct Plugin {
    /// What it says of itself.
    pub metadata: Metadata,
    /// The schema of its parameters.
    pub schema: Value,
    /// Digest of its component.
    pub digest: Digest,
    /// Size of its component, in bytes.
    pub size: usize,
    /// When it became active.
    pub loaded: Timestamp,
    /// The compiled component.
    pub program: Program,
    /// What it may do.
    pub grants: Arc<Grants>,
    /// What a run may use, the plugin's own time limit included.
    pub limits: Limits,
    /// What its runs share.
    pub context: Arc<PluginContext>,
    params: params::Params,
}

impl Plugin {
    /// The parameters of a run: what was asked for over the operator's defaults, validated against the schema. The answer
    /// is a JSON document.
    pub fn params(&self, asked: Map<String, Value>) -> Result<String, ParamsError> {
        self.params.merge(asked, self.limits.params_bytes)
    }
}

/// How far a plugin has come.
#[derive(Clone)]
pub enum State {
    /// Its component is being read or compiled.
    Loading,
    /// It can run.
    Active(Arc<Plugin>),
    /// It cannot run, for this reason.
    Failed(Arc<PluginError>),
}

impl State {
    /// Word for JSON and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Active(_) => "active",
            Self::Failed(_) => "failed",
        }
    }
}

/// What runs of all plugins share.
#[derive(Clone)]
pub struct Surroundings {
    /// The clients of all targets.
    pub targets: Arc<Targets>,
    /// What the `state` interface reads and writes.
    pub memory: Arc<dyn Memory>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where clients do their work.
    pub io: tokio::runtime::Handle,
}

/// The configured plugins.
pub struct Catalog {
    engine: Arc<Engine>,
    surroundings: Surroundings,
    slots: BTreeMap<PluginName, Slot>,
}

struct Slot {
    entry: Entry,
    state: RwLock<State>,
}

impl Slot {
    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Catalog {
    /// The plugins of `entries`, none of them loaded yet.
    pub fn new(engine: Arc<Engine>, surroundings: Surroundings, entries: Vec<Entry>) -> Self {
        let slot = |entry: Entry| (entry.name.clone(), Slot { entry, state: RwLock::new(State::Loading) });
        Self { engine, surroundings, slots: entries.into_iter().map(slot).collect() }
    }

    /// Load every plugin. Those that were compiled before come first, because compiling takes turns.
    pub async fn load_all(&self) {
        futures_util::future::join_all(self.slots.values().map(|slot| self.load(slot))).await;
    }

    async fn load(&self, slot: &Slot) {
        let loaded = load::plugin(&self.engine, &self.surroundings, &slot.entry).await;
        let state = match loaded {
            Ok(plugin) => {
                tracing::info!(
                    plugin.name = %slot.entry.name, plugin.version = %plugin.metadata.version,
                    plugin.digest = %plugin.digest, "plugin is active"
                );
                State::Active(Arc::new(plugin))
            }
            Err(error) => {
                tracing::error!(plugin.name = %slot.entry.name, error = error.chain(), "plugin cannot run");
                State::Failed(Arc::new(error))
            }
        };
        *slot.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The state of one plugin; none when no plugin of that name is configured.
    pub fn get(&self, name: &PluginName) -> Option<State> {
        self.slots.get(name).map(Slot::state)
    }

    /// What was configured, and the state, of one plugin.
    pub fn describe(&self, name: &PluginName) -> Option<(&Entry, State)> {
        self.slots.get(name).map(|slot| (&slot.entry, slot.state()))
    }

    /// What was configured, and the state, of all plugins, by name.
    pub fn list(&self) -> impl Iterator<Item = (&Entry, State)> {
        self.slots.values().map(|slot| (&slot.entry, slot.state()))
    }

    /// The engine that runs them.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}
