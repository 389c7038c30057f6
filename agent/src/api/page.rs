//! `/`: the page for somebody with a browser, and what it consists of, in `page/`.
//!
//! The page is an ordinary client of this API: it holds nothing of the agent, so its files need no token, and whatever it
//! shows it asks for with the token of whoever looks. The scripts are there as they were written, without a build, and are part of the program.
//! Nothing that a plugin says may become more than text there, so the page makes elements from text alone and the headers
//! allow no script, style or request but its own.

use std::sync::LazyLock;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY,
};

use super::Segment;
use super::observe::MayBeKept;
use super::problem::{ApiError, Problems};
use crate::domain::Digest;

/// Where the page is, and what the paths of its parts begin with.
const PLACE: &str = "/";
const FOLDER: &str = "/page/";

/// Nothing but what this agent serves, in no frame, with no form that a browser sends by itself, and with no way from text
/// to markup, not even for a script of the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// What every file of the page is sent with. A browser keeps it and asks each time whether it is still the same, so that a
/// page never consists of files of two versions of the agent.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    tag: HeaderValue,
}

macro_rules! files {
    ($( $kind:ident: $( $name:literal )+; )+) => {
        vec![$($( File::new($name, $kind, include_str!(concat!("page/", $name))) ),+),+]
    };
}

/// The page itself.
static PAGE: LazyLock<File> = LazyLock::new(|| File::new("page.html", HTML, include_str!("page/page.html")));

/// What it consists of.
static PARTS: LazyLock<Vec<File>> = LazyLock::new(|| {
    files! {
        STYLE: "page.css";
        IMAGE: "icon.svg";
        SCRIPT: "api.js" "card.js" "check.js" "dom.js" "events.js" "form.js" "main.js" "mitigation.js" "notation.js" "order.js"
            "overview.js" "pace.js" "patch.js" "plugin.js" "plugins.js" "quantity.js" "route.js" "run.js" "runs.js" "say.js"
            "session.js" "sign-in.js" "text.js" "time.js" "watch.js";
    }
});

impl File {
    fn new(name: &'static str, kind: &'static str, text: &'static str) -> Self {
        let tag = format!("\"{}\"", Digest::of(text.as_bytes()).hex());
        let tag = HeaderValue::from_str(&tag).expect("hexadecimal digits and quotes are visible ASCII");
        Self { name, kind, text, tag }
    }

    /// The answer to a request with these headers.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let kept = (Extension(MayBeKept), [(ETAG, self.tag.clone())]);
        if is_known(headers, &self.tag) {
            return (StatusCode::NOT_MODIFIED, HEADERS, kept).into_response();
        }
        let kind = [(CONTENT_TYPE, HeaderValue::from_static(self.kind))];
        (HEADERS, kept, kind, self.text).into_response()
    }
}

/// Whether the caller has it already (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = values.flat_map(|value| value.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.trim_start_matches("W/").as_bytes() == tag.as_bytes())
}

fn named(name: &str) -> Option<&'static File> {
    PARTS.iter().find(|part| part.name == name)
}

/// Whether the page or a part of it is at this path, spelt just so.
pub(super) fn is_at(path: &str) -> bool {
    path == PLACE || path.strip_prefix(FOLDER).is_some_and(|name| named(name).is_some())
}

/// The page for a browser. Needs no token, and asks for one.
#[utoipa::path(
    get, path = "/", operation_id = "page", tag = "agent", security(()),
    params(("If-None-Match" = Option<String>, Header, description = "Tags of the page that the caller has.")),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html; charset=utf-8", headers(
            ("ETag" = String, description = "Its tag."),
            ("Content-Security-Policy" = String, description = "What a browser lets it do.")
        )),
        (status = 304, description = "The caller has it already."),
        Problems
    )
)]
pub(super) async fn show(headers: HeaderMap) -> Response {
    PAGE.answer(&headers)
}

/// A script, the style or the picture of the page. Needs no token.
#[utoipa::path(
    get, path = "/page/{file}", operation_id = "pageFile", tag = "agent", security(()),
    params(
        ("file" = String, Path, description = "Name of the file."),
        ("If-None-Match" = Option<String>, Header, description = "Tags of the file that the caller has.")
    ),
    responses(
        (status = 200, description = "The file.", headers(("ETag" = String, description = "Its tag.")), content(
            (String = "text/javascript; charset=utf-8"), (String = "text/css; charset=utf-8"), (String = "image/svg+xml")
        )),
        (status = 304, description = "The caller has it already."),
        Problems
    )
)]
pub(super) async fn part(Segment(name): Segment, headers: HeaderMap) -> Result<Response, ApiError> {
    named(&name).map(|part| part.answer(&headers)).ok_or(ApiError::UnknownRoute)
}
