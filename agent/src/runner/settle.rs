//! What became of changes of which nobody knows: the agent died, or no answer came. The targets are looked at, and nothing
//! is repeated.

use super::Runner;
use crate::domain::{ChangeRecord, Fate, Run, RunId};
use crate::engine::settle;
use crate::store::StoreError;

impl Runner {
    /// Look at the targets of all changes that are unknown, and record what they show.
    pub async fn settle_unknown(&self) {
        let unknown = match self.store.unknown_changes().await {
            Ok(unknown) => unknown,
            Err(error) => {
                tracing::error!(%error, "the changes that are unknown cannot be read");
                return;
            }
        };
        for (run, change) in unknown {
            if let Err(error) = self.settle_one(run, &change).await {
                tracing::error!(%error, run.id = %run, "what became of a change cannot be recorded");
            }
        }
    }

    /// The same for the changes of one run.
    pub(super) async fn settle_unknown_of(&self, run: &Run) {
        for change in run.changes.made.iter().filter(|change| matches!(change.fate, Some(Fate::Unknown(_)))) {
            if let Err(error) = self.settle_one(run.id, change).await {
                tracing::error!(%error, run.id = %run.id, "what became of a change cannot be recorded");
            }
        }
    }

    async fn settle_one(&self, run: RunId, change: &ChangeRecord) -> Result<(), StoreError> {
        let (targets, _) = self.catalog.reach();
        let fate = settle(&targets, &change.planned).await;
        let summary = &change.planned.preview.summary;
        match &fate {
            Fate::Unknown(why) => tracing::warn!(run.id = %run, change = summary, why, "a change stays unknown"),
            fate => {
                tracing::info!(run.id = %run, change = summary, fate = fate.as_str(), "a change was unknown and is settled")
            }
        }
        let undoes = self.store.run(run).await?.and_then(|run| run.changes.undoes);
        self.store.settle(run, change.position, fate, undoes.zip(change.planned.gives_back)).await
    }
}
