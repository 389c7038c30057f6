//! The agent's memory: runs with their logs and host calls, the keys under which they were asked for, sweeps, plugins with
//! their versions, and the small state of plugins.
//!
//! [`Store`], [`SweepStore`] and [`PluginStore`] are what the rest of the agent sees; [`SqliteStore`] keeps it in one SQLite file. This module owns the
//! only SQL on our own data, the rows and the JSON in them. It knows the domain and the clock; what a run means, who
//! may see it and when old ones are removed is decided elsewhere.
//!
//! ```text
//!  callers ──start_run, finish_run, state──► bounded queue ──► writer thread ── one transaction for all that
//!     ▲                                                            │            waited, one fsync
//!     └───────────────── answered after the commit ────────────────┘            the log is copied into the file beside it
//!  callers ──run, runs, state──► a few read-only connections on blocking threads
//! ```
//!
//! A write that was answered survives a crash of the agent, of the machine and a power cut. A write that was refused
//! or failed has left nothing behind.

mod audit;
mod chain;
mod changes;
mod columns;
mod components;
mod ending;
mod error;
mod file;
mod guards;
mod json;
mod leases;
mod lent;
mod log;
mod once;
mod plugins;
mod profile;
mod query;
mod readers;
mod recordings;
mod retention;
mod rows;
mod runs;
mod schema;
mod sqlite;
mod state;
mod sweeps;
mod versions;
mod writer;

use std::time::Duration;

use async_trait::async_trait;

pub use audit::AuditStore;
pub use chain::{Broken, Link, Verified};
pub use changes::{ChangeStore, KeptPlan, NewChange, plan_digest};
pub use error::StoreError;
pub use guards::{Applied, Bounds, Freezes, GuardFacts, GuardStore};
pub use leases::LeaseStore;
pub use lent::{lent_record, read_lent};
pub use once::{KEY_LIFE, Kept, KeptAnswer, KeptResult, OnceKey};
pub use plugins::{KeepBounds, KeepsNothing, KeptPlugin, KeptQuarantine, KeptVersion, PluginStore, Waiting};
pub use query::{Cursor, InvalidPage, Page, RunFilter, RunPage, RunState, RunSummary};
pub use recordings::{KeptRecording, RecordingStore};
pub use sqlite::{SqliteStore, StoreOptions};
pub use sweeps::{Claim, Claimed, News, SweepMemory, SweepStore};

use crate::domain::{Actor, PluginName, Run, RunId};

/// Most keys that one plugin may keep.
pub const STATE_KEYS: usize = 64;

/// Longest value of a key, in bytes.
pub const STATE_VALUE_BYTES: usize = 16 << 10;

/// Longest key, in bytes.
pub const STATE_KEY_BYTES: usize = 256;

/// Where runs and the state of plugins are kept.
#[async_trait]
pub trait Store: ChangeStore + GuardStore + LeaseStore + AuditStore + RecordingStore {
    /// Record that `run` begins. When this answers, the record is durable.
    ///
    /// What belongs to the end of a run (log, calls, usage) is not looked at. Fails with `DuplicateRun` when there is
    /// a run of that id, and with `Busy` at once when too many writes wait.
    async fn start_run(&self, run: Run) -> Result<(), StoreError>;

    /// The same, together with the key under which it was asked for: both or neither. Fails with `KeyTaken` when that key
    /// is known.
    async fn start_run_once(&self, run: Run, key: OnceKey) -> Result<(), StoreError>;

    /// Record what came of a request with a key, where it was no new run. Fails with `KeyTaken` when that key is known.
    async fn keep(&self, key: OnceKey, result: KeptResult) -> Result<(), StoreError>;

    /// What came of the first request of `actor` with that key, for [`KEY_LIFE`].
    async fn kept(&self, actor: &Actor, key: &str) -> Result<Option<Kept>, StoreError>;

    /// Record how a started run ended, with its usage, log and calls, all or nothing.
    ///
    /// May be repeated after an error: a run that has an end keeps it, and the answer says so.
    async fn finish_run(&self, run: Run) -> Result<Finish, StoreError>;

    /// The run of that id, complete with log and calls.
    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError>;

    /// Summaries of runs, the newest first.
    async fn runs(&self, filter: RunFilter, page: Page) -> Result<RunPage, StoreError>;

    /// The value of a plugin's key, if there is one.
    async fn state_get(&self, plugin: &PluginName, key: &str) -> Result<Option<StateEntry>, StoreError>;

    /// Store a value and return its new revision. With `ttl` it disappears after that time.
    async fn state_put(
        &self,
        plugin: &PluginName,
        key: &str,
        value: String,
        ttl: Option<Duration>,
    ) -> Result<u64, StoreError>;

    /// Store a value only if the key still has that revision, or, for 0, only if the key does not exist. Fails with
    /// `Conflict` otherwise.
    async fn state_swap(
        &self,
        plugin: &PluginName,
        key: &str,
        value: String,
        revision: u64,
        ttl: Option<Duration>,
    ) -> Result<u64, StoreError>;

    /// Forget a key. Returns whether it existed.
    async fn state_remove(&self, plugin: &PluginName, key: &str) -> Result<bool, StoreError>;

    /// Keys of a plugin that begin with `prefix`, in order.
    async fn state_keys(&self, plugin: &PluginName, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// Remove the oldest finished runs until `policy` holds, a few at a time, so that other writes go on between.
    async fn retain(&self, policy: RetentionPolicy) -> Result<Removed, StoreError>;

    /// How the store is. Tries a write of its own if the last one failed, so that recovery is noticed.
    async fn health(&self) -> Health;

    /// Read everything and compare it with itself: one sentence for each defect, none when the store is sound.
    async fn verify(&self) -> Result<Vec<String>, StoreError>;

    /// Do what waits, leave the file complete in itself, and refuse everything from then on.
    async fn close(&self) -> Result<(), StoreError>;
}

/// What [`Store::finish_run`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The end was recorded now.
    Recorded,
    /// The run had an end before, which stays.
    AlreadyFinished,
}

/// A stored value of a plugin, with the mark needed to replace it safely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// The stored text.
    pub value: String,
    /// Grows with every write to the key, also over a removal.
    pub revision: u64,
}

/// How much is kept. Runs under way are never removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Runs that started longer ago than this are removed.
    pub max_age: Option<Duration>,
    /// While the file holds more than this, the oldest runs are removed.
    pub max_bytes: Option<u64>,
}

/// What [`Store::retain`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Runs, with their logs and calls.
    pub runs: u64,
    /// Values of plugins that had disappeared by their time to live.
    pub state_entries: u64,
    /// Keys of requests whose time was over.
    pub keys: u64,
    /// By how much the file shrank.
    pub bytes: u64,
}

/// How the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Why writes fail at the moment; none when they do not.
    pub problem: Option<String>,
    /// Writes that wait.
    pub queued: usize,
    /// Writes that may wait before others are refused.
    pub queue_capacity: usize,
    /// Size of the file.
    pub file_bytes: u64,
    /// Size of the write-ahead log beside it.
    pub wal_bytes: u64,
    /// Transactions since the store was opened.
    pub commits: u64,
    /// Writes that these transactions made durable.
    pub records: u64,
}

impl Health {
    /// True when the last write succeeded, or none was needed yet.
    pub const fn is_writable(&self) -> bool {
        self.problem.is_none()
    }
}

#[cfg(test)]
mod tests;
