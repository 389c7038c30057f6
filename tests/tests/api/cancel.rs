//! Ending a run that is under way.

use std::time::{Duration, Instant};

use paramedic_tests::api::{Answer, Api};
use paramedic_tests::wait;
use serde_json::{Value, json};

use crate::fixture::{OTHER_TOKEN, TOKEN, agent, api, settled, start};
use crate::problem;

/// Begins a run of the guest that misbehaves, and tells where it can be found.
fn begin(api: &Api, params: &Value) -> String {
    let body = json!({ "plugin": "trouble", "params": params });
    let answer = api.run(&body, &["prefer: respond-async"]).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.field("location").to_owned()
}

fn cancel(api: &Api, location: &str, fields: &[&str]) -> Answer {
    api.ask("DELETE", location, fields, "").unwrap()
}

#[test]
fn a_run_ends_wherever_it_is_and_its_record_says_who_ended_it() {
    for params in [
        json!({ "do": "sleep-in-host", "seconds": 25.0 }),
        json!({ "do": "sleep", "seconds": 25 }),
        json!({ "do": "spin" }),
    ] {
        let location = begin(&api(), &params);
        let began = Instant::now();
        let answer = cancel(&agent().api(Some(OTHER_TOKEN)), &location, &[]);
        let run = answer.json().unwrap();
        assert_eq!((answer.status, &run["state"]), (200, &json!("failed")), "{run}");
        assert_eq!(run["failure"], json!({ "kind": "cancelled", "message": "cancelled by `bob`" }));
        assert_eq!(run["actor"], "alice");
        assert!(began.elapsed() < Duration::from_secs(20), "it ended by itself");
        assert_eq!(answer.field("location"), location);
        assert_eq!(api().get(&location, &[]).unwrap().json().unwrap(), run);
        // Once is enough.
        problem(&cancel(&api(), &location, &[]), 409, "run-ended");
    }
}

#[test]
fn a_cancelled_run_gives_its_slot_back() {
    let agent = start("max_concurrent_runs: 1").unwrap();
    let api = agent.api(Some(TOKEN));
    for _ in 0..3 {
        let location = wait::until("the slot", || {
            let body = json!({ "plugin": "trouble", "params": { "do": "spin" } });
            let answer = api.run(&body, &["prefer: respond-async"])?;
            Ok((answer.status == 202).then(|| answer.field("location").to_owned()))
        })
        .unwrap();
        assert_eq!(cancel(&api, &location, &[]).status, 200);
    }
    let metrics = api.get("/metrics", &[]).unwrap().body;
    assert!(
        metrics.contains("paramedic_runs_total{plugin=\"trouble\",status=\"unknown\",failure=\"cancelled\"} 3\n"),
        "{metrics}"
    );
}

#[test]
fn a_caller_that_does_not_want_to_wait_is_told_that_it_was_asked_to_end() {
    let location = begin(&api(), &json!({ "do": "sleep-in-host", "seconds": 25.0 }));
    let answer = cancel(&api(), &location, &["prefer: respond-async"]);
    let run = answer.json().unwrap();
    assert!([200, 202].contains(&answer.status), "{run}");
    let run = settled(&api(), &location).unwrap();
    assert_eq!(run["failure"]["kind"], "cancelled", "{run}");
}

#[test]
fn whoever_waits_for_a_run_hears_that_it_was_cancelled() {
    let waiting = std::thread::spawn(|| {
        let body = json!({ "plugin": "trouble", "params": { "do": "sleep-in-host", "seconds": 24.5 } });
        agent().api(Some(OTHER_TOKEN)).run(&body, &[]).unwrap()
    });
    let id = wait::until("the run to start", || {
        let page = api().get("/v1/runs?actor=bob&plugin=trouble&state=running", &[])?.json()?;
        let runs = page["runs"].as_array().cloned().unwrap_or_default();
        let mut ids = runs.iter().filter_map(|run| run["id"].as_str());
        let mine = ids.find(|id| {
            let run = api().get(&format!("/v1/runs/{id}"), &[]).and_then(|answer| answer.json());
            run.is_ok_and(|run| run["params"]["seconds"] == 24.5)
        });
        Ok(mine.map(str::to_owned))
    })
    .unwrap();
    let by_hand = cancel(&api(), &format!("/v1/runs/{id}"), &[]).json().unwrap();
    let answer = waiting.join().unwrap();
    assert_eq!((answer.status, answer.json().unwrap()), (200, by_hand));
}
