//! Plugins in this process, loaded and run as the agent does it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use paramedic::catalog::{Catalog, Entry, Plugin, Source, State, Surroundings, Trust};
use paramedic::clock::{Clock, SystemClock};
use paramedic::domain::{Ending, Grant, Limits, Mode, RunId, Trigger};
use paramedic::engine::{Allocation, Cancellation, Engine, Finished, Invocation, Settings, Unobserved};
use paramedic::host::{NoMemory, Targets};
use paramedic::policy::Grants;
use tokio::runtime::Handle;

/// Runs that may be under way at once: more than the load generator has connections.
pub const SLOTS: u32 = 160;

/// The engine as the agent sets it up, without artefacts on disk.
pub fn settings(allocation: Allocation) -> Settings {
    Settings { slots: SLOTS, threads: 2, cache: None, allocation }
}

/// An entry of the catalog with default limits.
pub fn entry(name: &str, file: PathBuf, grants: Vec<Grant>) -> anyhow::Result<Entry> {
    let name: paramedic::domain::PluginName = name.parse()?;
    Ok(Entry {
        grants: Arc::new(Grants::new(name.clone(), grants)),
        name,
        source: Source::File(file),
        trust: Trust::default(),
        defaults: serde_json::Map::new(),
        settings: Vec::new(),
        limits: Limits::DEFAULT,
    })
}

/// A catalog with all of `entries` active. `io` is where its clients do their work.
pub async fn catalog(
    settings: &Settings,
    io: Handle,
    targets: Targets,
    entries: Vec<Entry>,
) -> anyhow::Result<Arc<Catalog>> {
    let engine = Arc::new(Engine::new(settings)?);
    let surroundings =
        Surroundings { targets: Arc::new(targets), memory: Arc::new(NoMemory), clock: Arc::new(SystemClock), io };
    let catalog = Catalog::new(engine, surroundings, entries);
    catalog.load_all().await;
    for (entry, state) in catalog.list() {
        match state {
            State::Active(_) => {}
            State::Loading | State::Absent => bail!("{} was not loaded", entry.name),
            State::Failed(error) => bail!("{} cannot run: {}", entry.name, error.chain()),
        }
    }
    Ok(Arc::new(catalog))
}

/// One plugin, ready to be run again and again with the same parameters.
#[derive(Clone)]
pub struct Subject {
    engine: Arc<Engine>,
    plugin: Arc<Plugin>,
    params: String,
}

impl Subject {
    /// The plugin `name` of `catalog` with `params`, a JSON document.
    pub fn new(catalog: &Catalog, name: &str, params: impl ToString) -> anyhow::Result<Self> {
        match catalog.get(&name.parse()?) {
            Some(State::Active(plugin)) => {
                Ok(Self { engine: catalog.engine().clone(), plugin, params: params.to_string() })
            }
            _ => bail!("{name} is not loaded"),
        }
    }

    /// One run from the start of the guest to its end, without its record.
    pub async fn run(&self) -> Finished {
        let now = SystemClock.now();
        let invocation = Invocation {
            run: RunId::new(now),
            mode: Mode::Check,
            trigger: Trigger::Manual.as_str(),
            started: now,
            params: self.params.clone(),
            limits: self.plugin.limits,
            grants: self.plugin.grants.clone(),
            plugin: self.plugin.context.clone(),
            cancellation: Cancellation::never(),
            observer: Arc::new(Unobserved),
            following: None,
            reel: None,
        };
        self.engine.run(&self.plugin.program, invocation).await
    }

    /// The same, and a failure unless the guest came to the verdict `ok` with `summary`.
    pub async fn succeed(&self, summary: &str) -> anyhow::Result<()> {
        match self.run().await.ending {
            Ending::Concluded(outcome) => {
                ensure!(outcome.summary == summary, "{} concluded: {}", self.plugin.metadata.name, outcome.summary);
                Ok(())
            }
            Ending::Failed(failure) => bail!("{} failed: {}", self.plugin.metadata.name, failure.message),
        }
    }

    /// The time that its runs may take.
    pub fn deadline(&self) -> std::time::Duration {
        self.plugin.limits.deadline
    }
}

/// Copies of the component `noop`, each with a name of its own and therefore a digest of its own.
pub fn variants(noop: &[u8], count: usize) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    (0..count).map(|number| variant(noop, &format!("n{number:03}"))).collect()
}

/// The name is data of the component, and so can be replaced by another of the same length.
fn variant(noop: &[u8], name: &str) -> anyhow::Result<(String, Vec<u8>)> {
    const NAME: &[u8] = b"noop";
    ensure!(name.len() == NAME.len(), "the name {name} has another length");
    let mut bytes = noop.to_vec();
    let places: Vec<_> =
        noop.windows(NAME.len()).enumerate().filter(|(_, part)| *part == NAME).map(|(at, _)| at).collect();
    ensure!(!places.is_empty(), "the component does not hold its name");
    for at in places {
        let place = bytes.get_mut(at..at + NAME.len()).context("a place beyond the end")?;
        place.copy_from_slice(name.as_bytes());
    }
    Ok((name.to_owned(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_differ_in_nothing_but_the_name() {
        let made = variants(b"\0asm noop and noop", 2).unwrap();
        assert_eq!(made[1], ("n001".to_owned(), b"\0asm n001 and n001".to_vec()));
        assert!(variants(b"\0asm", 1).is_err());
    }
}
