//! Knows the configured plugins, their versions, and which of them can run.
//!
//! A component is digested, its signature judged, its imports compared with its grants, compiled, asked what it is and
//! compared with what it was configured as; only then it is active. One that fails any step is shown with its reason,
//! keeps nobody else from running, and leaves the version before it in its place.
//!
//! ```text
//!  file ──────┐
//!  folder ────┼─► intake: one path, one reason for each step ─► store ─► active
//!  upload ────┤                                                     ▲
//!  restart ───┘ ◄───────────────────────────────────────────────────┘
//! ```
//!
//! Knows the engine, policy, domain and where plugins are kept; never the API or the scheduler.

mod component;
mod delivered;
mod diff;
mod error;
mod folder;
mod intake;
mod params;
mod quarantine;
mod reload;
mod restore;
mod signing;
mod targets;
mod ticket;
mod versions;
mod which;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub use component::Component;
pub use delivered::{Became, Candidate, Delivered, Undelivered};
pub use diff::{Change, Diff, Side};
pub use error::{PluginError, Step};
pub use folder::{Folder, watch_folder};
pub use intake::Delivery;
pub use params::{ParamProblem, ParamsError};
pub use quarantine::{Conduct, Hold, Policy};
use serde_json::{Map, Value};
pub use signing::{Key, MAX_SIGNATURE, SignatureError, Trust};
pub use ticket::{Quarantined, Ticket};
pub use which::{InvalidWhich, Which};

use crate::clock::Clock;
use crate::domain::{Actor, Digest, Label, Limits, Metadata, Origin, PluginName, System, Target, Timestamp};
use crate::engine::{Engine, Program};
use crate::host::{Memory, PluginContext, Targets};
use crate::policy::Grants;
use crate::store::{KeepBounds, KeepsNothing, PluginStore};
use crate::telemetry::Metrics;
use quarantine::Quarantine;

/// What the operator configured for one plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: PluginName,
    /// Where its components come from.
    pub source: Source,
    /// Whose signatures count.
    pub trust: Trust,
    /// What it may do.
    pub grants: Arc<Grants>,
    /// Parameters that a request need not give.
    pub defaults: Map<String, Value>,
    /// What the `config` interface answers.
    pub settings: Vec<Label>,
    /// What a run may use.
    pub limits: Limits,
}

/// Where the components of a plugin come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, which is looked at when the agent starts.
    File(PathBuf),
    /// The watched folder.
    Folder,
    /// Whoever pushes them.
    Upload,
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
    /// Which way it came in.
    pub origin: Origin,
    /// Who brought it.
    pub actor: Option<Actor>,
    /// The name of the key that signed it.
    pub signer: Option<String>,
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
    /// No component was delivered yet.
    Absent,
}

impl State {
    /// Word for JSON and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Active(_) => "active",
            Self::Failed(_) => "failed",
            Self::Absent => "absent",
        }
    }
}

/// How a plugin stands beside its state.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The quarantine that it is in.
    pub hold: Option<Hold>,
    /// Versions that were refused or wait, the newest first.
    pub candidates: Vec<Candidate>,
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

/// What the way in stands on. The default keeps nothing and counts for nobody: it is for whoever only looks at plugins.
#[derive(Clone)]
pub struct Intake {
    /// Where versions are kept.
    pub store: Arc<dyn PluginStore>,
    /// Where refusals are counted.
    pub metrics: Arc<Metrics>,
    /// Largest component, in bytes.
    pub max_component_bytes: u64,
    /// How many versions are kept.
    pub keep: KeepBounds,
    /// When a plugin is held back.
    pub quarantine: Policy,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            store: Arc::new(KeepsNothing),
            metrics: Arc::default(),
            // A Python or JavaScript interpreter with its libraries has 20 MB.
            max_component_bytes: 32 << 20,
            keep: KeepBounds { versions: 10, bytes: 256 << 20 },
            quarantine: Policy::DEFAULT,
        }
    }
}

/// The configured plugins.
pub struct Catalog {
    engine: Arc<Engine>,
    surroundings: RwLock<Surroundings>,
    clock: Arc<dyn Clock>,
    intake: Intake,
    slots: RwLock<BTreeMap<PluginName, Arc<Slot>>>,
}

struct Slot {
    name: PluginName,
    entry: RwLock<Arc<Entry>>,
    state: RwLock<State>,
    /// Held while a version comes in, is activated or forgotten.
    turn: tokio::sync::Mutex<()>,
    candidates: Mutex<VecDeque<Candidate>>,
    quarantine: Mutex<Quarantine>,
}

impl Slot {
    fn new(entry: Entry, policy: Policy) -> Self {
        Self {
            name: entry.name.clone(),
            entry: RwLock::new(Arc::new(entry)),
            state: RwLock::new(State::Loading),
            turn: tokio::sync::Mutex::default(),
            candidates: Mutex::default(),
            quarantine: Mutex::new(Quarantine::new(policy)),
        }
    }

    fn entry(&self) -> Arc<Entry> {
        self.entry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn active(&self) -> Option<Arc<Plugin>> {
        match self.state() {
            State::Active(plugin) => Some(plugin),
            State::Loading | State::Failed(_) | State::Absent => None,
        }
    }

    fn candidates(&self) -> MutexGuard<'_, VecDeque<Candidate>> {
        self.candidates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quarantine(&self) -> MutexGuard<'_, Quarantine> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog {
    /// The plugins of `entries`, none of them loaded yet. Nothing of them is kept: see [`Catalog::with`].
    pub fn new(engine: Arc<Engine>, surroundings: Surroundings, entries: Vec<Entry>) -> Self {
        Self::with(Intake::default(), engine, surroundings, entries)
    }

    /// The plugins of `entries`, none of them loaded yet.
    pub fn with(intake: Intake, engine: Arc<Engine>, surroundings: Surroundings, entries: Vec<Entry>) -> Self {
        let slot = |entry: Entry| (entry.name.clone(), Arc::new(Slot::new(entry, intake.quarantine)));
        let slots = RwLock::new(entries.into_iter().map(slot).collect());
        let clock = surroundings.clock.clone();
        Self { engine, surroundings: RwLock::new(surroundings), clock, intake, slots }
    }

    /// Load every plugin. Those that were compiled before come first, because compiling takes turns.
    pub async fn load_all(&self) {
        let slots = self.slots();
        futures_util::future::join_all(slots.iter().map(|slot| self.load(slot))).await;
    }

    /// The state of one plugin; none when no plugin of that name is configured.
    pub fn get(&self, name: &PluginName) -> Option<State> {
        self.find(name).map(|slot| slot.state())
    }

    /// What was configured, and the state, of one plugin.
    pub fn describe(&self, name: &PluginName) -> Option<(Arc<Entry>, State)> {
        self.find(name).map(|slot| (slot.entry(), slot.state()))
    }

    /// What was configured, and the state, of all plugins, by name.
    pub fn list(&self) -> Vec<(Arc<Entry>, State)> {
        self.slots().iter().map(|slot| (slot.entry(), slot.state())).collect()
    }

    /// How a plugin stands beside its state.
    pub fn standing(&self, name: &PluginName) -> Standing {
        let standing = |slot: Arc<Slot>| Standing {
            hold: slot.quarantine().current().cloned(),
            candidates: slot.candidates().iter().cloned().collect(),
        };
        self.find(name).map(standing).unwrap_or_default()
    }

    fn find(&self, name: &PluginName) -> Option<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn surroundings(&self) -> Surroundings {
        self.surroundings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The clients of all targets, and where they do their work.
    pub fn reach(&self) -> (Arc<Targets>, tokio::runtime::Handle) {
        let surroundings = self.surroundings();
        (surroundings.targets, surroundings.io)
    }

    /// True for a target that is configured.
    pub fn has_target(&self, target: &Target) -> bool {
        let Targets { postgres, redis, queue, http, kubernetes } = &*self.surroundings().targets;
        match target.system {
            System::Postgres => postgres.contains_key(&target.name),
            System::Redis => redis.contains_key(&target.name),
            System::Queue => queue.contains_key(&target.name),
            System::Http => http.contains_key(&target.name),
            System::Kubernetes => kubernetes.contains_key(&target.name),
        }
    }

    /// The engine that runs them.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}
