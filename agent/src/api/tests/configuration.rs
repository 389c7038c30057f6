//! A configuration that is read again.

use super::fixture::{Api, authorized};
use crate::domain::ReloadRefused;

#[tokio::test]
async fn who_has_the_configuration_read_again_is_told_what_was_different() {
    let api = Api::start().await;
    let answer = api.act("POST", "/v1/config:reload", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let told = answer.json();
    assert_eq!(told["changed"], serde_json::json!(["changed auth for alice"]));
    assert_eq!(told["needs_restart"], serde_json::json!(["server.listen"]));
    let request = authorized("POST", "/v1/config:reload").header("accept", "text/plain");
    let card = api.send(request.body(axum::body::Body::empty()).unwrap()).await.text;
    assert!(card.ends_with("  changed auth for alice\nonly after a restart: server.listen\n"), "{card}");
}

#[tokio::test]
async fn a_configuration_that_is_refused_says_why_and_makes_nobody_unready() {
    let api = Api::start().await;
    let mistake = "12:5: plugins.pg-ready.grants[0]: there is no such field".to_owned();
    let refused = ReloadRefused { reason: "paramedic.yaml has mistakes".to_owned(), problems: vec![mistake.clone()] };
    *api.configuration.refused.lock().unwrap() = Some(refused);
    let problem = api.act("POST", "/v1/config:reload", "").await.problem(422, "config-refused");
    assert_eq!(problem["errors"], serde_json::json!([{ "message": mistake }]));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("the one before stays in force: paramedic.yaml has mistakes"), "{detail}");

    let ready = api.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let config = &ready.json()["config"];
    assert_eq!((&config["current"], &config["errors"][0]), (&false.into(), &mistake.into()), "{config}");
    assert_eq!(config["needs_restart"], serde_json::json!(["server.listen"]));
    let stranger = http::Request::builder().uri("/readyz").body(axum::body::Body::empty()).unwrap();
    let config = api.send(stranger).await.json()["config"].clone();
    assert_eq!(config["current"], false);
    assert!(config["problem"].is_null() && config["errors"].is_null() && config["needs_restart"].is_null(), "{config}");
}
