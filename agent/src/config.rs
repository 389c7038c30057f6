//! The configuration file and the environment, as typed settings.
//!
//! This is the one place that reads the environment. It knows `domain` and nothing else of the agent: `app` turns these
//! plain values into the settings of each part.
//!
//! The text becomes a tree of nodes with places (`yaml`), the tree is read as what it should be (`field`), one file
//! here for each section. Whatever is wrong goes into a report, and all of it is shown at once: unknown and doubled
//! fields, names that nothing has, bounds that cannot be meant. An operator who restarts the agent in the night should
//! have to do so once.

mod agent;
mod auth;
mod budgets;
mod choices;
mod field;
mod files;
mod grants;
mod intake;
mod limits;
mod names;
mod plugins;
mod replicas;
mod report;
mod schema;
mod sources;
mod sweeps;
mod targets;
mod units;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use agent::{Engine, Retain, Server, ServerTls, Store};
pub use auth::{Auth, ClusterCallers, Token};
pub use files::Files;
pub use intake::{Intake, Quarantine, Signing, SigningKey};
pub use plugins::{Plugin, Source};
pub use replicas::{Replicas, SharedKey};
pub use report::{ConfigError, Problem};
pub use schema::schema;
pub use sources::{Environment, environment, secret_file};
pub use sweeps::{Cadence, Check, Scheduler, Sweep};
pub use targets::{
    HttpInverse, HttpTarget, KubernetesTarget, PostgresTarget, QueueLibrary, QueueTarget, RedisTarget, Targets,
};
pub use units::duration;

use crate::domain::{Budget, PluginName, SweepName};

use field::Field;
use names::Names;
use report::Report;
use sources::Sources;

/// Everything that an operator configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The HTTP API.
    pub server: Server,
    /// Who may ask.
    pub auth: Auth,
    /// The agent's own database.
    pub store: Store,
    /// How plugins are run.
    pub engine: Engine,
    /// How new versions of plugins come in.
    pub intake: Intake,
    /// Whose signatures count.
    pub signing: Signing,
    /// When a plugin that keeps failing is held back.
    pub quarantine: Quarantine,
    /// The systems that plugins may be granted.
    pub targets: Targets,
    /// The plugins.
    pub plugins: BTreeMap<PluginName, Plugin>,
    /// How much all plugins together may change.
    pub budgets: Vec<Budget>,
    /// What holds for all sweeps together.
    pub scheduler: Scheduler,
    /// The sweeps.
    pub sweeps: BTreeMap<SweepName, Sweep>,
    /// Others with the same configuration; none for an agent that is alone.
    pub replicas: Option<Replicas>,
}

impl Config {
    /// Read the file at `path` and what it points at in the environment and in other files.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_noting(path).0
    }

    /// The same, with the files that were looked into: once one of them is another one, it is worth reading again.
    pub fn load_noting(path: &Path) -> (Result<Self, ConfigError>, Files) {
        let here = || path.to_owned();
        let sources = Sources::below(path, &environment);
        let text = match sources::read(path) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(ConfigError::TooLarge { path: here() }),
            Err(source) => Err(ConfigError::Unreadable { path: here(), source }),
        };
        let config = text.and_then(|text| judge(&text, path, &sources));
        (config, sources.files())
    }

    /// Read `text` as if it stood in the file at `path`: relative paths begin at its directory, and problems name it.
    pub fn parse(text: &str, path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        judge(text, path, &Sources::below(path, environment))
    }
}

fn judge(text: &str, path: &Path, sources: &Sources<'_>) -> Result<Config, ConfigError> {
    let report = Report::default();
    let config = read(text, sources, &report);
    let problems = report.finish();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        Some(_) | None => Err(ConfigError::Invalid { path: PathBuf::from(path), problems }),
    }
}

fn read(text: &str, sources: &Sources<'_>, report: &Report) -> Option<Config> {
    let tree = yaml::parse(text).map_err(|error| report.add(error.place, "", &error.message)).ok()?;
    let root = Field::root(&tree, report).mapping(&[
        "server",
        "auth",
        "store",
        "engine",
        "intake",
        "signing",
        "quarantine",
        "targets",
        "plugins",
        "budgets",
        "scheduler",
        "sweeps",
        "replicas",
    ])?;
    let names = Names::collect(&root);
    let server = Server::read(&root, sources);
    let auth = Auth::read(&root, &names, sources);
    let store = Store::read(&root, sources);
    let engine = Engine::read(&root, sources);
    let targets = Targets::read(&root, &names, sources);
    let intake = Intake::read(&root, sources);
    let signing = Signing::read(&root);
    let quarantine = Quarantine::read(&root);
    let surroundings = plugins::Surroundings { names: &names, intake: intake.as_ref(), signing: signing.as_ref() };
    let plugins = plugins::read(&root, &surroundings, sources);
    let budgets = budgets::read(&root, &names);
    let scheduler = Scheduler::read(&root);
    let sweeps = sweeps::read(&root);
    let replicas = Replicas::read(&root, &names, sources);
    Some(Config {
        server: server?,
        auth: auth?,
        store: store?,
        engine: engine?,
        intake: intake?,
        signing: signing?,
        quarantine: quarantine?,
        targets: targets?,
        plugins: plugins?,
        budgets: budgets?,
        scheduler: scheduler?,
        sweeps: sweeps?,
        replicas: replicas?,
    })
}
