//! `/v1/plugins`: what is configured, and whether it can run.

use axum::extract::State;
use axum::response::Response;

use super::accept::Format;
use super::card::{self, Paint};
use super::near::{MAX_LISTED, near};
use super::problem::{ApiError, Problems};
use super::{App, Segment, Shared, shape};

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
    let plugins = app.parts.catalog.list().map(|(entry, state)| shape::PluginSummary::of(entry, &state)).collect();
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
    let described = name.parse().ok().and_then(|name| app.parts.catalog.describe(&name));
    let (entry, state) = described.ok_or_else(|| unknown_plugin(&app, &name))?;
    Ok(format.answer(&shape::Plugin::of(entry, &state), |plugin| card::plugin(plugin, Paint::Plain)))
}

/// The refusal of a name that no plugin has, with those that may be meant.
pub(super) fn unknown_plugin(app: &App, name: &str) -> ApiError {
    let all: Vec<String> = app.parts.catalog.list().map(|(entry, _)| entry.name.to_string()).collect();
    let name = crate::domain::cut_bytes(name, 80).to_owned();
    ApiError::UnknownPlugin { near: near(&name, &all), all: all.into_iter().take(MAX_LISTED).collect(), name }
}
