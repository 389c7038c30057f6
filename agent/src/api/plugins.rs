//! `/v1/plugins`: what is configured, and whether it can run.

use axum::extract::State;
use axum::response::Response;

use super::accept::Format;
use super::card::{self, Paint};
use super::problem::{ApiError, Problems};
use super::{App, Segment, Shared, shape};
use crate::catalog::{Entry, State as PluginState};
use crate::domain::PluginName;

/// Most names that a refusal lists.
const MAX_LISTED: usize = 30;

/// How alike two names have to be for one to be meant by the other, between 0 and 1.
const ALIKE: f64 = 0.7;

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
    let summary =
        |(entry, state): (&Entry, PluginState)| shape::PluginSummary::of(entry, &state, &catalog.standing(&entry.name));
    let plugins = catalog.list().map(summary).collect();
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
    let plugin = shape::Plugin::of(entry, &state, &catalog.standing(name));
    Ok(format.answer(&plugin, |plugin| card::plugin(plugin, Paint::Plain)))
}

/// The refusal of a name that no plugin has, with those that may be meant.
pub(super) fn unknown_plugin(app: &App, name: &str) -> ApiError {
    let all: Vec<String> = app.parts.catalog.list().map(|(entry, _)| entry.name.to_string()).collect();
    let name = crate::domain::cut_bytes(name, 80).to_owned();
    ApiError::UnknownPlugin { near: near(&name, &all), all: all.into_iter().take(MAX_LISTED).collect(), name }
}

/// The names that `name` may be a slip of, the nearest first.
fn near(name: &str, all: &[String]) -> Vec<String> {
    let alike = |other: &String| strsim::normalized_damerau_levenshtein(name, other);
    let mut near: Vec<_> = all.iter().map(|other| (alike(other), other)).filter(|(alike, _)| *alike >= ALIKE).collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    near.into_iter().take(3).map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let all = ["pg-connections", "pg-idle-connections", "pg-ready", "redis-ping"].map(str::to_owned);
        for (name, expected) in [
            ("pg-conections", &["pg-connections"] as &[&str]),
            ("pg_ready", &["pg-ready"]),
            ("redsi-ping", &["redis-ping"]),
            ("pg-idel-connections", &["pg-idle-connections", "pg-connections"]),
            ("disk-full", &[]),
            ("", &[]),
        ] {
            assert_eq!(near(name, &all), expected, "{name}");
        }
    }
}
