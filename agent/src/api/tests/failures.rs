//! What callers are told when a request cannot be done.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;

use super::fixture::{Api, NOW, access, authorized, send};
use crate::api::auth::Tokens;
use crate::api::guarded;
use crate::clock::ManualClock;

#[tokio::test]
async fn an_unknown_plugin_is_answered_with_those_that_may_be_meant() {
    let api = Api::start().await;
    for (name, hint) in [
        ("pg-redy", "no plugin is named `pg-redy`; did you mean pg-ready?"),
        ("PG_READY!", "no plugin is named `PG_READY!`; configured are pg-ready, pushed"),
        ("disk-full", "no plugin is named `disk-full`; configured are pg-ready, pushed"),
    ] {
        let problem = api.post(&format!("{{\"plugin\": \"{name}\"}}")).await.problem(404, "unknown-plugin");
        assert_eq!((problem["detail"].as_str(), problem["plugin"].as_str()), (Some(hint), Some(name)));
    }
    let problem = api.get("/v1/plugins/pg-redy").await.problem(404, "unknown-plugin");
    assert!(problem["detail"].as_str().unwrap().ends_with("did you mean pg-ready?"), "{problem}");
}

#[tokio::test]
async fn a_plugin_that_cannot_run_says_why() {
    let api = Api::start().await;
    let problem = api.post("{\"plugin\": \"pg-ready\"}").await.problem(409, "plugin-not-active");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("the plugin `pg-ready` cannot run: cannot read /nowhere/pg-ready.wasm: No such"),
        "{detail}"
    );
    assert_eq!(problem["plugin"], "pg-ready");
    let plugin = api.get("/v1/plugins/pg-ready").await.json();
    assert_eq!(plugin["state"], "failed");
    assert!(plugin["reason"].as_str().unwrap().starts_with("cannot read /nowhere"), "{plugin}");
    let list = api.get_as("/v1/plugins", "text/plain").await;
    assert!(list.text.starts_with("failed  pg-ready  cannot read"), "{}", list.text);
}

#[tokio::test]
async fn a_run_that_is_not_there_is_told_by_its_id() {
    let api = Api::start().await;
    for id in ["019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b", "latest"] {
        let problem = api.get(&format!("/v1/runs/{id}")).await.problem(404, "unknown-run");
        assert_eq!(problem["run"], id);
    }
}

#[tokio::test]
async fn a_query_that_is_not_understood_names_each_parameter() {
    let api = Api::start().await;
    let problem = api.get("/v1/runs?state=broken&limit=0").await.problem(400, "invalid-query");
    assert_eq!(problem["errors"][0]["parameter"], "state");
    assert_eq!(problem["errors"][1]["parameter"], "limit");
    assert_eq!(problem["errors"][1]["message"], "a page holds 1 to 200 runs, not 0");
}

#[tokio::test]
async fn a_form_that_there_is_not_is_refused_before_anything_runs() {
    let api = Api::start().await;
    for path in ["/v1/runs", "/v1/plugins", "/v1/plugins/pg-ready"] {
        let problem = api.get_as(path, "text/html").await.problem(406, "not-acceptable");
        assert!(problem["detail"].as_str().unwrap().contains("text/html"), "{problem}");
    }
    let request =
        authorized("POST", "/v1/runs").header("accept", "image/png").header("content-type", "application/json");
    let answer = api.send(request.body(Body::from("{\"plugin\": \"pg-ready\"}")).unwrap()).await;
    answer.problem(406, "not-acceptable");
}

#[tokio::test]
async fn a_store_that_fails_is_told_without_its_insides() {
    let api = Api::start().await;
    api.store.close().await.unwrap();
    let answer = api.get("/v1/runs").await;
    let problem = answer.problem(503, "store-unavailable");
    let id = answer.header("x-request-id");
    assert_eq!(problem["detail"], format!("the log of the agent tells why, under the request `{id}`"));
    assert_eq!(answer.header("retry-after"), "10");
    assert!(!answer.text.contains("closed") && !answer.text.contains("sqlite"), "{}", answer.text);
}

#[tokio::test]
async fn a_panic_fails_the_request_and_nothing_else() {
    let clock = Arc::new(ManualClock::at(NOW));
    let tokens = Arc::new(Tokens::new(access(), clock, Arc::default()));
    let routes = Router::new()
        .route("/panic", get(async || -> &'static str { panic!("a defect with a secret in it") }))
        .route("/fine", get(async || "fine"));
    let router = guarded(routes, tokens);
    let ask = async |path| send(&router, authorized("GET", path).body(Body::empty()).unwrap()).await;
    let answer = ask("/panic").await;
    answer.problem(500, "internal");
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    assert_eq!(ask("/fine").await.text, "fine");
}

#[tokio::test]
async fn an_agent_that_ends_takes_no_more_runs() {
    let api = Api::start().await;
    assert_eq!(api.runner.drain(std::time::Duration::ZERO).await, 0);
    // The plugin is looked at first, and cannot run; that nothing is accepted is what the probe tells.
    let answer = api.get("/readyz").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["accepting"]), (503, &false.into()));
}
