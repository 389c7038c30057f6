//! The chain of records as it is told.

use axum::body::Body;
use serde_json::{Value, json};

use super::fixture::{Api, RESPONDER, authorized, concluded, with_token};
use crate::domain::{Digest, Status};

async fn verify(api: &Api, body: Value) -> Value {
    let answer = api.act("POST", "/v1/audit/verify", &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn the_head_moves_with_each_record_and_whoever_kept_one_can_ask_for_it() {
    let api = Api::start().await;
    let before = api.get("/v1/audit/head").await.json();
    assert_eq!(before["seq"], 1);
    api.keep(&concluded(60, Status::Ok)).await;
    let head = api.get("/v1/audit/head").await.json();
    assert_eq!(head["seq"], 2);
    let kept = format!("{}:{}", head["seq"], head["hash"].as_str().unwrap());
    api.keep(&concluded(30, Status::Critical)).await;
    let found = verify(&api, json!({ "head": kept })).await;
    assert_eq!((&found["links"], &found["broken"]), (&json!(3), &Value::Null));
    assert_eq!(found["verified_to"], api.get("/v1/audit/head").await.json());
    let other = format!("2:{}", "0".repeat(64));
    let found = verify(&api, json!({ "head": other })).await;
    assert_eq!(found["broken"]["seq"], 2);
    let found = verify(&api, json!({ "head": format!("9:{}", "0".repeat(64)) })).await;
    assert_eq!(found["broken"]["why"], "the chain ends at link 3, and link 9 was its head once");
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("paramedic_record_links 3\n"), "{metrics}");
}

#[tokio::test]
async fn a_head_that_is_none_is_refused_with_its_form() {
    let api = Api::start().await;
    let problem = api.act("POST", "/v1/audit/verify", r#"{"head":"7"}"#).await.problem(422, "invalid-body");
    assert_eq!(problem["errors"][0]["pointer"], "/head");
    api.act("POST", "/v1/audit/verify", r#"{"tail":"7"}"#).await.problem(422, "invalid-body");
    for query in ["from=x", "from=-1", "from=1&from=2", "to=3"] {
        api.get(&format!("/v1/audit/export?{query}")).await.problem(400, "invalid-query");
    }
}

#[tokio::test]
async fn an_export_has_every_link_on_a_line_that_can_be_checked_without_an_agent() {
    let api = Api::start().await;
    for age in 0..620 {
        api.keep(&concluded(age, Status::Ok)).await;
    }
    let answer = api.get("/v1/audit/export").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/x-ndjson"));
    let head = api.get("/v1/audit/head").await.json();
    let mut prev = Value::from("0".repeat(64));
    for (n, line) in answer.text.lines().enumerate() {
        let mut link: Value = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json_canonicalizer::to_string(&link).unwrap(), line);
        let hash = link.as_object_mut().unwrap().remove("hash").unwrap();
        let text = serde_json_canonicalizer::to_string(&link).unwrap();
        assert_eq!(hash, Digest::of(text.as_bytes()).hex());
        assert_eq!((&link["seq"], &link["prev"]), (&json!(n + 1), &prev));
        prev = hash;
    }
    assert_eq!((&head["seq"], &head["hash"]), (&json!(621), &prev));

    let later = api.get("/v1/audit/export?from=600").await;
    assert_eq!(later.text.lines().count(), 22);
    assert!(answer.text.ends_with(&later.text));
    let beyond = api.get("/v1/audit/export?from=99999").await;
    assert_eq!((beyond.status.as_u16(), &*beyond.text), (200, ""));
}

#[tokio::test]
async fn only_the_head_is_for_everybody() {
    let api = Api::start().await;
    let ask = async |method: &str, path: &str| {
        api.send(with_token(method, path, RESPONDER).body(Body::empty()).unwrap()).await
    };
    assert_eq!(ask("GET", "/v1/audit/head").await.status, 200);
    ask("GET", "/v1/audit/export").await.problem(403, "forbidden");
    ask("POST", "/v1/audit/verify").await.problem(403, "forbidden");
}

#[tokio::test]
async fn it_can_be_read_on_a_terminal() {
    let api = Api::start().await;
    let head = api.get_as("/v1/audit/head", "text/plain").await.text;
    assert!(head.starts_with("1:"), "{head}");
    let request = authorized("POST", "/v1/audit/verify").header("accept", "text/plain");
    let request = request.header("content-type", "application/json").body(Body::from("{}")).unwrap();
    let card = api.send(request).await.text;
    assert!(card.starts_with("all is as it was recorded (1 links)\nhead 1:"), "{card}");
}
