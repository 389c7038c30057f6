//! `/v1/freezes`: what is not changed for a while, until when, and why.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;

use super::accept::Format;
use super::auth::Caller;
use super::body::Body;
use super::card::{self, Paint};
use super::problem::{ApiError, BadField, Problems};
use super::{App, Segment, Shared, query, shape};
use crate::domain::{Freeze, FreezeId, Scope, Target, Timestamp, cut_bytes};

/// Longest reason of a freeze or of breaking the glass, in bytes.
const MAX_REASON: usize = 500;

/// Longest time that changes are frozen. Who wants more takes the grants away.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// List the freezes that hold.
#[utoipa::path(
    get, path = "/v1/freezes", operation_id = "listFreezes", tag = "changes",
    responses(
        (status = 200, description = "All of them.",
            content((shape::FreezeList = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn list(State(app): Shared, format: Format) -> Result<Response, ApiError> {
    let freezes = app.parts.store.freezes(app.parts.clock.now()).await?;
    let freezes = freezes.into_iter().map(shape::Freeze::from).collect();
    Ok(format.answer(&shape::FreezeList { freezes }, |list| card::freezes(list, Paint::Plain)))
}

/// Freeze changes: all of them, those of a target or those of a plugin.
///
/// Plans are made and looked at, and none that is covered is applied; a run that is applying one does not begin another
/// change. What was changed can still be given back.
#[utoipa::path(
    post, path = "/v1/freezes", operation_id = "addFreeze", tag = "changes",
    request_body(content = shape::FreezeRequest, description = "What is frozen, for how long, and why."),
    responses(
        (status = 200, description = "It is recorded and holds.",
            content((shape::Freeze = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn add(
    State(app): Shared,
    Caller(creator): Caller,
    format: Format,
    Body(wanted): Body<shape::FreezeRequest>,
) -> Result<Response, ApiError> {
    let created = app.parts.clock.now();
    let (scope, expires) = (scope(&app, &wanted.scope), expires(&wanted.r#for, created));
    let (scope, expires, reason) = match (scope, expires, reason("/reason", &wanted.reason)) {
        (Ok(scope), Ok(expires), Ok(reason)) => (scope, expires, reason),
        (scope, expires, reason) => {
            let faults = [scope.err(), expires.err(), reason.err()];
            return Err(ApiError::BadFields(faults.into_iter().flatten().collect()));
        }
    };
    let freeze = Freeze { id: FreezeId::new(created), scope, reason, creator, created, expires };
    app.parts.runner.freeze(freeze.clone()).await?;
    tracing::warn!(freeze.id = %freeze.id, scope = %freeze.scope, actor = freeze.creator.0, until = %freeze.expires, "changes are frozen");
    Ok(show(format, freeze))
}

/// Lift a freeze.
#[utoipa::path(
    delete, path = "/v1/freezes/{id}", operation_id = "liftFreeze", tag = "changes",
    params(("id" = String, Path, description = "Id of the freeze.")),
    responses(
        (status = 200, description = "It is over; this is what it was.",
            content((shape::Freeze = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn lift(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::UnknownFreeze(cut_bytes(&id, 80).to_owned());
    let lifted = app.parts.runner.lift_freeze(id.parse::<FreezeId>().map_err(|_| unknown())?, &actor).await?;
    let lifted = lifted.ok_or_else(unknown)?;
    tracing::warn!(freeze.id = %lifted.id, scope = %lifted.scope, actor = actor.0, "a freeze was lifted");
    Ok(show(format, lifted))
}

fn show(format: Format, freeze: Freeze) -> Response {
    let list = |freeze: &shape::Freeze| shape::FreezeList { freezes: vec![freeze.clone()] };
    format.answer(&shape::Freeze::from(freeze), |freeze| card::freezes(&list(freeze), Paint::Plain))
}

/// A freeze of what there is not would freeze nothing, and nobody would notice.
fn scope(app: &App, wanted: &shape::Scope) -> Result<Scope, BadField> {
    let refuse = |field: &str, message: String| Err(BadField { pointer: format!("/scope{field}"), message });
    match (wanted.all, &wanted.target, &wanted.plugin) {
        (true, None, None) => Ok(Scope::All),
        (false, Some(target), None) => match target.parse::<Target>() {
            Ok(target) if app.parts.catalog.has_target(&target) => Ok(Scope::Target(target)),
            Ok(target) => refuse("/target", format!("no target {target} is configured")),
            Err(error) => refuse("/target", error.to_string()),
        },
        (false, None, Some(plugin)) => {
            let name = cut_bytes(plugin, 80);
            match plugin.parse().ok().filter(|name| app.parts.catalog.get(name).is_some()) {
                Some(plugin) => Ok(Scope::Plugin(plugin)),
                None => refuse("/plugin", format!("no plugin `{name}` is configured")),
            }
        }
        _ => refuse("", "give one of `all: true`, `target` and `plugin`".to_owned()),
    }
}

fn expires(text: &str, now: Timestamp) -> Result<Timestamp, BadField> {
    let refuse = |message: &str| BadField { pointer: "/for".to_owned(), message: message.to_owned() };
    let expires = query::later(text, now).map_err(refuse)?;
    if expires <= now {
        return Err(refuse("this is past"));
    }
    if expires.since(now) > LONGEST {
        return Err(refuse("a freeze holds for at most 31 days"));
    }
    Ok(expires)
}

/// A reason that somebody can read.
pub(super) fn reason(pointer: &str, text: &str) -> Result<String, BadField> {
    let text = text.trim();
    if (1..=MAX_REASON).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    let message = format!("a reason has 1 to {MAX_REASON} bytes, not {}", text.len());
    Err(BadField { pointer: pointer.to_owned(), message })
}
