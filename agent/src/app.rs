//! Builds every part, joins them, and takes them apart again. Knows everything; nobody but `main` knows it.
//!
//! Start: store, engine, clients, plugins, API. The API answers while plugins are being loaded, so that a probe sees
//! an agent that is coming up and not one that is dead. End, on SIGTERM or SIGINT: take no more runs, let those under way
//! finish for a while, or until a second signal, record them, close the store.

mod anchors;
mod callers;
mod doctor;
mod dumps;
mod intake;
mod memory;
mod rbac;
mod reload;
mod replicas;
mod seal;
mod sweeps;
mod targets;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use doctor::examine;
pub use dumps::forbid_core_dumps;
pub use rbac::{Place, examine_rights, in_one_cluster, places};
pub use sweeps::check_runner;

use crate::api::{self, Tokens};
use crate::catalog::{Catalog, Folder, Surroundings, watch_folder};
use crate::clients::kubernetes::Seal;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, ServerTls};
use crate::engine::{Allocation, Engine, Settings};
use crate::host::Targets;
use crate::replicas::{Replicas, SharedSweeps};
use crate::runner::{PluginRules, Rules, Runner};
use crate::scheduler::Scheduler;
use crate::store::{RetentionPolicy, SqliteStore, Store, StoreOptions, SweepStore};
use crate::telemetry::Metrics;
use reload::Reloader;

/// How long runs under way may go on after the agent was told to end. Less than the 30 s that Kubernetes waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long sweeps may go on after their last run was recorded.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long sweeps wait for all plugins. One that takes longer to compile keeps the others from being watched no longer.
const LOADING: Duration = Duration::from_secs(30);

/// How often runs beyond the retention are removed.
const RETENTION_PERIOD: Duration = Duration::from_secs(10 * 60);

/// The configuration that the agent is started with.
pub struct Start {
    path: PathBuf,
    read: reload::Read,
}

impl Start {
    /// Read the configuration at `path`.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let (config, files) = Config::load_noting(path);
        Ok(Self { path: path.to_owned(), read: reload::Read { config: config?, files } })
    }
}

/// Run the agent until it is told to end.
pub async fn serve(Start { path, read }: Start) -> anyhow::Result<()> {
    let config = read.config.clone();
    if config.auth.is_nobody() {
        anyhow::bail!("auth.tokens is empty, so nobody could ask anything; `paramedic token new` makes a token");
    }
    // From here on: a signal that nobody listens for ends the process at once, or, as the first of a container, never.
    let mut orders = Orders::listen()?;
    let hangup = signal(SignalKind::hangup())?;
    let tls = config.server.tls.as_ref().map(tls).transpose()?;
    let agent = Agent::build(&config).await?;
    let reloader = Arc::new(Reloader::new(path, read, &agent));
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {} (server.listen)", config.server.listen))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, tls = tls.is_some(), version = env!("CARGO_PKG_VERSION"), "paramedic listens");

    let (stop, stopping) = watch::channel(false);
    let router = api::router(agent.api_parts(&config, &reloader));
    let server = tokio::spawn(api::serve(listener, tls.clone(), router, stopping.clone()));
    let certificates = tls.map(|tls| tokio::spawn(tls.follow(stopping.clone())));
    let sweeping = tokio::spawn(sweep(agent.scheduler.clone(), agent.loaded.subscribe(), stopping.clone()));
    let house = keep_house(agent.store.clone(), agent.sweep_store.clone(), reloader.retention(), stopping.clone());
    let housekeeping = tokio::spawn(house);
    let anchoring = tokio::spawn(anchors::keep(agent.store.clone(), stopping.clone()));
    let reloading = tokio::spawn(reloader.clone().follow(hangup, stopping.clone()));
    let replica = agent.runner.replica().cloned();
    let leading = replica.map(|replica| tokio::spawn(lead(replica, agent.loaded.subscribe(), stopping.clone())));
    // Each Postgres target keeps a connection for the hour when its server has no slot left.
    agent.targets.postgres.values().for_each(|client| client.keep_warm());
    let (catalog, followed, loading) = (agent.catalog.clone(), reloader.folder(), agent.loading.abort_handle());
    let watching = async {
        if let Some(folder) = agent.loading.await.context("loading the plugins ended in a panic")? {
            watch_folder(folder, catalog, followed, stopping).await;
        }
        std::future::pending::<anyhow::Result<Infallible>>().await
    };
    tokio::select! {
        // Compiling large plugins takes minutes: whoever tells the agent to end does not wait for that.
        () = orders.end() => {}
        never = watching => match never? {},
    }
    loading.abort();

    tracing::info!("told to end; runs under way may finish");
    agent.scheduler.stop();
    let unfinished = tokio::select! {
        unfinished = agent.runner.drain(PATIENCE) => unfinished,
        () = orders.end() => agent.runner.under_way(),
    };
    let sweeps = agent.scheduler.settled(FAREWELL).await;
    if sweeps > 0 {
        tracing::warn!(sweeps, "sweeps are cut off; the next start shows them as interrupted");
    }
    if unfinished > 0 {
        tracing::warn!(unfinished, "runs are cut off; the next start shows them as interrupted");
    }
    stop.send_replace(true);
    server.await.context("the API ended in a panic")?;
    housekeeping.await.context("housekeeping ended in a panic")?;
    reloading.await.context("following the configuration ended in a panic")?;
    if let Some(certificates) = certificates {
        certificates.await.context("following the certificate ended in a panic")?;
    }
    sweeping.await.context("the scheduler ended in a panic")?;
    if let Some(leading) = leading {
        leading.await.context("leading ended in a panic")?;
    }
    anchoring.await.context("anchoring the records ended in a panic")?;
    anchors::write(agent.store.as_ref(), None).await;
    agent.store.close().await.context("cannot close the store")?;
    tracing::info!("paramedic has ended");
    Ok(())
}

/// Load all plugins, those in the folder last.
async fn load(catalog: Arc<Catalog>, mut folder: Option<Folder>, loaded: watch::Sender<bool>) -> Option<Folder> {
    catalog.load_all().await;
    if let Some(folder) = &mut folder {
        folder.look(&catalog).await;
    }
    loaded.send_replace(true);
    folder
}

/// The parts of a running agent.
struct Agent {
    store: Arc<dyn Store>,
    sweep_store: Arc<dyn SweepStore>,
    targets: Arc<Targets>,
    catalog: Arc<Catalog>,
    runner: Arc<Runner>,
    scheduler: Arc<Scheduler>,
    tokens: Arc<Tokens>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    loaded: watch::Sender<bool>,
    /// Loads the plugins; comes back with the folder to be watched.
    loading: JoinHandle<Option<Folder>>,
    seal: Arc<Seal>,
}

impl Agent {
    async fn build(config: &Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = Arc::new(Metrics::default());
        let sqlite = Arc::new(
            SqliteStore::open(&config.store.path, clock.clone(), StoreOptions::default())
                .context("cannot open the store")?,
        );
        let store: Arc<dyn Store> = sqlite.clone();
        let engine = Arc::new(Engine::new(&engine_settings(config))?);
        let seal = Arc::new(match &config.replicas {
            Some(replicas) => Seal::new(replicas.key.bytes()),
            None => seal::of_store(&config.store.path)?,
        });
        let targets = Arc::new(targets::build(&config.targets, &seal)?);
        let replica = replicas::replica(config, &targets, clock.clone(), metrics.clone())?;
        let sweep_store: Arc<dyn SweepStore> = match &replica {
            Some(replica) => Arc::new(SharedSweeps::new(sqlite.clone(), replica.clone())),
            None => sqlite.clone(),
        };
        let surroundings = Surroundings {
            targets: targets.clone(),
            memory: Arc::new(memory::StoreMemory(store.clone())),
            clock: clock.clone(),
            io: tokio::runtime::Handle::current(),
        };
        let way_in = intake::intake(config, sqlite, metrics.clone());
        let catalog = Arc::new(Catalog::with(way_in, engine, surroundings, intake::entries(config)));
        let (loaded, _) = watch::channel(false);
        // From here on beside all else, which does not take as long.
        let loading = tokio::spawn(load(catalog.clone(), intake::folder(config), loaded.clone()));
        let slots = config.server.max_concurrent_runs;
        let for_sweeps = config.scheduler.max_parallel;
        let runner = Runner::new(catalog.clone(), store.clone(), clock.clone(), metrics.clone(), slots, for_sweeps);
        runner.govern(rules(config));
        if let Some(replica) = &replica {
            runner.join(replica.clone());
        }
        runner.keep_leases();
        let settling = runner.clone();
        tokio::spawn(async move { settling.settle_unknown().await });
        let (kept, plugins, checks) = (sweep_store.clone(), catalog.clone(), runner.clone());
        let scheduler = sweeps::scheduler(config, kept, plugins, checks, clock.clone(), metrics.clone()).await?;
        if let Some(replica) = replica {
            scheduler.take_turns(Arc::new(sweeps::Turns(replica)));
        }
        let scheduler = Arc::new(scheduler);
        let tokens = Arc::new(Tokens::new(callers::access(config, &targets), clock.clone(), metrics.clone()));
        Ok(Self {
            store,
            sweep_store,
            targets,
            catalog,
            runner,
            scheduler,
            tokens,
            metrics,
            clock,
            loaded,
            loading,
            seal,
        })
    }

    fn api_parts(&self, config: &Config, reloader: &Arc<Reloader>) -> api::Parts {
        api::Parts {
            runner: self.runner.clone(),
            scheduler: self.scheduler.clone(),
            catalog: self.catalog.clone(),
            store: self.store.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            loaded: self.loaded.subscribe(),
            tokens: self.tokens.clone(),
            configuration: Arc::new(reload::Handle(reloader.clone())),
            max_body_bytes: config.server.max_body_bytes,
            uploads: api::Uploads::new(uploads_folder(config), config.intake.max_component_bytes),
        }
    }
}

fn tls(files: &ServerTls) -> anyhow::Result<Arc<api::Tls>> {
    let ServerTls { certificate, key } = files.clone();
    let tls = api::Tls::load(api::TlsFiles { certificate, key }).context("cannot use server.tls")?;
    Ok(Arc::new(tls))
}

/// Uploads lie beside the store until they were looked at: there the agent can write, and may fill the disk as it does
/// anyway.
fn uploads_folder(config: &Config) -> PathBuf {
    let folder = config.store.path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

fn engine_settings(config: &Config) -> Settings {
    Settings {
        slots: u32::try_from(config.server.max_concurrent_runs).unwrap_or(u32::MAX),
        threads: config.engine.guest_threads,
        cache: Some(config.engine.cache.clone()),
        allocation: Allocation::Pooled,
    }
}

fn rules(config: &Config) -> Rules {
    let rules = |plugin: &crate::config::Plugin| PluginRules {
        approvers: plugin.approval,
        cooldown: plugin.cooldown,
        recordings: plugin.recordings,
    };
    let plugins = config.plugins.iter().map(|(name, plugin)| (name.clone(), rules(plugin)));
    Rules { plugins: plugins.collect(), budgets: config.budgets.clone() }
}

fn retention(config: &Config) -> RetentionPolicy {
    let retain = config.store.retain;
    RetentionPolicy { max_age: Some(retain.age), max_bytes: Some(retain.size_bytes) }
}

/// Run sweeps by their schedules, from when the plugins were tried until the scheduler is stopped.
async fn sweep(scheduler: Arc<Scheduler>, mut loaded: watch::Receiver<bool>, mut stopping: watch::Receiver<bool>) {
    tokio::select! {
        _ = stopping.wait_for(|stop| *stop) => return,
        // Also when that takes too long.
        _ = tokio::time::timeout(LOADING, loaded.wait_for(|loaded| *loaded)) => {}
    }
    scheduler.run().await;
}

/// Lead when no other replica does, from when the plugins were tried until the agent ends.
async fn lead(replica: Arc<Replicas>, mut loaded: watch::Receiver<bool>, mut stopping: watch::Receiver<bool>) {
    tokio::select! {
        _ = stopping.wait_for(|stop| *stop) => return,
        // Also when that takes too long.
        _ = tokio::time::timeout(LOADING, loaded.wait_for(|loaded| *loaded)) => {}
    }
    replica.keep_office(stopping).await;
}

/// Remove what is beyond the retention, now and then, until the agent ends.
async fn keep_house(
    store: Arc<dyn Store>,
    sweeps: Arc<dyn SweepStore>,
    policy: watch::Receiver<RetentionPolicy>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut period = tokio::time::interval(RETENTION_PERIOD);
    loop {
        let retain = async {
            period.tick().await;
            sweeps.trim_sweeps().await?;
            let policy = *policy.borrow();
            store.retain(policy).await
        };
        // It goes in small steps and can be left between two of them.
        let removed = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            removed = retain => removed,
        };
        match removed {
            Ok(removed) => tracing::debug!(?removed, "removed runs beyond the retention"),
            Err(error) => tracing::warn!(%error, "runs beyond the retention are not removed"),
        }
    }
}

/// The signals that tell the agent to end.
struct Orders {
    terminate: Signal,
    interrupt: Signal,
}

impl Orders {
    /// Catch them from now on.
    fn listen() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one. Whoever sends a second one does not want to wait.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
