//! Requests that are damaged at random: whatever arrives, the answer is one that the API describes.

use paramedic_tests::api::Api;
use proptest::prelude::*;

use crate::api;
use crate::damage::{damaged, damages};

const BODY: &str =
    r#"{"plugin": "trouble", "params": {"do": "refuse-params", "message": "no", "count": 3, "rate": 1.5e3}}"#;

const WORDS: &[&str] =
    &["{", "}", "[", "]", "\"", ":", ",", "null", "1e999", "-0", "\\ud800", "plugin", "params", "\u{feff}"];

/// Send `body` to `path` and hold the answer against what is promised of every answer.
fn answered(asked: &Api, method: &str, path: &str, body: &[u8]) -> Result<(), TestCaseError> {
    let answer = asked.send(method, path, &["content-type: application/json"], body).unwrap();
    let kind = answer.field("content-type");
    match answer.status {
        200 | 202 => prop_assert_eq!(kind, "application/json", "{}", answer.body),
        400..=499 => prop_assert_eq!(kind, "application/problem+json", "{}", answer.body),
        status => prop_assert!(false, "{status}: {}", answer.body),
    }
    prop_assert!(answer.json().is_ok(), "{}", answer.body);
    Ok(())
}

proptest! {
    #[test]
    fn a_damaged_body_is_answered(harm in damages(WORDS)) {
        answered(&api(), "POST", "/v1/runs", &damaged(BODY.as_bytes(), &harm))?;
    }

    #[test]
    fn a_damaged_query_is_answered(query in "[a-z]{0,6}(=|&|%[0-9a-f]{2}|[0-9a-zA-Z:+.-]{1,8}|since=|limit=|cursor=|state=ok){0,12}") {
        answered(&api(), "GET", &format!("/v1/runs?{query}"), b"")?;
    }

    #[test]
    fn a_damaged_path_is_answered(path in "(/|v1|runs|plugins|\\.\\.|%2f|%00|[a-z0-9-]{1,8}){0,8}") {
        answered(&api(), "GET", &format!("/{path}"), b"")?;
    }
}
