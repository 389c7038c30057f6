//! Header fields: which of them a plugin may send, and which it may see.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use url::Url;

use super::scrub::{REDACTED, Scrubber};
use crate::domain::CallError;

const MAX_FIELDS: usize = 32;
const MAX_BYTES: usize = 8 << 10;

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name; in an answer in lower case.
    pub name: String,
    /// Its value as text.
    pub value: String,
}

/// Fields that a plugin may not send, each for one of these reasons:
///
/// - the host says them itself (who asks, which encodings it reads);
/// - they carry credentials, which the host alone adds;
/// - they claim where a request comes from or where it was meant to go, and proxies believe them;
/// - they make a server treat the request as another one: another method, another path. A read would be a change then,
///   and a granted path another path.
/// - they ask for a part of the answer, in which a part of an echoed secret would not be recognised.
const MANAGED: &[&str] = &[
    "accept-encoding",
    "authorization",
    "cf-connecting-ip",
    "client-ip",
    "cookie",
    "cookie2",
    "expect",
    "fastly-client-ip",
    "forwarded",
    "if-range",
    "range",
    "true-client-ip",
    "user-agent",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    "x-rewrite-url",
];

/// Beginnings of names that are refused for the same reasons.
const MANAGED_PREFIXES: &[&str] = &["proxy-", "x-forwarded-", "x-envoy-", "x-accel-"];

/// Fields that say where a message ends and which host it is for. Nobody sets them but the HTTP library.
const FRAMING: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// True for the fields that even the operator's credentials cannot be in.
pub fn frames_the_message(name: &HeaderName) -> bool {
    FRAMING.contains(&name.as_str()) || name.as_str().starts_with("proxy-")
}

/// Check what a plugin wants to send. `credentials` are the fields that the host adds for this target.
pub fn admit(headers: &[Header], credentials: &HeaderMap) -> Result<HeaderMap, CallError> {
    let invalid = |message: String| Err(CallError::Invalid(message));
    if headers.len() > MAX_FIELDS {
        return invalid(format!("more than {MAX_FIELDS} header fields"));
    }
    if headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>() > MAX_BYTES {
        return invalid(format!("header fields of more than {MAX_BYTES} bytes"));
    }
    let mut admitted = HeaderMap::new();
    for header in headers {
        let shown: String = header.name.chars().take(64).collect();
        let Some(name) = parse_name(&header.name) else {
            return invalid(format!("`{shown}` is no header name: use letters, digits and `-`"));
        };
        if is_managed(&name) || credentials.contains_key(&name) {
            return invalid(format!("the header `{shown}` is the host's to set"));
        }
        let Some(value) = parse_value(&header.value) else {
            return invalid(format!("the header `{shown}` has a value with characters outside visible ASCII"));
        };
        admitted.append(name, value);
    }
    Ok(admitted)
}

/// Servers that follow CGI read `x_forwarded_for` as `x-forwarded-for`; so a name has no `_` and nothing else that they
/// might fold, although HTTP would allow it.
fn parse_name(name: &str) -> Option<HeaderName> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| is_plain)
}

/// HTTP leaves it open what bytes beyond ASCII mean.
fn parse_value(value: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(value).ok().filter(|_| value.is_ascii())
}

fn is_managed(name: &HeaderName) -> bool {
    let name = name.as_str();
    MANAGED.contains(&name) || FRAMING.contains(&name) || MANAGED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What a plugin sees of the fields of an answer: no cookies, no credentials, no echo of either.
pub fn visible(headers: &HeaderMap, credentials: &HeaderMap, scrubber: &Scrubber) -> Vec<Header> {
    headers
        .iter()
        .filter(|(name, _)| !is_hidden(name) && !credentials.contains_key(*name))
        .map(|(name, value)| Header { name: name.as_str().to_owned(), value: visible_value(name, value, scrubber) })
        .collect()
}

/// `www-authenticate` stays: it says which credentials are missing, and holds none.
fn is_hidden(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "set-cookie" | "set-cookie2" | "cookie" | "authorization" | "authentication-info" | "authentication-control"
    ) || name.as_str().starts_with("proxy-")
}

fn visible_value(name: &HeaderName, value: &HeaderValue, scrubber: &Scrubber) -> String {
    let bytes = scrubber.scrub(value.as_bytes());
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if matches!(*name, header::LOCATION | header::CONTENT_LOCATION) { without_user(text) } else { text }
}

/// Take user and password out of a URL. One that does not parse by itself is a path, or nothing that a client follows.
fn without_user(text: String) -> String {
    let reference = text.trim();
    let is_relative_to_scheme = reference.chars().take(2).filter(|c| matches!(c, '/' | '\\')).count() == 2;
    let url = if is_relative_to_scheme { Url::parse(&format!("http:{reference}")) } else { Url::parse(reference) };
    match url {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            let removed = url.set_username("").and_then(|()| url.set_password(None));
            if removed.is_ok() { url.to_string() } else { REDACTED.to_owned() }
        }
        Ok(_) | Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_loses_its_user_and_nothing_else() {
        for (location, shown) in [
            ("https://user:pass@a.example/x?y#z", "https://a.example/x?y#z"),
            ("https://:pass@a.example", "https://a.example/"),
            ("https://user@a.example/", "https://a.example/"),
            ("HTTPS:\\\\user:pass@a.example/", "https://a.example/"),
            ("http:user:pass@a.example/", "http://a.example/"),
            ("//user:pass@a.example/", "http://a.example/"),
            ("/\\user:pass@a.example/", "http://a.example/"),
            (" \\\\user:pass@a.example/", "http://a.example/"),
            ("ftp://user:pass@a.example/", "ftp://a.example/"),
            ("https://a.example/user:pass@b", "https://a.example/user:pass@b"),
            ("/users/user:pass@b", "/users/user:pass@b"),
            ("../x", "../x"),
            ("mailto:user@a.example", "mailto:user@a.example"),
            ("http://[::1", "http://[::1"),
            ("", ""),
        ] {
            assert_eq!(without_user(location.to_owned()), shown, "{location}");
        }
    }

    #[test]
    fn a_header_of_an_answer_is_text_even_if_it_is_none() {
        let mut headers = HeaderMap::new();
        headers.insert("x-a", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let shown = visible(&headers, &HeaderMap::new(), &Scrubber::new(&[]).unwrap());
        assert_eq!(shown, [Header { name: "x-a".into(), value: "caf\u{fffd}".into() }]);
    }
}
