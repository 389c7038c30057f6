//! Evictions: deletions of pods that disruption budgets may forbid.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::delete::{self, Preconditions};
use crate::failure::Failure;
use crate::objects;
use crate::options::{Options, Validation};
use crate::request::{Request, Target};
use crate::schema;
use crate::selectors::Labels;
use crate::world::World;

const BUDGETS: &str = "policy/poddisruptionbudgets";

/// Answers a POST of an eviction.
pub fn answer(world: &mut World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let options = Options::parse(request, "CreateOptions")?;
    let decoded = schema::decode("Eviction", &request.json()?).map_err(Failure::bad_request)?;
    let warnings = decoded.unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect();
    if options.validation == Validation::Strict && !decoded.unknown.is_empty() {
        return Err(Failure::bad_request(format!("strict decoding error: unknown fields {:?}", decoded.unknown)));
    }
    let body = decoded.value;
    let pod = world.store.get("/pods", target.space(), &target.name).cloned().ok_or_else(|| target.missing())?;
    let is_dry_run = options.is_dry_run || objects::items(&body, "/deleteOptions/dryRun").next().is_some();
    Preconditions::read(body.get("deleteOptions").unwrap_or(&Value::Null)).check(target, &pod)?;
    let has_ended = matches!(objects::text(&pod, "/status/phase"), "Succeeded" | "Failed" | "Pending");
    if !has_ended && !objects::is_going(&pod) {
        spend_budget(world, &pod, is_dry_run)?;
    }
    if !is_dry_run {
        mark(world, target);
        let grace = objects::number(&body, "/deleteOptions/gracePeriodSeconds");
        delete::pod(world, target.space(), &target.name, grace);
    }
    let success = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(Answer::json(201, success).with_warnings(warnings))
}

fn spend_budget(world: &mut World, pod: &Value, is_dry_run: bool) -> Result<(), Failure> {
    let space = objects::namespace(pod);
    let covers = |budget: &&Value| {
        let selector = Labels::of(budget.pointer("/spec/selector").unwrap_or(&Value::Null));
        selector.matches(pod)
    };
    let budgets: Vec<Value> = world.store.list(BUDGETS, Some(space)).filter(covers).cloned().collect();
    let [budget] = budgets.as_slice() else {
        let message =
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return if budgets.is_empty() { Ok(()) } else { Err(Failure::internal(message)) };
    };
    let allowed = objects::number(budget, "/status/disruptionsAllowed").unwrap_or_default();
    if allowed < 1 {
        let count = |pointer: &str| objects::number(budget, pointer).unwrap_or_default();
        let (wanted, has) = (count("/status/desiredHealthy"), count("/status/currentHealthy"));
        let name = objects::name(budget);
        let message = format!("The disruption budget {name} needs {wanted} healthy pods and has {has} currently");
        return Err(Failure::budget(&message));
    }
    if !is_dry_run {
        let mut spent = budget.clone();
        objects::set(&mut spent, "/status/disruptionsAllowed", allowed - 1);
        world.store.put(BUDGETS, spent);
    }
    Ok(())
}

/// The pod says why it goes.
fn mark(world: &mut World, target: &Target) {
    let Some(mut pod) = world.store.get("/pods", target.space(), &target.name).cloned() else { return };
    let mut conditions: Vec<Value> = objects::items(&pod, "/status/conditions").cloned().collect();
    conditions.push(json!({
        "type": "DisruptionTarget", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": world.clock.seconds(), "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }));
    objects::set(&mut pod, "/status/conditions", conditions);
    world.store.put("/pods", pod);
}
