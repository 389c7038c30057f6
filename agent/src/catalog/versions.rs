//! The versions of a plugin: what comes in, which one runs, what waits and what was refused.
//!
//! One delivery of a plugin at a time. A version that passes every step is kept in the store first and runs then, so
//! that what was told to be active is active after the next start too. Runs under way keep the version that they began
//! with: they hold it themselves.

use std::sync::Arc;

use super::diff::Diff;
use super::intake::{self, Delivery, Seen};
use super::which::{Found, find};
use super::{
    Became, Candidate, Catalog, Component, Delivered, Plugin, PluginError, Slot, Source, State, Step, Undelivered,
    Which,
};
use crate::domain::{Actor, Arrival, Digest, Origin, PluginName};
use crate::store::{KeptPlugin, KeptVersion, StoreError, Waiting};

/// Most candidates that are told of one plugin.
const MAX_CANDIDATES: usize = 5;

impl Catalog {
    /// Take a component in, and let it run if it passes every step.
    pub async fn deliver(&self, name: &PluginName, delivery: Delivery) -> Result<Delivered, Undelivered> {
        let slot = &self.slot(name)?;
        slot.refuse_other_source(delivery.origin)?;
        let _turn = slot.turn.lock().await;
        let kept = self.kept_for(slot, delivery.origin).await?;
        self.bring(slot, &kept, &delivery).await
    }

    /// Ask whether versions of a plugin may be pushed at all, before anything of one is looked at.
    pub fn takes_uploads(&self, name: &PluginName) -> Result<(), Undelivered> {
        self.slot(name)?.refuse_other_source(Origin::Upload)
    }

    /// Look at what is kept. Only an upload depends on it: a file or a folder is still there tomorrow.
    pub(super) async fn kept_for(&self, slot: &Slot, origin: Origin) -> Result<KeptPlugin, StoreError> {
        match (self.intake.store.kept_plugin(&slot.name).await, origin) {
            (Ok(kept), _) => Ok(kept),
            (Err(error), Origin::Upload) => Err(error),
            (Err(error), Origin::File | Origin::Folder) => {
                tracing::warn!(plugin.name = %slot.name, %error, "what is kept of a plugin cannot be read");
                Ok(KeptPlugin::default())
            }
        }
    }

    pub(super) async fn bring(
        &self,
        slot: &Slot,
        kept: &KeptPlugin,
        delivery: &Delivery,
    ) -> Result<Delivered, Undelivered> {
        let mut seen = Seen::default();
        match self.pass(slot, kept, delivery, &mut seen).await {
            Ok(delivered) => Ok(delivered),
            Err(Stopped::At(error)) if error.asks_for_more() => {
                self.refuse_other_bytes(slot, kept, delivery, &seen)
                    .inspect_err(|twin| self.show_twin(slot, delivery, &seen, twin))?;
                self.wait(slot, delivery, &seen, error).await
            }
            Err(Stopped::At(error)) => Err(self.refuse(slot, delivery, &seen, error)),
            Err(Stopped::Otherwise(undelivered)) => {
                if let Undelivered::Exists { .. } = undelivered {
                    self.show_twin(slot, delivery, &seen, &undelivered);
                }
                Err(undelivered)
            }
        }
    }

    /// An upload that was not received whole is shown as one that was and did not pass.
    pub fn not_received(&self, name: &PluginName, version: Option<semver::Version>, actor: Actor, error: PluginError) {
        let Some(slot) = &self.find(name) else { return };
        let delivery = Delivery {
            component: Component::default(),
            signature: None,
            version: version.clone(),
            digest: None,
            origin: Origin::Upload,
            actor: Some(actor),
        };
        drop(self.refuse(slot, &delivery, &Seen { version, ..Seen::default() }, error));
    }

    /// Other bytes under a version that is kept: nobody's component is at fault, but it has to be seen.
    fn show_twin(&self, slot: &Slot, delivery: &Delivery, seen: &Seen, undelivered: &Undelivered) {
        self.intake.metrics.version_refused(&slot.name, Step::Identity.as_str());
        slot.add_candidate(Candidate {
            version: seen.version.clone(),
            digest: seen.digest,
            origin: delivery.origin,
            actor: delivery.actor.clone(),
            at: self.clock.now(),
            step: Step::Identity,
            waits: false,
            reason: undelivered.to_string(),
        });
    }

    async fn pass(
        &self,
        slot: &Slot,
        kept: &KeptPlugin,
        delivery: &Delivery,
        seen: &mut Seen,
    ) -> Result<Delivered, Stopped> {
        let entry = &*slot.entry();
        let identified = intake::identify(&self.engine, entry, self.intake.max_component_bytes, delivery, seen).await?;
        if let Some(known) = self.known_already(slot, kept, delivery, seen, identified.digest).await? {
            return Ok(known);
        }
        self.refuse_other_bytes(slot, kept, delivery, seen)?;
        let plugin = intake::admit(&self.engine, &self.surroundings(), entry, delivery, &identified, seen).await?;
        self.refuse_other_bytes(slot, kept, delivery, seen)?;
        let version = plugin.metadata.version.clone();
        let keep = self.keep(slot, kept, delivery, seen, &version, identified.digest).await;
        match (keep, delivery.origin) {
            (Ok(()), _) => {}
            (Err(error), Origin::Upload) => return Err(Undelivered::Store(error).into()),
            (Err(error), Origin::File | Origin::Folder) => {
                tracing::warn!(plugin.name = %entry.name, %error, "a version runs and is not kept");
            }
        }
        slot.forget_waiting();
        self.intake.metrics.version_waits(&entry.name, false);
        let previous = self.install(slot, plugin).await;
        let digest = identified.digest;
        Ok(Delivered { became: Became::Active, version: Some(version), digest, previous, reason: None })
    }

    /// What these very bytes are already, if nothing is to be done about them.
    async fn known_already(
        &self,
        slot: &Slot,
        kept: &KeptPlugin,
        delivery: &Delivery,
        seen: &Seen,
        digest: Digest,
    ) -> Result<Option<Delivered>, Stopped> {
        // Without one that runs, also known bytes are welcome.
        let Some(active) = slot.active() else { return Ok(None) };
        let is_from_disk = delivery.origin != Origin::Upload;
        let known = kept.versions.iter().find(|version| version.arrival.digest == digest);
        let (became, version) = if active.digest == digest {
            // Another signature counts from now on: the key of the one before may be about to go.
            if seen.signer.is_some() && known.is_some_and(|known| known.arrival.signature != delivery.signature) {
                return Ok(None);
            }
            if is_from_disk && kept.delivered != Some(digest) {
                self.note_delivery(slot, &active, digest).await;
            }
            (Became::Unchanged, active.metadata.version.clone())
        } else {
            match known {
                // A person went back to another version; that holds until something else lies there.
                Some(known) if is_from_disk && kept.delivered == Some(digest) => (Became::Kept, known.version.clone()),
                Some(known) if !is_from_disk => (Became::Kept, known.version.clone()),
                Some(_) | None => return Ok(None),
            }
        };
        if let Some(declared) = delivery.version.clone().filter(|declared| *declared != version) {
            return Err(PluginError::OtherVersion { declared, described: version }.into());
        }
        Ok(Some(Delivered { became, version: Some(version), digest, previous: None, reason: None }))
    }

    async fn note_delivery(&self, slot: &Slot, active: &Plugin, digest: Digest) {
        let (store, name) = (&self.intake.store, &slot.name);
        match store.activate(name, &active.metadata.version, Some(digest)).await {
            Ok(()) | Err(StoreError::UnknownVersion { .. }) => {}
            Err(error) => tracing::warn!(plugin.name = %name, %error, "a delivery is not noted"),
        }
    }

    /// A version means the same bytes for ever. Only the file that the configuration names may change as it likes: whoever
    /// builds a plugin beside an agent would otherwise have to count up for each attempt.
    fn refuse_other_bytes(
        &self,
        slot: &Slot,
        kept: &KeptPlugin,
        delivery: &Delivery,
        seen: &Seen,
    ) -> Result<(), Undelivered> {
        let known = seen.version.as_ref().and_then(|version| kept.version(version));
        match known {
            Some(known) if seen.digest != Some(known.arrival.digest) && delivery.origin != Origin::File => {
                let (version, digest) = (known.version.clone(), known.arrival.digest);
                Err(Undelivered::Exists { name: slot.name.clone(), version, digest })
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn keep(
        &self,
        slot: &Slot,
        kept: &KeptPlugin,
        delivery: &Delivery,
        seen: &Seen,
        version: &semver::Version,
        digest: Digest,
    ) -> Result<(), StoreError> {
        let (store, name) = (&self.intake.store, &slot.name);
        let same = |known: &KeptVersion| {
            let signed_alike = seen.signer.is_none() || known.arrival.signature == delivery.signature;
            known.arrival.digest == digest && signed_alike
        };
        if kept.version(version).is_some_and(same) {
            let delivered = (delivery.origin != Origin::Upload).then_some(digest);
            return store.activate(name, version, delivered).await;
        }
        let arrival = self.arrival(delivery, seen, digest);
        let version = KeptVersion { version: version.clone(), arrival };
        store.keep_active(name, version, delivery.component.bytes(), self.intake.keep).await
    }

    fn arrival(&self, delivery: &Delivery, seen: &Seen, digest: Digest) -> Arrival {
        Arrival {
            digest,
            size: delivery.component.len() as u64,
            origin: delivery.origin,
            actor: delivery.actor.clone(),
            signer: seen.signer.clone(),
            signature: delivery.signature.clone(),
            at: self.clock.now(),
            profile: seen.profile.clone(),
        }
    }

    /// Let a plugin run from now on. Tells the version that ran until now, if that is another one.
    pub(super) async fn install(&self, slot: &Slot, plugin: Plugin) -> Option<semver::Version> {
        let name = &slot.name;
        let before = slot.active();
        tracing::info!(
            plugin.name = %name, plugin.version = %plugin.metadata.version, plugin.digest = %plugin.digest,
            origin = plugin.origin.as_str(), actor = plugin.actor.as_ref().map(|actor| actor.0.as_str()),
            signer = plugin.signer.as_deref(), "plugin is active"
        );
        let is_other = before.as_ref().is_none_or(|before| before.digest != plugin.digest);
        if is_other {
            self.intake.metrics.version_activated(name, plugin.origin);
        }
        let version = plugin.metadata.version.clone();
        slot.set(State::Active(Arc::new(plugin)));
        slot.forget_refusals();
        // What the former component did is no fault of this one.
        if is_other && slot.quarantine().forgive() {
            self.remember_quarantine(slot).await;
        }
        before.map(|before| before.metadata.version.clone()).filter(|before| *before != version)
    }

    /// Keep a component that only lacks lines of grants, and show it with them.
    async fn wait(
        &self,
        slot: &Slot,
        delivery: &Delivery,
        seen: &Seen,
        error: PluginError,
    ) -> Result<Delivered, Undelivered> {
        let (name, reason) = (&slot.name, error.chain());
        let digest = seen.digest.unwrap_or_else(|| delivery.component.digest());
        // A file and a folder keep theirs themselves.
        if delivery.origin == Origin::Upload {
            let arrival = self.arrival(delivery, seen, digest);
            let waiting = Waiting { version: seen.version.clone(), arrival, reason: reason.clone() };
            self.intake.store.keep_waiting(name, waiting, delivery.component.bytes()).await?;
        }
        tracing::warn!(plugin.name = %name, %reason, "a version waits for its grants");
        self.intake.metrics.version_refused(name, error.step().as_str());
        self.intake.metrics.version_waits(name, true);
        slot.add_candidate(self.candidate(delivery, seen, &error));
        slot.fail_unless_active(Arc::new(error));
        let version = seen.version.clone();
        Ok(Delivered { became: Became::Waiting, version, digest, previous: None, reason: Some(reason) })
    }

    fn refuse(&self, slot: &Slot, delivery: &Delivery, seen: &Seen, error: PluginError) -> Undelivered {
        let name = slot.name.clone();
        tracing::warn!(
            plugin.name = %name, step = error.step().as_str(), error = error.chain(), "a version is refused"
        );
        self.intake.metrics.version_refused(&name, error.step().as_str());
        slot.add_candidate(self.candidate(delivery, seen, &error));
        let error = Arc::new(error);
        slot.fail_unless_active(error.clone());
        Undelivered::Refused { name, version: seen.version.clone(), error }
    }

    fn candidate(&self, delivery: &Delivery, seen: &Seen, error: &PluginError) -> Candidate {
        Candidate {
            version: seen.version.clone(),
            digest: seen.digest,
            origin: delivery.origin,
            actor: delivery.actor.clone(),
            at: self.clock.now(),
            step: error.step(),
            waits: error.asks_for_more(),
            reason: error.chain(),
        }
    }

    /// A file or folder brings nothing that could be looked at.
    pub(super) fn unreadable(&self, slot: &Slot, origin: Origin, error: PluginError) {
        let delivery = Delivery {
            component: Component::default(),
            signature: None,
            version: None,
            digest: None,
            origin,
            actor: None,
        };
        drop(self.refuse(slot, &delivery, &Seen::default(), error));
    }

    /// Let a kept version run: a newer one, or an older one again.
    pub async fn activate(&self, name: &PluginName, which: &Which, actor: &Actor) -> Result<Delivered, Undelivered> {
        let slot = &self.slot(name)?;
        let _turn = slot.turn.lock().await;
        let kept = self.intake.store.kept_plugin(name).await?;
        match find(name, &kept, which)? {
            Found::Waiting(waiting) => {
                let delivery = self.stored(slot, &waiting.arrival, waiting.version.as_ref()).await?;
                let gone = PluginError::Gone { digest: waiting.arrival.digest };
                let delivery = delivery.ok_or_else(|| unfit(name, waiting.version.as_ref(), gone))?;
                self.bring(slot, &kept, &delivery).await
            }
            Found::Kept(version) => {
                let (number, digest) = (version.version.clone(), version.arrival.digest);
                let same = slot.active().is_some_and(|active| active.digest == digest);
                if same && kept.active.as_ref() == Some(&number) {
                    return Ok(Delivered {
                        became: Became::Unchanged,
                        version: Some(number),
                        digest,
                        previous: None,
                        reason: None,
                    });
                }
                let plugin = self.judge_again(slot, version, None).await.map_err(|stopped| match stopped {
                    Stopped::At(error) => unfit(name, Some(&number), error),
                    Stopped::Otherwise(error) => error,
                })?;
                self.intake.store.activate(name, &number, None).await?;
                tracing::info!(plugin.name = %name, plugin.version = %number, by = actor.0, "a version is activated by hand");
                let previous = self.install(slot, plugin).await;
                Ok(Delivered { became: Became::Active, version: Some(number), digest, previous, reason: None })
            }
        }
    }

    /// Forget a kept version, or what waits.
    pub async fn forget(&self, name: &PluginName, which: &Which, actor: &Actor) -> Result<(), Undelivered> {
        let slot = &self.slot(name)?;
        let _turn = slot.turn.lock().await;
        let kept = self.intake.store.kept_plugin(name).await?;
        match find(name, &kept, which)? {
            Found::Waiting(_) => {
                self.intake.store.forget_waiting(name).await?;
                slot.forget_waiting();
                self.intake.metrics.version_waits(name, false);
            }
            Found::Kept(version) => {
                let version = version.version.clone();
                let runs = slot.active().is_some_and(|active| active.metadata.version == version);
                if runs || kept.active.as_ref() == Some(&version) {
                    return Err(Undelivered::InUse { name: name.clone(), version });
                }
                self.intake.store.forget_version(name, &version).await?;
            }
        }
        tracing::info!(plugin.name = %name, plugin.version = %which, by = actor.0, "a version is forgotten by hand");
        Ok(())
    }

    /// Everything that is kept of a plugin.
    pub async fn versions(&self, name: &PluginName) -> Result<KeptPlugin, Undelivered> {
        self.slot(name)?;
        Ok(self.intake.store.kept_plugin(name).await?)
    }

    /// The component of a version that is kept, or waits, with its digest.
    pub async fn component(&self, name: &PluginName, which: &Which) -> Result<(Digest, Vec<u8>), Undelivered> {
        self.slot(name)?;
        let kept = self.intake.store.kept_plugin(name).await?;
        let digest = find(name, &kept, which)?.arrival().digest;
        let gone = || unfit(name, None, PluginError::Gone { digest });
        let bytes = self.intake.store.component(digest).await?;
        Ok((digest, bytes.ok_or_else(gone)?))
    }

    /// What is different in `to`, seen from `from`.
    pub async fn diff(&self, name: &PluginName, from: &Which, to: &Which) -> Result<Diff, Undelivered> {
        let entry = self.slot(name)?.entry();
        let kept = self.intake.store.kept_plugin(name).await?;
        let number = |found: &Found<'_>| match found {
            Found::Kept(kept) => Some(kept.version.clone()),
            Found::Waiting(waiting) => waiting.version.clone(),
        };
        let (from, to) = (find(name, &kept, from)?, find(name, &kept, to)?);
        Ok(Diff::between((number(&from), from.arrival()), (number(&to), to.arrival()), &entry.grants))
    }

    pub(super) fn slot(&self, name: &PluginName) -> Result<Arc<Slot>, Undelivered> {
        self.find(name).ok_or_else(|| Undelivered::UnknownPlugin { name: name.clone() })
    }
}

fn unfit(name: &PluginName, version: Option<&semver::Version>, error: PluginError) -> Undelivered {
    Undelivered::Refused { name: name.clone(), version: version.cloned(), error: Arc::new(error) }
}

/// Why a component goes no further.
pub(super) enum Stopped {
    /// It did not pass a step.
    At(PluginError),
    /// Something else is in the way.
    Otherwise(Undelivered),
}

impl From<PluginError> for Stopped {
    fn from(error: PluginError) -> Self {
        Self::At(error)
    }
}

impl From<Undelivered> for Stopped {
    fn from(undelivered: Undelivered) -> Self {
        Self::Otherwise(undelivered)
    }
}

impl Slot {
    fn refuse_other_source(&self, origin: Origin) -> Result<(), Undelivered> {
        let source_in_words = match (&self.entry().source, origin) {
            (Source::Upload, Origin::Upload) | (Source::Folder, Origin::Folder) | (Source::File(_), Origin::File) => {
                return Ok(());
            }
            (Source::File(_), Origin::Folder | Origin::Upload) => "a file",
            (Source::Folder, Origin::File | Origin::Upload) => "the watched folder",
            (Source::Upload, Origin::File | Origin::Folder) => "uploads",
        };
        Err(Undelivered::OtherSource { name: self.name.clone(), source_in_words, wanted: origin })
    }

    fn add_candidate(&self, candidate: Candidate) {
        let mut candidates = self.candidates();
        // A newer one that waits takes the place of the older, and the same one again that of itself.
        candidates.retain(|known| {
            !(known.waits && candidate.waits) && known.digest.is_none_or(|d| Some(d) != candidate.digest)
        });
        candidates.push_front(candidate);
        candidates.truncate(MAX_CANDIDATES);
    }

    fn forget_refusals(&self) {
        self.candidates().retain(|candidate| candidate.waits);
    }

    fn forget_waiting(&self) {
        self.candidates().retain(|candidate| !candidate.waits);
    }

    fn fail_unless_active(&self, error: Arc<PluginError>) {
        if self.active().is_none() {
            self.set(State::Failed(error));
        }
    }
}
