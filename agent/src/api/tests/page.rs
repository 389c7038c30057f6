//! The page: how its files are served, and what must not be in them. What it does is looked at with a browser, in `tests/tests/page.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use axum::body::Body;
use http::Request;

use super::fixture::{Answer, Api};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/api/page")
}

/// Name and text of everything in the folder of the page.
fn sources() -> Vec<(String, String)> {
    let mut sources: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    sources.sort();
    sources
}

/// Asked by a stranger, as a browser does.
async fn get(api: &Api, path: &str) -> Answer {
    api.send(Request::get(path).body(Body::empty()).unwrap()).await
}

async fn ask(api: &Api, method: &str, path: &str, tags: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("if-none-match", tags);
    api.send(request.body(Body::empty()).unwrap()).await
}

fn place(name: &str) -> String {
    if name == "page.html" { "/".to_owned() } else { format!("/page/{name}") }
}

#[tokio::test]
async fn every_file_is_served_as_it_was_written_and_as_what_it_is() {
    let api = Api::start().await;
    let sources = sources();
    assert!(sources.len() > 20, "{}", sources.len());
    for (name, text) in sources {
        let answer = get(&api, &place(&name)).await;
        assert_eq!((answer.status.as_u16(), &answer.text), (200, &text), "{name}");
        let kind = match name.rsplit_once('.').unwrap().1 {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("what is a file named .{other}?"),
        };
        assert_eq!(answer.header("content-type"), kind, "{name}");
    }
}

#[tokio::test]
async fn a_browser_is_told_to_let_the_page_do_no_more_than_it_must() {
    let api = Api::start().await;
    for path in ["/", "/page/main.js", "/page/page.css", "/page/icon.svg"] {
        let answer = get(&api, path).await;
        let policy: BTreeSet<_> = answer.header("content-security-policy").split("; ").collect();
        let expected = [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ];
        assert_eq!(policy, BTreeSet::from(expected), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
        assert!(
            answer.headers.get("set-cookie").is_none() && answer.headers.get("access-control-allow-origin").is_none()
        );
    }
}

#[tokio::test]
async fn what_a_browser_has_already_is_not_sent_again() {
    let api = Api::start().await;
    let mut tags = BTreeSet::new();
    for (name, text) in sources() {
        let path = place(&name);
        let tag = get(&api, &path).await.header("etag").to_owned();
        // A strong one, and another for each text.
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 66, "{tag}");
        assert!(tags.insert(tag.clone()), "{name}");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = ask(&api, "GET", &path, &known).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (304, ""), "{name} with {known}");
            assert_eq!((answer.header("etag"), answer.header("cache-control")), (tag.as_str(), "no-cache"));
            assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
        }
        for other in ["\"other\"", "", "nonsense", tag.trim_matches('"')] {
            let answer = ask(&api, "GET", &path, other).await;
            assert_eq!((answer.status.as_u16(), &answer.text), (200, &text), "{name} with {other}");
        }
    }
}

#[tokio::test]
async fn a_head_request_tells_of_the_page_without_it() {
    let api = Api::start().await;
    for path in ["/", "/page/main.js"] {
        let (whole, head) = (get(&api, path).await, ask(&api, "HEAD", path, "").await);
        assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
        for name in ["etag", "content-type", "content-security-policy", "cache-control"] {
            assert_eq!(head.header(name), whole.header(name), "{path}: {name}");
        }
        assert_eq!(head.header("content-length"), whole.text.len().to_string());
        assert_eq!(ask(&api, "HEAD", path, whole.header("etag")).await.status, 304);
        let answer = ask(&api, "POST", path, "").await;
        answer.problem(405, "method-not-allowed");
    }
}

/// What stands between these signs, each time.
fn between<'a>(text: &'a str, before: &str, after: char) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

#[test]
fn every_file_that_the_page_refers_to_is_there_and_every_file_is_referred_to() {
    let sources = sources();
    let all: BTreeSet<_> = sources.iter().map(|(name, _)| name.as_str()).collect();
    let mut used = BTreeSet::from(["page.html"]);
    for (name, text) in &sources {
        let scripts = between(text, "from \"./", '"');
        let parts = [between(text, "src=\"page/", '"'), between(text, "href=\"page/", '"')].concat();
        for part in scripts.iter().chain(&parts) {
            assert!(all.contains(part), "{name} refers to {part}, which is not there");
            used.insert(part);
        }
        let imports = text.lines().filter(|line| line.contains(" from \"")).count();
        assert_eq!(imports, scripts.len(), "{name} imports from elsewhere");
    }
    assert_eq!(used, all);
}

/// What makes markup or code of text, opens another place, or keeps something beyond the tab.
const FORBIDDEN: &[&str] = &[
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "createContextualFragment",
    "DOMParser",
    "setHTML",
    "srcdoc",
    "eval(",
    "Function(",
    "import(",
    "javascript:",
    "createPolicy",
    "window.open",
    "postMessage",
    "localStorage",
    "indexedDB",
    "document.cookie",
    "sendBeacon",
    "WebSocket",
    "EventSource",
    "XMLHttpRequest",
    "serviceWorker",
    "http:",
    "https:",
    "//cdn",
    "@import",
    "url(",
    "<script>",
    "<style",
    " style=",
    "onclick=",
    "onload=",
    "onerror=",
];

#[test]
fn nothing_in_the_page_makes_markup_of_text_or_asks_anybody_else() {
    for (name, text) in sources() {
        // A picture says by an address which language it is in; nothing is asked for there.
        let text = text.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{name} has {word}");
        }
        // One place sends, one place sets an attribute, one makes an address from data, one keeps the token.
        for (word, place) in [
            ("fetch(", "api.js"),
            ("Authorization", "api.js"),
            ("sessionStorage.", "session.js"),
            ("setAttribute(\"href\"", "dom.js"),
            ("createElement(", "dom.js"),
        ] {
            assert!(name == place || !text.contains(word), "{name} has {word}, which is the matter of {place}");
        }
        // So that nothing is hidden from who reads it.
        let odd = text.chars().find(|c| {
            c.is_control() && *c != '\n'
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(odd, None, "{name}");
    }
}
