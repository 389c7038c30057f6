//! Asking for the same thing again with the same key.

use std::io::Write;
use std::net::Shutdown;

use paramedic_tests::api::{Answer, Api};
use paramedic_tests::{secret, wait};
use serde_json::{Value, json};

use crate::fixture::{OTHER_TOKEN, agent, api, settled};
use crate::problem;

fn run(api: &Api, key: &str, params: &Value, fields: &[&str]) -> Answer {
    let key = format!("idempotency-key: {key}");
    let fields = [&[key.as_str()], fields].concat();
    api.run(&json!({ "plugin": "trouble", "params": params }), &fields).unwrap()
}

/// Runs with these parameters, which nobody else uses.
fn count(params: &Value) -> usize {
    let page = api().get("/v1/runs?plugin=trouble&limit=200", &[]).unwrap().json().unwrap();
    let runs = page["runs"].as_array().unwrap().clone();
    let has = |run: &Value| {
        let id = run["id"].as_str().unwrap();
        api().get(&format!("/v1/runs/{id}"), &[]).unwrap().json().unwrap()["params"] == *params
    };
    runs.iter().filter(|run| has(run)).count()
}

fn sleep(seconds: f64) -> Value {
    json!({ "do": "sleep-in-host", "seconds": seconds })
}

#[test]
fn the_same_request_gets_the_same_answer_and_runs_once() {
    let (key, params) = (secret::random(), sleep(0.011));
    let first = run(&api(), &key, &params, &[]);
    assert_eq!((first.status, first.field("idempotency-replayed")), (200, ""), "{}", first.body);
    for _ in 0..3 {
        let again = run(&api(), &format!("\"{key}\""), &params, &[]);
        assert_eq!((again.status, again.field("idempotency-replayed")), (200, "true"));
        assert_eq!(again.body, first.body);
        for field in ["location", "content-type", "vary"] {
            assert_eq!(again.field(field), first.field(field));
        }
    }
    assert_eq!(count(&params), 1);
    // As text, it is the same run.
    let card = run(&api(), &key, &params, &["accept: text/plain"]);
    assert!(card.body.starts_with("OK trouble: slept"), "{}", card.body);
}

#[test]
fn another_request_with_the_key_is_refused_and_another_caller_has_keys_of_its_own() {
    let key = secret::random();
    assert_eq!(run(&api(), &key, &sleep(0.012), &[]).status, 200);
    let refused = problem(&run(&api(), &key, &sleep(0.013), &[]), 422, "idempotency-key-reused");
    assert!(refused["detail"].as_str().unwrap().contains("take a new key"), "{refused}");
    let others = run(&agent().api(Some(OTHER_TOKEN)), &key, &sleep(0.013), &[]);
    assert_eq!((others.status, others.field("idempotency-replayed")), (200, ""));
    assert_eq!((count(&sleep(0.012)), count(&sleep(0.013))), (1, 1));
}

#[test]
fn of_two_callers_at_once_one_runs_and_the_other_is_told_to_come_back() {
    let (key, params) = (secret::random(), sleep(1.014));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| run(&api(), &key, &params, &[]))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let (ran, waited): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    for answer in &waited {
        problem(answer, 409, "in-progress");
        assert_eq!(answer.field("retry-after"), "1");
    }
    assert!(!ran.is_empty() && !waited.is_empty(), "{answers:?}");
    assert_eq!(count(&params), 1);
    let first = ran.iter().find(|answer| answer.field("idempotency-replayed").is_empty()).unwrap();
    assert_eq!(run(&api(), &key, &params, &[]).body, first.body);
}

#[test]
fn a_run_in_the_background_is_answered_again_with_the_same_run() {
    let (key, params) = (secret::random(), sleep(1.015));
    let first = run(&api(), &key, &params, &["prefer: respond-async"]);
    assert_eq!(first.status, 202);
    let again = run(&api(), &key, &params, &["prefer: respond-async"]);
    assert_eq!((again.status, again.field("idempotency-replayed")), (202, "true"));
    assert_eq!(again.field("location"), first.field("location"));
    // Whoever wants to wait is told that it is under way, and which run it is.
    let waiting = problem(&run(&api(), &key, &params, &[]), 409, "in-progress");
    assert!(first.field("location").ends_with(waiting["run"].as_str().unwrap()), "{waiting}");
    let ended = settled(&api(), first.field("location")).unwrap();
    let last = run(&api(), &key, &params, &["prefer: respond-async"]);
    assert_eq!((last.status, last.json().unwrap()), (200, ended));
    assert_eq!(count(&params), 1);
}

#[test]
fn a_caller_that_left_finds_its_run_by_the_key() {
    let (key, params) = (secret::random(), sleep(0.316));
    let body = json!({ "plugin": "trouble", "params": params }).to_string();
    let length = format!("content-length: {}", body.len());
    let named = format!("idempotency-key: {key}");
    let fields = ["content-type: application/json", length.as_str(), named.as_str()];
    let mut caller = api().begin("POST", "/v1/runs", &fields).unwrap();
    caller.write_all(body.as_bytes()).unwrap();
    wait::until("the run to start", || Ok((count(&params) == 1).then_some(()))).unwrap();
    caller.shutdown(Shutdown::Both).unwrap();
    drop(caller);
    let answer = wait::until("the run to end", || {
        let answer = api().ask("POST", "/v1/runs", &[fields[0], fields[2]], &body)?;
        Ok((answer.status == 200).then_some(answer))
    })
    .unwrap();
    assert_eq!(answer.field("idempotency-replayed"), "true");
    assert_eq!(count(&params), 1);
}

#[test]
fn a_refused_request_uses_no_key_up() {
    let key = secret::random();
    let body = json!({ "plugin": "trubble" });
    let named = format!("idempotency-key: {key}");
    problem(&api().run(&body, &[&named]).unwrap(), 404, "unknown-plugin");
    assert_eq!(run(&api(), &key, &sleep(0.017), &[]).status, 200);
    for bad in ["", "\"\"", "a b", &"k".repeat(256)] {
        let refused = problem(&run(&api(), bad, &sleep(0.018), &[]), 400, "invalid-header");
        assert!(refused["detail"].as_str().unwrap().starts_with("the header `idempotency-key`"), "{refused}");
    }
    assert_eq!(count(&sleep(0.018)), 0);
}

#[test]
fn cancelling_again_with_the_same_key_is_no_mistake() {
    let (key, params) = (secret::random(), sleep(25.019));
    let body = json!({ "plugin": "trouble", "params": params });
    let started = api().run(&body, &["prefer: respond-async"]).unwrap();
    let named = format!("idempotency-key: {key}");
    let cancel = || api().ask("DELETE", started.field("location"), &[&named], "").unwrap();
    let (first, again) = (cancel(), cancel());
    assert_eq!((first.status, again.status), (200, 200), "{}", again.body);
    assert_eq!((first.field("idempotency-replayed"), again.field("idempotency-replayed")), ("", "true"));
    assert_eq!(first.body, again.body);
}
