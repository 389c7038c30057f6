//! In which form an answer is wanted: the `Accept` header (RFC 9110, section 12.5.1).

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use http::request;
use serde::Serialize;

use super::problem::ApiError;

/// Longest `Accept` that is quoted in a refusal, in bytes.
const MAX_QUOTED: usize = 200;

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// For programs, and for whoever says nothing.
    Json,
    /// For a terminal.
    Text,
}

impl<S: Sync> FromRequestParts<S> for Format {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.headers)
    }
}

impl Format {
    /// The form that these headers ask for.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let accept = accept(headers);
        wanted(&accept).ok_or_else(|| ApiError::NotAcceptable(crate::domain::cut_bytes(&accept, MAX_QUOTED).to_owned()))
    }

    /// The answer `shape` in this form.
    pub(super) fn answer<T: Serialize>(self, shape: &T, card: impl FnOnce(&T) -> String) -> Response {
        let vary = (VARY, HeaderValue::from_static("Accept"));
        match self {
            Self::Json => ([vary], axum::Json(shape)).into_response(),
            Self::Text => {
                let text = HeaderValue::from_static("text/plain; charset=utf-8");
                ([vary, (CONTENT_TYPE, text)], card(shape)).into_response()
            }
        }
    }
}

fn accept(headers: &HeaderMap) -> String {
    let values: Vec<_> =
        headers.get_all(ACCEPT).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    values.join(", ")
}

/// The form with the greater weight, JSON where they are equal; none where both are refused.
fn wanted(accept: &str) -> Option<Format> {
    let ranges: Vec<Range<'_>> = accept.split(',').filter_map(Range::read).collect();
    if ranges.is_empty() {
        return Some(Format::Json);
    }
    let (json, text) = (weight(&ranges, "application", "json"), weight(&ranges, "text", "plain"));
    match (json, text) {
        (0, 0) => None,
        (json, text) if text > json => Some(Format::Text),
        (_, _) => Some(Format::Json),
    }
}

/// The weight that the most specific range gives to a media type, in thousandths.
fn weight(ranges: &[Range<'_>], main: &str, sub: &str) -> u16 {
    let fitting = ranges.iter().filter_map(|range| Some((range.fit(main, sub)?, range.weight)));
    fitting.max().map_or(0, |(_, weight)| weight)
}

/// One entry of `Accept`, such as `text/*;q=0.8`.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    weight: u16,
}

impl<'a> Range<'a> {
    /// None for what is no media range: it says nothing, so it is as if it were not there.
    fn read(entry: &'a str) -> Option<Self> {
        let mut parts = entry.split(';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let weight = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        let weight = weight.map_or(Some(1000), thousandths)?;
        Some(Self { main, sub, weight })
    }

    /// How specifically it names a type; none if it does not.
    fn fit(&self, main: &str, sub: &str) -> Option<u8> {
        match (self.main, self.sub) {
            ("*", "*") => Some(0),
            (m, "*") if m.eq_ignore_ascii_case(main) => Some(1),
            (m, s) if m.eq_ignore_ascii_case(main) && s.eq_ignore_ascii_case(sub) => Some(2),
            (_, _) => None,
        }
    }
}

/// A weight between `0` and `1` with at most three decimals, as whole thousandths.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greater_weight_wins_and_json_where_they_are_equal() {
        use Format::{Json, Text};
        for (accept, expected) in [
            ("", Some(Json)),
            ("*/*", Some(Json)),
            ("application/json", Some(Json)),
            ("text/plain", Some(Text)),
            ("TEXT/PLAIN; charset=utf-8", Some(Text)),
            ("text/*", Some(Text)),
            ("text/plain, application/json", Some(Json)),
            ("text/plain;q=0.9, application/json;q=0.8", Some(Text)),
            ("text/plain;q=0.8, */*;q=0.9", Some(Json)),
            ("text/plain;q=0.8, */*;q=0.1", Some(Text)),
            ("application/json;q=0, */*", Some(Text)),
            ("text/plain;q=0, text/*", None),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Json)),
            ("application/json;q=0", None),
            ("text/html", None),
            ("image/*", None),
            ("nonsense", Some(Json)),
            ("nonsense, text/plain", Some(Text)),
            ("text/plain;q=7, application/json;q=0.001", Some(Json)),
            ("text/plain;q=0.5555, application/json;q=0.001", Some(Json)),
        ] {
            assert_eq!(wanted(accept), expected, "{accept}");
        }
    }
}
