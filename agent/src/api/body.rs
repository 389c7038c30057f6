//! The body of a request: JSON of a known shape, within the limits of size and time.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::App;
use super::problem::ApiError;

/// How long a body may take to arrive. Whoever sends one byte a second would hold a connection for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest type that is quoted in a refusal, in bytes.
const MAX_QUOTED: usize = 100;

/// A body of the shape `T`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        peek(request, app.parts.max_body_bytes).await.map(|(body, _)| Self(body))
    }
}

/// What the body of a request says, and the request with its body as it was.
pub(super) async fn peek<T: DeserializeOwned>(request: Request, limit: usize) -> Result<(T, Request), ApiError> {
    let (parts, body) = request.into_parts();
    refuse_declared_size(&parts.headers, limit)?;
    refuse_other_types(&parts.headers)?;
    let bytes = read(&parts.headers, body, limit).await?;
    Ok((parse(&bytes)?, Request::from_parts(parts, axum::body::Body::from(bytes))))
}

/// The bytes of a body, within the limits.
pub(super) async fn read(headers: &HeaderMap, body: axum::body::Body, limit: usize) -> Result<Bytes, ApiError> {
    refuse_declared_size(headers, limit)?;
    let bytes = tokio::time::timeout(PATIENCE, collect(body, limit)).await;
    bytes.map_err(|_| ApiError::BodyTooSlow { seconds: PATIENCE.as_secs() })?
}

/// A body that says it is too large is refused before a byte of it is read. It may also lie, or say nothing: see
/// [`collect`].
fn refuse_declared_size(headers: &HeaderMap, limit: usize) -> Result<(), ApiError> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match declared {
        Some(length) if length > limit as u64 => Err(ApiError::BodyTooLarge { limit }),
        Some(_) | None => Ok(()),
    }
}

fn refuse_other_types(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(CONTENT_TYPE).map_or(b"nothing".as_slice(), |value| value.as_bytes());
    let given = String::from_utf8_lossy(given);
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    Err(ApiError::UnsupportedMediaType(crate::domain::cut_bytes(&given, MAX_QUOTED).to_owned()))
}

/// Read the body, and stop at the first byte beyond the limit.
async fn collect(body: axum::body::Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge { limit }),
        Err(error) => Err(ApiError::BodyBroken(axum::Error::new(error))),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Data => ApiError::InvalidBody(error),
        Category::Syntax | Category::Eof | Category::Io => ApiError::MalformedJson(error),
    })
}
