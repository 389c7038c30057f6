//! `/v1/runs`: starting runs and looking at them.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, LINK, LOCATION};

use super::accept::Format;
use super::auth::Caller;
use super::body::Body;
use super::card::{self, Detail, Paint};
use super::plugins::unknown_plugin;
use super::prefer::{PREFERENCE_APPLIED, Patience};
use super::problem::{ApiError, Problems};
use super::query::RunQuery;
use super::{App, Segment, Shared, shape};
use crate::domain::{PluginName, Run, RunId, Trigger};
use crate::runner::{Refusal, Request, Started};

/// Run a plugin.
///
/// Waits for the end and answers with the finished run. With `Prefer: respond-async` the answer comes at once, and with
/// `Prefer: respond-async, wait=10` after ten seconds at the latest. The run goes on when the caller leaves.
#[utoipa::path(
    post, path = "/v1/runs", operation_id = "startRun", tag = "runs",
    params(("Prefer" = Option<String>, Header, description = "`respond-async`, with or without `wait=<seconds>`")),
    request_body(content = shape::RunRequest, description = "The plugin and its parameters."),
    responses(
        (status = 200, description = "The run has ended, whatever its verdict.", headers(
            ("Location" = String, description = "Where the run can be found.")
        ), content((shape::Run = "application/json"), (String = "text/plain"))),
        (status = 202, description = "The run is recorded and under way.", headers(
            ("Location" = String, description = "Where the run can be found."),
            ("Preference-Applied" = String, description = "`respond-async`")
        ), content((shape::Run = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn start(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    patience: Patience,
    Body(wanted): Body<shape::RunRequest>,
) -> Result<Response, ApiError> {
    let plugin: PluginName = wanted.plugin.parse().map_err(|_| unknown_plugin(&app, &wanted.plugin))?;
    let request = Request { plugin, params: wanted.params, actor, trigger: Trigger::Manual, sweep_run: None };
    let started = admit(&app, request).await?;
    let id = started.run.id;
    match outcome(started, patience).await {
        Waited::Ended(run) => Ok((location(id), show_run(format, run, Detail::Brief)).into_response()),
        Waited::Left(run) => {
            let applied = [(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"))];
            let answer = show_run(format, run, Detail::Brief);
            Ok((StatusCode::ACCEPTED, location(id), applied, answer).into_response())
        }
        Waited::Lost => Err(ApiError::EndUnknown(id)),
    }
}

/// Start the run; for a name that nothing has, tell the names that are close.
async fn admit(app: &App, request: Request) -> Result<Started, ApiError> {
    match app.parts.runner.start(request).await {
        Err(Refusal::UnknownPlugin { name }) => Err(unknown_plugin(app, name.as_str())),
        started => Ok(started?),
    }
}

/// What waiting for a run came to.
enum Waited {
    /// It ended.
    Ended(Run),
    /// Patience ended first; this is how the run began.
    Left(Run),
    /// Its end is not recorded.
    Lost,
}

async fn outcome(started: Started, patience: Patience) -> Waited {
    let begun = started.run.clone();
    let finished = match patience {
        Patience::Endless => Some(started.finished().await),
        Patience::Limited(time) if time.is_zero() => None,
        Patience::Limited(time) => tokio::time::timeout(time, started.finished()).await.ok(),
    };
    match finished {
        Some(Some(run)) => Waited::Ended(run),
        Some(None) => Waited::Lost,
        None => Waited::Left(begun),
    }
}

fn location(id: RunId) -> HeaderMap {
    let location = HeaderValue::from_str(&format!("/v1/runs/{id}"));
    location.map(|location| (LOCATION, location)).into_iter().collect()
}

fn show_run(format: Format, run: Run, detail: Detail) -> Response {
    format.answer(&shape::Run::from(run), |run| card::run(run, detail, Paint::Plain))
}

/// Look at one run, with its host calls and its log.
#[utoipa::path(
    get, path = "/v1/runs/{id}", operation_id = "getRun", tag = "runs",
    params(("id" = String, Path, description = "Id of the run.")),
    responses(
        (status = 200, description = "The run.", content((shape::Run = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn show(State(app): Shared, format: Format, Segment(id): Segment) -> Result<Response, ApiError> {
    let unknown = || ApiError::UnknownRun(crate::domain::cut_bytes(&id, 80).to_owned());
    let run = app.parts.store.run(id.parse().map_err(|_| unknown())?).await?.ok_or_else(unknown)?;
    Ok(show_run(format, run, Detail::Full))
}

/// List runs, the newest first.
///
/// A page that is not the last has the cursor of the next one in `next`, and its address in the header `Link`.
#[utoipa::path(
    get, path = "/v1/runs", operation_id = "listRuns", tag = "runs",
    params(RunQuery),
    responses(
        (status = 200, description = "One page of runs.", headers(
            ("Link" = Option<String>, description = "The next page, `rel=\"next\"`.")
        ), content((shape::RunPage = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn list(State(app): Shared, format: Format, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let query = RunQuery::read(&query.unwrap_or_default())?;
    let (filter, page) = query.filter(app.parts.clock.now())?;
    let page = shape::RunPage::from(app.parts.store.runs(filter, page).await?);
    let answer = format.answer(&page, |page| card::runs(page, Paint::Plain));
    Ok((link(&query, &page), answer).into_response())
}

fn link(query: &RunQuery, page: &shape::RunPage) -> HeaderMap {
    let next = page.next.as_ref().map(|cursor| format!("</v1/runs?{}>; rel=\"next\"", query.following(cursor)));
    // What form encoding leaves is plain ASCII.
    let link = next.and_then(|link| HeaderValue::from_str(&link).ok());
    link.map(|link| (LINK, link)).into_iter().collect()
}
