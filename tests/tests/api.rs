//! The whole agent, asked over HTTP and by its own command line: real plugins, a real Redis, a real web endpoint.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

#[path = "api/cancel.rs"]
mod cancel;
#[path = "api/cli.rs"]
mod cli;
#[path = "support/damage.rs"]
mod damage;
#[path = "api/damaged.rs"]
mod damaged;
#[path = "api/events.rs"]
mod events;
#[path = "api/fixture.rs"]
mod fixture;
#[path = "api/once.rs"]
mod once;
#[path = "api/tls.rs"]
mod tls;
#[path = "api/watch.rs"]
mod watch;

use std::io::Write;
use std::net::Shutdown;

use fixture::{OTHER_TOKEN, TOKEN, agent, api, settled};
use paramedic_tests::api::Answer;
use paramedic_tests::wait;
use serde_json::{Value, json};

/// Answers without a token. This list may only shrink.
const OPEN: [&str; 5] = ["/", "/healthz", "/openapi.json", "/page/{file}", "/readyz"];

fn problem(answer: &Answer, status: u16, kind: &str) -> Value {
    let problem = answer.json().unwrap();
    assert_eq!(answer.status, status, "{problem}");
    assert_eq!(answer.field("content-type"), "application/problem+json");
    assert_eq!(problem["type"], format!("urn:paramedic:problem:{kind}"), "{problem}");
    problem
}

#[test]
fn a_check_runs_and_is_found_again_under_its_id() {
    let answer = api().run(&json!({"plugin": "redis-ping", "params": {"target": "cache"}}), &[]).unwrap();
    let run = answer.json().unwrap();
    assert_eq!((answer.status, &run["outcome"]["status"]), (200, &json!("ok")), "{run}");
    assert_eq!((&run["plugin"], &run["state"], &run["actor"]), (&json!("redis-ping"), &json!("ok"), &json!("alice")));
    assert_eq!(run["params"]["target"], "cache");
    let calls = run["calls"].as_array().unwrap();
    assert!(calls.iter().any(|call| call["operation"] == "redis/ping" && call["decision"] == "permitted"), "{run}");
    let location = answer.field("location");
    assert_eq!(location, format!("/v1/runs/{}", run["id"].as_str().unwrap()));
    assert_eq!(api().get(location, &[]).unwrap().json().unwrap(), run);
    assert_eq!(answer.field("cache-control"), "no-store");
}

#[test]
fn a_caller_that_does_not_want_to_wait_is_told_where_to_look() {
    let body = json!({"plugin": "trouble", "params": {"do": "sleep-in-host", "seconds": 0.5}});
    let answer = api().run(&body, &["prefer: respond-async"]).unwrap();
    let run = answer.json().unwrap();
    assert_eq!((answer.status, &run["state"]), (202, &json!("running")), "{run}");
    assert_eq!(answer.field("preference-applied"), "respond-async");
    let run = settled(&api(), answer.field("location")).unwrap();
    assert_eq!(run["state"], "ok", "{run}");
}

#[test]
fn a_caller_may_wait_for_a_while() {
    let body = json!({"plugin": "redis-ping", "params": {"target": "cache"}});
    let answer = api().run(&body, &["prefer: respond-async, wait=60"]).unwrap();
    assert_eq!((answer.status, answer.field("preference-applied")), (200, ""));
    let body = json!({"plugin": "trouble", "params": {"do": "sleep-in-host", "seconds": 3.0}});
    let answer = api().run(&body, &["prefer: respond-async, wait=1"]).unwrap();
    assert_eq!((answer.status, &answer.json().unwrap()["state"]), (202, &json!("running")));
    settled(&api(), answer.field("location")).unwrap();
}

#[test]
fn a_run_goes_on_when_its_caller_leaves() {
    let other = agent().api(Some(OTHER_TOKEN));
    let newest = || {
        let page = other.get("/v1/runs?actor=bob&plugin=trouble&limit=1", &[])?.json()?;
        Ok(page.pointer("/runs/0").cloned())
    };
    let body = json!({"plugin": "trouble", "params": {"do": "sleep-in-host", "seconds": 1.5}}).to_string();
    let fields = ["content-type: application/json", &format!("content-length: {}", body.len())];
    let mut caller = other.begin("POST", "/v1/runs", &fields).unwrap();
    caller.write_all(body.as_bytes()).unwrap();
    let run = wait::until("the run to start", newest).unwrap();
    assert_eq!(run["state"], "running");
    caller.shutdown(Shutdown::Both).unwrap();
    drop(caller);
    let run = settled(&other, &format!("/v1/runs/{}", run["id"].as_str().unwrap())).unwrap();
    assert_eq!(run["state"], "ok", "{run}");
}

#[test]
fn a_terminal_gets_the_verdict_first() {
    let body = json!({"plugin": "http-health"});
    let answer = api().run(&body, &["accept: text/plain"]).unwrap();
    assert_eq!((answer.status, answer.field("content-type")), (200, "text/plain; charset=utf-8"));
    assert!(answer.body.starts_with("CRITICAL http-health: "), "{}", answer.body);
    assert!(answer.body.contains("503"), "{}", answer.body);
    let plugins = api().get("/v1/plugins", &["accept: text/plain"]).unwrap().body;
    assert!(plugins.lines().any(|line| line.starts_with("active  redis-ping")), "{plugins}");
}

#[test]
fn wrong_parameters_are_named_with_the_rule_of_the_schema() {
    let params = json!({"limit": 500, "colour": "red"});
    let answer = api().run(&json!({"plugin": "pg-slow-queries", "params": params}), &[]).unwrap();
    let problem = problem(&answer, 422, "invalid-params");
    let errors = problem["errors"].as_array().unwrap();
    let told = |pointer: &str, words: &[&str]| {
        let fits = |error: &&Value| {
            let message = error["message"].as_str().unwrap();
            error["pointer"] == pointer && words.iter().all(|word| message.contains(word))
        };
        assert!(errors.iter().any(|error| fits(&error)), "{pointer} in {problem}");
    };
    told("/params/limit", &["500", "maximum", "100"]);
    told("/params", &["colour"]);
}

#[test]
fn a_plugin_whose_grant_lacks_an_interface_is_refused_with_the_line_to_add() {
    let answer = api().run(&json!({"plugin": "pg-connections"}), &[]).unwrap();
    let problem = problem(&answer, 409, "plugin-not-active");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("add plugins.pg-connections.grants: - { postgres: "), "{detail}");
    let plugin = api().get("/v1/plugins/pg-connections", &[]).unwrap().json().unwrap();
    assert_eq!(plugin["state"], "failed");
    assert!(plugin["reason"].as_str().unwrap().contains("add plugins.pg-connections.grants: -"), "{plugin}");
}

#[test]
fn an_unknown_plugin_is_answered_with_the_one_that_may_be_meant() {
    let answer = api().run(&json!({"plugin": "redis-pnig"}), &[]).unwrap();
    let problem = problem(&answer, 404, "unknown-plugin");
    assert_eq!(problem["detail"], "no plugin is named `redis-pnig`; did you mean redis-ping?");
}

#[test]
fn a_hundred_megabytes_are_refused_before_they_are_sent() {
    let fields = ["content-type: application/json", "content-length: 104857600", "expect: 100-continue"];
    let answer = Answer::read(api().begin("POST", "/v1/runs", &fields).unwrap()).unwrap();
    problem(&answer, 413, "body-too-large");
    // The same from a caller that does not ask first.
    let mut stream = api().begin("POST", "/v1/runs", &fields[..2]).unwrap();
    stream.write_all(b"{\"plugin\": ").unwrap();
    problem(&Answer::read(stream).unwrap(), 413, "body-too-large");
}

#[test]
fn every_route_but_the_listed_ones_refuses_an_unknown_caller() {
    let unknown = [agent().api(None), agent().api(Some("wrong"))];
    let description = unknown[0].get("/openapi.json", &[]).unwrap().json().unwrap();
    let paths = description["paths"].as_object().unwrap();
    let mut open = Vec::new();
    for (path, item) in paths {
        let place = path.replace("{id}", "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b").replace("{name}", "redis-ping");
        let place = place
            .replace("{version}", "0.1.0")
            .replace("{from}", "active")
            .replace("{to}", "previous")
            .replace("{file}", "main.js");
        for method in item.as_object().unwrap().keys() {
            let answers: Vec<_> =
                unknown.iter().map(|api| api.ask(&method.to_uppercase(), &place, &[], "").unwrap()).collect();
            if answers.iter().all(|answer| answer.status == 200) {
                open.push(path.as_str());
                continue;
            }
            for answer in answers {
                problem(&answer, 401, "unauthenticated");
                assert!(answer.field("www-authenticate").starts_with("Bearer"), "{method} {path}");
            }
        }
    }
    assert_eq!(open, OPEN);
    assert!(paths.len() >= 8, "{paths:?}");
}

#[test]
fn runs_are_told_apart_by_who_asked() {
    let body = json!({"plugin": "redis-ping", "params": {"target": "cache"}});
    let id = agent().api(Some(OTHER_TOKEN)).run(&body, &[]).unwrap().json().unwrap()["id"].clone();
    let listed = |actor: &str| {
        let page = api().get(&format!("/v1/runs?actor={actor}&plugin=redis-ping&limit=200"), &[]).unwrap();
        let runs = page.json().unwrap()["runs"].as_array().unwrap().clone();
        runs.iter().any(|run| run["id"] == id)
    };
    assert!(listed("bob") && !listed("alice"));
}

#[test]
fn more_runs_than_there_is_room_for_are_turned_away() {
    let agent = fixture::start("max_concurrent_runs: 1").unwrap();
    let api = agent.api(Some(TOKEN));
    let body = json!({"plugin": "trouble", "params": {"do": "sleep-in-host", "seconds": 2.0}});
    let first = api.run(&body, &["prefer: respond-async"]).unwrap();
    assert_eq!(first.status, 202);
    let refused = api.run(&body, &[]).unwrap();
    problem(&refused, 429, "busy");
    assert_eq!(refused.field("retry-after"), "1");
    settled(&api, first.field("location")).unwrap();
    // The slot is given back a moment after the end is recorded.
    let retried = || Ok(Some(api.run(&body, &["prefer: respond-async"])?).filter(|answer| answer.status == 202));
    wait::until("a slot to become free", retried).unwrap();
    let metrics = api.get("/metrics", &[]).unwrap();
    assert_eq!(metrics.field("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(metrics.body.contains("paramedic_runs_turned_away_total "), "{}", metrics.body);
}

#[test]
fn a_log_line_names_its_request_and_who_asked() {
    let fields = ["x-request-id: find-me-again"];
    assert_eq!(api().get("/v1/plugins", &fields).unwrap().field("x-request-id"), "find-me-again");
    let line = wait::until("the log line", || {
        let log = agent().log()?;
        Ok(log.lines().find(|line| line.contains("find-me-again")).map(str::to_owned))
    })
    .unwrap();
    assert!(line.contains("/v1/plugins") && line.contains("alice") && !line.contains(TOKEN), "{line}");
}
