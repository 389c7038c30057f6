//! `/v1/plugins`: what is configured, and whether it can run.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::accept::Format;
use super::card::{self, Paint};
use super::near::{MAX_LISTED, near};
use super::problem::{ApiError, Problems};
use super::{App, Segment, Shared, shape};
use crate::catalog::{Entry, State as PluginState};
use crate::domain::PluginName;

/// List the configured plugins.
#[utoipa::path(
    get, path = "/v1/plugins", operation_id = "listPlugins", tag = "plugins",
    responses(
        (status = 200, description = "All of them, also those that cannot run.",
            content((shape::PluginList = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn list(State(app): Shared, format: Format) -> Response {
    let catalog = &app.parts.catalog;
    let summary = |(entry, state): &(Arc<Entry>, PluginState)| {
        shape::PluginSummary::of(entry, state, &catalog.standing(&entry.name))
    };
    let plugins = catalog.list().iter().map(summary).collect();
    format.answer(&shape::PluginList { plugins }, |list| card::plugins(list, Paint::Plain))
}

/// Look at one plugin: what it is, what it takes, what it may do, and why it cannot run if it cannot.
#[utoipa::path(
    get, path = "/v1/plugins/{name}", operation_id = "getPlugin", tag = "plugins",
    params(("name" = String, Path, description = "Name of the plugin.")),
    responses(
        (status = 200, description = "The plugin.",
            content((shape::Plugin = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn show(State(app): Shared, format: Format, Segment(name): Segment) -> Result<Response, ApiError> {
    let name = name.parse().map_err(|_| unknown_plugin(&app, &name))?;
    answer(&app, format, &name)
}

/// The plugin of that name in full.
pub(super) fn answer(app: &App, format: Format, name: &PluginName) -> Result<Response, ApiError> {
    let catalog = &app.parts.catalog;
    let (entry, state) = catalog.describe(name).ok_or_else(|| unknown_plugin(app, name.as_str()))?;
    let plugin = shape::Plugin::of(&entry, &state, &catalog.standing(name));
    Ok(format.answer(&plugin, |plugin| card::plugin(plugin, Paint::Plain)))
}

/// The refusal of a name that no plugin has, with those that may be meant.
pub(super) fn unknown_plugin(app: &App, name: &str) -> ApiError {
    let all: Vec<String> = app.parts.catalog.list().iter().map(|(entry, _)| entry.name.to_string()).collect();
    let name = crate::domain::cut_bytes(name, 80).to_owned();
    ApiError::UnknownPlugin { near: near(&name, &all), all: all.into_iter().take(MAX_LISTED).collect(), name }
}
