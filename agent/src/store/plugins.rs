//! What is kept of plugins: their components, the versions that were admitted, which of them runs, and quarantines.
//!
//! [`PluginStore`] is a trait of its own, beside [`super::Store`], because who runs plugins needs nothing of runs. What
//! may be admitted and when is decided elsewhere; here it is written down so that the next start finds it.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;

use super::{SqliteStore, StoreError, components, versions};
use crate::domain::{Arrival, Digest, PluginName, Timestamp};

/// Where versions of plugins are kept.
#[async_trait]
pub trait PluginStore: Send + Sync + 'static {
    /// Everything that is kept of one plugin, without the components themselves.
    async fn kept_plugin(&self, plugin: &PluginName) -> Result<KeptPlugin, StoreError>;

    /// The bytes of a component; none when it is not kept. What is given has this digest.
    async fn component(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keep a version with its component and make it the active one, all or nothing. Versions beyond `bounds` are removed,
    /// the oldest first, but never the active one and the one before it. Nothing waits any more afterwards.
    ///
    /// A version of that name is replaced; whether it may be is for the caller to judge.
    async fn keep_active(
        &self,
        plugin: &PluginName,
        version: KeptVersion,
        component: Arc<[u8]>,
        bounds: KeepBounds,
    ) -> Result<(), StoreError>;

    /// Keep a component that asks for more than its grants, instead of one that waited before.
    async fn keep_waiting(&self, plugin: &PluginName, waiting: Waiting, component: Arc<[u8]>)
    -> Result<(), StoreError>;

    /// Make a kept version the active one. `delivered` is what the file or the folder brought, if that is why. Fails with
    /// `UnknownVersion` when it is not kept.
    async fn activate(
        &self,
        plugin: &PluginName,
        version: &semver::Version,
        delivered: Option<Digest>,
    ) -> Result<(), StoreError>;

    /// Forget a version that is not active. Returns whether it was there.
    async fn forget_version(&self, plugin: &PluginName, version: &semver::Version) -> Result<bool, StoreError>;

    /// Forget what waits. Returns whether something did.
    async fn forget_waiting(&self, plugin: &PluginName) -> Result<bool, StoreError>;

    /// Remember that a plugin is in quarantine, or with none that it is not.
    async fn set_quarantine(&self, plugin: &PluginName, quarantine: Option<KeptQuarantine>) -> Result<(), StoreError>;
}

/// A version that passed every step.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptVersion {
    /// Its version.
    pub version: semver::Version,
    /// Where it came from and what it is.
    pub arrival: Arrival,
}

/// A component that waits for its grants.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Its version, as far as it is known.
    pub version: Option<semver::Version>,
    /// Where it came from and what it is.
    pub arrival: Arrival,
    /// What it lacks, with the lines to add.
    pub reason: String,
}

/// Everything that is kept of one plugin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptPlugin {
    /// The versions, the newest first.
    pub versions: Vec<KeptVersion>,
    /// The one that runs.
    pub active: Option<semver::Version>,
    /// The one that ran before it.
    pub previous: Option<semver::Version>,
    /// What waits for its grants.
    pub waiting: Option<Waiting>,
    /// What the file or the folder brought last and became active.
    pub delivered: Option<Digest>,
    /// The quarantine that it is in.
    pub quarantine: Option<KeptQuarantine>,
}

impl KeptPlugin {
    /// The kept version of that name.
    pub fn version(&self, version: &semver::Version) -> Option<&KeptVersion> {
        self.versions.iter().find(|kept| kept.version == *version)
    }

    /// The version that runs, if it is kept.
    pub fn active_version(&self) -> Option<&KeptVersion> {
        self.active.as_ref().and_then(|version| self.version(version))
    }
}

/// How much is kept of one plugin beside its active version and the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepBounds {
    /// Most versions, those two included.
    pub versions: usize,
    /// Most bytes of their components, those two included.
    pub bytes: u64,
}

/// A quarantine as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptQuarantine {
    /// The component that it is about.
    pub digest: Digest,
    /// When it began.
    pub since: Timestamp,
    /// When a run is tried again.
    pub until: Timestamp,
    /// How many times in a row it was quarantined.
    pub round: u32,
    /// Why.
    pub reason: String,
}

#[async_trait]
impl PluginStore for SqliteStore {
    async fn kept_plugin(&self, plugin: &PluginName) -> Result<KeptPlugin, StoreError> {
        let plugin = plugin.clone();
        self.readers.read(move |db| versions::kept(db, &plugin)).await
    }

    async fn component(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.readers.read(move |db| components::load(db, &digest)).await
    }

    async fn keep_active(
        &self,
        plugin: &PluginName,
        version: KeptVersion,
        component: Arc<[u8]>,
        bounds: KeepBounds,
    ) -> Result<(), StoreError> {
        let row = versions::Row::of_version(plugin, version)?;
        self.keep(component, row.digest(), move |db| versions::keep_active(db, &row, bounds)).await
    }

    async fn keep_waiting(
        &self,
        plugin: &PluginName,
        waiting: Waiting,
        component: Arc<[u8]>,
    ) -> Result<(), StoreError> {
        let (row, reason) = (versions::Row::of_waiting(plugin, &waiting)?, waiting.reason);
        self.keep(component, row.digest(), move |db| versions::keep_waiting(db, &row, &reason)).await
    }

    async fn activate(
        &self,
        plugin: &PluginName,
        version: &semver::Version,
        delivered: Option<Digest>,
    ) -> Result<(), StoreError> {
        let (plugin, version) = (plugin.clone(), version.to_string());
        self.writer.write_patiently(move |db| versions::activate(db, &plugin, &version, delivered)).await
    }

    async fn forget_version(&self, plugin: &PluginName, version: &semver::Version) -> Result<bool, StoreError> {
        let (plugin, version) = (plugin.clone(), version.to_string());
        let _keeping = self.keeping.lock().await;
        self.writer.write_patiently(move |db| versions::forget(db, &plugin, &version)).await
    }

    async fn forget_waiting(&self, plugin: &PluginName) -> Result<bool, StoreError> {
        let plugin = plugin.clone();
        let _keeping = self.keeping.lock().await;
        self.writer.write_patiently(move |db| versions::forget_waiting(db, &plugin)).await
    }

    async fn set_quarantine(&self, plugin: &PluginName, quarantine: Option<KeptQuarantine>) -> Result<(), StoreError> {
        let plugin = plugin.clone();
        self.writer.write_patiently(move |db| versions::set_quarantine(db, &plugin, quarantine.as_ref())).await
    }
}

impl SqliteStore {
    /// Write the parts of a component in transactions of their own, then let `record` refer to it.
    ///
    /// Only one component is written at a time: the parts of another, to which nothing refers yet, would be taken for
    /// those that a crash left behind.
    async fn keep(
        &self,
        component: Arc<[u8]>,
        digest: Digest,
        mut record: impl FnMut(&Connection) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let _keeping = self.keeping.lock().await;
        let size = component.len();
        for part in components::parts(size) {
            let component = Arc::clone(&component);
            self.writer
                .write_patiently(move |db| components::write_part(db, &digest, &part, component.get(part.bytes())))
                .await?;
        }
        let complete = move |db: &Connection| {
            components::complete(db, &digest, size)?;
            record(db)?;
            components::forget_unused(db)
        };
        self.writer.write_patiently(complete).await
    }
}

/// Keeps nothing: for whoever only looks at plugins.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepsNothing;

#[async_trait]
impl PluginStore for KeepsNothing {
    async fn kept_plugin(&self, _: &PluginName) -> Result<KeptPlugin, StoreError> {
        Ok(KeptPlugin::default())
    }

    async fn component(&self, _: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    async fn keep_active(&self, _: &PluginName, _: KeptVersion, _: Arc<[u8]>, _: KeepBounds) -> Result<(), StoreError> {
        Ok(())
    }

    async fn keep_waiting(&self, _: &PluginName, _: Waiting, _: Arc<[u8]>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn activate(
        &self,
        plugin: &PluginName,
        version: &semver::Version,
        _: Option<Digest>,
    ) -> Result<(), StoreError> {
        Err(StoreError::UnknownVersion { plugin: plugin.clone(), version: version.to_string() })
    }

    async fn forget_version(&self, _: &PluginName, _: &semver::Version) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn forget_waiting(&self, _: &PluginName) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn set_quarantine(&self, _: &PluginName, _: Option<KeptQuarantine>) -> Result<(), StoreError> {
        Ok(())
    }
}
