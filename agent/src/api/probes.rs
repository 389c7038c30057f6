//! What watches the agent: `/healthz`, `/readyz` and `/metrics`.

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
    /// Why runs cannot be recorded. Only for callers with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Plugins that cannot run. Only for callers with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    inactive: Option<Vec<shape::PluginSummary>>,
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
    let mut readiness = readiness(&app).await;
    if caller.is_none() {
        (readiness.problem, readiness.inactive) = (None, None);
    }
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(readiness)).into_response()
}

async fn readiness(app: &App) -> Readiness {
    let parts = &app.parts;
    let health = parts.store.health().await;
    let (loaded, accepting) = (*parts.loaded.borrow(), !parts.runner.is_stopping());
    let runs = |(entry, state): &(&Entry, PluginState)| {
        matches!(state, PluginState::Active(_)) && parts.catalog.standing(&entry.name).hold.is_none()
    };
    let inactive = parts.catalog.list().filter(|plugin| !runs(plugin));
    let summary = |(entry, state): (&Entry, PluginState)| {
        shape::PluginSummary::of(entry, &state, &parts.catalog.standing(&entry.name))
    };
    Readiness {
        ready: loaded && accepting && health.is_writable(),
        accepting,
        loaded,
        store: if health.is_writable() { StoreState::Writable } else { StoreState::Failing },
        plugins: counts(app),
        problem: health.problem,
        inactive: Some(inactive.map(summary).collect()),
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
    ([(CONTENT_TYPE, OPEN_METRICS)], app.parts.metrics.render()).into_response()
}
