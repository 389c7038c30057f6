//! Requests that are damaged at random: whatever arrives, the answer is one that the API describes. `just fuzz` does this
//! for longer.

use std::sync::{Arc, Mutex, OnceLock, Weak};

use paramedic_tests::agent::Agent;
use paramedic_tests::api::{Answer, Api};
use paramedic_tests::components;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Map, Value, json};

use crate::damage::{damaged, damages};
use crate::fixture::{TOKEN, start};

/// What each route is sent when nothing is wrong.
const RUN: &str =
    r#"{"plugin": "trouble", "params": {"do": "refuse-params", "message": "no", "count": 3, "rate": 1.5e3}}"#;
const SILENCE: &str = r#"{"sweep": "on-demand", "expires": "90m", "reason": "ticket 4711", "expire_on_resolve": true}"#;

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "1e999",
    "-0",
    "\\ud800",
    "\\u0000",
    "plugin",
    "params",
    "sweep",
    "expires",
    "reason",
    "90m",
    "99999999999999999999d",
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "\u{feff}",
];

/// Routes that take a body, and routes that are sent one though they take none.
const ROUTES: &[(&str, &str)] = &[
    ("POST", "/v1/runs"),
    ("POST", "/v1/silences"),
    ("POST", "/v1/plugins/noop/versions"),
    ("PUT", "/v1/plugins/noop/versions/0.1.0"),
    ("PUT", "/v1/plugins/trouble/versions/0.1.0"),
    ("POST", "/v1/plugins/noop/versions/0.1.0/activate"),
    ("DELETE", "/v1/plugins/noop/versions/waiting"),
    ("POST", "/v1/plugins/noop/release"),
    ("POST", "/v1/sweeps/on-demand/runs"),
    ("DELETE", "/v1/silences/019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b"),
    ("DELETE", "/v1/runs/019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b"),
];

/// Header fields with what they may hold, and with what they may not.
const FIELDS: &[(&str, &[&str])] = &[
    ("content-type", &["application/json", "application/wasm", "application/x+json; charset=\"", "text/html", ";", ""]),
    ("content-encoding", &["gzip", "identity", "br", "gzip, gzip", ""]),
    ("accept", &["text/plain", "application/json", "image/png", "*/*;q=0", ";;q=x", ""]),
    (
        "prefer",
        &[
            "respond-async",
            "respond-async, wait=1",
            "wait=-1",
            "wait=99999999999999999999",
            "\u{e9}",
            "respond-async;wait",
        ],
    ),
    ("idempotency-key", &["\"a\"", "a", "\"", "", "\"\\\"\"", "{}"]),
    (
        "paramedic-digest",
        &["sha256:00", "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "md5:0", ""],
    ),
    ("paramedic-signature", &["aGk=", "====", "dW50cnVzdGVkIGNvbW1lbnQ6Cg==", "\u{ff}", ""]),
    ("x-request-id", &["1", "\u{1f600}", "{\"a\": 1}", ""]),
];

/// Seeds of findings are kept beside this file, which belongs to no crate of its own.
fn kept() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

/// One agent for the tests that are under way. It ends with the last of them and not with the program, so that what it used of
/// the processor counts for `just fuzz`.
fn api() -> Api {
    static SHARED: Mutex<Weak<Agent>> = Mutex::new(Weak::new());
    thread_local! {
        static HELD: Arc<Agent> = {
            let mut shared = SHARED.lock().unwrap();
            let held = shared.upgrade().unwrap_or_else(|| Arc::new(start("max_concurrent_runs: 64").unwrap()));
            *shared = Arc::downgrade(&held);
            held
        };
    }
    HELD.with(|agent| agent.api(Some(TOKEN)))
}

/// Hold an answer against what is promised of every answer.
fn promised(answer: &Answer) -> Result<(), TestCaseError> {
    let kind = answer.field("content-type");
    match answer.status {
        200 | 202 if kind.starts_with("text/plain") => return Ok(()),
        200 | 202 => prop_assert_eq!(kind, "application/json", "{}", answer.body),
        400..=499 => prop_assert_eq!(kind, "application/problem+json", "{}", answer.body),
        status => prop_assert!(false, "{status}: {}", answer.body),
    }
    let Ok(said) = answer.json() else { return Err(TestCaseError::fail(answer.body.clone())) };
    if answer.status >= 400 {
        prop_assert!(said["type"].as_str().is_some_and(|kind| kind.starts_with("urn:paramedic:problem:")), "{}", said);
        prop_assert_eq!(&said["status"], answer.status);
        prop_assert!(said["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", said);
        prop_assert!(answer.body.len() < 8_000, "{} bytes: {:.300}", answer.body.len(), answer.body);
    }
    Ok(())
}

fn answered(asked: &Api, method: &str, path: &str, fields: &[&str], body: &[u8]) -> Result<Answer, TestCaseError> {
    let answer = asked.send(method, path, fields, body).unwrap();
    promised(&answer)?;
    Ok(answer)
}

const JSON: &[&str] = &["content-type: application/json"];

/// Any JSON that is not too large.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|word| json!(word)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(|text| json!(text)),
        select(WORDS).prop_map(|text| json!(text)),
        (1_usize..20_000).prop_map(|length| json!("x".repeat(length))),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof![select(WORDS).prop_map(ToOwned::to_owned), ".{0,6}"];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name, inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A sample of which some fields are missing, others hold anything, and some are unknown.
fn changed(sample: &'static str) -> impl Strategy<Value = Map<String, Value>> {
    let sample: Map<String, Value> = serde_json::from_str(sample).unwrap();
    let changes = vec((any::<Index>(), prop::option::of(any_json())), 0..3);
    let further = prop::option::weighted(0.2, ("[a-z]{1,8}", any_json()));
    (changes, further).prop_map(move |(changes, further)| {
        let mut body = sample.clone();
        for (at, value) in changes {
            let name = sample.keys().nth(at.index(sample.len())).unwrap().clone();
            match value {
                Some(value) => drop(body.insert(name, value)),
                None => drop(body.remove(&name)),
            }
        }
        body.extend(further);
        body
    })
}

/// Whether nothing about a silence can be refused but its time.
fn may_be_silenced(body: &Map<String, Value>) -> bool {
    let known = ["sweep", "expires", "reason", "expire_on_resolve"];
    let reason = body.get("reason").and_then(Value::as_str).map(str::trim);
    let sweep = body.get("sweep").is_none_or(|sweep| sweep.is_null() || sweep == "on-demand");
    let reason = reason.is_some_and(|reason| (1..=500).contains(&reason.len()));
    let resolve = body.get("expire_on_resolve").is_none_or(Value::is_boolean);
    sweep && reason && resolve && body.keys().all(|name| known.contains(&name.as_str()))
}

fn field() -> impl Strategy<Value = String> {
    let value = |values: &'static [&'static str]| prop_oneof![3 => select(values).prop_map(ToOwned::to_owned), 1 => "[ -~]{0,20}"];
    select(FIELDS).prop_flat_map(move |(name, values)| value(values).prop_map(move |value| format!("{name}: {value}")))
}

fn component() -> &'static [u8] {
    static NOOP: OnceLock<Vec<u8>> = OnceLock::new();
    NOOP.get_or_init(|| std::fs::read(components::guest("noop").unwrap()).unwrap())
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        damages(WORDS).prop_map(|harm| damaged(RUN.as_bytes(), &harm)),
        damages(WORDS).prop_map(|harm| damaged(SILENCE.as_bytes(), &harm)),
        any_json().prop_map(|value| value.to_string().into_bytes()),
        vec(any::<u8>(), 0..200),
        vec(any::<u8>(), 0..64).prop_map(|rest| [b"\x1f\x8b\x08\0".as_slice(), &rest].concat()),
        vec(any::<u8>(), 0..64).prop_map(|rest| [b"\0asm\r\0\x01\0".as_slice(), &rest].concat()),
    ]
}

proptest! {
    #![proptest_config(kept())]

    #[test]
    fn a_damaged_body_is_answered(harm in damages(WORDS)) {
        answered(&api(), "POST", "/v1/runs", JSON, &damaged(RUN.as_bytes(), &harm))?;
    }

    #[test]
    fn a_damaged_silence_is_answered(harm in damages(WORDS)) {
        answered(&api(), "POST", "/v1/silences", JSON, &damaged(SILENCE.as_bytes(), &harm))?;
    }

    /// A field that nothing has, and a plugin that is none, are told by name.
    #[test]
    fn a_changed_body_is_answered_with_what_is_wrong_with_it(body in changed(RUN)) {
        let answer = answered(&api(), "POST", "/v1/runs", JSON, json!(body).to_string().as_bytes())?;
        let shaped = body.keys().all(|name| ["plugin", "params"].contains(&name.as_str()))
            && body.get("plugin").is_some_and(Value::is_string)
            && body.get("params").is_none_or(Value::is_object);
        let kind = answer.json().unwrap()["type"].clone();
        match (shaped, body.get("plugin") == Some(&json!("trouble"))) {
            (false, _) => prop_assert_eq!(kind, "urn:paramedic:problem:invalid-body"),
            (true, false) => prop_assert_eq!(kind, "urn:paramedic:problem:unknown-plugin"),
            (true, true) => prop_assert!(answer.status == 200 || kind == "urn:paramedic:problem:invalid-params", "{}", kind),
        }
    }

    /// What can be meant holds and can be ended; what cannot is told with its field.
    #[test]
    fn a_changed_silence_holds_or_is_answered_with_what_is_wrong_with_it(body in changed(SILENCE)) {
        let answer = answered(&api(), "POST", "/v1/silences", JSON, json!(body).to_string().as_bytes())?;
        let said = answer.json().unwrap();
        if answer.status == 200 {
            prop_assert!(may_be_silenced(&body), "{}", said);
            prop_assert_eq!(said["reason"].as_str(), body["reason"].as_str().map(str::trim));
            let path = format!("/v1/silences/{}", said["id"].as_str().unwrap());
            prop_assert_eq!(answered(&api(), "DELETE", &path, &[], b"")?.status, 200);
            prop_assert_eq!(answered(&api(), "DELETE", &path, &[], b"")?.status, 404);
        } else if said["type"] == "urn:paramedic:problem:invalid-body" {
            let named = |name: &&str| answer.body.contains(&format!("/{name}")) || said["detail"].as_str().unwrap().contains("line 1 column");
            prop_assert!(["expires", "reason"].iter().any(named), "{}", said);
        } else {
            prop_assert_eq!(&said["type"], "urn:paramedic:problem:unknown-sweep");
        }
    }

    #[test]
    fn any_body_to_any_route_is_answered(
        (method, path) in select(ROUTES), fields in vec(field(), 0..4), body in body()
    ) {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        answered(&api(), method, path, &fields, &body)?;
    }

    #[test]
    fn a_damaged_component_is_answered(harm in damages(WORDS), named in any::<bool>(), fields in vec(field(), 0..2)) {
        let fields: Vec<&str> = ["content-type: application/wasm"].into_iter().chain(fields.iter().map(String::as_str)).collect();
        let (method, path) = if named { ("PUT", "/v1/plugins/noop/versions/0.1.0") } else { ("POST", "/v1/plugins/noop/versions") };
        answered(&api(), method, path, &fields, &damaged(component(), &harm))?;
    }

    #[test]
    fn a_damaged_query_is_answered(
        path in select(&["/v1/runs", "/v1/sweeps/on-demand", "/v1/plugins"][..]),
        query in "[a-z]{0,6}(=|&|%[0-9a-f]{2}|[0-9a-zA-Z:+.-]{1,8}|since=|until=|limit=|cursor=|state=ok){0,12}"
    ) {
        answered(&api(), "GET", &format!("{path}?{query}"), &[], b"")?;
    }

    /// `/` alone is the page, which is no JSON.
    #[test]
    fn a_damaged_path_is_answered(path in "(/|v1|runs|plugins|sweeps|silences|versions|diff|on-demand|noop|page|0\\.1\\.0|\\.\\.|%2f|%00|%ff|[a-z0-9-]{1,8}){1,8}") {
        answered(&api(), "GET", &format!("/{path}"), &[], b"")?;
    }
}
