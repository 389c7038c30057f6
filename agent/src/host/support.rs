//! `log`, `config`, `state` and `clock`: what every plugin has and no grant is needed for.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::bindings::paramedic::plugin::{clock, config, log, state, types};
use super::{PluginContext, RunState};
use crate::domain::{CallError, Label, LogLevel, LogSource, PluginName};
use crate::journal::Stop;

/// Longest key of the `state` interface, in bytes.
const MAX_KEY: usize = 256;

/// A value that a plugin remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        let found = self.remembering(
            "state/get",
            || json!({ "key": key }),
            async |shelf| {
                check_key(&key)?;
                shelf.memory.get(shelf.owner(), &key).await.map_err(memory_error)
            },
        );
        let encode = |entry: Entry| state::Entry { value: entry.value, revision: entry.revision };
        Ok(found.await?.map(|entry| entry.map(encode)).map_err(types::Error::from))
    }

    async fn put(
        &mut self,
        key: String,
        value: String,
        ttl: Option<f64>,
    ) -> wasmtime::Result<Result<u64, types::Error>> {
        let asked = || json!({ "key": key, "value": value, "ttl": ttl });
        let kept = self.remembering("state/put", asked, async |shelf| {
            remember(&*shelf.memory, shelf.owner(), &key, &value, None, ttl).await
        });
        Ok(kept.await?.map_err(types::Error::from))
    }

    async fn swap(
        &mut self,
        key: String,
        value: String,
        revision: u64,
        ttl: Option<f64>,
    ) -> wasmtime::Result<Result<u64, types::Error>> {
        let asked = || json!({ "key": key, "value": value, "revision": revision, "ttl": ttl });
        let kept = self.remembering("state/swap", asked, async |shelf| {
            remember(&*shelf.memory, shelf.owner(), &key, &value, Some(revision), ttl).await
        });
        Ok(kept.await?.map_err(types::Error::from))
    }

    async fn remove(&mut self, key: String) -> wasmtime::Result<Result<bool, types::Error>> {
        let existed = self.remembering(
            "state/remove",
            || json!({ "key": key }),
            async |shelf| {
                check_key(&key)?;
                shelf.memory.remove(shelf.owner(), &key).await.map_err(memory_error)
            },
        );
        Ok(existed.await?.map_err(types::Error::from))
    }

    async fn keys(&mut self, prefix: String) -> wasmtime::Result<Result<Vec<String>, types::Error>> {
        let keys = self.remembering(
            "state/keys",
            || json!({ "prefix": prefix }),
            async |shelf| shelf.memory.keys(shelf.owner(), &prefix).await.map_err(memory_error),
        );
        Ok(keys.await?.map_err(types::Error::from))
    }
}

/// The memory of one plugin.
struct Shelf {
    memory: Arc<dyn Memory>,
    plugin: Arc<PluginContext>,
}

impl Shelf {
    fn owner(&self) -> &PluginName {
        &self.plugin.name
    }
}

impl RunState {
    /// Carry out a call to the memory. It ends in the agent's store, so that a loop over it must not go on for long.
    async fn remembering<T, C>(
        &mut self,
        operation: &str,
        arguments: impl FnOnce() -> Value,
        call: C,
    ) -> Result<Result<T, CallError>, Stop>
    where
        T: Serialize + DeserializeOwned,
        C: AsyncFnOnce(Shelf) -> Result<T, CallError>,
    {
        self.enter()?;
        let shelf = Shelf { memory: self.memory.clone(), plugin: self.plugin.clone() };
        self.journal.local(operation, arguments, async || call(shelf).await).await
    }
}

async fn remember(
    memory: &dyn Memory,
    plugin: &PluginName,
    key: &str,
    value: &str,
    expected: Option<u64>,
    ttl: Option<f64>,
) -> Result<u64, CallError> {
    check_key(key)?;
    let ttl = ttl.map(|seconds| duration("ttl", seconds)).transpose()?;
    memory.put(plugin, key, value, expected, ttl).await.map_err(memory_error)
}

impl clock::Host for RunState {
    async fn now(&mut self) -> wasmtime::Result<u64> {
        self.enter()?;
        Ok(self.journal.now())
    }

    async fn sleep(&mut self, seconds: f64) -> wasmtime::Result<Result<(), types::Error>> {
        self.enter()?;
        let pause = match duration("duration", seconds) {
            Ok(pause) => pause,
            Err(error) => return Ok(Err(error.into())),
        };
        if self.journal.sleep(pause).await {
            return Ok(Ok(()));
        }
        let message = format!("sleeping {seconds} s would pass the deadline of the run");
        Ok(Err(types::Error::TimedOut(message)))
    }

    async fn remaining(&mut self) -> wasmtime::Result<f64> {
        self.enter()?;
        Ok(self.journal.remaining().as_secs_f64())
    }
}

/// A length of time that a guest gave. Negative and non-finite ones are `invalid`, as are those no clock can hold.
pub(super) fn duration(name: &str, seconds: f64) -> Result<Duration, CallError> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| CallError::Invalid(format!("{name} is {seconds}; expected seconds, finite and not negative")))
}

fn check_key(key: &str) -> Result<(), CallError> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(CallError::Invalid(format!("a key has 1 to {MAX_KEY} bytes, not {}", key.len())));
    }
    Ok(())
}

fn memory_error(error: MemoryError) -> CallError {
    match error {
        MemoryError::Conflict => CallError::Conflict(error.to_string()),
        MemoryError::Full(message) => CallError::TooLarge(message),
        MemoryError::Unavailable(cause) => {
            tracing::warn!(%cause, "the memory of a plugin is out of reach");
            CallError::Unavailable("the store does not answer".to_owned())
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
