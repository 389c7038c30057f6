//! Sweeps of real checks, run by the agent itself.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, anyhow};
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::Api;
use paramedic_tests::http::Endpoint;
use paramedic_tests::redis::Redis;
use paramedic_tests::{access, components, wait};
use serde_json::{Value, json};

const TOKEN: &str = "7e1b9c3d5f8a4b2e6d0c1f9a8b7e6d5c";

fn agent() -> &'static Agent {
    static SHARED: OnceLock<Result<Agent, String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| start().map_err(|error| format!("{error:#}")));
    shared.as_ref().map_err(|error| anyhow!("the agent did not start: {error}")).unwrap()
}

fn api() -> Api {
    agent().api(Some(TOKEN))
}

fn shop() -> anyhow::Result<&'static Endpoint> {
    static SHOP: OnceLock<Result<Endpoint, String>> = OnceLock::new();
    let start = || Endpoint::start("503 Service Unavailable", "no database\n").map_err(|error| format!("{error:#}"));
    SHOP.get_or_init(start).as_ref().map_err(|error| anyhow!("the web shop did not start: {error}"))
}

fn start() -> anyhow::Result<Agent> {
    let home = Home::new()?;
    home.write("redis", &Redis::shared()?.reader("*")?)?;
    let address = agent::free_address()?;
    let file = |path: anyhow::Result<std::path::PathBuf>| anyhow::Ok(path?.display().to_string());
    let auth = access::auth(&home, &[("alice", "responder", TOKEN)])?;
    let configuration = format!(
        r#"
server: {{ listen: "{address}" }}
auth: {auth}
targets:
  redis: {{ cache: {{ url: {{ file: redis }} }} }}
  http: {{ api: {{ base_url: "{shop}", allow_private: true }} }}
plugins:
  redis-ping:
    source: {{ file: "{redis_ping}" }}
    grants: [ {{ redis: cache, verbs: [ping, info, slow-log] }} ]
  http-health:
    source: {{ file: "{http_health}" }}
    grants: [ {{ http: api, verbs: [get], paths: ["/**"] }} ]
  pg-connections:
    source: {{ file: "{pg_connections}" }}
  trouble:
    source: {{ file: "{trouble}" }}
    limits: {{ deadline: 5m }}
sweeps:
  health: {{ every: 1s, checks: [ {{ plugin: redis-ping, params: {{ target: cache, samples: 2 }} }} ] }}
  broken:
    every: 1s
    failure_threshold: 2
    checks:
      - {{ plugin: redis-ping, params: {{ target: cache, samples: 2 }} }}
      - http-health
      - pg-connections
      - {{ plugin: trouble, params: {{ do: fail, message: no idea }} }}
      - trouble
  hasty:
    every: 1s
    overlap: replace
    checks: [ {{ plugin: trouble, params: {{ do: sleep-in-host, seconds: 250.0 }} }} ]
  on-demand: {{ checks: [ {{ plugin: redis-ping, params: {{ target: cache, samples: 2 }} }} ] }}
"#,
        shop = shop()?.url(),
        redis_ping = file(components::plugin("redis-ping"))?,
        http_health = file(components::plugin("http-health"))?,
        pg_connections = file(components::plugin("pg-connections"))?,
        trouble = file(components::guest("trouble"))?,
    );
    Agent::start(home, &configuration, &address)
}

fn get(path: &str) -> anyhow::Result<Value> {
    let answer = api().get(path, &[])?;
    anyhow::ensure!(answer.status == 200, "{path}: {}", answer.body);
    answer.json()
}

/// The runs of a sweep that have come to a verdict, the newest first, once there are so many.
fn concluded(sweep: &str, count: usize) -> Vec<Value> {
    wait::until("runs of the sweep", || {
        let shown = get(&format!("/v1/sweeps/{sweep}?limit=200"))?;
        let runs = shown["runs"].as_array().context("no runs")?;
        let runs: Vec<_> = runs.iter().filter(|run| run["state"] == "concluded").cloned().collect();
        Ok((runs.len() >= count).then_some(runs))
    })
    .unwrap()
}

#[test]
fn a_sweep_runs_by_its_schedule_and_each_slot_once() {
    let runs = concluded("health", 4);
    let mut slots: Vec<_> = runs.iter().map(|run| run["slot"].as_str().unwrap()).collect();
    assert!(slots.is_sorted_by(|newer, older| newer > older), "{slots:?}");
    assert!(slots.iter().all(|slot| slot.ends_with(".000Z")), "{slots:?}");
    slots.dedup();
    assert_eq!(slots.len(), runs.len());
    let check = &runs[0]["checks"][0];
    assert_eq!((&check["plugin"], &check["status"]), (&"redis-ping".into(), &"ok".into()), "{check}");
    let run = get(&format!("/v1/runs/{}", check["run"].as_str().unwrap())).unwrap();
    assert_eq!((&run["trigger"], &run["actor"]), (&"schedule".into(), &"schedule".into()));
    assert_eq!(run["sweep_run"], runs[0]["id"]);
    assert_eq!(run["params"]["samples"], 2);
    let sweep = get("/v1/sweeps/health").unwrap();
    assert_eq!(sweep["state"]["status"], "ok");
    assert!(sweep["next"].as_str().is_some());
}

#[test]
fn each_check_that_is_not_ok_says_why() {
    let runs = concluded("broken", 1);
    assert_eq!(runs[0]["status"], "critical");
    let told: Vec<_> =
        runs[0]["checks"].as_array().unwrap().iter().map(|check| (&check["status"], &check["reason"])).collect();
    let (ok, critical, unknown) = (json!("ok"), json!("critical"), json!("unknown"));
    let (none, not_active, failed, params) = (Value::Null, json!("not_active"), json!("failed"), json!("params"));
    let expected =
        [(&ok, &none), (&critical, &none), (&unknown, &not_active), (&unknown, &failed), (&unknown, &params)];
    assert_eq!(told, expected, "{}", runs[0]);
    let reason = runs[0]["checks"][2]["summary"].as_str().unwrap();
    assert!(reason.contains("add plugins.pg-connections.grants: - { postgres: "), "{reason}");
    let sweep = wait::until("the sweep to be critical", || {
        Ok(Some(get("/v1/sweeps/broken")?).filter(|sweep| sweep["state"]["status"] == "critical"))
    });
    assert_eq!(sweep.unwrap()["events"].as_array().unwrap().last().unwrap()["kind"], "changed");
}

#[test]
fn a_sweep_that_replaces_its_run_cancels_the_checks_of_that() {
    let cancelled = wait::until("a check to be cancelled", || {
        let runs = get("/v1/runs?plugin=trouble&limit=200")?;
        let runs = runs["runs"].as_array().context("no runs")?;
        Ok(runs.iter().find(|run| run["failure"]["kind"] == "cancelled").cloned())
    })
    .unwrap();
    let message = cancelled["failure"]["message"].as_str().unwrap();
    assert!(message.contains("schedule"), "{message}");
    let sweep = get("/v1/sweeps/hasty").unwrap();
    assert!(sweep["runs"].as_array().unwrap().iter().any(|run| run["state"] == "replaced"), "{sweep}");
}

#[test]
fn people_ask_by_the_command_line() {
    let asked = |arguments: &[&str]| {
        let mut command = Command::new(agent::program().unwrap());
        command.env_clear().env("PARAMEDIC_URL", agent().url()).env("PARAMEDIC_TOKEN", TOKEN);
        let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, card, complaint) = asked(&["sweep", "on-demand"]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{card}");
    assert!(card.starts_with("OK on-demand: 1 of 1 checks are ok\n\n  ok redis-ping: "), "{card}");
    let (code, card, _) = asked(&["sweep", "broken"]);
    assert_eq!(code, Some(2), "{card}");
    assert!(card.contains("unknown (not_active) pg-connections: "), "{card}");
    let (code, list, _) = asked(&["sweeps"]);
    assert!(code == Some(0) && list.lines().any(|line| line.contains("  on-demand  ")), "{list}");
    let (code, _, complaint) = asked(&["sweep", "helth"]);
    assert_eq!((code, &*complaint), (Some(3), "paramedic: no sweep is named `helth`; did you mean health?\n"));
    let (code, silence, complaint) =
        asked(&["silence", "add", "on-demand", "--for", "2h", "--reason", "a test", "-o", "json"]);
    assert_eq!(code, Some(0), "{complaint}");
    let silence: Value = serde_json::from_str(&silence).unwrap();
    assert_eq!(silence["creator"], "alice");
    let (_, list, _) = asked(&["silence", "list"]);
    assert!(list.contains("a test"), "{list}");
    let (code, ..) = asked(&["silence", "remove", silence["id"].as_str().unwrap()]);
    assert_eq!(code, Some(0));
    let (_, list, _) = asked(&["silence", "list"]);
    assert!(!list.contains("a test"), "{list}");
}

#[test]
fn sweeps_are_measured() {
    concluded("health", 2);
    let metrics = api().get("/metrics", &[]).unwrap().body;
    assert!(metrics.contains("paramedic_sweep_slots_total{sweep=\"health\",result=\"run\"} "), "{metrics}");
    assert!(metrics.contains("paramedic_sweep_lateness_seconds_bucket{le=\"0.05\"} "), "{metrics}");
}
