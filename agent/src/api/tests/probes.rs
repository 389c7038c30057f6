//! What watchers are told.

use axum::body::Body;
use http::Request;

use super::fixture::Api;

async fn unknown_caller(api: &Api, path: &str) -> super::fixture::Answer {
    api.send(Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_plugin_that_cannot_run_does_not_make_the_agent_unready() {
    let api = Api::start().await;
    let answer = unknown_caller(&api, "/readyz").await;
    let expected = serde_json::json!({
        "ready": true, "accepting": true, "loaded": true, "store": "writable",
        "plugins": {"active": 0, "loading": 0, "failed": 1, "absent": 1, "quarantined": 0},
        "config": {"since": "2026-03-01T03:14:15.926Z", "current": true}
    });
    assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
}

#[tokio::test]
async fn names_are_for_callers_with_a_token() {
    let api = Api::start().await;
    assert!(!unknown_caller(&api, "/readyz").await.text.contains("pg-ready"));
    let told = api.get("/readyz").await.json();
    assert_eq!(told["inactive"][0]["name"], "pg-ready");
    assert!(told["inactive"][0]["reason"].as_str().unwrap().contains("cannot read"), "{told}");
}

#[tokio::test]
async fn an_agent_that_is_coming_up_or_cannot_record_is_not_ready_but_alive() {
    let api = Api::start().await;
    api.loaded.send_replace(false);
    let answer = unknown_caller(&api, "/readyz").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["loaded"]), (503, &false.into()));
    api.loaded.send_replace(true);
    assert_eq!(unknown_caller(&api, "/readyz").await.status, 200);
    api.store.close().await.unwrap();
    let answer = unknown_caller(&api, "/readyz").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["store"]), (503, &"failing".into()));
    assert!(answer.json().get("problem").is_none());
    assert_eq!(unknown_caller(&api, "/healthz").await.status, 200);
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let api = Api::start().await;
    let answer = api.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
    assert!(answer.text.contains("paramedic_plugins{state=\"failed\"} 1\n"), "{}", answer.text);
    assert!(answer.text.contains("paramedic_plugins{state=\"active\"} 0\n"), "{}", answer.text);
}
