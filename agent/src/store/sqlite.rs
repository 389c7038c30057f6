//! The store in one SQLite file: opens it and joins its parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;

use super::chain::cut::{self, Cut};
use super::ending::End;
use super::log::Log;
use super::readers::Readers;
use super::retention::Rule;
use super::state::Put;
use super::writer::{Writer, Writing};
use super::{
    AuditStore, Finish, Health, Kept, KeptRecording, KeptResult, OnceKey, Page, Removed, RetentionPolicy, RunFilter,
    RunPage, StateEntry, Store, StoreError, changes, components, file, once, retention, runs, state, sweeps,
};
use crate::clock::Clock;
use crate::domain::{Actor, Mode, PluginName, Run, RunId, Timestamp};

/// How often at most a store in trouble is asked whether it takes writes again.
const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// How long links are kept at least, unless their size says otherwise: for a year and a month.
const CHAIN_LIFE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The part of the size of all that links may take.
const CHAIN_PART: u64 = 4;

/// Sizes of the store's parts. The default suits an agent.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Writes that may wait before others are refused.
    pub queue: usize,
    /// Reads that go on at the same time.
    pub readers: u32,
    /// Pages of the write-ahead log after which it is copied into the file.
    pub checkpoint_pages: u32,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { queue: 1024, readers: 4, checkpoint_pages: 1000 }
    }
}

/// A store in a file of this machine.
pub struct SqliteStore {
    path: PathBuf,
    identity: (u64, u64),
    pub(super) clock: Arc<dyn Clock>,
    pub(super) writer: Writer,
    pub(super) readers: Readers,
    /// Held while a component is written: see `plugins`.
    pub(super) keeping: tokio::sync::Mutex<()>,
    interrupted: usize,
    /// When a write was last tried to see whether it works again, in milliseconds since 1970.
    probed: AtomicU64,
}

impl SqliteStore {
    /// Open the file at `path`, or make it, and mark the runs that a former agent left without an end.
    ///
    /// Blocks for as long as the disk takes. One agent alone can have the file open.
    pub fn open(path: &Path, clock: Arc<dyn Clock>, options: StoreOptions) -> Result<Self, StoreError> {
        let path = file::locate(path)?;
        let lock = file::lock(&path)?;
        file::create(&path)?;
        let now = clock.now();
        let mut db = file::connect_to_write(&path, now)?;
        // All of it together with its links.
        let transaction = db.unchecked_transaction()?;
        let interrupted = runs::interrupt_all(&transaction, now)?;
        sweeps::interrupt_all(&transaction, now)?;
        let unknown = changes::give_up_all(&transaction, now)?;
        transaction.commit()?;
        if unknown > 0 {
            tracing::warn!(
                changes = unknown,
                "the last agent left changes of which nobody knows whether they were done"
            );
        }
        if interrupted > 0 {
            tracing::warn!(runs = interrupted, "marked runs as interrupted that the last agent left without an end");
        }
        let at = |source| StoreError::Path { path: path.clone(), source };
        let identity = file::identity(&path).map_err(at)?;
        let log = Log::start(&mut db, file::connect_to_copy(&path)?, options.checkpoint_pages).map_err(at)?;
        let writer = Writer::start(Writing { db, log, guard: lock }, options.queue).map_err(at)?;
        let readers = Readers::new(path.clone(), options.readers);
        Ok(Self {
            path,
            identity,
            clock,
            writer,
            readers,
            keeping: tokio::sync::Mutex::default(),
            interrupted,
            probed: AtomicU64::new(0),
        })
    }

    /// How many runs were marked as interrupted when the store was opened.
    pub const fn interrupted(&self) -> usize {
        self.interrupted
    }

    async fn remove_all(&self, rule: Rule) -> Result<u64, StoreError> {
        let (mut removed, now) = (0, self.clock.now());
        loop {
            match self.writer.write_patiently(move |db| retention::step(db, rule, now)).await? {
                0 => return Ok(removed),
                runs => removed += runs,
            }
        }
    }

    /// Remove links of runs that are gone. The chain is kept for longer than they are, and takes a part of the size.
    async fn cut_chain(&self, policy: RetentionPolicy, now: Timestamp) -> Result<(), StoreError> {
        let by_age = policy.max_age.map(|age| Cut::RecordedBefore(now.before(age.max(CHAIN_LIFE))));
        let by_size = policy.max_bytes.map(|bytes| Cut::Above(bytes / CHAIN_PART));
        let mut links = 0;
        for rule in by_age.into_iter().chain(by_size) {
            loop {
                match self.writer.write_patiently(move |db| cut::step(db, rule, now)).await? {
                    0 => break,
                    more => links += more,
                }
            }
        }
        if links > 0 {
            self.log_head("the oldest links of the chain were removed").await;
        }
        Ok(())
    }

    async fn forget_keys(&self) -> Result<u64, StoreError> {
        let (mut forgotten, now) = (0, self.clock.now());
        loop {
            match self.writer.write_patiently(move |db| once::forget_some(db, now)).await? {
                0 => return Ok(forgotten),
                keys => forgotten += keys,
            }
        }
    }

    /// Returns by how much the file got smaller.
    async fn shrink(&self) -> Result<u64, StoreError> {
        let sizes = |db: &Connection| Ok((retention::free_pages(db)?, retention::file_bytes(db)?));
        let (free, before) = self.readers.read(sizes).await?;
        for _ in 0..retention::shrink_steps(free) {
            if self.writer.write_patiently(retention::shrink).await? == 0 {
                break;
            }
        }
        self.writer.checkpoint().await?;
        let (_, after) = self.readers.read(sizes).await?;
        Ok(before.saturating_sub(after))
    }

    /// Why nothing can be written, if that is so. Whether the last failure is over is found out by writing.
    async fn problem(&self) -> Option<String> {
        if self.writer.is_closed() {
            return Some(StoreError::Closed.to_string());
        }
        match file::identity(&self.path) {
            Ok(identity) if identity == self.identity => {}
            Ok(_) => return Some(format!("{} was replaced by another file: restart the agent", self.path.display())),
            Err(error) => return Some(format!("{} cannot be found: {error}", self.path.display())),
        }
        if self.writer.condition().problem().is_some() && self.may_probe() {
            // Whether it works or not, the writer takes note of it.
            let _ = self.writer.write(state::probe).await;
        }
        self.writer.condition().problem()
    }

    /// True once in a while: however often somebody asks, a store in trouble is not kept busy with the answer.
    pub(super) fn may_probe(&self) -> bool {
        let now = self.clock.now().as_millis();
        let period = u64::try_from(PROBE_PERIOD.as_millis()).unwrap_or(u64::MAX);
        // A clock that was set back is no reason to stop asking.
        let is_due = |last: u64| last.abs_diff(now) >= period;
        self.probed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| is_due(last).then_some(now)).is_ok()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn start_run(&self, run: Run) -> Result<(), StoreError> {
        refuse_end(&run)?;
        self.writer.write(move |db| runs::start(db, &run)).await
    }

    async fn start_run_once(&self, run: Run, key: OnceKey) -> Result<(), StoreError> {
        refuse_end(&run)?;
        let (result, clock) = (KeptResult::Run(run.id), Arc::clone(&self.clock));
        let start = move |db: &Connection| {
            once::record(db, &key, &result, clock.now())?;
            runs::start(db, &run)
        };
        self.writer.write(start).await
    }

    async fn keep(&self, key: OnceKey, result: KeptResult) -> Result<(), StoreError> {
        let clock = Arc::clone(&self.clock);
        self.writer.write(move |db| once::record(db, &key, &result, clock.now())).await
    }

    async fn kept(&self, actor: &Actor, key: &str) -> Result<Option<Kept>, StoreError> {
        let (actor, key, now) = (actor.clone(), key.to_owned(), self.clock.now());
        self.readers.read(move |db| once::get(db, &actor, &key, now)).await
    }

    async fn finish_run(&self, run: Run) -> Result<Finish, StoreError> {
        self.end_run(run, None).await
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.readers.read(move |db| runs::load(db, id)).await
    }

    async fn runs(&self, filter: RunFilter, page: Page) -> Result<RunPage, StoreError> {
        self.readers.read(move |db| runs::list(db, &filter, page)).await
    }

    async fn state_get(&self, plugin: &PluginName, key: &str) -> Result<Option<StateEntry>, StoreError> {
        let (plugin, key, now) = (plugin.clone(), key.to_owned(), self.clock.now());
        self.readers.read(move |db| state::get(db, &plugin, &key, now)).await
    }

    async fn state_put(
        &self,
        plugin: &PluginName,
        key: &str,
        value: String,
        ttl: Option<Duration>,
    ) -> Result<u64, StoreError> {
        self.put(Put::new(plugin, key, value, ttl)?).await
    }

    async fn state_swap(
        &self,
        plugin: &PluginName,
        key: &str,
        value: String,
        revision: u64,
        ttl: Option<Duration>,
    ) -> Result<u64, StoreError> {
        self.put(Put::new(plugin, key, value, ttl)?.expecting(revision)).await
    }

    async fn state_remove(&self, plugin: &PluginName, key: &str) -> Result<bool, StoreError> {
        let (plugin, key, clock) = (plugin.clone(), key.to_owned(), Arc::clone(&self.clock));
        self.writer.write(move |db| state::remove(db, &plugin, &key, clock.now())).await
    }

    async fn state_keys(&self, plugin: &PluginName, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (plugin, prefix, now) = (plugin.clone(), prefix.to_owned(), self.clock.now());
        self.readers.read(move |db| state::keys(db, &plugin, &prefix, now)).await
    }

    async fn retain(&self, policy: RetentionPolicy) -> Result<Removed, StoreError> {
        let now = self.clock.now();
        let state_entries = self.writer.write_patiently(move |db| state::forget_all_expired(db, now)).await?;
        let mut removed = Removed { state_entries, keys: self.forget_keys().await?, ..Removed::default() };
        if let Some(age) = policy.max_age {
            removed.runs += self.remove_all(Rule::StartedBefore(now.before(age))).await?;
        }
        if let Some(bytes) = policy.max_bytes {
            // Links that are too many go by themselves once their runs are gone, and push no others out.
            let excess = self.readers.read(cut::bytes).await?.saturating_sub(bytes / CHAIN_PART);
            removed.runs += self.remove_all(Rule::Above(bytes.saturating_add(excess))).await?;
            self.cut_chain(policy, now).await?;
            removed.runs += self.remove_all(Rule::Above(bytes)).await?;
        }
        self.cut_chain(policy, now).await?;
        removed.bytes = self.shrink().await?;
        Ok(removed)
    }

    async fn health(&self) -> Health {
        Health {
            problem: self.problem().await,
            queued: self.writer.queued(),
            queue_capacity: self.writer.capacity(),
            file_bytes: file::size(&self.path),
            wal_bytes: file::size(&file::wal(&self.path)),
            commits: self.writer.condition().commits(),
            records: self.writer.condition().records(),
        }
    }

    async fn verify(&self) -> Result<Vec<String>, StoreError> {
        let mut defects = self.readers.read(verify).await?;
        let chain = self.verify_chain(None).await?;
        defects.extend(chain.broken.map(|broken| format!("the chain breaks at link {}: {}", broken.seq, broken.why)));
        Ok(defects)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.readers.close().await;
        self.writer.close().await
    }
}

impl SqliteStore {
    pub(super) async fn end_run(&self, run: Run, recording: Option<KeptRecording>) -> Result<Finish, StoreError> {
        let acted = run.mode == Mode::Apply;
        let end = End::of(run, recording)?;
        let finish = self.writer.write(move |db| end.record(db)).await?;
        if acted {
            self.log_head("a run that acts has ended").await;
        }
        Ok(finish)
    }

    async fn put(&self, put: Put) -> Result<u64, StoreError> {
        let clock = Arc::clone(&self.clock);
        self.writer.write(move |db| put.record(db, clock.now())).await
    }
}

fn refuse_end(run: &Run) -> Result<(), StoreError> {
    if run.finished.is_some() || run.ending.is_some() {
        return Err(StoreError::Invalid(format!("run {} cannot begin: it has an end", run.id)));
    }
    Ok(())
}

fn verify(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = db.prepare("PRAGMA integrity_check(20)")?;
    let found = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut defects: Vec<_> = found.into_iter().filter(|line| line != "ok").collect();
    let mut statement = db.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, parent) = (row.get::<_, String>(0)?, row.get::<_, String>(2)?);
        defects.push(format!("a row of {table} belongs to nothing in {parent}"));
    }
    defects.extend(components::verify(db)?);
    Ok(defects)
}
