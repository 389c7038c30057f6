//! The DaemonSet controller, for the one node that there is: its pod, replaced when the template has changed.
//!
//! The record has no DaemonSet; this follows the documentation.

use serde_json::{Value, json};

use super::{all, count, is_ready, owned, pod_of, put, revision};
use crate::delete;
use crate::objects;
use crate::world::World;

const POD_REVISION: &str = "/metadata/labels/controller-revision-hash";

/// Looks at every DaemonSet once.
pub fn sync(world: &mut World) {
    for set in all(world, "apps/daemonsets") {
        let hash = revision::current(world, &set).hash;
        let pods = owned(world, "/pods", &set);
        match pods.first() {
            None => make(world, &set, &hash),
            Some(pod) => replace(world, &set, pod, &hash),
        }
        status(world, set, &hash);
    }
}

fn make(world: &mut World, set: &Value, hash: &str) {
    let prefix = format!("{}-", objects::name(set));
    let template = set.pointer("/spec/template").cloned().unwrap_or_default();
    let name = format!("{prefix}{}", world.store.new_suffix());
    let mut pod = pod_of(&template, set, &name, &prefix);
    objects::set(&mut pod, POD_REVISION, hash);
    let generation = objects::number(set, "/metadata/generation").unwrap_or(1);
    objects::set(&mut pod, "/metadata/labels/pod-template-generation", generation.to_string());
    // A pod that a quota has no room for is tried again the next time.
    let _ = super::create(world, pod);
}

fn replace(world: &mut World, set: &Value, pod: &Value, hash: &str) {
    let is_old = objects::text(pod, POD_REVISION) != hash;
    let rolls = objects::text(set, "/spec/updateStrategy/type") != "OnDelete";
    if is_old && rolls && !objects::is_going(pod) {
        delete::pod(world, objects::namespace(pod), objects::name(pod), None);
    }
}

fn status(world: &mut World, mut set: Value, hash: &str) {
    let pods = owned(world, "/pods", &set);
    let number = |of: &dyn Fn(&Value) -> bool| {
        let those = pods.iter().filter(|pod| !objects::is_going(pod) && of(pod));
        i64::try_from(those.count()).unwrap_or(i64::MAX)
    };
    let (scheduled, ready) = (number(&|_| true), number(&is_ready));
    let updated = number(&|pod| objects::text(pod, POD_REVISION) == hash);
    let mut status = set.get("status").cloned().unwrap_or(json!({}));
    objects::set(&mut status, "/observedGeneration", objects::number(&set, "/metadata/generation").unwrap_or(1));
    objects::set(&mut status, "/currentNumberScheduled", scheduled);
    objects::set(&mut status, "/desiredNumberScheduled", 1);
    objects::set(&mut status, "/numberMisscheduled", 0);
    objects::set(&mut status, "/numberReady", ready);
    count(&mut status, "numberAvailable", ready);
    count(&mut status, "numberUnavailable", 1 - ready);
    count(&mut status, "updatedNumberScheduled", updated);
    objects::set(&mut set, "/status", status);
    put(world, set);
}
