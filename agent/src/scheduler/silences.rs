//! Silences: who does not want to hear of which sweep, until when, and why.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::{Actor, Silence, SilenceId, SweepName, Timestamp};
use crate::store::{KeptAnswer, OnceKey, StoreError, SweepStore};

/// A silence that somebody wants.
#[derive(Clone, Debug)]
pub struct NewSilence {
    /// The sweep; none for all of them.
    pub sweep: Option<SweepName>,
    /// Why.
    pub reason: String,
    /// Who.
    pub creator: Actor,
    /// Until when.
    pub expires: Timestamp,
    /// Whether it also ends when the sweep recovers.
    pub expire_on_resolve: bool,
}

/// The silences that hold, in the store and at hand.
pub(super) struct Silences {
    store: Arc<dyn SweepStore>,
    clock: Arc<dyn Clock>,
    held: RwLock<Vec<Silence>>,
    /// Held while what is at hand is made to be what is kept.
    turn: tokio::sync::Mutex<()>,
}

impl Silences {
    /// Those that the store has.
    pub(super) async fn load(store: Arc<dyn SweepStore>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let held = RwLock::new(store.silences(clock.now()).await?);
        Ok(Self { store, clock, held, turn: tokio::sync::Mutex::default() })
    }

    /// Look at what is kept again: other replicas keep some too.
    pub(super) async fn look_again(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let kept = self.store.silences(self.clock.now()).await?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(())
    }

    /// Those that hold now, the oldest first.
    pub(super) fn list(&self) -> Vec<Silence> {
        let now = self.clock.now();
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.iter().filter(|silence| now < silence.expires).cloned().collect()
    }

    /// Those that speak of `sweep` now.
    pub(super) fn of(&self, sweep: &SweepName) -> Vec<Silence> {
        let now = self.clock.now();
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.iter().filter(|silence| silence.covers(sweep, now)).cloned().collect()
    }

    /// The silence that somebody wants, from now on. It does not hold before it is kept.
    pub(super) fn begin(&self, wanted: NewSilence) -> Silence {
        let now = self.clock.now();
        let NewSilence { sweep, reason, creator, expires, expire_on_resolve } = wanted;
        let id = SilenceId::new(now);
        Silence { id, sweep, reason, creator, created: now, expires, expire_on_resolve }
    }

    /// Keep a silence, with the key under which it was asked for. When this answers, it is durable and holds.
    pub(super) async fn add(&self, silence: Silence, once: Option<(OnceKey, KeptAnswer)>) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        match once {
            Some((key, answer)) => self.store.add_silence_once(silence.clone(), key, answer).await?,
            None => self.store.add_silence(silence.clone()).await?,
        }
        let now = self.clock.now();
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.retain(|silence| now < silence.expires);
        held.push(silence);
        Ok(())
    }

    /// End a silence. Returns it, if there was one of that id.
    pub(super) async fn remove(&self, id: SilenceId) -> Result<Option<Silence>, StoreError> {
        let _turn = self.turn.lock().await;
        self.store.remove_silence(id).await?;
        let ended = self.list().into_iter().find(|silence| silence.id == id);
        self.forget(&[id]);
        Ok(ended)
    }

    /// Those of `ids` are over, and the store knows.
    pub(super) fn forget(&self, ids: &[SilenceId]) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).retain(|silence| !ids.contains(&silence.id));
    }

    /// Longest time that a silence may hold.
    pub(super) const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
}
