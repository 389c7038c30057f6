//! `/v1/config:reload`: puts what the configuration's file says by now in force.

use async_trait::async_trait;
use axum::extract::State;
use axum::response::Response;

use super::accept::Format;
use super::auth::Caller;
use super::card::{self, Paint};
use super::problem::{ApiError, Problems};
use super::{Shared, shape};
use crate::domain::{Actor, ConfigStanding, ReloadRefused, Reloaded};

/// Knows the configuration.
#[async_trait]
pub trait Configuration: Send + Sync {
    /// Read the file again, for `actor`, and put it in force. Where it is refused, nothing has changed.
    async fn reload(&self, actor: Actor) -> Result<Reloaded, ReloadRefused>;

    /// How what is in force stands to what lies in the file.
    fn standing(&self) -> ConfigStanding;
}

/// Read the configuration again and put it in force.
///
/// Runs under way keep what they began with. A configuration in which anything is wrong is refused as a whole, and the one
/// before stays in force. Some settings hold only after a restart; the answer names those that are different.
#[utoipa::path(
    post, path = "/v1/config:reload", operation_id = "reloadConfig", tag = "agent",
    responses(
        (status = 200, description = "It is in force; this is what was different.",
            content((shape::Reloaded = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn reload(State(app): Shared, Caller(actor): Caller, format: Format) -> Result<Response, ApiError> {
    let reloaded = app.parts.configuration.reload(actor).await.map_err(ApiError::ConfigRefused)?;
    Ok(format.answer(&shape::Reloaded::from(reloaded), |reloaded| card::reloaded(reloaded, Paint::Plain)))
}
