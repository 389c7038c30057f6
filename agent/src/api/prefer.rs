//! How long a caller wants to wait: the `Prefer` header (RFC 7240).

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::header::{HeaderMap, HeaderName};
use http::request;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// How long a caller waits for the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until it ends.
    Endless,
    /// At most this long; not at all with `respond-async` alone.
    Limited(Duration),
}

impl<S: Sync> FromRequestParts<S> for Patience {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl Patience {
    /// No longer than `limit`.
    pub(super) fn at_most(self, limit: Duration) -> Self {
        match self {
            Self::Endless => Self::Limited(limit),
            Self::Limited(time) => Self::Limited(time.min(limit)),
        }
    }

    /// `respond-async` limits the patience to `wait` seconds, if that is given. What is not understood is no preference.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        let preferences: Vec<_> = values.flat_map(|value| value.split(',')).map(preference).collect();
        if !preferences.iter().any(|(name, _)| name == "respond-async") {
            return Self::Endless;
        }
        let wait = preferences.iter().find(|(name, _)| name == "wait");
        let seconds = wait.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        Self::Limited(Duration::from_secs(seconds))
    }
}

/// Name and value of one preference, without its parameters.
fn preference(text: &str) -> (String, &str) {
    let text = text.split(';').next().unwrap_or_default();
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_caller_waits_unless_it_says_otherwise() {
        let limited = |seconds| Patience::Limited(Duration::from_secs(seconds));
        for (values, expected) in [
            (&[] as &[&'static str], Patience::Endless),
            (&["respond-async"], limited(0)),
            (&["Respond-Async; foo=bar"], limited(0)),
            (&["respond-async, wait=10"], limited(10)),
            (&["respond-async", "wait=\"10\""], limited(10)),
            (&["respond-async, wait=soon"], limited(0)),
            (&["respond-async, wait=-1"], limited(0)),
            (&["wait=10"], Patience::Endless),
            (&["return=minimal"], Patience::Endless),
            (&["respond-asynchronously"], Patience::Endless),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, HeaderValue::from_static(value));
            }
            assert_eq!(Patience::of(&headers), expected, "{values:?}");
        }
    }
}
