//! Who may do what: each route for each role, tokens that have expired, and tokens that ask too often.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::Value;

use super::bodies::Untouchable;
use super::fixture::{Api, NOW, RESPONDER, TOKEN, VIEWER, access, with_token};
use super::routes::{place, routes};
use crate::api;
use crate::domain::{Rate, Role};

/// The least role of each route, and none for those that are open. A new route has to be added here, by somebody who has
/// thought about it.
const LEAST: &[(&str, &str, Option<Role>)] = &[
    ("GET", "/", None),
    ("GET", "/healthz", None),
    ("GET", "/metrics", Some(Role::Viewer)),
    ("GET", "/openapi.json", None),
    ("GET", "/page/{file}", None),
    ("GET", "/readyz", None),
    ("GET", "/v1/audit/export", Some(Role::Admin)),
    ("GET", "/v1/audit/head", Some(Role::Viewer)),
    ("POST", "/v1/audit/verify", Some(Role::Admin)),
    ("POST", "/v1/config:reload", Some(Role::Admin)),
    ("GET", "/v1/freezes", Some(Role::Viewer)),
    ("POST", "/v1/freezes", Some(Role::Responder)),
    ("DELETE", "/v1/freezes/{id}", Some(Role::Responder)),
    ("GET", "/v1/leases", Some(Role::Viewer)),
    ("POST", "/v1/leases/{run}/extend", Some(Role::Responder)),
    ("DELETE", "/v1/leases/{run}", Some(Role::Responder)),
    ("GET", "/v1/plans/{id}", Some(Role::Viewer)),
    ("POST", "/v1/plans/{id}/apply", Some(Role::Responder)),
    ("POST", "/v1/plans/{id}/approve", Some(Role::Responder)),
    ("GET", "/v1/plugins", Some(Role::Viewer)),
    ("GET", "/v1/plugins/{name}", Some(Role::Viewer)),
    ("POST", "/v1/plugins/{name}/close-breaker", Some(Role::Admin)),
    ("POST", "/v1/plugins/{name}/release", Some(Role::Admin)),
    ("GET", "/v1/plugins/{name}/versions", Some(Role::Viewer)),
    ("POST", "/v1/plugins/{name}/versions", Some(Role::Admin)),
    ("PUT", "/v1/plugins/{name}/versions/{version}", Some(Role::Admin)),
    ("DELETE", "/v1/plugins/{name}/versions/{version}", Some(Role::Admin)),
    ("POST", "/v1/plugins/{name}/versions/{version}/activate", Some(Role::Admin)),
    ("GET", "/v1/plugins/{name}/versions/{from}/diff/{to}", Some(Role::Viewer)),
    ("GET", "/v1/plugins/{name}/versions/{version}/component", Some(Role::Responder)),
    ("GET", "/v1/runs", Some(Role::Viewer)),
    ("POST", "/v1/runs", Some(Role::Responder)),
    ("GET", "/v1/runs/{id}", Some(Role::Viewer)),
    ("DELETE", "/v1/runs/{id}", Some(Role::Responder)),
    ("GET", "/v1/runs/{id}/archive", Some(Role::Viewer)),
    ("GET", "/v1/runs/{id}/events", Some(Role::Viewer)),
    ("GET", "/v1/runs/{id}/recording", Some(Role::Admin)),
    ("POST", "/v1/runs/{id}/undo", Some(Role::Responder)),
    ("GET", "/v1/silences", Some(Role::Viewer)),
    ("POST", "/v1/silences", Some(Role::Responder)),
    ("DELETE", "/v1/silences/{id}", Some(Role::Responder)),
    ("GET", "/v1/sweeps", Some(Role::Viewer)),
    ("GET", "/v1/sweeps/{name}", Some(Role::Viewer)),
    ("POST", "/v1/sweeps/{name}/runs", Some(Role::Responder)),
    ("GET", "/v1/sweeps/{name}/runs/{id}", Some(Role::Viewer)),
];

const OWNERS: [(Role, &str); 3] = [(Role::Viewer, VIEWER), (Role::Responder, RESPONDER), (Role::Admin, TOKEN)];

pub(super) fn least(method: &str, path: &str) -> Option<Role> {
    let found = LEAST.iter().find(|(known, place, _)| (*known, *place) == (method, path));
    found.unwrap_or_else(|| panic!("who may use {method} {path}? Say so in LEAST")).2
}

#[tokio::test]
async fn each_route_lets_its_roles_through_and_refuses_the_others() {
    for (role, token) in OWNERS {
        // Of its own for each role, because a rate is among what is not tested here.
        let api = Api::start().await;
        for (method, path) in routes() {
            let request = with_token(&method, &place(&path), token).body(Body::empty()).unwrap();
            let answer = api.send(request).await;
            match least(&method, &path).filter(|needed| role < *needed) {
                None => assert!(![401, 403].contains(&answer.status.as_u16()), "{role} {method} {path}: {answer:?}"),
                Some(needed) => {
                    let problem = answer.problem(403, "forbidden");
                    assert_eq!(problem["role"], needed.as_str());
                    let detail = problem["detail"].as_str().unwrap();
                    assert!(detail.starts_with(&format!("this needs the role `{needed}`; the token of `")), "{detail}");
                    assert!(detail.ends_with(&format!(" has the role `{role}`")), "{detail}");
                    assert!(answer.header("www-authenticate").ends_with("error=\"insufficient_scope\""));
                }
            }
        }
    }
}

#[test]
fn the_description_tells_the_role_of_each_route() {
    let description = serde_json::to_value(api::openapi::description()).unwrap();
    let all = routes();
    assert_eq!(all.len(), LEAST.len(), "LEAST names a route that there is not");
    for (method, path) in all {
        let operation = &description["paths"][&path][method.to_lowercase()];
        let ways = operation["security"].as_array().unwrap();
        match least(&method, &path) {
            None => assert!(ways.contains(&serde_json::json!({})), "{method} {path}: {ways:?}"),
            Some(role) => {
                let mut expected = vec![serde_json::json!({ "token": [role.as_str()] })];
                let asked = super::members::asked(&method, &path);
                expected.extend(asked.map(|(verb, _)| serde_json::json!({ "kubernetes": [verb] })));
                if (method.as_str(), path.as_str()) == ("POST", "/v1/runs") {
                    expected.push(serde_json::json!({ "kubernetes": ["plan"] }));
                }
                assert_eq!(*ways, expected, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_of_a_caller_who_may_not_is_not_looked_at() {
    let api = Api::start().await;
    // Neither JSON nor of a type that is taken: the role is judged before.
    let request = with_token("POST", "/v1/runs", VIEWER).body(Body::from("nonsense")).unwrap();
    api.send(request).await.problem(403, "forbidden");
    for (method, place) in [("PUT", "/v1/plugins/pushed/versions/0.1.0"), ("POST", "/v1/plugins/pushed/versions")] {
        let request = with_token(method, place, RESPONDER).header("content-type", "application/wasm");
        api.send(request.body(Body::new(Untouchable)).unwrap()).await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn a_token_is_good_until_it_expires_by_the_clock_of_the_agent() {
    let mut owners = access();
    owners.tokens[0].expires = Some(NOW.after(Duration::from_secs(60)));
    let api = Api::start_with(owners).await;
    assert_eq!(api.get("/v1/runs").await.status, 200);
    api.clock.advance(Duration::from_secs(60));
    let answer = api.get("/v1/runs").await;
    let problem = answer.problem(401, "expired-token");
    let expected = "the token of `alice` expired at 2026-03-01T03:15:15.926Z; `paramedic token new` makes another";
    assert_eq!(problem["detail"], expected);
    assert!(answer.header("www-authenticate").ends_with("error=\"invalid_token\""));
    // It opens no more than no token at all.
    let readiness = api.get("/readyz").await;
    assert_eq!((readiness.status.as_u16(), readiness.json().get("inactive")), (200, None));
    let other = with_token("GET", "/v1/runs", RESPONDER).body(Body::empty()).unwrap();
    assert_eq!(api.send(other).await.status, 200);
}

#[tokio::test]
async fn a_token_that_asks_too_often_has_to_wait_and_the_others_do_not() {
    let mut owners = access();
    owners.tokens[0].rate = Rate { per_minute: 60, burst: 3 };
    let api = Api::start_with(owners).await;
    for _ in 0..3 {
        assert_eq!(api.get("/v1/runs").await.status, 200);
    }
    let answer = api.get("/v1/runs").await;
    let problem = answer.problem(429, "rate-limited");
    let expected = "this token may ask 60 times a minute, and 3 times at once after a pause; ask again in 1 s";
    assert_eq!((problem["detail"].as_str(), answer.header("retry-after")), (Some(expected), "1"));
    // Probes go on, whoever sends them.
    for path in ["/healthz", "/readyz", "/openapi.json", "/", "/page/main.js"] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
    }
    let ask = async |path: &str| api.send(with_token("GET", path, RESPONDER).body(Body::empty()).unwrap()).await;
    assert_eq!(ask("/v1/runs").await.status, 200);
    let metrics = ask("/metrics").await.text;
    assert!(metrics.contains("paramedic_requests_limited_total{token=\"alice\"} 1\n"), "{metrics}");
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(api.get("/v1/runs").await.status, 200);
    api.get("/v1/runs").await.problem(429, "rate-limited");
}

#[tokio::test]
async fn wrong_tokens_use_up_nobodys_rate() {
    let mut owners = access();
    owners.tokens[0].rate = Rate { per_minute: 60, burst: 1 };
    let api = Api::start_with(owners).await;
    for _ in 0..10 {
        let request = Request::get("/v1/runs").header("authorization", "Bearer wrong").body(Body::empty()).unwrap();
        api.send(request).await.problem(401, "unauthenticated");
    }
    let answer: Value = api.get("/v1/runs").await.json();
    assert!(answer["runs"].is_array(), "{answer}");
}
