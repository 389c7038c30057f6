//! Around every request: its id, its span in the log, and the telling of what went wrong.

use std::any::Any;
use std::fmt;
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use tracing::Instrument;

use super::auth::is_open;
use super::problem::{ApiError, Failed};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id of a caller that is kept, in bytes.
const MAX_ID: usize = 64;

/// Longest path that is logged, in bytes.
const MAX_PATH: usize = 200;

/// Marks an answer that is the same for everybody and says itself how long.
#[derive(Clone, Copy)]
pub(super) struct MayBeKept;

/// Gives a request its id and its span, and an answer the headers that all answers have.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let path = request.uri().path().to_owned();
    let shown = crate::domain::cut_bytes(&path, MAX_PATH);
    let span = tracing::info_span!(
        "request", request.id = %id, method = %request.method(), path = shown, actor = tracing::field::Empty
    );
    let begun = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    span.in_scope(|| {
        let response = finish(response, &id);
        log_end(&response, &path, begun);
        response
    })
}

fn finish(mut response: Response, id: &RequestId) -> Response {
    if let Some(failed) = Failed::taken_from(&mut response) {
        response = failed.tell(&id.0, response);
    }
    let may_be_kept = response.extensions_mut().remove::<MayBeKept>().is_some();
    let headers = response.headers_mut();
    headers.extend(id.header());
    // What an incident tool says is true for a moment, and for the one who asked.
    if !may_be_kept {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn log_end(response: &Response, path: &str, begun: Instant) {
    let (status, seconds) = (response.status().as_u16(), begun.elapsed().as_secs_f64());
    // Probes come every few seconds and would drown the rest, and a page is many files.
    if is_open(path) && response.status().is_success() {
        tracing::debug!(status, seconds, "answered");
    } else {
        tracing::info!(status, seconds, "answered");
    }
}

/// What becomes of a panic: the request fails, the agent goes on.
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    ApiError::Panicked(text.unwrap_or_else(|| "without a message".to_owned())).into_response()
}

/// Names a request in answers and in the log.
struct RequestId(String);

impl RequestId {
    /// The caller's, if it is one that a log can hold; else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        match given.filter(|id| is_sane(id)) {
            Some(id) => Self(id.to_owned()),
            None => Self(format!("{:016x}", rand::random::<u64>())),
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        HeaderValue::from_str(&self.0).ok().map(|value| (REQUEST_ID, value))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_sane(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(given: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(given.as_bytes()).unwrap());
        RequestId::of(&headers).0
    }

    #[test]
    fn a_sane_id_of_the_caller_is_kept_and_any_other_replaced() {
        assert_eq!(id("deploy-42.retry_1"), "deploy-42.retry_1");
        for bad in ["", "a b", "a\tb", "é", "a/b", "{}", &"x".repeat(65)] {
            let made = id(bad);
            assert!(made != bad && made.len() == 16 && is_sane(&made), "{bad:?} became {made:?}");
        }
        assert_ne!(RequestId::of(&HeaderMap::new()).0, RequestId::of(&HeaderMap::new()).0);
    }
}
