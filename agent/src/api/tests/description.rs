//! The description of the API.

use axum::body::Body;
use http::Request;
use serde_json::Value;

use super::fixture::Api;

/// The description as anybody gets it.
async fn description() -> Value {
    let api = Api::start().await;
    let answer = api.send(Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    answer.json()
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.push(reference.clone());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_description_is_openapi_3_1_and_whole() {
    let description = description().await;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1."), "{}", description["openapi"]);
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(found.len() > 30, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn every_operation_has_a_name_a_success_and_a_problem() {
    let description = description().await;
    let paths = description["paths"].as_object().unwrap();
    let mut names = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            names.push(operation["operationId"].as_str().unwrap_or_else(|| panic!("{place} has no name")));
            assert!(operation["summary"].is_string(), "{place} has no summary");
            assert!(operation["responses"]["200"].is_object(), "{place} has no success");
            let problem = "/responses/default/content/application~1problem+json/schema/$ref";
            assert_eq!(operation.pointer(problem).unwrap(), "#/components/schemas/Problem", "{place}");
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "two operations share a name: {names:?}");
}

#[tokio::test]
async fn the_description_says_which_routes_need_no_token() {
    let description = description().await;
    assert_eq!(description["security"], serde_json::json!([{ "token": [] }]));
    assert_eq!(description["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    let open = |path: &str| {
        let security = &description["paths"][path]["get"]["security"];
        security.as_array().is_some_and(|ways| ways.contains(&serde_json::json!({})))
    };
    for path in ["/healthz", "/readyz", "/openapi.json", "/", "/page/{file}"] {
        assert!(open(path), "{path}");
    }
    for path in ["/metrics", "/v1/runs", "/v1/runs/{id}", "/v1/plugins", "/v1/plugins/{name}"] {
        assert!(!open(path), "{path}");
    }
}

#[tokio::test]
async fn words_of_closed_lists_are_listed() {
    let description = description().await;
    let words = |name: &str| description["components"]["schemas"][name]["enum"].clone();
    assert_eq!(words("Status"), serde_json::json!(["ok", "warning", "critical", "unknown"]));
    assert_eq!(words("PluginState"), serde_json::json!(["loading", "active", "failed", "absent", "quarantined"]));
    assert_eq!(words("FailureKind").as_array().unwrap().len(), crate::domain::FailureKind::ALL.len());
}
