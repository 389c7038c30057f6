//! The memory of sweeps where replicas share it: slots are taken from all of them, and whoever leads next knows how a sweep stands.

use std::sync::Arc;

use async_trait::async_trait;

use super::orders::{self, SharedSilence};
use super::{Replicas, slots};
use crate::domain::{Silence, SilenceId, Standing, SweepEvent, SweepName, SweepRun, SweepRunId, Timestamp};
use crate::store::{Claim, Claimed, KeptAnswer, News, OnceKey, StoreError, SweepMemory, SweepStore};

/// A store of sweeps, and what its replicas share of it.
pub struct SharedSweeps {
    own: Arc<dyn SweepStore>,
    replicas: Arc<Replicas>,
}

impl SharedSweeps {
    /// The store `own` of one of `replicas`.
    pub const fn new(own: Arc<dyn SweepStore>, replicas: Arc<Replicas>) -> Self {
        Self { own, replicas }
    }

    /// Tell the others how a sweep stands. Nobody waits for it: the next verdict tells it again.
    fn share(&self, sweep: &SweepName, standing: Standing) {
        // What a person sees here is no verdict of the schedule.
        if !self.replicas.leads() {
            return;
        }
        let (replicas, sweep) = (self.replicas.clone(), sweep.clone());
        tokio::spawn(async move {
            let of = sweep.clone();
            let told = replicas.board.change(move |entries| slots::stand(entries, &sweep, &standing)).await;
            if let Err(error) = told.and_then(|told| Ok(told?)) {
                tracing::warn!(%error, sweep.name = %of, "other replicas do not know how a sweep stands");
            }
        });
    }
}

impl SharedSweeps {
    /// Let the others know of a silence. Where that cannot be done now, it is with the next look.
    async fn tell(&self, silence: Silence) {
        if let Err(error) = self.replicas.silence(silence).await {
            tracing::warn!(%error, "other replicas do not know of a silence yet");
        }
    }

    /// Let the own store say of silences what all replicas see.
    async fn follow(&self, shared: &[SharedSilence], now: Timestamp) -> Result<(), StoreError> {
        let own = self.own.silences(now).await?;
        for SharedSilence { silence, has_ended } in shared {
            let is_known = own.iter().any(|known| known.id == silence.id);
            match (has_ended, is_known) {
                (true, true) => drop(self.own.remove_silence(silence.id).await?),
                (false, false) if now < silence.expires => self.own.add_silence(silence.clone()).await?,
                (true, false) | (false, _) => {}
            }
        }
        for silence in own {
            if shared.iter().all(|known| known.silence.id != silence.id) {
                self.tell(silence).await;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SweepStore for SharedSweeps {
    async fn sweep(&self, name: &SweepName, now: Timestamp) -> Result<SweepMemory, StoreError> {
        let own = self.own.sweep(name, now).await?;
        let shared = match self.replicas.cluster.entries().await {
            Ok((entries, _)) => slots::known(&entries, name).map_err(Into::into),
            Err(error) => Err(error),
        };
        match shared {
            Ok((claimed, standing)) => {
                let claimed = claimed.filter(|claimed| *claimed <= now).max(own.claimed);
                Ok(SweepMemory { claimed, standing: standing.unwrap_or(own.standing), ..own })
            }
            // A slot is asked for again when it is taken.
            Err(error) => {
                tracing::warn!(%error, sweep.name = %name, "what other replicas know of a sweep cannot be read");
                Ok(own)
            }
        }
    }

    async fn claim_slot(&self, claim: Claim, run: Option<SweepRun>) -> Result<Claimed, StoreError> {
        if !self.replicas.leads() {
            return Ok(Claimed::NotOurs);
        }
        let (id, me, wanted) = (run.as_ref().map(|run| run.id), self.replicas.name.clone(), claim.clone());
        let taken = self.replicas.board.change(move |entries| slots::take(entries, &wanted, id, &me)).await;
        match taken.and_then(|taken| Ok(taken?)) {
            Ok(slots::Taken::Now) => self.own.claim_slot(claim, run).await,
            Ok(slots::Taken::Before(by)) => {
                tracing::info!(sweep.name = %claim.sweep, slot = %claim.slot, by, "a slot was dealt with by a replica");
                Ok(Claimed::NotOurs)
            }
            Err(error) => Err(StoreError::Shared(error.to_string())),
        }
    }

    async fn start_sweep_run(&self, run: SweepRun) -> Result<(), StoreError> {
        self.own.start_sweep_run(run).await
    }

    async fn finish_sweep_run(&self, run: SweepRun, news: Option<News>) -> Result<(), StoreError> {
        let (sweep, standing) = (run.sweep.clone(), news.as_ref().map(|news| news.standing));
        let ended = news.as_ref().map(|news| news.ended_silences.clone()).unwrap_or_default();
        self.own.finish_sweep_run(run, news).await?;
        for silence in ended {
            let replicas = self.replicas.clone();
            tokio::spawn(async move {
                if let Err(error) = replicas.end_silence(silence).await {
                    tracing::warn!(%error, "other replicas do not know that a silence ended with what it was about");
                }
            });
        }
        if let Some(standing) = standing {
            self.share(&sweep, standing);
        }
        Ok(())
    }

    async fn keep_standing(&self, name: &SweepName, news: News) -> Result<(), StoreError> {
        let standing = news.standing;
        self.own.keep_standing(name, news).await?;
        self.share(name, standing);
        Ok(())
    }

    async fn sweep_run(&self, id: SweepRunId) -> Result<Option<SweepRun>, StoreError> {
        self.own.sweep_run(id).await
    }

    async fn sweep_runs(
        &self,
        name: &SweepName,
        limit: u32,
        before: Option<SweepRunId>,
    ) -> Result<Vec<SweepRun>, StoreError> {
        self.own.sweep_runs(name, limit, before).await
    }

    async fn sweep_events(&self, name: &SweepName, limit: u32) -> Result<Vec<SweepEvent>, StoreError> {
        self.own.sweep_events(name, limit).await
    }

    async fn silences(&self, now: Timestamp) -> Result<Vec<Silence>, StoreError> {
        match self.replicas.cluster.entries().await {
            Ok((entries, _)) => self.follow(&orders::silences(&entries), now).await?,
            Err(error) => tracing::warn!(%error, "the silences of other replicas cannot be seen"),
        }
        self.own.silences(now).await
    }

    async fn add_silence(&self, silence: Silence) -> Result<(), StoreError> {
        self.own.add_silence(silence.clone()).await?;
        self.tell(silence).await;
        Ok(())
    }

    async fn add_silence_once(&self, silence: Silence, key: OnceKey, answer: KeptAnswer) -> Result<(), StoreError> {
        self.own.add_silence_once(silence.clone(), key, answer).await?;
        self.tell(silence).await;
        Ok(())
    }

    async fn remove_silence(&self, id: SilenceId) -> Result<bool, StoreError> {
        // First: what the others still know would come back.
        let ended = self.replicas.end_silence(id).await;
        let held = ended.map_err(|error| StoreError::Shared(error.to_string()))?;
        Ok(self.own.remove_silence(id).await? || held)
    }

    async fn trim_sweeps(&self) -> Result<u64, StoreError> {
        self.own.trim_sweeps().await
    }
}
