//! `/v1/leases`: what is given back by itself, and when.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;

use super::accept::Format;
use super::auth::Caller;
use super::body::Body;
use super::card::{self, Paint};
use super::problem::{ApiError, BadField, Problems};
use super::query::length;
use super::runs::run_id;
use super::{Segment, Shared, shape};
use crate::runner::LEASES;

/// List what is held on a lease.
///
/// The changes of runs that are given back by themselves, the next one first, and those that could not be given back when
/// their time came.
#[utoipa::path(
    get, path = "/v1/leases", operation_id = "listLeases", tag = "changes",
    responses(
        (status = 200, description = "All of them.",
            content((shape::LeaseList = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn list(State(app): Shared, format: Format) -> Result<Response, ApiError> {
    let leases = app.parts.runner.holdings().await?.iter().map(shape::HeldLease::from).collect();
    Ok(format.answer(&shape::LeaseList { leases }, |list| card::leases(list, Paint::Plain)))
}

/// Let a lease end at another time.
#[utoipa::path(
    post, path = "/v1/leases/{run}/extend", operation_id = "extendLease", tag = "changes",
    params(("run" = String, Path, description = "Id of the run whose changes it holds.")),
    request_body(content = shape::ExtendRequest, description = "How long from now."),
    responses(
        (status = 200, description = "It ends at that time.",
            content((shape::Lease = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn extend(
    State(app): Shared,
    format: Format,
    Segment(run): Segment,
    Body(wanted): Body<shape::ExtendRequest>,
) -> Result<Response, ApiError> {
    let lease = app.parts.runner.extend_lease(run_id(&run)?, lease_time(&wanted.r#for)?).await?;
    Ok(show(format, &lease))
}

/// End a lease: give its changes back now.
#[utoipa::path(
    delete, path = "/v1/leases/{run}", operation_id = "endLease", tag = "changes",
    params(("run" = String, Path, description = "Id of the run whose changes it holds.")),
    responses(
        (status = 200, description = "They were given back.",
            content((shape::Lease = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn end(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    Segment(run): Segment,
) -> Result<Response, ApiError> {
    let lease = app.parts.runner.end_lease(run_id(&run)?, actor).await?;
    Ok(show(format, &lease))
}

fn show(format: Format, lease: &crate::domain::Lease) -> Response {
    format.answer(&shape::Lease::from(lease), |lease| card::lease(lease, Paint::Plain))
}

/// How long a lease is to hold, as it is written: `45m`.
pub(super) fn lease_time(text: &str) -> Result<Duration, ApiError> {
    let (least, most) = LEASES;
    length(text).filter(|time| (least..=most).contains(time)).ok_or_else(|| {
        let message = format!("expected a length of time such as 45m, from {} s to {} days", least.as_secs(), 7);
        ApiError::BadFields(vec![BadField { pointer: "/for".to_owned(), message }])
    })
}
