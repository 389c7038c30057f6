//! Changes that are given back by themselves: at the end of their lease, after a restart too.
//!
//! One task sleeps until the next lease ends. It is woken when a lease begins, is extended or ends early.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Runner;
use super::shared::Seen;
use crate::domain::{Actor, ChangeRecord, Fate, Lease, LeaseState, Run, RunId, Timestamp};
use crate::store::StoreError;

/// Shortest and longest lease.
pub const LEASES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(7 * 24 * 3600));

/// In whose name a lease gives back.
const ACTOR: &str = "lease";

/// How long at most the task sleeps: a clock that is set forward makes a lease end earlier than it thought.
const NAP: Duration = Duration::from_secs(30);

/// Pause after a look at the store that failed.
const RETRY: Duration = Duration::from_secs(5);

/// How often it is tried to give the changes of one lease back before somebody has to see to it.
const TRIES: u32 = 3;

/// Why a lease was not extended or ended.
#[derive(Debug, thiserror::Error)]
pub enum LeaseRefusal {
    /// No lease of that run holds anything.
    #[error("run {run} holds nothing on a lease")]
    Unknown {
        /// The run.
        run: RunId,
    },
    /// Its changes could not be given back.
    #[error("the changes of run {run} could not be given back: {why}")]
    Stuck {
        /// The run.
        run: RunId,
        /// Why.
        why: String,
    },
    /// What replicas share cannot be read or written.
    #[error("the other replicas cannot be told, and nothing was done: {why}")]
    NotShared {
        /// Why.
        why: String,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Runner {
    /// Let a lease end so long from now.
    pub async fn extend_lease(&self, run: RunId, by: Duration) -> Result<Lease, LeaseRefusal> {
        let until = self.clock.now().after(by);
        let shared = self.extend_lent(run, until).await?;
        // The store of this replica knows only its own.
        if !self.store.extend_lease(run, until).await? {
            return shared.ok_or(LeaseRefusal::Unknown { run });
        }
        self.lease_changed.notify_one();
        self.store.lease(run).await?.ok_or(LeaseRefusal::Unknown { run })
    }

    /// Give the changes of a lease back now.
    pub async fn end_lease(&self, run: RunId, actor: Actor) -> Result<Lease, LeaseRefusal> {
        self.adopt_lent(run).await?;
        if !self.is_lent(run).await? {
            return Err(LeaseRefusal::Unknown { run });
        }
        match self.give_back(run, actor, "its lease was ended").await {
            Ok(undo) => {
                self.settle(run, undo.map(|undo| undo.id)).await?;
                self.store.lease(run).await?.ok_or(LeaseRefusal::Unknown { run })
            }
            Err(why) => Err(LeaseRefusal::Stuck { run, why }),
        }
    }

    /// Whoever gives the changes of a run back ends its lease.
    pub(super) async fn settle_undone_lease(&self, undo: &Run) {
        let undone = |change: &ChangeRecord| matches!(change.fate, Some(Fate::Applied(_) | Fate::Unchanged));
        let Some(run) = undo.changes.undoes else { return };
        let settled = match self.is_lent(run).await {
            Ok(true) if undo.changes.made.iter().all(undone) => self.settle(run, Some(undo.id)).await,
            Ok(true) => {
                self.settle_lent(run, Err(None)).await;
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = settled {
            tracing::error!(%error, run.id = %run, "the lease of what was given back stays open");
        }
    }

    /// The changes of a run were given back, by `undo` if there was something to give back.
    async fn settle(&self, run: RunId, undo: Option<RunId>) -> Result<(), StoreError> {
        self.settle_lent(run, Ok(undo)).await;
        self.store.settle_lease(run, LeaseState::Ended, None, undo).await
    }

    /// A lease that holds nothing is over at once.
    pub(super) async fn settle_empty_lease(&self, run: &mut Run) {
        let Some(lease) = run.changes.lease.as_mut() else { return };
        let holds = run.changes.made.iter().any(|change| match &change.fate {
            Some(Fate::Applied(done)) => done.inverse.is_some(),
            Some(Fate::Unknown(_)) | None => true,
            Some(Fate::Unchanged | Fate::Conflict(_) | Fate::Failed(_)) => false,
        });
        if holds {
            self.lease_changed.notify_one();
            return;
        }
        lease.state = LeaseState::Ended;
        if let Err(error) = self.store.settle_lease(run.id, LeaseState::Ended, None, None).await {
            tracing::error!(%error, run.id = %run.id, "a lease that holds nothing stays open");
        }
    }

    /// End leases when their time comes, for as long as the runner is there.
    pub fn keep_leases(self: &Arc<Self>) {
        let (me, changed) = (Arc::downgrade(self), self.lease_changed.clone());
        tokio::spawn(async move {
            let mut seen = Seen::default();
            loop {
                let Some(pause) = pause(&me, &mut seen).await else { return };
                // Somebody who knows of a change wakes it; otherwise it looks when the next lease ends.
                let _ = tokio::time::timeout(pause, changed.notified()).await;
            }
        });
    }

    /// End what is due. Answers with the end of the next one.
    async fn end_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let held: Vec<_> =
            self.store.leases().await?.into_iter().filter(|lease| lease.state == LeaseState::Held).collect();
        let now = self.clock.now();
        for lease in held.iter().filter(|lease| lease.until <= now) {
            self.end(lease.run).await?;
        }
        Ok(held.iter().map(|lease| lease.until).find(|until| *until > now))
    }

    /// Give back what a run changed, because its lease is over.
    pub(super) async fn end(&self, run: RunId) -> Result<(), StoreError> {
        let mut why = String::new();
        for _ in 0..TRIES {
            if self.is_stopping() {
                return Ok(());
            }
            match self.give_back(run, Actor(ACTOR.to_owned()), "its lease is over").await {
                Ok(undo) => return self.settle(run, undo.map(|undo| undo.id)).await,
                Err(error) => why = error,
            }
            tokio::time::sleep(RETRY).await;
            // Somebody else may have given it back meanwhile, or may have to.
            if self.replica().is_some_and(|replicas| !replicas.leads()) || !self.is_lent(run).await? {
                return Ok(());
            }
        }
        self.settle_lent(run, Err(Some(why.clone()))).await;
        self.store.settle_lease(run, LeaseState::Stuck, Some(why), None).await
    }
}

/// How long to sleep; none when the runner is gone or stops.
async fn pause(runner: &Weak<Runner>, seen: &mut Seen) -> Option<Duration> {
    let runner = runner.upgrade().filter(|runner| !runner.is_stopping())?;
    let (next, nap) = match runner.replica() {
        None => (runner.end_due().await, NAP),
        // What others do is seen by looking.
        Some(replicas) => (runner.end_due_together(replicas, seen).await, replicas.pace()),
    };
    match next {
        Ok(next) => Some(next.map_or(nap, |next| next.since(runner.clock.now()).min(nap))),
        Err(error) => {
            tracing::warn!(%error, "the leases cannot be looked at");
            Some(RETRY)
        }
    }
}
