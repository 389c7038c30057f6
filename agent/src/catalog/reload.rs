//! Another configuration, while runs go on.
//!
//! A plugin that was configured otherwise, or whose targets are others, is judged again from the first step: what it may do
//! is linked into what runs. The version before serves until then, and runs under way keep what they began with.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::sync::{Arc, PoisonError};

use futures_util::future::join_all;

use super::{Catalog, Entry, Slot, State};
use crate::domain::PluginName;
use crate::host::Targets;

impl Catalog {
    /// Let `targets` and `entries` hold from now on, and no other ones. Answers once every plugin that this concerns was
    /// tried. What is kept of a plugin that is configured no more stays kept.
    pub async fn reconfigure(&self, targets: Arc<Targets>, entries: Vec<Entry>) {
        let are_others = self.replace_targets(targets);
        for slot in self.take_all_but(&entries) {
            self.retire(&slot);
        }
        join_all(entries.into_iter().map(|entry| self.put(entry, are_others))).await;
    }

    /// Tells whether they are others than before.
    fn replace_targets(&self, targets: Arc<Targets>) -> bool {
        let mut surroundings = self.surroundings.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut surroundings.targets, targets);
        !Arc::ptr_eq(&before, &surroundings.targets)
    }

    fn take_all_but(&self, entries: &[Entry]) -> Vec<Arc<Slot>> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let (stay, go): (BTreeMap<PluginName, _>, BTreeMap<_, _>) =
            std::mem::take(&mut *slots).into_iter().partition(|(name, _)| entries.iter().any(|e| e.name == *name));
        *slots = stay;
        go.into_values().collect()
    }

    fn retire(&self, slot: &Slot) {
        tracing::info!(plugin.name = %slot.name, "plugin is configured no more");
        slot.set(State::Absent);
        self.intake.metrics.forget_plugin(&slot.name);
    }

    async fn put(&self, entry: Entry, targets_are_others: bool) {
        let (slot, is_new) = self.slot_for(&entry);
        let _turn = slot.turn.lock().await;
        let is_other = slot.replace_entry(entry);
        if is_new || is_other || targets_are_others || slot.active().is_none() {
            self.load_in_turn(&slot).await;
        } else {
            self.look_into_file(&slot).await;
        }
    }

    /// The place of a plugin, and whether it was made for it just now.
    fn slot_for(&self, entry: &Entry) -> (Arc<Slot>, bool) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        match slots.entry(entry.name.clone()) {
            Place::Occupied(place) => (place.get().clone(), false),
            Place::Vacant(place) => {
                let slot = Arc::new(Slot::new(entry.clone(), self.intake.quarantine));
                (place.insert(slot).clone(), true)
            }
        }
    }
}

impl Slot {
    /// Tells whether it is another one than before.
    fn replace_entry(&self, entry: Entry) -> bool {
        let mut place = self.entry.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = **place != entry;
        *place = Arc::new(entry);
        is_other
    }
}
