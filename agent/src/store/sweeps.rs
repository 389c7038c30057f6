//! The memory of sweeps: which slots were dealt with, how each sweep stands, its runs and events, and silences.
//!
//! A slot is claimed in the same transaction that records the start of its run. Whatever happens afterwards, to the agent or
//! to its clock, that slot is never given out again.

mod claims;
mod events;
mod results;
mod rows;
mod runs;
mod silences;

use std::sync::Arc;

use async_trait::async_trait;

use super::{KeptAnswer, KeptResult, OnceKey, SqliteStore, StoreError, once};
use crate::domain::{Silence, SilenceId, Standing, SweepEvent, SweepName, SweepRun, SweepRunId, Timestamp};

pub(super) use runs::interrupt_all;

/// Runs that are kept of each sweep, and events.
const KEPT: u32 = 500;

/// Where sweeps are remembered.
#[async_trait]
pub trait SweepStore: Send + Sync + 'static {
    /// What is known of a sweep at the time `now`. One that was never heard of has a blank memory.
    async fn sweep(&self, name: &SweepName, now: Timestamp) -> Result<SweepMemory, StoreError>;

    /// Take a slot, and record that a run begins for it, if one does. When this answers, it is durable.
    ///
    /// A slot that was dealt with before is not given again, and nothing is recorded then.
    async fn claim_slot(&self, claim: Claim, run: Option<SweepRun>) -> Result<Claimed, StoreError>;

    /// Record that a run begins that somebody asked for.
    async fn start_sweep_run(&self, run: SweepRun) -> Result<(), StoreError>;

    /// Record how a run ended, and what follows from it, all or nothing. May be repeated after an error.
    async fn finish_sweep_run(&self, run: SweepRun, news: Option<News>) -> Result<(), StoreError>;

    /// Record how a sweep stands after something other than a run.
    async fn keep_standing(&self, name: &SweepName, news: News) -> Result<(), StoreError>;

    /// One run of a sweep.
    async fn sweep_run(&self, id: SweepRunId) -> Result<Option<SweepRun>, StoreError>;

    /// Runs of a sweep, the newest first; those before the run `before`, if that is given.
    async fn sweep_runs(
        &self,
        name: &SweepName,
        limit: u32,
        before: Option<SweepRunId>,
    ) -> Result<Vec<SweepRun>, StoreError>;

    /// Events of a sweep, the newest first.
    async fn sweep_events(&self, name: &SweepName, limit: u32) -> Result<Vec<SweepEvent>, StoreError>;

    /// Silences that have not expired at the time `now`, the oldest first. Those that have are forgotten.
    async fn silences(&self, now: Timestamp) -> Result<Vec<Silence>, StoreError>;

    /// Keep a silence.
    async fn add_silence(&self, silence: Silence) -> Result<(), StoreError>;

    /// The same, together with the key under which it was asked for and the answer that this is given: both or neither. Fails
    /// with `KeyTaken` when that key is known.
    async fn add_silence_once(&self, silence: Silence, key: OnceKey, answer: KeptAnswer) -> Result<(), StoreError>;

    /// Forget a silence. Returns whether there was one of that id.
    async fn remove_silence(&self, id: SilenceId) -> Result<bool, StoreError>;

    /// Forget runs and events beyond those that are kept of each sweep. Returns how many went.
    async fn trim_sweeps(&self) -> Result<u64, StoreError>;
}

/// What is known of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepMemory {
    /// How it stands.
    pub standing: Standing,
    /// The last slot that was dealt with, of those that are not in the future.
    pub claimed: Option<Timestamp>,
    /// Its last run that has an end of its own.
    pub last_run: Option<SweepRun>,
}

/// A slot that is to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The sweep.
    pub sweep: SweepName,
    /// The slot.
    pub slot: Timestamp,
    /// The slot directly before it, in the schedule.
    pub before: Option<Timestamp>,
}

/// Whether a slot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It was, by this claim.
    Now,
    /// It had been before.
    Before,
    /// It belongs to another replica, or will.
    NotOurs,
}

/// What a run, or time, changed.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// How the sweep stands now.
    pub standing: Standing,
    /// What happened to it.
    pub events: Vec<SweepEvent>,
    /// Silences that end by it.
    pub ended_silences: Vec<SilenceId>,
}

#[async_trait]
impl SweepStore for SqliteStore {
    async fn sweep(&self, name: &SweepName, now: Timestamp) -> Result<SweepMemory, StoreError> {
        let name = name.clone();
        let memory = move |db: &rusqlite::Connection| {
            Ok(SweepMemory {
                standing: rows::standing_of(db, &name)?,
                claimed: claims::last(db, &name, now)?,
                last_run: runs::last(db, &name)?,
            })
        };
        self.readers.read(memory).await
    }

    async fn claim_slot(&self, claim: Claim, run: Option<SweepRun>) -> Result<Claimed, StoreError> {
        let write = move |db: &rusqlite::Connection| {
            let claimed = claims::take(db, &claim)?;
            if let (Claimed::Now, Some(run)) = (claimed, &run) {
                runs::start(db, run)?;
            }
            Ok(claimed)
        };
        self.writer.write(write).await
    }

    async fn start_sweep_run(&self, run: SweepRun) -> Result<(), StoreError> {
        self.writer.write(move |db| runs::start(db, &run)).await
    }

    async fn finish_sweep_run(&self, run: SweepRun, news: Option<News>) -> Result<(), StoreError> {
        let end = runs::End::of(run)?;
        let write = move |db: &rusqlite::Connection| {
            // Repeated after an error that came late, it has its end and its news already.
            if end.record(db)?
                && let Some(news) = &news
            {
                events::record(db, end.sweep(), news)?;
            }
            Ok(())
        };
        self.writer.write(write).await
    }

    async fn keep_standing(&self, name: &SweepName, news: News) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer.write(move |db| events::record(db, &name, &news)).await
    }

    async fn sweep_run(&self, id: SweepRunId) -> Result<Option<SweepRun>, StoreError> {
        self.readers.read(move |db| runs::load(db, id)).await
    }

    async fn sweep_runs(
        &self,
        name: &SweepName,
        limit: u32,
        before: Option<SweepRunId>,
    ) -> Result<Vec<SweepRun>, StoreError> {
        let name = name.clone();
        self.readers.read(move |db| runs::list(db, &name, limit, before)).await
    }

    async fn sweep_events(&self, name: &SweepName, limit: u32) -> Result<Vec<SweepEvent>, StoreError> {
        let name = name.clone();
        self.readers.read(move |db| events::list(db, &name, limit)).await
    }

    async fn silences(&self, now: Timestamp) -> Result<Vec<Silence>, StoreError> {
        self.writer.write_patiently(move |db| silences::forget_expired(db, now)).await?;
        self.readers.read(silences::list).await
    }

    async fn add_silence(&self, silence: Silence) -> Result<(), StoreError> {
        self.writer.write(move |db| silences::add(db, &silence)).await
    }

    async fn add_silence_once(&self, silence: Silence, key: OnceKey, answer: KeptAnswer) -> Result<(), StoreError> {
        let (result, clock) = (KeptResult::Answer(answer), Arc::clone(&self.clock));
        let add = move |db: &rusqlite::Connection| {
            once::record(db, &key, &result, clock.now())?;
            silences::add(db, &silence)
        };
        self.writer.write(add).await
    }

    async fn remove_silence(&self, id: SilenceId) -> Result<bool, StoreError> {
        self.writer.write(move |db| silences::remove(db, id)).await
    }

    async fn trim_sweeps(&self) -> Result<u64, StoreError> {
        let runs = self.writer.write_patiently(|db| runs::trim(db, KEPT)).await?;
        let events = self.writer.write_patiently(|db| events::trim(db, KEPT)).await?;
        Ok(runs + events)
    }
}
