//! What replays need: the recordings of runs, and the components that ran.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::problem::{ApiError, Problems};
use super::runs::{recorded, run_id};
use super::versions::{known, which};
use super::{Segment, Segments, Shared};
use crate::recording;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const WASM: HeaderValue = HeaderValue::from_static("application/wasm");
const DIGEST: HeaderName = HeaderName::from_static("paramedic-digest");

/// The recording of a run: everything that its plugin was told.
///
/// It holds data of the targets as they answered, and no credentials. `paramedic replay` runs it again where there is nothing to
/// reach. The setting `recordings` of a plugin says which runs are recorded.
#[utoipa::path(
    get, path = "/v1/runs/{id}/recording", operation_id = "getRecording", tag = "runs",
    params(("id" = String, Path, description = "Id of the run.")),
    responses(
        (status = 200, description = "The recording.", body = Object, content_type = "application/json"),
        Problems
    )
)]
pub(super) async fn show(State(app): Shared, Segment(id): Segment) -> Result<Response, ApiError> {
    let run = recorded(&app, run_id(&id)?).await?;
    let Some(kept) = app.parts.store.recording(run.id).await? else {
        return Err(ApiError::NotRecorded { id: run.id, plugin: run.plugin, mode: run.mode });
    };
    let unpacked = tokio::task::spawn_blocking(move || recording::unpack(&kept.bytes)).await;
    let unpacked = unpacked.map_err(|error| ApiError::Panicked(error.to_string()))?;
    let text = unpacked.map_err(|error| ApiError::Damaged { id: run.id, source: error })?;
    Ok(([(CONTENT_TYPE, JSON)], text).into_response())
}

/// The component of a version that is kept.
#[utoipa::path(
    get, path = "/v1/plugins/{name}/versions/{version}/component", operation_id = "getComponent", tag = "plugins",
    params(
        ("name" = String, Path, description = "Name of the plugin."),
        ("version" = String, Path, description = "A version that is kept, `active`, `previous` or `waiting`.")
    ),
    responses(
        (status = 200, description = "The component.", headers(
            ("Paramedic-Digest" = String, description = "`sha256:` and its digest.")
        ), body = Vec<u8>, content_type = "application/wasm"),
        Problems
    )
)]
pub(super) async fn component(
    State(app): Shared,
    Segments((name, version)): Segments<(String, String)>,
) -> Result<Response, ApiError> {
    let name = known(&app, &name)?;
    let (digest, bytes) = app.parts.catalog.component(&name, &which(&version)?).await?;
    let digest = HeaderValue::from_str(&digest.to_string()).map(|digest| (DIGEST, digest));
    let headers: http::HeaderMap = digest.into_iter().chain([(CONTENT_TYPE, WASM)]).collect();
    Ok((headers, bytes).into_response())
}
