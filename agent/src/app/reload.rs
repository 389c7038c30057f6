//! Reads the configuration again and puts it in force, while the agent goes on.
//!
//! ```text
//!  SIGHUP ─────────────┐
//!  a file is another ──┼─► read ─► clients of targets ─► what is known of new sweeps ─► in force: tokens, guards, plugins,
//!  config:reload ──────┘     │             │                         │                             sweeps, retention
//!                            └─────────────┴─────────────────────────┴─► refused: the one before holds
//! ```
//!
//! One at a time. All that can fail comes first and changes nothing, so that what is in force is always one configuration and
//! never half of two. Settings of what is built only once hold after a restart, and are told.

mod difference;
mod files;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use async_trait::async_trait;
use tokio::signal::unix::Signal;
use tokio::sync::{Mutex, Notify, watch};

use super::{Agent, callers, intake, retention, sweeps, targets};
use crate::api::{Configuration, Tokens};
use crate::catalog::Catalog;
use crate::clients::kubernetes::Seal;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Files};
use crate::domain::{Actor, ConfigStanding, ReloadRefused, Reloaded};
use crate::host::Targets;
use crate::runner::Runner;
use crate::scheduler::Scheduler;
use crate::store::RetentionPolicy;
use crate::telemetry::Metrics;

/// A configuration with what was read for it.
pub(super) struct Read {
    pub(super) config: Config,
    /// The files that it came from.
    pub(super) files: Files,
}

/// Puts configurations in force.
pub(super) struct Reloader {
    path: PathBuf,
    /// What the agent was started with.
    started: Config,
    in_force: Mutex<InForce>,
    /// The files that were looked into the last time, also by a configuration that was refused.
    files: RwLock<Files>,
    standing: RwLock<ConfigStanding>,
    catalog: Arc<Catalog>,
    runner: Arc<Runner>,
    scheduler: Arc<Scheduler>,
    tokens: Arc<Tokens>,
    retention: watch::Sender<RetentionPolicy>,
    folder: Arc<Notify>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    seal: Arc<Seal>,
}

struct InForce {
    config: Config,
    targets: Arc<Targets>,
}

/// What makes the agent read its configuration again, for the log.
enum Cause {
    Signal,
    Files,
    Asked(Actor),
}

impl Cause {
    fn as_str(&self) -> &str {
        match self {
            Self::Signal => "SIGHUP",
            Self::Files => "a file that is another one",
            Self::Asked(actor) => &actor.0,
        }
    }
}

impl Reloader {
    /// Of the parts of `agent`, which was built by `read`.
    pub(super) fn new(path: PathBuf, read: Read, agent: &Agent) -> Self {
        let Read { config, files } = read;
        let since = agent.clock.now();
        agent.metrics.configuration.in_force(since);
        Self {
            path,
            started: config.clone(),
            retention: watch::Sender::new(retention(&config)),
            in_force: Mutex::new(InForce { config, targets: agent.targets.clone() }),
            files: RwLock::new(files),
            standing: RwLock::new(ConfigStanding { since, refused: None, needs_restart: Vec::new() }),
            catalog: agent.catalog.clone(),
            runner: agent.runner.clone(),
            scheduler: agent.scheduler.clone(),
            tokens: agent.tokens.clone(),
            folder: Arc::default(),
            clock: agent.clock.clone(),
            metrics: agent.metrics.clone(),
            seal: agent.seal.clone(),
        }
    }

    /// How long runs are kept, by what is in force.
    pub(super) fn retention(&self) -> watch::Receiver<RetentionPolicy> {
        self.retention.subscribe()
    }

    /// Tells when the watched folder has to be looked at as if for the first time.
    pub(super) fn folder(&self) -> Arc<Notify> {
        self.folder.clone()
    }

    /// Read again on each `hangup`, and when a file is another one, until the agent ends.
    pub(super) async fn follow(self: Arc<Self>, mut hangup: Signal, mut stopping: watch::Receiver<bool>) {
        loop {
            let read = self.files();
            let cause = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                _ = hangup.recv() => Cause::Signal,
                () = files::differ(&read) => Cause::Files,
            };
            // What comes of it is logged, counted and shown.
            drop(self.clone().reload_for(cause).await);
        }
    }

    fn files(&self) -> Files {
        self.files.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// On a task of its own: a caller that leaves in between must not leave half a configuration behind.
    async fn reload_for(self: Arc<Self>, cause: Cause) -> Result<Reloaded, ReloadRefused> {
        let task = tokio::spawn(async move {
            let mut in_force = self.in_force.lock().await;
            let result = self.try_reload(&mut in_force).await;
            self.tell(&cause, &result);
            result
        });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "reading the configuration again ended in a defect of the agent");
            Err(refused(format!("the agent failed: {error}")))
        })
    }

    async fn try_reload(&self, in_force: &mut InForce) -> Result<Reloaded, ReloadRefused> {
        let config = self.read().await?;
        if config.auth.is_nobody() {
            return Err(refused("auth.tokens is empty, so nobody could ask anything any more".to_owned()));
        }
        let targets = self.targets(&config, in_force).map_err(|error| refused(format!("{error:#}")))?;
        let prepared = self.scheduler.prepare(sweeps::all(&config)).await;
        let prepared = prepared.context("cannot read what is known of the sweeps");
        let prepared = prepared.map_err(|error| refused(format!("{error:#}")))?;

        // From here on nothing fails.
        let changed = difference::between(&in_force.config, &config);
        self.tokens.replace(callers::access(&config, &targets));
        self.runner.govern(super::rules(&config));
        self.catalog.reconfigure(targets.clone(), intake::entries(&config)).await;
        self.scheduler.adopt(prepared);
        self.retention.send_replace(retention(&config));
        self.folder.notify_one();
        targets.postgres.values().for_each(|client| client.keep_warm());
        let needs_restart = difference::needs_restart(&self.started, &config);
        *in_force = InForce { config, targets };
        Ok(Reloaded { at: self.clock.now(), changed, needs_restart })
    }

    async fn read(&self) -> Result<Config, ReloadRefused> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || Config::load_noting(&path)).await;
        let (config, files) = read.map_err(|error| refused(format!("the agent failed: {error}")))?;
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = files;
        config.map_err(|error| match &error {
            ConfigError::Invalid { path, problems } => ReloadRefused {
                reason: format!("{} has mistakes", path.display()),
                problems: problems.iter().map(ToString::to_string).collect(),
            },
            ConfigError::Unreadable { .. } | ConfigError::TooLarge { .. } => {
                refused(format!("{:#}", anyhow::Error::new(error)))
            }
        })
    }

    /// The very same where nothing is different: plugins are judged again where they are others.
    fn targets(&self, config: &Config, in_force: &InForce) -> anyhow::Result<Arc<Targets>> {
        if config.targets == in_force.config.targets {
            return Ok(in_force.targets.clone());
        }
        targets::rebuild(&config.targets, &self.seal, &in_force.config.targets, &in_force.targets).map(Arc::new)
    }

    fn tell(&self, cause: &Cause, result: &Result<Reloaded, ReloadRefused>) {
        let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
        let cause = cause.as_str();
        match result {
            Ok(Reloaded { at, changed, needs_restart }) => {
                let changed = changed.join(", ");
                tracing::info!(cause, changed, "the configuration is in force");
                if !needs_restart.is_empty() {
                    tracing::warn!(settings = needs_restart.join(", "), "these settings hold only after a restart");
                }
                self.metrics.configuration.in_force(*at);
                self.metrics.configuration.applied();
                let needs_restart = needs_restart.clone();
                *standing = ConfigStanding { since: *at, refused: None, needs_restart };
            }
            Err(refused) => {
                let problems = refused.problems.join("\n");
                tracing::error!(cause, reason = refused.reason, problems, "the configuration is refused");
                self.metrics.configuration.refused();
                standing.refused = Some(refused.clone());
            }
        }
    }
}

fn refused(reason: String) -> ReloadRefused {
    ReloadRefused { reason, problems: Vec::new() }
}

/// The handle of the API.
pub(super) struct Handle(pub(super) Arc<Reloader>);

#[async_trait]
impl Configuration for Handle {
    async fn reload(&self, actor: Actor) -> Result<Reloaded, ReloadRefused> {
        self.0.clone().reload_for(Cause::Asked(actor)).await
    }

    fn standing(&self) -> ConfigStanding {
        self.0.standing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
