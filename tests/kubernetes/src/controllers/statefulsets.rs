//! The StatefulSet controller: one pod after the other, by number, each only when those before it serve.
//!
//! This order is what leaves a set stuck after a bad change was taken back: the pod that never became ready is waited
//! for, and so never replaced.

use serde_json::{Value, json};

use super::{all, count, is_ready, owned, pod_of, put, revision};
use crate::delete;
use crate::objects;
use crate::world::World;

const POD_REVISION: &str = "/metadata/labels/controller-revision-hash";

/// Looks at every StatefulSet once.
pub fn sync(world: &mut World) {
    for set in all(world, "apps/statefulsets") {
        let update = revision::current(world, &set).name;
        let stored = objects::text(&set, "/status/currentRevision").to_owned();
        let current = if stored.is_empty() { update.clone() } else { stored };
        step(world, &set, &current, &update);
        let pods = pods_of(world, &set);
        status(world, set, &pods, current, &update);
    }
}

fn pods_of(world: &World, set: &Value) -> Vec<Value> {
    owned(world, "/pods", set)
}

fn step(world: &mut World, set: &Value, current: &str, update: &str) {
    let wanted = objects::number(set, "/spec/replicas").unwrap_or(1);
    let name = objects::name(set);
    let pod = |world: &World, ordinal: i64| {
        world.store.get("/pods", objects::namespace(set), &format!("{name}-{ordinal}")).cloned()
    };
    for ordinal in 0..wanted {
        match pod(world, ordinal) {
            None => return make(world, set, ordinal, update),
            Some(pod) if !is_ready(&pod) || objects::is_going(&pod) => return,
            Some(_) => {}
        }
    }
    let highest = pods_of(world, set).iter().filter_map(ordinal).max().unwrap_or_default();
    if highest >= wanted {
        delete::pod(world, objects::namespace(set), &format!("{name}-{highest}"), None);
        return;
    }
    if objects::text(set, "/spec/updateStrategy/type") == "OnDelete" || current == update {
        return;
    }
    let partition = objects::number(set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or_default();
    for ordinal in (partition..wanted).rev() {
        let Some(pod) = pod(world, ordinal) else { return };
        if objects::text(&pod, POD_REVISION) != update {
            delete::pod(world, objects::namespace(set), objects::name(&pod), None);
            return;
        }
    }
}

fn ordinal(pod: &Value) -> Option<i64> {
    objects::name(pod).rsplit_once('-').and_then(|(_, number)| number.parse().ok())
}

fn make(world: &mut World, set: &Value, ordinal: i64, revision: &str) {
    let name = format!("{}-{ordinal}", objects::name(set));
    let template = set.pointer("/spec/template").cloned().unwrap_or_default();
    let mut pod = pod_of(&template, set, &name, &format!("{}-", objects::name(set)));
    objects::set(&mut pod, POD_REVISION, revision);
    objects::set(&mut pod, "/metadata/labels/apps.kubernetes.io~1pod-index", ordinal.to_string());
    objects::set(&mut pod, "/metadata/labels/statefulset.kubernetes.io~1pod-name", name.clone());
    objects::set(&mut pod, "/spec/hostname", name);
    objects::set(&mut pod, "/spec/subdomain", objects::text(set, "/spec/serviceName"));
    // A pod that a quota has no room for is tried again the next time.
    let _ = super::create(world, pod);
}

fn status(world: &mut World, mut set: Value, pods: &[Value], mut current: String, update: &str) {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let of = |revision: &str| {
        let own = pods.iter().filter(|pod| objects::text(pod, POD_REVISION) == revision && !objects::is_going(pod));
        number(own.count())
    };
    let ready = number(pods.iter().filter(|pod| is_ready(pod) && !objects::is_going(pod)).count());
    let wanted = objects::number(&set, "/spec/replicas").unwrap_or(1);
    let is_complete = of(update) == wanted && ready == wanted && number(pods.len()) == wanted;
    if is_complete {
        update.clone_into(&mut current);
    }
    let mut status = set.get("status").cloned().unwrap_or(json!({}));
    objects::set(&mut status, "/observedGeneration", objects::number(&set, "/metadata/generation").unwrap_or(1));
    objects::set(&mut status, "/replicas", number(pods.len()));
    count(&mut status, "readyReplicas", ready);
    count(&mut status, "currentReplicas", of(&current));
    count(&mut status, "updatedReplicas", of(update));
    objects::set(&mut status, "/currentRevision", current);
    objects::set(&mut status, "/updateRevision", update);
    objects::set(&mut status, "/collisionCount", 0);
    objects::set(&mut status, "/availableReplicas", ready);
    objects::set(&mut set, "/status", status);
    put(world, set);
}
