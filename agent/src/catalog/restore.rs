//! What comes back: at a start, and when another configuration is in force.
//!
//! A kept version goes all the way again, because grants, keys and limits may be others than when it came. What a file holds
//! is looked at afterwards, and takes the place of what was kept if it passes.

use std::sync::Arc;

use super::intake::{self, Delivery, Seen};
use super::versions::Stopped;
use super::{Catalog, Component, Plugin, PluginError, Slot, Source, State, Undelivered};
use crate::domain::{Arrival, Origin};
use crate::store::{KeptPlugin, KeptVersion};

impl Catalog {
    /// Bring back what ran before the agent ended, and what is new in the file.
    pub(super) async fn load(&self, slot: &Slot) {
        let _turn = slot.turn.lock().await;
        self.load_in_turn(slot).await;
    }

    /// The same for whoever holds the turn. What runs already is judged again, and does not go on where that fails: its
    /// grants may be fewer than they were.
    pub(super) async fn load_in_turn(&self, slot: &Slot) {
        let former = slot.active();
        // Only an upload asks the store in vain.
        let kept = self.kept_for(slot, Origin::File).await.unwrap_or_default();
        let in_file = self.in_file(slot).await;
        let at_hand = in_file.as_ref().and_then(|read| read.as_ref().ok());
        let problem = self.restore(slot, &kept, at_hand).await;
        if former.is_some_and(|former| slot.active().is_some_and(|active| Arc::ptr_eq(&active, &former))) {
            slot.set(State::Loading);
        }
        self.take_from_file(slot, &kept, in_file).await;
        match (slot.state(), problem) {
            (State::Active(_), _) => {}
            // That what was active does not run is told before what is wrong with a later one.
            (_, Some(error)) => slot.set(State::Failed(Arc::new(error))),
            (State::Loading, None) => slot.set(State::Absent),
            (State::Failed(_) | State::Absent, None) => {}
        }
        if let State::Failed(error) = slot.state() {
            tracing::error!(plugin.name = %slot.name, error = error.chain(), "plugin cannot run");
        }
    }

    /// Look whether the file of a plugin holds something else by now.
    pub(super) async fn look_into_file(&self, slot: &Slot) {
        if let Some(read) = self.in_file(slot).await {
            let kept = self.kept_for(slot, Origin::File).await.unwrap_or_default();
            self.take_from_file(slot, &kept, Some(read)).await;
        }
    }

    async fn in_file(&self, slot: &Slot) -> Option<Result<Delivery, PluginError>> {
        match &slot.entry().source {
            Source::File(file) => {
                let (file, max_bytes) = (file.clone(), self.intake.max_component_bytes);
                let read = self.engine.aside(move || intake::from_file(&file, max_bytes)).await;
                Some(read.unwrap_or_else(|error| Err(PluginError::Internal(error))))
            }
            Source::Folder | Source::Upload => None,
        }
    }

    async fn take_from_file(&self, slot: &Slot, kept: &KeptPlugin, read: Option<Result<Delivery, PluginError>>) {
        match read {
            // What becomes of it is logged, counted and shown.
            Some(Ok(delivery)) => drop(self.bring(slot, kept, &delivery).await),
            Some(Err(error)) => self.unreadable(slot, Origin::File, error),
            None => {}
        }
    }

    /// Let what was active run again, and what waits if it has its grants now. Tells what keeps the former from running.
    async fn restore(&self, slot: &Slot, kept: &KeptPlugin, at_hand: Option<&Delivery>) -> Option<PluginError> {
        let mut problem = None;
        if let Some(active) = kept.active_version() {
            problem = match self.run_again(slot, kept, active, at_hand).await {
                Ok(()) => None,
                Err(Stopped::At(error)) => Some(error),
                Err(Stopped::Otherwise(error)) => {
                    tracing::error!(plugin.name = %slot.name, %error, "what was active cannot be read");
                    Some(PluginError::Gone { digest: active.arrival.digest })
                }
            };
        }
        if let Some(waiting) = &kept.waiting
            && let Ok(Some(delivery)) = self.stored(slot, &waiting.arrival, waiting.version.as_ref()).await
        {
            // What becomes of it is logged, counted and shown.
            drop(self.bring(slot, kept, &delivery).await);
        }
        problem
    }

    async fn run_again(
        &self,
        slot: &Slot,
        kept: &KeptPlugin,
        version: &KeptVersion,
        at_hand: Option<&Delivery>,
    ) -> Result<(), Stopped> {
        let plugin = self.judge_again(slot, version, at_hand).await?;
        let digest = plugin.digest;
        self.install(slot, plugin).await;
        if let Some(quarantine) = kept.quarantine.as_ref().filter(|quarantine| quarantine.digest == digest) {
            self.restore_quarantine(slot, quarantine);
        }
        Ok(())
    }

    /// A kept version goes all the way again: grants, keys and limits may be others than when it came.
    pub(super) async fn judge_again(
        &self,
        slot: &Slot,
        version: &KeptVersion,
        at_hand: Option<&Delivery>,
    ) -> Result<Plugin, Stopped> {
        let arrival = &version.arrival;
        // Most files hold what they held when the agent ended, and the store need not be asked for so many bytes.
        let delivery = match at_hand.filter(|delivery| delivery.component.digest() == arrival.digest) {
            Some(delivery) => Some(delivery.clone()),
            None => self.stored(slot, arrival, Some(&version.version)).await?,
        };
        let delivery = delivery.ok_or(PluginError::Gone { digest: arrival.digest })?;
        let mut seen = Seen::default();
        let entry = &*slot.entry();
        let identified =
            intake::identify(&self.engine, entry, self.intake.max_component_bytes, &delivery, &mut seen).await?;
        Ok(intake::admit(&self.engine, &self.surroundings(), entry, &delivery, &identified, &mut seen).await?)
    }

    pub(super) async fn stored(
        &self,
        slot: &Slot,
        arrival: &Arrival,
        version: Option<&semver::Version>,
    ) -> Result<Option<Delivery>, Undelivered> {
        let component = self.intake.store.component(arrival.digest).await.inspect_err(|error| {
            tracing::error!(plugin.name = %slot.name, %error, "a component cannot be read");
        })?;
        Ok(component.map(|component| Delivery {
            component: Component::with_digest(component, arrival.digest),
            signature: arrival.signature.clone(),
            version: version.cloned(),
            digest: Some(arrival.digest),
            origin: arrival.origin,
            actor: arrival.actor.clone(),
        }))
    }
}
