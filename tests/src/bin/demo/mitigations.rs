//! What the demo does about the trouble: plan, look, apply, see whether it helped, and give back what can be given back.

use anyhow::Context;
use serde_json::{Value, json};

use crate::checks::{Check, Expected};
use crate::curl::Curl;
use crate::trouble::{LEAK_AGE_SECONDS, Troubled};

/// Goes through all of it, and gives what did not go as it should.
pub fn run(curl: &Curl, troubled: &Troubled) -> anyhow::Result<Vec<String>> {
    let mut complaints = end_the_leak(curl)?;
    complaints.extend(pause_and_resume(curl, troubled)?);
    complaints.extend(let_carts_expire(curl)?);
    println!();
    for complaint in &complaints {
        println!("NOT MENDED: {complaint}");
    }
    if complaints.is_empty() {
        println!("What could be mended was mended as planned, and what could be given back was given back.");
    }
    Ok(complaints)
}

/// The leaked connections are ended, and the check that complained about them is content.
fn end_the_leak(curl: &Curl) -> anyhow::Result<Vec<String>> {
    say("the leaked connections: plan to end them, apply the plan, and ask the check again");
    let params = json!({ "target": "main", "max_idle": LEAK_AGE_SECONDS, "limit": 50 });
    let planned = plan(curl, "pg-terminate-idle", &params)?;
    let applied = apply(curl, &planned)?;
    let mut complaints = unless(&applied, "applied", "the leaked connections were not ended");
    let again = Check { plugin: "pg-connections", params: json!({}), expected: Expected::Healthy };
    curl.show_run(again.plugin, &again.params)?;
    complaints.extend(again.complaint(&curl.newest_run()?));
    Ok(complaints)
}

/// The queue stands still for as long as somebody needs it, and goes on as if nothing had been.
fn pause_and_resume(curl: &Curl, troubled: &Troubled) -> anyhow::Result<Vec<String>> {
    say("the queue: pause it, and give that back");
    let planned = plan(curl, "queue-pause", &json!({ "target": "email" }))?;
    let applied = apply(curl, &planned)?;
    let mut complaints = unless(&applied, "applied", "the queue was not paused");
    if !troubled.queue.is_paused()? {
        complaints.push("its library says that the queue is not paused".to_owned());
    }
    complaints.extend(undo(curl, &applied)?);
    if troubled.queue.is_paused()? {
        complaints.push("its library says that the queue is still paused".to_owned());
    }
    Ok(complaints)
}

/// Carts that never expire get a time to live, and lose it again.
fn let_carts_expire(curl: &Curl) -> anyhow::Result<Vec<String>> {
    say("the carts: let them expire, and give that back");
    let params = json!({ "target": "cache", "pattern": "cart:*", "mode": "expire", "ttl": 3600.0 });
    let planned = plan(curl, "redis-evict", &params)?;
    let applied = apply(curl, &planned)?;
    let mut complaints = unless(&applied, "applied", "the carts do not expire");
    complaints.extend(undo(curl, &applied)?);
    Ok(complaints)
}

fn say(what: &str) {
    println!("\n… {what}");
}

/// The run that made the plan.
fn plan(curl: &Curl, plugin: &str, params: &Value) -> anyhow::Result<Value> {
    curl.show("/v1/runs", &json!({ "plugin": plugin, "params": params, "mode": "plan" }))?;
    curl.last_run(plugin)
}

/// The run that applied the plan of `planned`.
fn apply(curl: &Curl, planned: &Value) -> anyhow::Result<Value> {
    let id = planned.pointer("/plan/id").and_then(Value::as_str).context("there is no plan")?;
    let digest = planned.pointer("/plan/digest").context("the plan has no digest")?;
    curl.show(&format!("/v1/plans/{id}/apply"), &json!({ "digest": digest }))?;
    curl.last_run(plugin(planned)?)
}

fn undo(curl: &Curl, applied: &Value) -> anyhow::Result<Vec<String>> {
    let id = applied.pointer("/id").and_then(Value::as_str).context("there is no run")?;
    curl.show(&format!("/v1/runs/{id}/undo"), &json!({}))?;
    let given_back = apply(curl, &curl.last_run(plugin(applied)?)?)?;
    Ok(unless(&given_back, "applied", "what was done was not given back"))
}

fn plugin(run: &Value) -> anyhow::Result<&str> {
    run.pointer("/plugin").and_then(Value::as_str).context("a run without a plugin")
}

/// A complaint unless every change of `run` met this fate, and there was one.
fn unless(run: &Value, fate: &str, complaint: &str) -> Vec<String> {
    let changes = run.pointer("/changes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let all = !changes.is_empty() && changes.iter().all(|change| change.pointer("/fate") == Some(&json!(fate)));
    if all { Vec::new() } else { vec![format!("{complaint}: {}", run.pointer("/outcome/summary").unwrap_or(run))] }
}
