//! `/v1/runs`: starting runs, looking at them and ending them.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, LINK, LOCATION};

use super::accept::Format;
use super::auth::Caller;
use super::body::Body;
use super::card::{self, Detail, Paint};
use super::once::{Keep, Once};
use super::plans::begun;
use super::plugins::unknown_plugin;
use super::prefer::{PREFERENCE_APPLIED, Patience};
use super::problem::{ApiError, BadField, Problems};
use super::query::RunQuery;
use super::{App, Segment, Shared, shape};
use crate::domain::{Ending, FailureKind, Mode, PluginName, Run, RunId, Trigger};
use crate::runner::{Refusal, Request, Started};
use crate::store::{OnceKey, RunState};

/// How long a caller waits at most for the end of a run that it cancelled. The guest ends within milliseconds; a store that
/// does not take the record may need long.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

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
    once: Option<Extension<Once>>,
    Body(wanted): Body<shape::RunRequest>,
) -> Result<Response, ApiError> {
    let plugin: PluginName = wanted.plugin.parse().map_err(|_| unknown_plugin(&app, &wanted.plugin))?;
    let mode = mode(wanted.mode.as_ref())?;
    let request = Request { plugin, params: wanted.params, actor, trigger: Trigger::Manual, sweep_run: None };
    let started = admit(&app, mode, request, once.map(|Extension(Once(key))| key)).await?;
    answer_started(format, patience, started).await
}

/// The mode that is asked for. One follows a plan by asking for that plan.
pub(super) fn mode(word: Option<&shape::Mode>) -> Result<Mode, ApiError> {
    let refuse = |message: &str| {
        Err(ApiError::BadFields(vec![BadField { pointer: "/mode".to_owned(), message: message.to_owned() }]))
    };
    match word.map(shape::Mode::as_str) {
        None | Some("check") => Ok(Mode::Check),
        Some("plan") => Ok(Mode::Plan),
        Some("apply") => {
            refuse("a plan is applied with POST /v1/plans/{id}/apply; here `check` or `plan` can be asked for")
        }
        Some(_) => refuse("expected `check` or `plan`"),
    }
}

/// The answer about a run that has begun: its end, or what there is of it when patience ends.
pub(super) async fn answer_started(format: Format, patience: Patience, started: Started) -> Result<Response, ApiError> {
    let id = started.run.id;
    let mut answer = match outcome(started, patience).await {
        Waited::Ended(run) => ended(format, run),
        Waited::Left(run) => left_as_preferred(format, run),
        Waited::Lost => return Err(ApiError::EndUnknown(id)),
    };
    answer.extensions_mut().insert(Keep::Recorded);
    Ok(answer)
}

/// The answer about a run that has ended.
fn ended(format: Format, run: Arc<Run>) -> Response {
    (location(run.id), show_run(format, run, Detail::Brief)).into_response()
}

/// The answer about a run that goes on.
fn left(format: Format, run: Arc<Run>) -> Response {
    (StatusCode::ACCEPTED, location(run.id), show_run(format, run, Detail::Brief)).into_response()
}

/// The same to somebody who did not want to wait.
fn left_as_preferred(format: Format, run: Arc<Run>) -> Response {
    let applied = [(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"))];
    (applied, left(format, run)).into_response()
}

/// The answer to a request whose run was started, or cancelled, by one with the same key before.
pub(super) async fn again(app: &App, id: RunId, headers: &HeaderMap) -> Result<Response, ApiError> {
    let (format, patience) = (Format::of(headers)?, Patience::of(headers));
    // First what is under way: a run that ends between the two looks is found by the second.
    let under_way = app.parts.runner.follow(id);
    let run = recorded(app, id).await?;
    match (run.ending.is_some(), under_way, patience) {
        (true, ..) => Ok(ended(format, Arc::new(run))),
        (false, None, _) => Err(ApiError::EndUnknown(id)),
        (false, Some(_), Patience::Limited(_)) => Ok(left_as_preferred(format, Arc::new(run))),
        (false, Some(_), Patience::Endless) => Err(ApiError::InProgress(Some(id))),
    }
}

/// Start the run; for a name that nothing has, tell the names that are close.
async fn admit(app: &App, mode: Mode, request: Request, key: Option<OnceKey>) -> Result<Started, ApiError> {
    let runner = &app.parts.runner;
    let started = match (mode, key) {
        (Mode::Plan | Mode::Apply, key) => runner.plan(request, key).await,
        (Mode::Check, Some(key)) => runner.start_once(request, key).await,
        (Mode::Check, None) => runner.start(request).await,
    };
    match started {
        Err(Refusal::UnknownPlugin { name }) => Err(unknown_plugin(app, name.as_str())),
        started => begun(started),
    }
}

/// What waiting for a run came to.
enum Waited {
    /// It ended.
    Ended(Arc<Run>),
    /// Patience ended first; this is how the run began.
    Left(Arc<Run>),
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

fn show_run(format: Format, run: Arc<Run>, detail: Detail) -> Response {
    format.answer(&shape::Run::from(Arc::unwrap_or_clone(run)), |run| card::run(run, detail, Paint::Plain))
}

/// The answer that shows a run without its calls and its log.
pub(super) fn show_brief(format: Format, run: Run) -> Response {
    show_run(format, Arc::new(run), Detail::Brief)
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
    let run = recorded(&app, run_id(&id)?).await?;
    Ok(show_run(format, Arc::new(run), Detail::Full))
}

/// The id in a path. What is none names no run.
pub(super) fn run_id(text: &str) -> Result<RunId, ApiError> {
    text.parse().map_err(|_| ApiError::UnknownRun(crate::domain::cut_bytes(text, 80).to_owned()))
}

/// The run with that id, from the store.
pub(super) async fn recorded(app: &App, id: RunId) -> Result<Run, ApiError> {
    let run = app.parts.store.run(id).await?.ok_or_else(|| ApiError::UnknownRun(id.to_string()))?;
    Ok(app.parts.runner.complete(run))
}

/// Cancel a run.
///
/// Ends its plugin and its host calls at once and answers when that is recorded, as a failure of the kind `cancelled` that
/// says who did it. What the run had done until then stays in its record.
#[utoipa::path(
    delete, path = "/v1/runs/{id}", operation_id = "cancelRun", tag = "runs",
    params(
        ("id" = String, Path, description = "Id of the run."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`, with or without `wait=<seconds>`")
    ),
    responses(
        (status = 200, description = "The run has been cancelled, by this request or by one before it.",
            content((shape::Run = "application/json"), (String = "text/plain"))),
        (status = 202, description = "The run was asked to end, and its end is not recorded yet.", headers(
            ("Location" = String, description = "Where the run can be found.")
        ), content((shape::Run = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn cancel(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    patience: Patience,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let id = run_id(&id)?;
    let Some(cancelled) = app.parts.runner.cancel(id, actor) else {
        return Err(not_under_way(recorded(&app, id).await?));
    };
    match outcome(cancelled, patience.at_most(CANCEL_PATIENCE)).await {
        Waited::Ended(run) if is_cancelled(&run) => Ok(keeping(id, ended(format, run))),
        Waited::Ended(run) => Err(not_under_way(Arc::unwrap_or_clone(run))),
        Waited::Left(run) => Ok(keeping(id, left(format, run))),
        Waited::Lost => Err(ApiError::EndUnknown(id)),
    }
}

/// Whoever asks again with the same key gets the run as it is then.
fn keeping(id: RunId, mut answer: Response) -> Response {
    answer.extensions_mut().insert(Keep::Run(id));
    answer
}

/// Why a run that is not under way cannot be cancelled.
fn not_under_way(run: Run) -> ApiError {
    match &run.ending {
        Some(_) => ApiError::RunEnded { id: run.id, state: RunState::of(run.ending.as_ref()) },
        None => ApiError::EndUnknown(run.id),
    }
}

fn is_cancelled(run: &Run) -> bool {
    matches!(&run.ending, Some(Ending::Failed(failure)) if failure.kind == FailureKind::Cancelled)
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
