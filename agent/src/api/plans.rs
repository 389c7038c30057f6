//! `/v1/plans`: looking at what would be changed, approving it, and having it changed; and giving back what was.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::accept::Format;
use super::auth::{Asker, Caller, Granted};
use super::body::Body;
use super::leases::lease_time;
use super::once::Once;
use super::prefer::Patience;
use super::problem::{ApiError, BadField, Problems};
use super::runs::{answer_started, recorded, run_id};
use super::{Segment, Shared, shape};
use crate::domain::id::InvalidDigest;
use crate::domain::{Digest, Role, RunId};
use crate::runner::{Application, Assent, Refusal, Started};
use crate::store::StoreError;

/// Apply a plan.
///
/// Runs the plugin again and carries out what the plan lists, in its order: what is no longer needed is skipped, what rests
/// on moved ground is not done and said to be a conflict, and a change that the plan does not list ends the run. A plan is
/// applied once. Waits for the end like `POST /v1/runs`.
#[utoipa::path(
    post, path = "/v1/plans/{id}/apply", operation_id = "applyPlan", tag = "changes",
    params(
        ("id" = String, Path, description = "Id of the plan, which is that of the run that made it."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`, with or without `wait=<seconds>`")
    ),
    request_body(content = shape::ApplyRequest, description = "Which plan was looked at."),
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
pub(super) async fn apply(
    State(app): Shared,
    asker: Asker,
    format: Format,
    patience: Patience,
    Segment(id): Segment,
    once: Option<Extension<Once>>,
    Body(wanted): Body<shape::ApplyRequest>,
) -> Result<Response, ApiError> {
    let break_glass = wanted.break_glass.map(|glass| broken_by(&asker, &glass)).transpose()?;
    let application = Application {
        plan: plan_id(&id)?,
        digest: wanted.digest.as_deref().map(digest).transpose()?,
        actor: asker.actor,
        lease: wanted.r#for.as_deref().map(lease_time).transpose()?,
        revert_if_worse: wanted.revert_if_worse,
        break_glass,
    };
    let key = once.map(|Extension(Once(key))| key);
    let started = begun(app.parts.runner.apply(application, key).await)?;
    answer_started(format, patience, started).await
}

/// Approve a plan that somebody else asked for.
///
/// Where the configuration says `approval: one` or `two` for a plugin, its plans are applied only when so many people agree
/// who did not ask for them. One approves a digest, which is that of the plan that one has looked at, and approves it once. An
/// approval ends with the plan.
#[utoipa::path(
    post, path = "/v1/plans/{id}/approve", operation_id = "approvePlan", tag = "changes",
    params(("id" = String, Path, description = "Id of the plan, which is that of the run that made it.")),
    request_body(content = shape::ApproveRequest, description = "Which plan was looked at."),
    responses(
        (status = 200, description = "It is recorded; this is the run that made the plan, with the plan.",
            content((shape::Run = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn approve(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    Segment(id): Segment,
    Body(wanted): Body<shape::ApproveRequest>,
) -> Result<Response, ApiError> {
    let assent = Assent { plan: plan_id(&id)?, digest: digest(&wanted.digest)?, actor };
    Ok(super::runs::show_brief(format, app.parts.runner.approve(assent).await?))
}

/// Look at a plan.
#[utoipa::path(
    get, path = "/v1/plans/{id}", operation_id = "getPlan", tag = "changes",
    params(("id" = String, Path, description = "Id of the plan, which is that of the run that made it.")),
    responses(
        (status = 200, description = "The run that made the plan, with the plan.",
            content((shape::Run = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn show(State(app): Shared, format: Format, Segment(id): Segment) -> Result<Response, ApiError> {
    let run = recorded(&app, plan_id(&id)?).await?;
    if run.changes.plan.is_none() {
        return Err(ApiError::UnknownPlan(id));
    }
    Ok(super::runs::show_brief(format, run))
}

/// Plan to give back what a run changed.
///
/// Answers with a run that made a plan: the changes that give back those of the run, the last one first. It is refused when
/// somebody else changed one of these things since, and when nothing can be given back. Applying the plan gives them back.
#[utoipa::path(
    post, path = "/v1/runs/{id}/undo", operation_id = "planUndo", tag = "changes",
    params(
        ("id" = String, Path, description = "Id of the run."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`, with or without `wait=<seconds>`")
    ),
    responses(
        (status = 200, description = "The plan is made, or the failure says why not.", headers(
            ("Location" = String, description = "Where the run that made it can be found.")
        ), content((shape::Run = "application/json"), (String = "text/plain"))),
        (status = 202, description = "The plan is being made.", headers(
            ("Location" = String, description = "Where the run that makes it can be found."),
            ("Preference-Applied" = String, description = "`respond-async`")
        ), content((shape::Run = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn undo(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    patience: Patience,
    Segment(id): Segment,
    once: Option<Extension<Once>>,
) -> Result<Response, ApiError> {
    let key = once.map(|Extension(Once(key))| key);
    let started = begun(app.parts.runner.plan_undo(run_id(&id)?, actor, key).await)?;
    answer_started(format, patience, started).await
}

/// What was asked for is under way, or was refused.
pub(super) fn begun(started: Result<Started, Refusal>) -> Result<Started, ApiError> {
    match started {
        // Its first caller left before the start was recorded, and this one came before that, too.
        Err(Refusal::Store(StoreError::KeyTaken)) => Err(ApiError::InProgress(None)),
        started => Ok(started?),
    }
}

/// The id in a path. What is none names no plan.
fn plan_id(text: &str) -> Result<RunId, ApiError> {
    text.parse().map_err(|_| ApiError::UnknownPlan(crate::domain::cut_bytes(text, 80).to_owned()))
}

fn digest(text: &str) -> Result<Digest, ApiError> {
    let refuse = |error: InvalidDigest| {
        ApiError::BadFields(vec![BadField { pointer: "/digest".to_owned(), message: error.to_string() }])
    };
    text.parse().map_err(refuse)
}

/// Why somebody breaks the glass, who may do that.
fn broken_by(asker: &Asker, glass: &shape::BreakGlass) -> Result<String, ApiError> {
    let Asker { actor, granted } = asker;
    match granted {
        Granted::Role(Role::Admin) => {}
        Granted::Role(role) => {
            return Err(ApiError::Forbidden { needed: Role::Admin, actor: actor.clone(), role: *role });
        }
        Granted::Cluster(_) => return Err(ApiError::NoRole { needed: Role::Admin, actor: actor.clone() }),
    }
    super::freezes::reason("/break_glass/reason", &glass.reason).map_err(|fault| ApiError::BadFields(vec![fault]))
}
