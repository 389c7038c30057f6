//! The arithmetic of a Deployment's rollout, and the conditions that tell how it goes.

use serde_json::{Value, json};

use crate::objects;
use crate::world::World;

const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// How many pods there may be above the wanted count, and how many may be missing.
#[must_use]
pub fn slack(deployment: &Value) -> (i64, i64) {
    let wanted = wanted(deployment);
    if objects::text(deployment, "/spec/strategy/type") == "Recreate" {
        return (0, wanted);
    }
    let part = |key: &str, rounds_up: bool| {
        let value = deployment.pointer(&format!("/spec/strategy/rollingUpdate/{key}")).cloned().unwrap_or_default();
        match value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse::<i64>().ok()) {
            Some(percent) if rounds_up => (wanted * percent + 99) / 100,
            Some(percent) => wanted * percent / 100,
            None => value.as_i64().unwrap_or_default(),
        }
    };
    match (part("maxSurge", true), part("maxUnavailable", false)) {
        // Without any slack nothing could ever move.
        (0, 0) => (0, 1),
        slack => slack,
    }
}

fn wanted(deployment: &Value) -> i64 {
    objects::number(deployment, "/spec/replicas").unwrap_or(1)
}

fn replicas(set: &Value) -> i64 {
    objects::number(set, "/spec/replicas").unwrap_or_default()
}

fn available(set: &Value) -> i64 {
    objects::number(set, "/status/availableReplicas").unwrap_or_default()
}

/// How many replicas the current set may have now, if it has `has`.
#[must_use]
pub fn room_for_new(deployment: &Value, sets: &[Value], has: i64) -> i64 {
    let wanted = wanted(deployment);
    if objects::text(deployment, "/spec/strategy/type") == "Recreate" {
        let others: i64 = sets.iter().filter_map(|set| objects::number(set, "/status/replicas")).sum();
        return if others > has { has } else { wanted };
    }
    let (surge, _) = slack(deployment);
    let total: i64 = sets.iter().map(replicas).sum();
    let room = (wanted + surge - total).max(0);
    (has + room).min(wanted)
}

/// The next count of each set, by name. One move at a time: first the new set grows, then the old ones shrink.
#[must_use]
pub fn next_counts(deployment: &Value, sets: &[Value], current: &str) -> Vec<(String, i64)> {
    let wanted = wanted(deployment);
    let name = |set: &Value| objects::name(set).to_owned();
    let Some(new) = sets.iter().find(|set| objects::name(set) == current) else { return Vec::new() };
    let old: Vec<&Value> = sets.iter().filter(|set| objects::name(set) != current && replicas(set) > 0).collect();
    if old.is_empty() || wanted == 0 {
        // A plain change of scale.
        return std::iter::once((name(new), wanted)).chain(old.into_iter().map(|set| (name(set), 0))).collect();
    }
    if objects::text(deployment, "/spec/strategy/type") == "Recreate" {
        return old.into_iter().map(|set| (name(set), 0)).collect();
    }
    let count = room_for_new(deployment, sets, replicas(new));
    if count != replicas(new) {
        return vec![(name(new), count)];
    }
    shrink(deployment, sets, new, &old)
}

fn shrink(deployment: &Value, sets: &[Value], new: &Value, old: &[&Value]) -> Vec<(String, i64)> {
    let least = wanted(deployment) - slack(deployment).1;
    let total: i64 = sets.iter().map(replicas).sum();
    let mut budget = total - least - (replicas(new) - available(new));
    let mut spare = sets.iter().map(available).sum::<i64>() - least;
    let mut counts = Vec::new();
    for set in old {
        // Pods that do not serve go first: nobody misses them.
        let sick = (replicas(set) - available(set)).clamp(0, budget.max(0));
        budget -= sick;
        let healthy = (replicas(set) - sick).min(spare).clamp(0, budget.max(0));
        budget -= healthy;
        spare -= healthy;
        if sick + healthy > 0 {
            counts.push((objects::name(set).to_owned(), replicas(set) - sick - healthy));
        }
    }
    counts
}

/// Says that a Deployment was paused or goes on.
pub fn note_pause(world: &World, deployment: &mut Value, is_paused: bool) {
    let reason = objects::condition(deployment, "Progressing").map(|it| objects::text(it, "/reason").to_owned());
    match (is_paused, reason.as_deref()) {
        (true, Some(TIMED_OUT | "DeploymentPaused")) => {}
        (true, _) => progress(world, deployment, "Unknown", "DeploymentPaused", "Deployment is paused"),
        (false, Some("DeploymentPaused")) => {
            progress(world, deployment, "Unknown", "DeploymentResumed", "Deployment is resumed");
        }
        (false, _) => {}
    }
}

/// Sets condition Progressing.
pub fn progress(world: &World, deployment: &mut Value, status: &str, reason: &str, message: &str) {
    set_condition(world, deployment, "Progressing", (status, reason, message));
}

/// Sets all conditions by what the counts say, compared with the status before.
pub fn judge(world: &World, deployment: &mut Value, old: &Value, sets: &[Value], current: Option<&str>) {
    let count = |key: &str| objects::number(deployment, &format!("/status/{key}")).unwrap_or_default();
    let wanted = wanted(deployment);
    let has_enough = count("availableReplicas") >= wanted - slack(deployment).1;
    let is_complete =
        count("updatedReplicas") == wanted && count("replicas") == wanted && count("availableReplicas") == wanted;
    let before = |key: &str| objects::number(old, key).unwrap_or_default();
    let has_moved = count("updatedReplicas") > before("/updatedReplicas")
        || count("replicas") - count("updatedReplicas") < before("/replicas") - before("/updatedReplicas")
        || count("readyReplicas") > before("/readyReplicas")
        || count("availableReplicas") > before("/availableReplicas");
    let verdict = if has_enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set_condition(world, deployment, "Available", verdict);
    judge_failure(world, deployment, sets);
    let Some(current) = current else { return };
    if deployment.pointer("/spec/paused") != Some(&Value::Bool(true)) {
        judge_progress(world, deployment, current, is_complete, has_moved);
    }
}

fn judge_progress(world: &World, deployment: &mut Value, current: &str, is_complete: bool, has_moved: bool) {
    let condition = objects::condition(deployment, "Progressing").cloned().unwrap_or_default();
    let reason = objects::text(&condition, "/reason");
    let is_settled = reason == COMPLETE
        && objects::number(deployment, "/status/updatedReplicas") == objects::number(deployment, "/status/replicas");
    if is_settled {
        return;
    }
    let deadline = objects::number(deployment, "/spec/progressDeadlineSeconds").unwrap_or(600);
    let since = world.clock.since(objects::text(&condition, "/lastUpdateTime")).unwrap_or_default();
    if is_complete {
        let message = format!("ReplicaSet \"{current}\" has successfully progressed.");
        progress(world, deployment, "True", COMPLETE, &message);
    } else if has_moved {
        let message = format!("ReplicaSet \"{current}\" is progressing.");
        progress(world, deployment, "True", "ReplicaSetUpdated", &message);
    } else if since > deadline && reason != TIMED_OUT {
        let message = format!("ReplicaSet \"{current}\" has timed out progressing.");
        progress(world, deployment, "False", TIMED_OUT, &message);
    }
}

/// What keeps a ReplicaSet from making pods is said of its Deployment too.
fn judge_failure(world: &World, deployment: &mut Value, sets: &[Value]) {
    let failure = sets.iter().find_map(|set| objects::condition(set, "ReplicaFailure")).cloned();
    match failure {
        Some(failure) => {
            let text = |pointer: &str| objects::text(&failure, pointer).to_owned();
            let (status, reason, message) = (text("/status"), text("/reason"), text("/message"));
            set_condition(world, deployment, "ReplicaFailure", (&status, &reason, &message));
        }
        None => {
            let others = objects::items(deployment, "/status/conditions");
            let others: Vec<Value> =
                others.filter(|it| objects::text(it, "/type") != "ReplicaFailure").cloned().collect();
            objects::set(deployment, "/status/conditions", others);
        }
    }
}

fn set_condition(world: &World, deployment: &mut Value, name: &str, verdict: (&str, &str, &str)) {
    let (status, reason, message) = verdict;
    let now = world.clock.seconds();
    let known = objects::condition(deployment, name).cloned();
    let says = |known: &Value, key: &str, value: &str| objects::text(known, key) == value;
    if known
        .as_ref()
        .is_some_and(|it| says(it, "/status", status) && says(it, "/reason", reason) && says(it, "/message", message))
    {
        return;
    }
    let since =
        known.filter(|it| says(it, "/status", status)).map(|it| objects::text(&it, "/lastTransitionTime").to_owned());
    let condition = json!({
        "type": name, "status": status, "lastUpdateTime": now, "lastTransitionTime": since.unwrap_or(now.clone()),
        "reason": reason, "message": message,
    });
    let others = objects::items(deployment, "/status/conditions").filter(|it| objects::text(it, "/type") != name);
    let conditions: Vec<Value> = others.cloned().chain([condition]).collect();
    objects::set(deployment, "/status/conditions", conditions);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(replicas: i64, surge: Value, unavailable: Value) -> Value {
        json!({"spec": {"replicas": replicas, "strategy": {
            "type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
        }}})
    }

    fn set(name: &str, replicas: i64, available: i64) -> Value {
        json!({"metadata": {"name": name}, "spec": {"replicas": replicas}, "status": {"availableReplicas": available}})
    }

    #[test]
    fn slack_is_rounded_up_for_more_and_down_for_fewer() {
        assert_eq!(slack(&deployment(3, json!("25%"), json!("25%"))), (1, 0));
        assert_eq!(slack(&deployment(10, json!("25%"), json!("25%"))), (3, 2));
        assert_eq!(slack(&deployment(4, json!(0), json!(0))), (0, 1));
    }

    #[test]
    fn the_new_set_grows_first_and_the_old_one_shrinks_when_the_new_serves() {
        let deployment = deployment(3, json!("25%"), json!("25%"));
        let grows = next_counts(&deployment, &[set("old", 3, 3), set("new", 0, 0)], "new");
        assert_eq!(grows, [("new".to_owned(), 1)]);
        let waits = next_counts(&deployment, &[set("old", 3, 3), set("new", 1, 0)], "new");
        assert_eq!(waits, []);
        let shrinks = next_counts(&deployment, &[set("old", 3, 3), set("new", 1, 1)], "new");
        assert_eq!(shrinks, [("old".to_owned(), 2)]);
    }

    #[test]
    fn sick_old_pods_make_room_at_once() {
        let deployment = deployment(2, json!("25%"), json!("25%"));
        let next = next_counts(&deployment, &[set("good", 2, 2), set("bad", 1, 0)], "good");
        assert_eq!(next, [("bad".to_owned(), 0)]);
    }
}
