//! What watches the agent: `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::problem::Problems;
use super::{App, Shared, shape};
use crate::catalog::{Entry, State as PluginState};
use crate::domain::ConfigStanding;
use crate::replicas;
use crate::telemetry::StateLabels;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process lives.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the process lives. Needs no token.
#[utoipa::path(
    get, path = "/healthz", operation_id = "healthz", tag = "agent", security(()),
    responses((status = 200, description = "It does.", body = Health), Problems)
)]
pub(super) async fn healthz() -> axum::Json<Health> {
    axum::Json(Health { status: "ok" })
}

/// Whether the agent does its work.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// True when everything below is as it should be. That a plugin cannot run does not count.
    ready: bool,
    /// False from the moment when the agent was told to end.
    accepting: bool,
    /// True once every plugin was tried.
    loaded: bool,
    /// Whether runs can be recorded.
    store: StoreState,
    /// How many plugins are in which state.
    plugins: Counts,
    /// The configuration in force.
    config: InForce,
    /// Who of several replicas does what is due; left out for an agent that is alone. That makes nobody unready.
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<Replica>,
    /// Why runs cannot be recorded. Only for callers with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Plugins that cannot run. Only for callers with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    inactive: Option<Vec<shape::PluginSummary>>,
}

/// One agent among others.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Replica {
    /// How this one is called.
    #[schema(example = "paramedic-0")]
    name: String,
    /// Whether it does what is due.
    leads: bool,
    /// Who does, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "paramedic-1")]
    leader: Option<String>,
    /// True where it has not heard of the cluster for four terms and runs its sweeps for itself, without taking their slots.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut_off: bool,
    /// Why that is not known, or what is due cannot be done. Only for callers with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Replica {
    fn of(standing: replicas::Standing, is_known: bool) -> Self {
        let replicas::Standing { name, leads, leader, trouble, is_cut_off } = standing;
        Self { name, leads, leader, cut_off: is_cut_off, problem: trouble.filter(|_| is_known) }
    }
}

/// The configuration in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InForce {
    /// When it was put in force.
    #[schema(format = DateTime, example = "2026-03-01T03:00:00.000Z")]
    since: String,
    /// False while what was read last was refused. That makes nobody unready: the one before holds.
    current: bool,
    /// Why it was refused. Only for callers with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// What is wrong in the file. Only for callers with a token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
    /// Settings that hold only after a restart. Only for callers with a token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needs_restart: Vec<&'static str>,
}

impl InForce {
    /// What everybody may know; with `is_known`, all of it.
    fn of(standing: ConfigStanding, is_known: bool) -> Self {
        let ConfigStanding { since, refused, needs_restart } = standing;
        let shown = Self {
            since: since.to_string(),
            current: refused.is_none(),
            problem: None,
            errors: Vec::new(),
            needs_restart: Vec::new(),
        };
        if !is_known {
            return shown;
        }
        let (problem, errors) = refused.map(|refused| (refused.reason, refused.problems)).unzip();
        Self { problem, errors: errors.unwrap_or_default(), needs_restart, ..shown }
    }
}

/// Whether runs can be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum StoreState {
    /// They can.
    Writable,
    /// They cannot, for now.
    Failing,
}

/// How many plugins are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Counts {
    /// They can run.
    active: u32,
    /// They are on their way.
    loading: u32,
    /// They cannot run.
    failed: u32,
    /// Nothing was delivered of them yet.
    absent: u32,
    /// They could run, and are held back because they kept failing.
    quarantined: u32,
}

/// Whether the agent does its work: runs are accepted and can be recorded, and every plugin was tried.
///
/// No single plugin makes the agent unready. Needs no token, and names no plugin without one.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "agent", security((), ("token" = [])),
    responses(
        (status = 200, description = "It does.", body = Readiness),
        (status = 503, description = "It does not, for now.", body = Readiness),
        Problems
    )
)]
pub(super) async fn readyz(State(app): Shared, caller: Option<Caller>) -> Response {
    let mut readiness = readiness(&app, caller.is_some()).await;
    if caller.is_none() {
        (readiness.problem, readiness.inactive) = (None, None);
    }
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(readiness)).into_response()
}

async fn readiness(app: &App, is_known: bool) -> Readiness {
    let parts = &app.parts;
    let health = parts.store.health().await;
    let (loaded, accepting) = (*parts.loaded.borrow(), !parts.runner.is_stopping());
    let runs = |(entry, state): &(Arc<Entry>, PluginState)| {
        matches!(state, PluginState::Active(_)) && parts.catalog.standing(&entry.name).hold.is_none()
    };
    let summary = |(entry, state): &(Arc<Entry>, PluginState)| {
        shape::PluginSummary::of(entry, state, &parts.catalog.standing(&entry.name))
    };
    let inactive = parts.catalog.list().iter().filter(|plugin| !runs(plugin)).map(summary).collect();
    Readiness {
        ready: loaded && accepting && health.is_writable(),
        accepting,
        loaded,
        store: if health.is_writable() { StoreState::Writable } else { StoreState::Failing },
        plugins: counts(app),
        config: InForce::of(parts.configuration.standing(), is_known),
        replica: parts.runner.replica().map(|replica| Replica::of(replica.standing(), is_known)),
        problem: health.problem,
        inactive: Some(inactive),
    }
}

fn counts(app: &App) -> Counts {
    let mut counts = Counts::default();
    for (entry, state) in app.parts.catalog.list() {
        match state {
            PluginState::Active(_) if app.parts.catalog.standing(&entry.name).hold.is_some() => counts.quarantined += 1,
            PluginState::Active(_) => counts.active += 1,
            PluginState::Absent => counts.absent += 1,
            PluginState::Loading => counts.loading += 1,
            PluginState::Failed(_) => counts.failed += 1,
        }
    }
    counts
}

/// What the agent counts and measures, in the OpenMetrics format.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "agent",
    responses(
        (status = 200, description = "All of it.", body = String,
            content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        Problems
    )
)]
pub(super) async fn metrics(State(app): Shared) -> Response {
    let Counts { active, loading, failed, absent, quarantined } = counts(&app);
    for (state, count) in
        [("active", active), ("loading", loading), ("failed", failed), ("absent", absent), ("quarantined", quarantined)]
    {
        app.parts.metrics.plugins.get_or_create(&StateLabels { state }).set(i64::from(count));
    }
    let (store, health) = (&app.parts.metrics.store, app.parts.store.health().await);
    let number = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
    store.writable.set(i64::from(health.is_writable()));
    store.queued.set(number(health.queued as u64));
    store.file_bytes.set(number(health.file_bytes));
    store.wal_bytes.set(number(health.wal_bytes));
    // A store that cannot be read shows that above.
    if let Ok(head) = app.parts.store.chain_head().await {
        store.links.set(head.map_or(0, |head| number(head.seq)));
    }
    ([(CONTENT_TYPE, OPEN_METRICS)], app.parts.metrics.render()).into_response()
}
