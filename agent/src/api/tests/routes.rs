//! Which routes there are, and who gets past them.

use axum::body::Body;
use http::Request;

use super::fixture::{Api, authorized};
use crate::api;

/// Routes that answer without a token. This list may only shrink.
const OPEN: [&str; 5] = ["/healthz", "/readyz", "/openapi.json", "/", "/page/{file}"];

/// All routes, with their methods, from the description that every route is registered with.
pub(super) fn routes() -> Vec<(String, String)> {
    let description = serde_json::to_value(api::openapi::description()).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let routes = paths
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    routes.collect()
}

/// The path of a route, with names in it.
pub(super) fn place(path: &str) -> String {
    let place = path.replace("{id}", "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b").replace("{name}", "pg-ready");
    place
        .replace("{version}", "0.1.0")
        .replace("{from}", "active")
        .replace("{to}", "previous")
        .replace("{file}", "main.js")
}

#[tokio::test]
async fn every_route_but_the_listed_ones_refuses_a_caller_without_a_known_token() {
    let api = Api::start().await;
    let routes = routes();
    assert!(routes.len() >= 18, "{routes:?}");
    for (method, path) in &routes {
        let place = place(path);
        for token in [None, Some("Bearer wrong"), Some("Basic YWxpY2U6eA==")] {
            let mut request = Request::builder().method(method.as_str()).uri(&place);
            request = token.into_iter().fold(request, |request, token| request.header("authorization", token));
            let answer = api.send(request.body(Body::empty()).unwrap()).await;
            if OPEN.contains(&path.as_str()) {
                assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
                continue;
            }
            answer.problem(401, "unauthenticated");
            assert!(answer.header("www-authenticate").starts_with("Bearer realm="), "{method} {path}: {answer:?}");
        }
    }
    for open in OPEN {
        assert!(routes.contains(&("GET".to_owned(), open.to_owned())), "{open} is no route");
    }
}

#[tokio::test]
async fn spellings_near_an_open_path_are_not_open() {
    let api = Api::start().await;
    let probes = ["/healthz/", "//healthz", "/HEALTHZ", "/healthz%2f", "/%68ealthz", "/healthz/../v1/runs", "/v1"];
    let page =
        ["//", "/page", "/page/", "/page/main.js/", "/page/Main.js", "/page/%6dain.js", "/page/../v1/runs", "/main.js"];
    for path in probes.into_iter().chain(page) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        api.send(request).await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_path_that_leads_nowhere_and_a_method_that_does_not_fit_are_problems() {
    let api = Api::start().await;
    for path in [
        "//",
        "/page",
        "/page/page.html",
        "/page/none.js",
        "/v1",
        "/v1/run",
        "/v1/runs/",
        "/v1/runs/%ff",
        "/v1/plugins/a/b",
    ] {
        api.get(path).await.problem(404, "unknown-route");
    }
    for (method, path, allowed) in [
        ("DELETE", "/v1/runs", "GET,HEAD,POST"),
        ("POST", "/v1/plugins", "GET,HEAD"),
        ("PUT", "/v1/plugins/pg-ready", "GET,HEAD"),
        ("OPTIONS", "/healthz", "GET,HEAD"),
    ] {
        let answer = api.send(authorized(method, path).body(Body::empty()).unwrap()).await;
        let problem = answer.problem(405, "method-not-allowed");
        assert!(problem["detail"].as_str().unwrap().contains(method), "{problem}");
        let mut allow: Vec<_> = answer.header("allow").split(',').collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn a_head_request_gets_the_head() {
    let api = Api::start().await;
    let answer = api.send(authorized("HEAD", "/v1/plugins").body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn every_answer_has_an_id_and_is_kept_by_nobody() {
    let api = Api::start().await;
    for (path, id) in [("/v1/plugins", "deploy-42"), ("/nowhere", "deploy-43"), ("/healthz", "deploy-44")] {
        let answer = api.send(authorized("GET", path).header("x-request-id", id).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("x-request-id"), id);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let answer =
        api.send(authorized("GET", "/nowhere").header("x-request-id", "a b").body(Body::empty()).unwrap()).await;
    let problem = answer.problem(404, "unknown-route");
    assert_eq!(problem["instance"], format!("urn:paramedic:request:{}", answer.header("x-request-id")));
    assert_ne!(answer.header("x-request-id"), "a b");
}
