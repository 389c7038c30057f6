//! `/v1/sweeps`: what runs together, how it stands, and running it now.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, LINK, LOCATION};

use super::accept::Format;
use super::auth::Caller;
use super::card::{self, Paint};
use super::near::near;
use super::prefer::{PREFERENCE_APPLIED, Patience};
use super::problem::{ApiError, Problems};
use super::query::HistoryQuery;
use super::{App, Segment, Segments, Shared, shape};
use crate::domain::{SweepName, SweepRun, SweepRunId};
use crate::scheduler::{Refusal, UnderWay};

/// Events that are shown with a sweep.
const EVENTS: u32 = 20;

/// List the configured sweeps.
#[utoipa::path(
    get, path = "/v1/sweeps", operation_id = "listSweeps", tag = "sweeps",
    responses(
        (status = 200, description = "All of them, and how each stands.",
            content((shape::SweepList = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn list(State(app): Shared, format: Format) -> Response {
    let sweeps = app.parts.scheduler.list().into_iter().map(shape::SweepSummary::from).collect();
    format.answer(&shape::SweepList { sweeps }, |list| card::sweeps(list, Paint::Plain))
}

/// Look at one sweep: how it stands, its runs and what happened to it.
///
/// A page of runs that is not the last has the cursor of the next one in `next_page`, and its address in the header `Link`.
#[utoipa::path(
    get, path = "/v1/sweeps/{name}", operation_id = "getSweep", tag = "sweeps",
    params(("name" = String, Path, description = "Name of the sweep."), HistoryQuery),
    responses(
        (status = 200, description = "The sweep.", headers(
            ("Link" = Option<String>, description = "The next page of runs, `rel=\"next\"`.")
        ), content((shape::Sweep = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn show(
    State(app): Shared,
    format: Format,
    Segment(name): Segment,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (limit, before) = HistoryQuery::read(&query.unwrap_or_default())?.wanted()?;
    let name = named(&app, &name)?;
    let scheduler = &app.parts.scheduler;
    let view = scheduler.show(&name).ok_or_else(|| unknown_sweep(&app, name.as_str()))?;
    // One more tells whether another page follows.
    let mut runs = scheduler.runs(&name, limit.saturating_add(1), before).await?;
    let more = runs.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    runs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let sweep = shape::Sweep {
        summary: view.into(),
        next_page: if more { runs.last().map(|run| run.id.to_string()) } else { None },
        runs: runs.into_iter().map(shape::SweepRun::from).collect(),
        events: scheduler.events(&name, EVENTS).await?.into_iter().map(shape::SweepEvent::from).collect(),
    };
    let link = sweep.next_page.as_ref().map(|cursor| link(&name, limit, cursor));
    let answer = format.answer(&sweep, |sweep| card::sweep(sweep, Paint::Plain));
    Ok((header(LINK, link), answer).into_response())
}

/// Run a sweep now.
///
/// Waits for the end and answers with the finished run. With `Prefer: respond-async` the answer comes at once, and with
/// `Prefer: respond-async, wait=10` after ten seconds at the latest. A run that is under way already is the answer: its checks
/// are the same.
#[utoipa::path(
    post, path = "/v1/sweeps/{name}/runs", operation_id = "runSweep", tag = "sweeps",
    params(
        ("name" = String, Path, description = "Name of the sweep."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`, with or without `wait=<seconds>`")
    ),
    responses(
        (status = 200, description = "The run has ended, whatever its verdict.", headers(
            ("Location" = String, description = "Where the run can be found.")
        ), content((shape::SweepRun = "application/json"), (String = "text/plain"))),
        (status = 202, description = "The run is recorded and under way.", headers(
            ("Location" = String, description = "Where the run can be found."),
            ("Preference-Applied" = String, description = "`respond-async`")
        ), content((shape::SweepRun = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn start(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    patience: Patience,
    Segment(name): Segment,
) -> Result<Response, ApiError> {
    let name = named(&app, &name)?;
    let under_way = match app.parts.scheduler.run_now(&name, actor).await {
        Err(Refusal::UnknownSweep(name)) => return Err(unknown_sweep(&app, name.as_str())),
        under_way => under_way?,
    };
    let begun = under_way.begun.clone();
    let location = header(LOCATION, Some(format!("/v1/sweeps/{name}/runs/{}", begun.id)));
    match outcome(under_way, patience).await {
        Some(Some(run)) => Ok((location, show_run(format, run)).into_response()),
        Some(None) => Err(ApiError::SweepEndUnknown(begun.id)),
        None => {
            let applied = [(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"))];
            Ok((StatusCode::ACCEPTED, location, applied, show_run(format, begun)).into_response())
        }
    }
}

/// The end, if it comes in time: the run, or none where it is not recorded.
async fn outcome(under_way: UnderWay, patience: Patience) -> Option<Option<SweepRun>> {
    match patience {
        Patience::Endless => Some(under_way.finished().await),
        Patience::Limited(Duration::ZERO) => None,
        Patience::Limited(time) => tokio::time::timeout(time, under_way.finished()).await.ok(),
    }
}

/// Look at one run of a sweep, with what each of its checks came to.
#[utoipa::path(
    get, path = "/v1/sweeps/{name}/runs/{id}", operation_id = "getSweepRun", tag = "sweeps",
    params(
        ("name" = String, Path, description = "Name of the sweep."),
        ("id" = String, Path, description = "Id of the run.")
    ),
    responses(
        (status = 200, description = "The run.",
            content((shape::SweepRun = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn show_one(
    State(app): Shared,
    format: Format,
    Segments(path): Segments<(String, String)>,
) -> Result<Response, ApiError> {
    let (name, id) = path;
    let name = named(&app, &name)?;
    let unknown = || ApiError::UnknownSweepRun(crate::domain::cut_bytes(&id, 80).to_owned());
    let run = app.parts.scheduler.run_of(id.parse::<SweepRunId>().map_err(|_| unknown())?).await?;
    let run = run.filter(|run| run.sweep == name).ok_or_else(unknown)?;
    Ok(show_run(format, run))
}

fn show_run(format: Format, run: SweepRun) -> Response {
    format.answer(&shape::SweepRun::from(run), |run| card::sweep_run(run, Paint::Plain))
}

/// The name of a configured sweep.
fn named(app: &App, name: &str) -> Result<SweepName, ApiError> {
    let parsed = name.parse::<SweepName>().ok().filter(|name| app.parts.scheduler.show(name).is_some());
    parsed.ok_or_else(|| unknown_sweep(app, name))
}

/// The refusal of a name that no sweep has, with those that may be meant.
pub(super) fn unknown_sweep(app: &App, name: &str) -> ApiError {
    let all: Vec<String> = app.parts.scheduler.list().iter().map(|view| view.sweep.name.to_string()).collect();
    let name = crate::domain::cut_bytes(name, 80).to_owned();
    ApiError::UnknownSweep {
        near: near(&name, &all),
        all: all.into_iter().take(super::near::MAX_LISTED).collect(),
        name,
    }
}

fn link(name: &SweepName, limit: u32, cursor: &str) -> String {
    format!("</v1/sweeps/{name}?limit={limit}&cursor={cursor}>; rel=\"next\"")
}

fn header(name: http::HeaderName, value: Option<String>) -> HeaderMap {
    // Names and ids are plain ASCII.
    let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
    value.map(|value| (name, value)).into_iter().collect()
}
