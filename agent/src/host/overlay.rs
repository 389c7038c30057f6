//! The memory of a plugin while a plan is made: what the run writes, later reads of the same run see, and nobody else ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Entry, Memory, MemoryError};
use crate::domain::PluginName;

/// Most keys that a run can write. As many as a plugin can keep; a plan that wants more would fail when it is applied.
const KEYS: usize = 64;

/// What one run wrote, over what is kept.
pub(super) struct Overlay {
    kept: Arc<dyn Memory>,
    /// None for a key that the run removed.
    written: Mutex<BTreeMap<String, Option<Entry>>>,
}

impl Overlay {
    /// Nothing written yet.
    pub(super) fn new(kept: Arc<dyn Memory>) -> Self {
        Self { kept, written: Mutex::default() }
    }

    fn written(&self) -> MutexGuard<'_, BTreeMap<String, Option<Entry>>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Memory for Overlay {
    async fn get(&self, plugin: &PluginName, key: &str) -> Result<Option<Entry>, MemoryError> {
        if let Some(written) = self.written().get(key) {
            return Ok(written.clone());
        }
        self.kept.get(plugin, key).await
    }

    async fn put(
        &self,
        plugin: &PluginName,
        key: &str,
        value: &str,
        expected: Option<u64>,
        _: Option<Duration>,
    ) -> Result<u64, MemoryError> {
        let revision = self.get(plugin, key).await?.map_or(0, |entry| entry.revision);
        if expected.is_some_and(|expected| expected != revision) {
            return Err(MemoryError::Conflict);
        }
        let entry = Entry { value: value.to_owned(), revision: revision.saturating_add(1) };
        let mut written = self.written();
        if written.len() >= KEYS && !written.contains_key(key) {
            return Err(MemoryError::Full(format!("a plan writes at most {KEYS} keys")));
        }
        written.insert(key.to_owned(), Some(entry));
        Ok(revision.saturating_add(1))
    }

    async fn remove(&self, plugin: &PluginName, key: &str) -> Result<bool, MemoryError> {
        let existed = self.get(plugin, key).await?.is_some();
        if existed {
            self.written().insert(key.to_owned(), None);
        }
        Ok(existed)
    }

    async fn keys(&self, plugin: &PluginName, prefix: &str) -> Result<Vec<String>, MemoryError> {
        let mut keys = self.kept.keys(plugin, prefix).await?;
        for (key, entry) in self.written().iter().filter(|(key, _)| key.starts_with(prefix)) {
            keys.retain(|kept| kept != key);
            keys.extend(entry.is_some().then(|| key.clone()));
        }
        keys.sort_unstable();
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::NoMemory;

    #[tokio::test]
    async fn a_plan_sees_what_it_wrote_and_what_is_kept_stays() {
        let plugin: PluginName = "probe".parse().unwrap();
        let overlay = Overlay::new(Arc::new(NoMemory));
        assert_eq!(overlay.put(&plugin, "a", "1", Some(0), None).await.unwrap(), 1);
        assert!(matches!(overlay.put(&plugin, "a", "2", Some(0), None).await, Err(MemoryError::Conflict)));
        assert_eq!(overlay.put(&plugin, "a", "2", Some(1), None).await.unwrap(), 2);
        assert_eq!(overlay.get(&plugin, "a").await.unwrap().unwrap().value, "2");
        assert_eq!(overlay.keys(&plugin, "").await.unwrap(), ["a"]);
        assert!(overlay.remove(&plugin, "a").await.unwrap() && !overlay.remove(&plugin, "a").await.unwrap());
        assert!(overlay.keys(&plugin, "").await.unwrap().is_empty());
    }
}
