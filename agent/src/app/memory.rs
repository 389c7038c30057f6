//! Hands the store to the host as the memory of plugins: the two do not know each other.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::PluginName;
use crate::host::{Entry, Memory, MemoryError};
use crate::store::{Store, StoreError};

/// The memories of plugins in the store.
pub(super) struct StoreMemory(pub(super) Arc<dyn Store>);

#[async_trait::async_trait]
impl Memory for StoreMemory {
    async fn get(&self, plugin: &PluginName, key: &str) -> Result<Option<Entry>, MemoryError> {
        let entry = self.0.state_get(plugin, key).await.map_err(memory_error)?;
        Ok(entry.map(|entry| Entry { value: entry.value, revision: entry.revision }))
    }

    async fn put(
        &self,
        plugin: &PluginName,
        key: &str,
        value: &str,
        expected: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64, MemoryError> {
        let value = value.to_owned();
        match expected {
            None => self.0.state_put(plugin, key, value, ttl).await,
            Some(revision) => self.0.state_swap(plugin, key, value, revision, ttl).await,
        }
        .map_err(memory_error)
    }

    async fn remove(&self, plugin: &PluginName, key: &str) -> Result<bool, MemoryError> {
        self.0.state_remove(plugin, key).await.map_err(memory_error)
    }

    async fn keys(&self, plugin: &PluginName, prefix: &str) -> Result<Vec<String>, MemoryError> {
        self.0.state_keys(plugin, prefix).await.map_err(memory_error)
    }
}

fn memory_error(error: StoreError) -> MemoryError {
    match error {
        StoreError::Conflict { .. } => MemoryError::Conflict,
        StoreError::StateFull(_) | StoreError::Invalid(_) => MemoryError::Full(error.to_string()),
        other => MemoryError::Unavailable(Box::new(other)),
    }
}
