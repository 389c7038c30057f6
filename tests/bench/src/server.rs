//! The agent's API in this process, with an endpoint beside it that answers the same to everybody.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use paramedic::api::{self, Access, Parts, Token};
use paramedic::catalog::Catalog;
use paramedic::clock::{Clock, SystemClock};
use paramedic::domain::{
    Actor, Anchor, Approval, ChainHead, ChangeRecord, ConfigStanding, Digest, Fate, Freeze, FreezeId, Help, Lease,
    LeaseState, Plan, PluginName, Rate, ReloadRefused, Reloaded, Role, Run, RunId, Secret, Timestamp, TokenKey,
};
use paramedic::runner::Runner;
use paramedic::scheduler::{Limits, Scheduler};
use paramedic::store::{
    AuditStore, Bounds, ChangeStore, Finish, GuardFacts, GuardStore, Health, Kept, KeptPlan, KeptRecording, KeptResult,
    LeaseStore, Link, NewChange, OnceKey, Page, RecordingStore, Removed, RetentionPolicy, RunFilter, RunPage,
    SqliteStore, StateEntry, Store, StoreError, StoreOptions, Verified,
};
use paramedic::telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Bench;
use crate::load::Question;
use crate::plugins::SLOTS;

/// The token of whoever asks.
pub const TOKEN: &str = "what is measured has to know who asks";

/// What the constant endpoint answers.
const CONSTANT: &str = r#"{"status":"ok","summary":"always the same"}"#;

/// A running API. It ends when this is dropped.
pub struct Server {
    address: SocketAddr,
    _stop: watch::Sender<bool>,
    _loaded: watch::Sender<bool>,
}

impl Server {
    /// Serve the plugins of `catalog`, with their runs recorded in `store`, on the agent's threads.
    pub fn start(bench: &Bench, catalog: Arc<Catalog>, store: Arc<dyn Store>) -> anyhow::Result<Self> {
        let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::default()));
        let slots = SLOTS as usize;
        let runner = Runner::new(catalog.clone(), store.clone(), clock.clone(), metrics.clone(), slots, slots);
        let scheduler = idle(bench, catalog.clone(), runner.clone(), metrics.clone())?;
        let tokens = api::Tokens::new(access()?, clock.clone(), metrics.clone());
        let (loaded, is_loaded) = watch::channel(true);
        let parts = Parts {
            runner,
            scheduler: Arc::new(scheduler),
            catalog,
            store,
            metrics,
            clock,
            loaded: is_loaded,
            tokens: Arc::new(tokens),
            configuration: Arc::new(Unchanging),
            max_body_bytes: 1 << 20,
            uploads: api::Uploads::new(bench.scratch.path().to_owned(), 32 << 20),
        };
        let constant = get(async || ([(CONTENT_TYPE, "application/json")], CONSTANT));
        let router = Router::new().route("/constant", constant).merge(api::router(parts));
        let (stop, stopping) = watch::channel(false);
        let listener = bench.agent.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).context("no free port")?;
        let address = listener.local_addr()?;
        bench.agent.spawn(api::serve(listener, None, router, stopping));
        Ok(Self { address, _stop: stop, _loaded: loaded })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A run of `noop`, with authentication, grant and schema.
    pub fn noop(&self) -> Question {
        Question::run(self.address, "noop", TOKEN, crate::runs::NOTHING)
    }

    /// The endpoint that does nothing.
    pub fn constant(&self) -> Question {
        Question::get(self.address, "/constant", "always the same")
    }
}

/// A configuration that nobody edits.
struct Unchanging;

#[async_trait]
impl api::Configuration for Unchanging {
    async fn reload(&self, _: Actor) -> Result<Reloaded, ReloadRefused> {
        Err(ReloadRefused { reason: "there is no file".to_owned(), problems: Vec::new() })
    }

    fn standing(&self) -> ConfigStanding {
        ConfigStanding { since: SystemClock.now(), refused: None, needs_restart: Vec::new() }
    }
}

/// One who may run plugins and push them, counted against a rate that is never reached.
fn access() -> anyhow::Result<Access> {
    let key = TokenKey::new(Secret::new("what is measured has to know who asks, by a digest with a key"))?;
    let token = Token {
        name: "bench".to_owned(),
        role: Role::Admin,
        expires: None,
        digest: key.digest(TOKEN.as_bytes()),
        rate: Rate { per_minute: 6_000_000, burst: 1_000_000 },
    };
    Ok(Access { key: Some(key), tokens: vec![token], cluster: None })
}

/// A scheduler without sweeps, with a store of its own.
fn idle(bench: &Bench, catalog: Arc<Catalog>, runner: Arc<Runner>, metrics: Arc<Metrics>) -> anyhow::Result<Scheduler> {
    let clock = Arc::new(SystemClock);
    let path = tempfile::Builder::new().prefix("sweeps").tempdir_in(bench.scratch.path())?.keep().join("sweeps.db");
    let store = Arc::new(SqliteStore::open(&path, clock.clone(), StoreOptions::default())?);
    let limits = Limits { max_parallel_per_target: 1, patience: Duration::ZERO };
    let checks = paramedic::app::check_runner(catalog, runner);
    Ok(bench.agent.block_on(Scheduler::open(Vec::new(), limits, store, checks, clock, metrics))?)
}

/// A store that keeps nothing, to see what records cost.
pub struct NoStore;

#[async_trait]
impl ChangeStore for NoStore {
    async fn plan(&self, _: RunId) -> Result<Option<KeptPlan>, StoreError> {
        Ok(None)
    }

    async fn intend(&self, _: NewChange, _: Bounds) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn pass_over(&self, _: NewChange, _: Fate) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn settle(&self, _: RunId, _: u32, _: Fate, _: Option<(RunId, u32)>) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn unknown_changes(&self) -> Result<Vec<(RunId, ChangeRecord)>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl GuardStore for NoStore {
    async fn freezes(&self, _: Timestamp) -> Result<Vec<Freeze>, StoreError> {
        Ok(Vec::new())
    }

    async fn add_freeze(&self, _: Freeze) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn lift_freeze(&self, _: FreezeId, _: &Actor) -> Result<Option<Freeze>, StoreError> {
        Ok(None)
    }

    async fn approve(&self, _: RunId, _: Digest, _: Approval) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn guard_facts(&self, _: &Plan, _: Timestamp) -> Result<GuardFacts, StoreError> {
        Err(StoreError::Closed)
    }

    async fn close_breaker(&self, _: &PluginName, _: &Actor) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }
}

#[async_trait]
impl LeaseStore for NoStore {
    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        Ok(Vec::new())
    }

    async fn lease(&self, _: RunId) -> Result<Option<Lease>, StoreError> {
        Ok(None)
    }

    async fn extend_lease(&self, _: RunId, _: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn settle_lease(
        &self,
        _: RunId,
        _: LeaseState,
        _: Option<String>,
        _: Option<RunId>,
    ) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn record_help(&self, _: RunId, _: Help) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn adopt_lent(&self, _: Run, _: Timestamp) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn returned_elsewhere(&self, _: RunId, _: Option<RunId>, _: String) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }
}

#[async_trait]
impl AuditStore for NoStore {
    async fn chain_head(&self) -> Result<Option<ChainHead>, StoreError> {
        Ok(None)
    }

    async fn links(&self, _: u64, _: u32) -> Result<Vec<Link>, StoreError> {
        Ok(Vec::new())
    }

    async fn verify_chain(&self, _: Option<Anchor>) -> Result<Verified, StoreError> {
        Ok(Verified { links: 0, to: None, broken: None })
    }
}

#[async_trait]
impl RecordingStore for NoStore {
    async fn finish_recorded_run(&self, _: Run, _: KeptRecording) -> Result<Finish, StoreError> {
        Ok(Finish::Recorded)
    }

    async fn recording(&self, _: RunId) -> Result<Option<KeptRecording>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl Store for NoStore {
    async fn start_run(&self, _: Run) -> Result<(), StoreError> {
        Ok(())
    }

    async fn start_run_once(&self, _: Run, _: OnceKey) -> Result<(), StoreError> {
        Ok(())
    }

    async fn keep(&self, _: OnceKey, _: KeptResult) -> Result<(), StoreError> {
        Ok(())
    }

    async fn kept(&self, _: &Actor, _: &str) -> Result<Option<Kept>, StoreError> {
        Ok(None)
    }

    async fn finish_run(&self, _: Run) -> Result<Finish, StoreError> {
        Ok(Finish::Recorded)
    }

    async fn run(&self, _: RunId) -> Result<Option<Run>, StoreError> {
        Ok(None)
    }

    async fn runs(&self, _: RunFilter, _: Page) -> Result<RunPage, StoreError> {
        Err(StoreError::Closed)
    }

    async fn state_get(&self, _: &PluginName, _: &str) -> Result<Option<StateEntry>, StoreError> {
        Ok(None)
    }

    async fn state_put(&self, _: &PluginName, _: &str, _: String, _: Option<Duration>) -> Result<u64, StoreError> {
        Err(StoreError::Closed)
    }

    async fn state_swap(
        &self,
        _: &PluginName,
        _: &str,
        _: String,
        _: u64,
        _: Option<Duration>,
    ) -> Result<u64, StoreError> {
        Err(StoreError::Closed)
    }

    async fn state_remove(&self, _: &PluginName, _: &str) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn state_keys(&self, _: &PluginName, _: &str) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn retain(&self, _: RetentionPolicy) -> Result<Removed, StoreError> {
        Ok(Removed::default())
    }

    async fn health(&self) -> Health {
        Health { problem: None, queued: 0, queue_capacity: 0, file_bytes: 0, wal_bytes: 0, commits: 0, records: 0 }
    }

    async fn verify(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
