//! `log`, `config`, `state` and `clock`: what every plugin has and no grant is needed for.

use std::time::{Duration, Instant};

use super::RunState;
use super::bindings::paramedic::plugin::{clock, config, log, state, types};
use crate::domain::{CallError, Label, LogLevel, LogSource, PluginName};
use crate::journal::Stop;

/// Longest key of the `state` interface, in bytes.
const MAX_KEY: usize = 256;

/// A value that a plugin remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The text.
    pub value: String,
    /// Grows with every write to the key.
    pub revision: u64,
}

/// Why a plugin's memory gave no result.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The key has another revision.
    #[error("the key has another revision")]
    Conflict,
    /// The plugin has as many keys, or as long a value, as it may.
    #[error("{0}")]
    Full(String),
    /// The store does not answer.
    #[error("the store does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where the memories of plugins are kept. `app` hands in the store's.
#[async_trait::async_trait]
pub trait Memory: Send + Sync + 'static {
    /// The value of a key.
    async fn get(&self, plugin: &PluginName, key: &str) -> Result<Option<Entry>, MemoryError>;

    /// Store a value; `expected` is the revision that it replaces, 0 for none, and no condition when absent.
    async fn put(
        &self,
        plugin: &PluginName,
        key: &str,
        value: &str,
        expected: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64, MemoryError>;

    /// Forget a key. Tells whether it existed.
    async fn remove(&self, plugin: &PluginName, key: &str) -> Result<bool, MemoryError>;

    /// Keys that begin with `prefix`, in order.
    async fn keys(&self, plugin: &PluginName, prefix: &str) -> Result<Vec<String>, MemoryError>;
}

/// A memory that holds nothing and takes nothing, for instances that only describe themselves.
pub struct NoMemory;

#[async_trait::async_trait]
impl Memory for NoMemory {
    async fn get(&self, _: &PluginName, _: &str) -> Result<Option<Entry>, MemoryError> {
        Ok(None)
    }

    async fn put(
        &self,
        _: &PluginName,
        _: &str,
        _: &str,
        _: Option<u64>,
        _: Option<Duration>,
    ) -> Result<u64, MemoryError> {
        Err(MemoryError::Full("this instance has no memory".to_owned()))
    }

    async fn remove(&self, _: &PluginName, _: &str) -> Result<bool, MemoryError> {
        Ok(false)
    }

    async fn keys(&self, _: &PluginName, _: &str) -> Result<Vec<String>, MemoryError> {
        Ok(Vec::new())
    }
}

impl log::Host for RunState {
    async fn emit(&mut self, level: log::Level, message: String, fields: Vec<types::Label>) -> wasmtime::Result<()> {
        self.enter()?;
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        Ok(self.log.write(level, LogSource::Plugin, &message, fields.into_iter().map(decode_label).collect())?)
    }

    async fn progress(&mut self, done: u32, total: u32, message: String) -> wasmtime::Result<()> {
        self.enter()?;
        let fields = vec![label("done", done.to_string()), label("total", total.to_string())];
        Ok(self.log.write(LogLevel::Info, LogSource::Progress, &message, fields)?)
    }

    async fn milestone(&mut self, text: String) -> wasmtime::Result<()> {
        self.enter()?;
        Ok(self.log.write(LogLevel::Info, LogSource::Milestone, &text, vec![])?)
    }
}

impl config::Host for RunState {
    async fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.enter()?;
        let setting = self.plugin.settings.iter().find(|setting| setting.name == name);
        Ok(setting.map(|setting| setting.value.clone()))
    }

    async fn get_all(&mut self) -> wasmtime::Result<Vec<types::Label>> {
        self.enter()?;
        Ok(self.plugin.settings.iter().cloned().map(encode_label).collect())
    }
}

impl state::Host for RunState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<state::Entry>, types::Error>> {
        if let Err(spent) = self.enter_memory()? {
            return Ok(Err(spent));
        }
        if let Err(error) = check_key(&key) {
            return Ok(Err(error));
        }
        let found = self.memory.get(&self.plugin.name, &key).await;
        Ok(found
            .map(|entry| entry.map(|entry| state::Entry { value: entry.value, revision: entry.revision }))
            .map_err(memory_error))
    }

    async fn put(
        &mut self,
        key: String,
        value: String,
        ttl: Option<f64>,
    ) -> wasmtime::Result<Result<u64, types::Error>> {
        if let Err(spent) = self.enter_memory()? {
            return Ok(Err(spent));
        }
        Ok(remember(&*self.memory, &self.plugin.name, &key, &value, None, ttl).await)
    }

    async fn swap(
        &mut self,
        key: String,
        value: String,
        revision: u64,
        ttl: Option<f64>,
    ) -> wasmtime::Result<Result<u64, types::Error>> {
        if let Err(spent) = self.enter_memory()? {
            return Ok(Err(spent));
        }
        Ok(remember(&*self.memory, &self.plugin.name, &key, &value, Some(revision), ttl).await)
    }

    async fn remove(&mut self, key: String) -> wasmtime::Result<Result<bool, types::Error>> {
        if let Err(spent) = self.enter_memory()? {
            return Ok(Err(spent));
        }
        if let Err(error) = check_key(&key) {
            return Ok(Err(error));
        }
        Ok(self.memory.remove(&self.plugin.name, &key).await.map_err(memory_error))
    }

    async fn keys(&mut self, prefix: String) -> wasmtime::Result<Result<Vec<String>, types::Error>> {
        if let Err(spent) = self.enter_memory()? {
            return Ok(Err(spent));
        }
        Ok(self.memory.keys(&self.plugin.name, &prefix).await.map_err(memory_error))
    }
}

impl RunState {
    /// Let a call to the memory through. It ends in the agent's store, so that a loop over it must not go on for long.
    fn enter_memory(&mut self) -> Result<Result<(), types::Error>, Stop> {
        self.enter()?;
        Ok(self.journal.count_local()?.map_err(types::Error::from))
    }
}

async fn remember(
    memory: &dyn Memory,
    plugin: &PluginName,
    key: &str,
    value: &str,
    expected: Option<u64>,
    ttl: Option<f64>,
) -> Result<u64, types::Error> {
    check_key(key)?;
    let ttl = ttl.map(|seconds| duration("ttl", seconds)).transpose()?;
    memory.put(plugin, key, value, expected, ttl).await.map_err(memory_error)
}

impl clock::Host for RunState {
    async fn now(&mut self) -> wasmtime::Result<u64> {
        self.enter()?;
        Ok(self.plugin.clock.now().as_millis())
    }

    async fn sleep(&mut self, seconds: f64) -> wasmtime::Result<Result<(), types::Error>> {
        self.enter()?;
        let pause = match duration("duration", seconds) {
            Ok(pause) => pause,
            Err(error) => return Ok(Err(error.into())),
        };
        match Instant::now().checked_add(pause) {
            Some(end) if end < self.journal.deadline() => {
                tokio::time::sleep_until(end.into()).await;
                Ok(Ok(()))
            }
            Some(_) | None => {
                let message = format!("sleeping {seconds} s would pass the deadline of the run");
                Ok(Err(types::Error::TimedOut(message)))
            }
        }
    }

    async fn remaining(&mut self) -> wasmtime::Result<f64> {
        self.enter()?;
        Ok(self.journal.deadline().saturating_duration_since(Instant::now()).as_secs_f64())
    }
}

/// A length of time that a guest gave. Negative and non-finite ones are `invalid`, as are those no clock can hold.
pub(super) fn duration(name: &str, seconds: f64) -> Result<Duration, CallError> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| CallError::Invalid(format!("{name} is {seconds}; expected seconds, finite and not negative")))
}

fn check_key(key: &str) -> Result<(), types::Error> {
    if key.is_empty() || key.len() > MAX_KEY {
        let message = format!("a key has 1 to {MAX_KEY} bytes, not {}", key.len());
        return Err(types::Error::Invalid(message));
    }
    Ok(())
}

fn memory_error(error: MemoryError) -> types::Error {
    match error {
        MemoryError::Conflict => types::Error::Conflict(error.to_string()),
        MemoryError::Full(message) => types::Error::TooLarge(message),
        MemoryError::Unavailable(cause) => {
            tracing::warn!(%cause, "the memory of a plugin is out of reach");
            types::Error::Unavailable("the store does not answer".to_owned())
        }
    }
}

/// A label as the guest wrote it.
pub(super) fn decode_label(label: types::Label) -> Label {
    Label { name: label.name, value: label.value }
}

/// A label for the guest.
pub(super) fn encode_label(label: Label) -> types::Label {
    types::Label { name: label.name, value: label.value }
}

fn label(name: &str, value: String) -> Label {
    Label { name: name.to_owned(), value }
}
