//! Makes the changes of a run durable: the intent before the effect, the result after it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::RETRIES;
use super::guard::InForce;
use crate::domain::{Fate, PluginName, RunChanges, RunId};
use crate::engine::{Intent, IntentError, Ledger};
use crate::replicas::Replicas;
use crate::store::{Bounds, Freezes, NewChange, Store, StoreError};
use crate::telemetry::Metrics;

/// Where the changes of one run are recorded.
pub(super) struct RunLedger {
    pub(super) store: Arc<dyn Store>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) run: RunId,
    pub(super) plugin: PluginName,
    /// The run whose changes this one gives back.
    pub(super) undoes: Option<RunId>,
    /// Whether a freeze that begins meanwhile stops it.
    pub(super) freezes: Freezes,
    /// The budgets that all plugins share.
    pub(super) rules: Arc<InForce>,
    /// What has to be asked before something is given back that other replicas know of.
    pub(super) fence: Option<Fence>,
    /// What each intent gives back, and what it is about, by its place.
    pub(super) begun: Mutex<HashMap<u32, Begun>>,
}

/// What gives something back goes on, and so does what somebody broke the glass for.
pub(super) const fn freezes(changes: &RunChanges) -> Freezes {
    match (changes.undoes, &changes.break_glass) {
        (None, None) => Freezes::Stop,
        (Some(_), _) | (_, Some(_)) => Freezes::Pass,
    }
}

/// Whether changes that several replicas may give back are still this one's to give back.
pub(super) struct Fence {
    replicas: Arc<Replicas>,
    undone: RunId,
}

/// The fence of a run that gives back what `undone` changed on a lease that replicas share.
pub(super) async fn fence(store: &dyn Store, replicas: Option<Arc<Replicas>>, undone: Option<RunId>) -> Option<Fence> {
    let (replicas, undone) = replicas.zip(undone)?;
    // Where that cannot be read, it is asked once too often.
    let is_free = store.lease(undone).await.is_ok_and(|lease| lease.is_none());
    (!is_free).then_some(Fence { replicas, undone })
}

impl Fence {
    async fn pass(&self) -> Result<(), IntentError> {
        match self.replicas.still_mine(self.undone).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(IntentError::Frozen("another replica gives it back by now".to_owned())),
            Err(error) => {
                Err(IntentError::Frozen(format!("whether another replica gives it back is not known: {error}")))
            }
        }
    }
}

/// What is known of an intent when its result comes.
pub(super) struct Begun {
    gives_back: Option<u32>,
    operation: String,
    target: String,
}

impl RunLedger {
    fn begin(&self, intent: Intent) -> NewChange {
        let call = &intent.planned.call;
        let begun = Begun {
            gives_back: intent.planned.gives_back,
            operation: call.operation.to_string(),
            target: call.target().map_or_else(String::new, |target| target.to_string()),
        };
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(intent.position, begun);
        NewChange {
            run: self.run,
            plugin: self.plugin.clone(),
            position: intent.position,
            sequence: intent.sequence,
            planned: intent.planned,
        }
    }

    /// What is known of an intent, for the last time.
    fn begun(&self, position: u32) -> Option<Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&position)
    }

    fn gives_back(&self, position: u32) -> Option<u32> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.get(&position).and_then(|begun| begun.gives_back)
    }

    /// Change what is kept until it is, with patience: the effect is there, and its record must not be lost.
    async fn settle_patiently(&self, position: u32, fate: &Fate, gives_back: Option<(RunId, u32)>) {
        let mut pauses = RETRIES.iter();
        loop {
            match (self.store.settle(self.run, position, fate.clone(), gives_back).await, pauses.next()) {
                (Ok(()), _) => return,
                (Err(error), Some(pause)) if error.may_pass() => {
                    tracing::warn!(%error, run.id = %self.run, position, "what became of a change is not recorded yet");
                    tokio::time::sleep(*pause).await;
                }
                (Err(error), _) => {
                    tracing::error!(%error, run.id = %self.run, position, "what became of a change is lost; it will be shown as unknown");
                    return;
                }
            }
        }
    }
}

#[async_trait]
impl Ledger for RunLedger {
    async fn intend(&self, intent: Intent) -> Result<(), IntentError> {
        if let Some(fence) = &self.fence {
            fence.pass().await?;
        }
        // The way back is open whatever was touched before.
        let budgets = if self.undoes.is_some() { Vec::new() } else { self.rules.get().budgets.clone() };
        let bounds = Bounds { per_hour: intent.per_hour, budgets, freezes: self.freezes };
        match self.store.intend(self.begin(intent), bounds).await {
            Ok(()) => Ok(()),
            Err(error @ StoreError::Frozen(_)) => Err(IntentError::Frozen(error.to_string())),
            Err(error @ (StoreError::HourSpent { .. } | StoreError::BudgetSpent { .. })) => {
                Err(IntentError::Exhausted(error.to_string()))
            }
            Err(error) => {
                tracing::error!(%error, run.id = %self.run, "the intent of a change cannot be recorded; it is not done");
                Err(IntentError::Unrecorded)
            }
        }
    }

    async fn settle(&self, position: u32, fate: &Fate) {
        let gives_back = self.gives_back(position);
        self.settle_patiently(position, fate, self.undoes.zip(gives_back)).await;
    }

    fn note(&self, position: u32, fate: &Fate) {
        let Some(Begun { operation, target, .. }) = self.begun(position) else { return };
        self.metrics.changed(&self.plugin, &operation, &target, fate);
        let fate = fate.as_str();
        tracing::info!(run.id = %self.run, plugin.name = %self.plugin, operation, target, fate, "a change");
    }

    async fn pass_over(&self, intent: Intent, fate: &Fate) {
        let (position, change) = (intent.position, self.begin(intent));
        let gives_back = self.gives_back(position);
        if let Err(error) = self.store.pass_over(change, fate.clone()).await {
            // Nothing was done, so that nothing is lost but the remark.
            tracing::warn!(%error, run.id = %self.run, "a change that was passed over is not recorded");
            return;
        }
        if matches!(fate, Fate::Unchanged) && gives_back.is_some() {
            self.settle_patiently(position, fate, self.undoes.zip(gives_back)).await;
        }
    }
}

#[cfg(test)]
mod tests;
