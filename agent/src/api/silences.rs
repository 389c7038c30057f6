//! `/v1/silences`: who does not want to hear of which sweep, until when, and why.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::accept::Format;
use super::auth::Caller;
use super::body::Body;
use super::card::{self, Paint};
use super::once::{self, Once};
use super::problem::{ApiError, BadField, Problems};
use super::sweeps::unknown_sweep;
use super::{App, Segment, Shared, query, shape};
use crate::domain::{SilenceId, SweepName, Timestamp};
use crate::scheduler::{NewSilence, Scheduler};
use crate::store::StoreError;

/// Longest reason, in bytes.
const MAX_REASON: usize = 500;

/// List the silences that hold.
#[utoipa::path(
    get, path = "/v1/silences", operation_id = "listSilences", tag = "sweeps",
    responses(
        (status = 200, description = "All of them.",
            content((shape::SilenceList = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn list(State(app): Shared, format: Format) -> Response {
    let silences = app.parts.scheduler.silences().into_iter().map(shape::Silence::from).collect();
    format.answer(&shape::SilenceList { silences }, |list| card::silences(list, Paint::Plain))
}

/// Silence a sweep, or all of them, for a while.
///
/// Its checks go on and its state is kept; what happens to it is recorded as something that nobody needs to be told.
#[utoipa::path(
    post, path = "/v1/silences", operation_id = "addSilence", tag = "sweeps",
    request_body(content = shape::SilenceRequest, description = "What is silenced, until when, and why."),
    responses(
        (status = 200, description = "It is recorded and holds.",
            content((shape::Silence = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn add(
    State(app): Shared,
    Caller(creator): Caller,
    format: Format,
    once: Option<Extension<Once>>,
    Body(wanted): Body<shape::SilenceRequest>,
) -> Result<Response, ApiError> {
    let sweep = wanted.sweep.as_deref().map(|name| sweep(&app, name)).transpose()?;
    let now = app.parts.clock.now();
    let (expires, reason) = (expires(&wanted.expires, now), reason(&wanted.reason));
    let (expires, reason) = match (expires, reason) {
        (Ok(expires), Ok(reason)) => (expires, reason),
        (expires, reason) => {
            let faults = [expires.err(), reason.err()];
            return Err(ApiError::BadFields(faults.into_iter().flatten().collect()));
        }
    };
    let wanted = NewSilence { sweep, reason, creator, expires, expire_on_resolve: wanted.expire_on_resolve };
    let silence = app.parts.scheduler.begin_silence(wanted);
    // Made before there is anything to tell, because it is recorded with what it tells.
    let (answer, once) = once::answer_once(show(format, silence.clone()), once).await;
    match app.parts.scheduler.add_silence(silence.clone(), once).await {
        // Its first caller left before it was recorded, and this one came before that, too.
        Err(StoreError::KeyTaken) => return Err(ApiError::InProgress(None)),
        added => added?,
    }
    tracing::info!(silence.id = %silence.id, sweep.name = silence.sweep.as_ref().map_or("*", SweepName::as_str), "silenced");
    Ok(answer)
}

/// End a silence.
#[utoipa::path(
    delete, path = "/v1/silences/{id}", operation_id = "removeSilence", tag = "sweeps",
    params(("id" = String, Path, description = "Id of the silence.")),
    responses(
        (status = 200, description = "It is over; this is what it was.",
            content((shape::Silence = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn remove(State(app): Shared, format: Format, Segment(id): Segment) -> Result<Response, ApiError> {
    let unknown = || ApiError::UnknownSilence(crate::domain::cut_bytes(&id, 80).to_owned());
    let removed = app.parts.scheduler.remove_silence(id.parse::<SilenceId>().map_err(|_| unknown())?).await?;
    let removed = removed.ok_or_else(unknown)?;
    tracing::info!(silence.id = %removed.id, "a silence was ended");
    Ok(show(format, removed))
}

fn show(format: Format, silence: crate::domain::Silence) -> Response {
    let list = |silence: &shape::Silence| shape::SilenceList { silences: vec![silence.clone()] };
    format.answer(&shape::Silence::from(silence), |silence| card::silences(&list(silence), Paint::Plain))
}

fn sweep(app: &App, name: &str) -> Result<SweepName, ApiError> {
    let parsed = name.parse::<SweepName>().ok().filter(|name| app.parts.scheduler.show(name).is_some());
    parsed.ok_or_else(|| unknown_sweep(app, name))
}

fn expires(text: &str, now: Timestamp) -> Result<Timestamp, BadField> {
    let refuse = |message: &str| BadField { pointer: "/expires".to_owned(), message: message.to_owned() };
    let expires = query::later(text, now).map_err(refuse)?;
    if expires <= now {
        return Err(refuse("this is past"));
    }
    if expires.since(now) > Scheduler::LONGEST_SILENCE {
        return Err(refuse("a silence holds for at most 366 days"));
    }
    Ok(expires)
}

fn reason(text: &str) -> Result<String, BadField> {
    let text = text.trim();
    if (1..=MAX_REASON).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    let message = format!("a reason has 1 to {MAX_REASON} bytes, not {}", text.len());
    Err(BadField { pointer: "/reason".to_owned(), message })
}
