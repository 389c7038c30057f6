//! An engine as the agent sets it up, without the agent: programs are loaded and run on it directly.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use paramedic::clock::ManualClock;
use paramedic::domain::{
    Ending, Failure, Grant, Label, Limits, Mode, Operation, Outcome, PluginName, RunId, System, Target, Timestamp,
};
use paramedic::engine::{
    Allocation, Cancellation, Engine, Finished, Invocation, LoadError, Program, Settings, Unobserved,
};
use paramedic::host::{Entry, Memory, MemoryError, PluginContext, Targets};
use paramedic::policy::Grants;
use paramedic_tests::{components, wait};
use serde_json::Value;

/// What the clock of every stage shows.
pub const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

/// An engine and what the runs on it share.
pub struct Stage {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Where plugins remember things.
    pub shelf: Arc<Shelf>,
    slots: usize,
}

/// A program with what its runs need.
pub struct Loaded {
    /// The compiled component.
    pub program: Program,
    /// What its runs share.
    pub context: Arc<PluginContext>,
    grants: Arc<Grants>,
}

impl Stage {
    /// An engine with the agent's settings, few slots and no artefacts.
    pub fn new() -> Self {
        Self::with(&settings())
    }

    /// An engine with these settings.
    pub fn with(settings: &Settings) -> Self {
        let engine = Arc::new(Engine::new(settings).unwrap());
        Self { engine, shelf: Arc::default(), slots: settings.slots as usize }
    }

    /// Load the guest program of that name, which is also the plugin's.
    pub async fn guest(&self, name: &str) -> Loaded {
        self.try_guest(name, vec![]).await.unwrap()
    }

    /// Load the guest program of that name with these grants.
    pub async fn try_guest(&self, name: &str, grants: Vec<Grant>) -> Result<Loaded, LoadError> {
        let component = std::fs::read(components::guest(name).unwrap()).unwrap();
        self.load(name, &component, grants).await
    }

    /// Load a component.
    pub async fn load(&self, name: &str, component: &[u8], grants: Vec<Grant>) -> Result<Loaded, LoadError> {
        let name: PluginName = name.parse().unwrap();
        let grants = Arc::new(Grants::new(name.clone(), grants));
        let program = self.engine.load(Arc::from(component), &grants, &name).await?;
        Ok(Loaded { program, context: Arc::new(self.context(name)), grants })
    }

    fn context(&self, name: PluginName) -> PluginContext {
        PluginContext {
            name,
            settings: vec![Label { name: "team".to_owned(), value: "storage".to_owned() }],
            memory: self.shelf.clone(),
            targets: Arc::new(Targets::default()),
            clock: Arc::new(ManualClock::at(NOW)),
            io: tokio::runtime::Handle::current(),
        }
    }

    /// Run a program to its end.
    pub async fn run(&self, loaded: &Loaded, params: &Value, limits: Limits) -> Finished {
        let invocation = Invocation {
            run: RunId::new(loaded.context.clock.now()),
            mode: Mode::Check,
            trigger: "manual",
            started: loaded.context.clock.now(),
            params: params.to_string(),
            limits,
            grants: loaded.grants.clone(),
            plugin: loaded.context.clone(),
            cancellation: Cancellation::never(),
            observer: Arc::new(Unobserved),
            following: None,
            reel: None,
        };
        self.engine.run(&loaded.program, invocation).await
    }

    /// Wait until exactly so many runs hold a slot.
    pub async fn until_running(&self, runs: usize) {
        let what = format!("{runs} runs under way");
        let free = self.slots - runs;
        wait::until_async(&what, async || Ok((self.engine.free_slots() == free).then_some(()))).await.unwrap();
    }

    /// Wait until `condition` holds.
    pub async fn until(&self, what: &str, condition: impl AsyncFn(&Self) -> bool) {
        wait::until_async(what, async || Ok(condition(self).await.then_some(()))).await.unwrap();
    }

    /// Runs that hold a slot.
    pub fn running(&self) -> usize {
        self.slots - self.engine.free_slots()
    }
}

/// The settings of [`Stage::new`].
pub fn settings() -> Settings {
    Settings { slots: 16, threads: 2, cache: None, allocation: Allocation::Pooled }
}

/// The usual limits with that deadline.
pub fn limits(deadline: Duration) -> Limits {
    Limits { deadline, ..Limits::DEFAULT }
}

/// One line of grants on the Postgres target `main`.
pub fn postgres(operations: &[Operation]) -> Vec<Grant> {
    let target = Target { system: System::Postgres, name: "main".parse().unwrap() };
    vec![Grant {
        target,
        operations: operations.to_vec(),
        keys: vec![],
        paths: vec![],
        resources: vec![],
        changes: paramedic::domain::ChangeBounds::default(),
    }]
}

/// The verdict of a run that has to have one.
pub fn verdict(finished: Finished) -> Outcome {
    match finished.ending {
        Ending::Concluded(outcome) => outcome,
        Ending::Failed(failure) => panic!("{}: {}", failure.kind.as_str(), failure.message),
    }
}

/// The failure of a run that has to fail.
pub fn failure(finished: Finished) -> Failure {
    match finished.ending {
        Ending::Failed(failure) => failure,
        Ending::Concluded(outcome) => panic!("it concluded: {}", outcome.summary),
    }
}

/// The details of a verdict, which guest programs write as JSON.
pub fn details(finished: Finished) -> Value {
    serde_json::from_str(&verdict(finished).details.unwrap()).unwrap()
}

/// A memory of plugins that lasts as long as the test, and counts what is written.
#[derive(Default)]
pub struct Shelf {
    entries: Mutex<BTreeMap<(PluginName, String), Entry>>,
    writes: AtomicU64,
}

impl Shelf {
    /// Writes so far.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Memory for Shelf {
    async fn get(&self, plugin: &PluginName, key: &str) -> Result<Option<Entry>, MemoryError> {
        Ok(self.entries.lock().unwrap().get(&(plugin.clone(), key.to_owned())).cloned())
    }

    async fn put(
        &self,
        plugin: &PluginName,
        key: &str,
        value: &str,
        expected: Option<u64>,
        _: Option<Duration>,
    ) -> Result<u64, MemoryError> {
        let revision = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        let mut entries = self.entries.lock().unwrap();
        let place = (plugin.clone(), key.to_owned());
        let current = entries.get(&place).map_or(0, |entry| entry.revision);
        if expected.is_some_and(|expected| expected != current) {
            return Err(MemoryError::Conflict);
        }
        entries.insert(place, Entry { value: value.to_owned(), revision });
        Ok(revision)
    }

    async fn remove(&self, plugin: &PluginName, key: &str) -> Result<bool, MemoryError> {
        Ok(self.entries.lock().unwrap().remove(&(plugin.clone(), key.to_owned())).is_some())
    }

    async fn keys(&self, plugin: &PluginName, prefix: &str) -> Result<Vec<String>, MemoryError> {
        let entries = self.entries.lock().unwrap();
        let mine = entries.keys().filter(|(owner, key)| owner == plugin && key.starts_with(prefix));
        Ok(mine.map(|(_, key)| key.clone()).collect())
    }
}
