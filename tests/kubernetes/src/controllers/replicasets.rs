//! The ReplicaSet controller: adopts and releases pods by their labels, makes what is missing, deletes what is too
//! many.

use serde_json::{Value, json};

use super::{all, count, is_ready, pod_of, put, put_as, say};
use crate::admission::is_over;
use crate::delete;
use crate::failure::Failure;
use crate::objects;
use crate::selectors::Labels;
use crate::world::World;

/// Looks at every ReplicaSet once.
pub fn sync(world: &mut World) {
    for set in all(world, "apps/replicasets") {
        let pods = claim(world, &set);
        let (going, staying): (Vec<Value>, Vec<Value>) =
            pods.into_iter().filter(|pod| !is_over(pod)).partition(objects::is_going);
        let wanted = objects::number(&set, "/spec/replicas").unwrap_or_default();
        let has = i64::try_from(staying.len()).unwrap_or(i64::MAX);
        let failure = if has < wanted { make(world, &set, wanted - has) } else { None };
        if has > wanted {
            drop_pods(world, &staying, usize::try_from(has - wanted).unwrap_or_default());
        }
        status(world, set, &staying, going.len(), failure);
    }
}

/// The pods of a set. One that matches and has no controller becomes its own; one that does not match is let go.
fn claim(world: &mut World, set: &Value) -> Vec<Value> {
    let selector = Labels::of(set.pointer("/spec/selector").unwrap_or(&Value::Null));
    let in_space = world.store.list("/pods", Some(objects::namespace(set)));
    let concerned = in_space.filter(|pod| objects::is_controlled_by(pod, objects::uid(set)) || selector.matches(pod));
    let concerned: Vec<Value> = concerned.cloned().collect();
    let mut claimed = Vec::new();
    for mut pod in concerned {
        let is_own = objects::is_controlled_by(&pod, objects::uid(set));
        match (is_own, selector.matches(&pod)) {
            (true, true) => claimed.push(pod),
            (true, false) if !objects::is_going(&pod) => {
                objects::remove(&mut pod, "/metadata/ownerReferences");
                put_as(world, pod, super::MANAGER, "");
            }
            (false, true) if objects::controller(&pod).is_none() && !objects::is_going(&pod) => {
                objects::set(&mut pod, "/metadata/ownerReferences", json!([super::owner_reference(set)]));
                claimed.push(put_as(world, pod, super::MANAGER, ""));
            }
            _ => {}
        }
    }
    claimed
}

fn make(world: &mut World, set: &Value, missing: i64) -> Option<Failure> {
    let prefix = format!("{}-", objects::name(set));
    let template = set.pointer("/spec/template").cloned().unwrap_or_default();
    let mut failure = None;
    for _ in 0..missing {
        let name = format!("{prefix}{}", world.store.new_suffix());
        let refusal = super::create(world, pod_of(&template, set, &name, &prefix)).err();
        // It is tried again and again; saying so once for each pod is enough.
        if let Some(refusal) = refusal.as_ref().filter(|_| objects::condition(set, "ReplicaFailure").is_none()) {
            let message = format!("Error creating: {}", refusal.message());
            say(world, set, "replicaset-controller", "Warning", "FailedCreate", &message);
        }
        failure = refusal.or(failure);
    }
    failure
}

/// Deletes those that are missed least: not yet placed, not ready, then the youngest.
fn drop_pods(world: &mut World, pods: &[Value], too_many: usize) {
    let mut pods: Vec<&Value> = pods.iter().collect();
    let rank = |pod: &Value| {
        let is_placed = !objects::text(pod, "/spec/nodeName").is_empty();
        (is_placed, is_ready(pod))
    };
    let age = |pod: &Value| objects::text(pod, "/metadata/creationTimestamp").to_owned();
    let uid = |pod: &Value| objects::uid(pod).to_owned();
    pods.sort_by_key(|pod| (rank(pod), std::cmp::Reverse((age(pod), uid(pod)))));
    for pod in pods.into_iter().take(too_many) {
        delete::pod(world, objects::namespace(pod), objects::name(pod), None);
    }
}

fn status(world: &mut World, mut set: Value, pods: &[Value], going: usize, failure: Option<Failure>) {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let ready = number(pods.iter().filter(|pod| is_ready(pod)).count());
    let mut status = set.get("status").cloned().unwrap_or(json!({}));
    objects::set(&mut status, "/replicas", number(pods.len()));
    count(&mut status, "fullyLabeledReplicas", number(pods.len()));
    count(&mut status, "readyReplicas", ready);
    count(&mut status, "availableReplicas", ready);
    objects::set(&mut status, "/terminatingReplicas", going);
    objects::set(&mut status, "/observedGeneration", objects::number(&set, "/metadata/generation").unwrap_or(1));
    match failure {
        Some(failure) if objects::condition(&set, "ReplicaFailure").is_none() => {
            let condition = json!({
                "type": "ReplicaFailure", "status": "True", "lastTransitionTime": world.clock.seconds(),
                "reason": "FailedCreate", "message": failure.message(),
            });
            objects::set(&mut status, "/conditions", json!([condition]));
        }
        Some(_) => {}
        None => {
            objects::remove(&mut status, "/conditions");
        }
    }
    objects::set(&mut set, "/status", status);
    put(world, set);
}
