//! What moves the world: small, deterministic models of the controllers, the scheduler and the nodes.
//!
//! Nothing moves by itself. A test says how far: `observe` lets the workload controllers look once, `progress` lets
//! everything make one step, `complete` goes on until nothing changes any more. Each controller reads the store and
//! writes the store, as the real ones do through the API; they know nothing of each other.
//!
//! What a pod will do is written on it, for the model has no programs to run: an image with `does-not-exist` in its
//! name cannot be pulled, annotation `sim/behaviour` says `crash`, `oom` or `stuck`, label `sim/exit` is the status with
//! which a pod of a Job ends, and a request of more processor than the node has (32) fits on no node. Where the node was
//! deleted pods wait for another one, and on that nothing moves them but who plays its kubelet.

mod autoscaler;
mod budgets;
mod daemonsets;
mod deployments;
mod garbage;
mod jobs;
mod namespaces;
mod pods;
mod replicasets;
mod revision;
mod rollout;
mod slices;
mod statefulsets;

use serde_json::{Value, json};

use crate::events::{self, Note};
use crate::fields::{self, Writer};
use crate::objects;
use crate::options::Options;
use crate::request::Target;
use crate::resources::{self, Resource};
use crate::server::Shared;
use crate::world::World;
use crate::write;

/// Name under which controllers write.
const MANAGER: &str = "kube-controller-manager";
/// More steps than any rollout of a test takes.
const MOST_STEPS: usize = 500;

/// The controllers of a cluster, in a test's hand.
#[derive(Debug)]
pub struct Controllers<'a> {
    shared: &'a Shared,
}

impl<'a> Controllers<'a> {
    /// Of a running cluster.
    #[must_use]
    pub fn new(shared: &'a Shared) -> Self {
        Controllers { shared }
    }

    /// The workload controllers look at their objects once; no pod moves. After a change of a template the new
    /// generation is then observed, and the rollout has begun.
    pub fn observe(&self) {
        self.shared.with(|world| {
            deployments::sync(world);
            statefulsets::sync(world);
            daemonsets::sync(world);
            jobs::sync(world);
        });
    }

    /// Everything makes one step: controllers look once, pods do the next thing that they would do.
    pub fn progress(&self) {
        self.shared.with(step);
    }

    /// Everything goes on until nothing changes any more. A rollout that is stuck stays stuck.
    ///
    /// # Panics
    ///
    /// If something goes on for ever, which is a mistake in the model.
    pub fn complete(&self) {
        self.shared.with(settle);
    }

    /// The autoscalers look once, as they do every 15 seconds.
    pub fn autoscale(&self) {
        self.shared.with(autoscaler::sync);
    }

    /// So many writes to the status of an object that say nothing new: its resourceVersion moves, its generation does
    /// not. `kind` is written `apps/v1/Deployment`.
    pub fn noise(&self, kind: &str, namespace: &str, name: &str, writes: usize) {
        let (api_version, kind) = kind.rsplit_once('/').expect("a kind with its version, such as v1/Pod");
        let resource = resources::of_kind(api_version, kind).expect("a kind that the stand-in serves");
        self.shared.with(|world| {
            for _ in 0..writes {
                let Some(object) = world.store.get(&resource.storage(), namespace, name).cloned() else { return };
                world.store.put(&resource.storage(), object);
            }
        });
    }
}

fn settle(world: &mut World) {
    for _ in 0..MOST_STEPS {
        let before = world.store.version();
        step(world);
        if world.store.version() == before {
            return;
        }
    }
    unreachable!("the controllers do not come to rest");
}

/// Every controller once, in the order in which news travels down, and the nodes last.
fn step(world: &mut World) {
    namespaces::sync(world);
    garbage::sync(world);
    deployments::sync(world);
    replicasets::sync(world);
    statefulsets::sync(world);
    daemonsets::sync(world);
    jobs::sync(world);
    pods::sync(world);
    budgets::sync(world);
    slices::sync(world);
}

/// All objects of a storage name.
fn all(world: &World, storage: &str) -> Vec<Value> {
    world.store.list(storage, None).cloned().collect()
}

/// The objects of a storage name that this one controls.
fn owned(world: &World, storage: &str, owner: &Value) -> Vec<Value> {
    let in_space = world.store.list(storage, Some(objects::namespace(owner)));
    in_space.filter(|object| objects::is_controlled_by(object, objects::uid(owner))).cloned().collect()
}

fn resource(object: &Value) -> &'static Resource {
    crate::world::resource_of(object)
}

fn target(object: &Value, subresource: &str) -> Target {
    let resource = resource(object);
    let sub = resources::find_sub(&resource.group, &resource.version, &resource.plural, subresource);
    let namespace = Some(objects::namespace(object).to_owned()).filter(|space| !space.is_empty());
    Target { resource, sub, namespace, name: objects::name(object).to_owned() }
}

/// Stores what a controller made of an object, if it is not what is there already.
fn put(world: &mut World, new: Value) -> Value {
    put_as(world, new, MANAGER, "status")
}

fn put_as(world: &mut World, mut new: Value, manager: &str, subresource: &str) -> Value {
    let resource = resource(&new);
    let storage = resource.storage();
    let old = world.store.get(&storage, objects::namespace(&new), objects::name(&new)).cloned();
    let same = |old: &Value| {
        let (mut left, mut right) = (old.clone(), new.clone());
        for object in [&mut left, &mut right] {
            objects::remove(object, "/metadata/managedFields");
            objects::remove(object, "/metadata/resourceVersion");
        }
        left == right
    };
    if old.as_ref().is_some_and(same) {
        return new;
    }
    let spec_changed = old.as_ref().is_some_and(|old| old.get("spec") != new.get("spec"));
    if spec_changed && resource.has_generation() {
        let generation = objects::number(&new, "/metadata/generation").unwrap_or_default();
        objects::set(&mut new, "/metadata/generation", generation + 1);
    }
    if let Some(ty) = write::stored_type(resource) {
        let writer = Writer {
            manager: manager.to_owned(),
            applies: false,
            api_version: resource.api_version(),
            subresource: if spec_changed { String::new() } else { subresource.to_owned() },
            time: world.clock.seconds(),
        };
        fields::note_update(ty, old.as_ref(), &mut new, &writer);
    }
    world.store.put(&storage, new)
}

/// Makes a new object through the same door as everybody, so that it is completed and judged.
fn create(world: &mut World, object: Value) -> Result<Value, crate::failure::Failure> {
    let target = target(&object, "");
    write::add(world, &target, object, &Options::of_component(MANAGER)).map(|stored| stored.object)
}

/// A reference to an object as a controller.
fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner.get("apiVersion"), "kind": owner.get("kind"), "name": objects::name(owner),
        "uid": objects::uid(owner), "controller": true, "blockOwnerDeletion": true,
    })
}

/// A controller says something about an object.
fn say(world: &mut World, about: &Value, component: &str, severity: &str, reason: &str, message: &str) {
    let note = Note { component, host: "", severity, reason, message, field_path: "" };
    let suffix = world.store.new_suffix();
    let event = events::counted(about, &note, 1, &world.clock.seconds(), &suffix);
    world.plant(event);
}

/// Writes a count, which is left out when it is zero.
fn count(status: &mut Value, key: &str, value: i64) {
    if value == 0 {
        objects::remove(status, &format!("/{key}"));
    } else {
        objects::set(status, &format!("/{key}"), value);
    }
}

/// A pod made from a template.
fn pod_of(template: &Value, owner: &Value, name: &str, generate_name: &str) -> Value {
    let mut metadata = template.get("metadata").cloned().unwrap_or(json!({}));
    objects::set(&mut metadata, "/name", name);
    objects::set(&mut metadata, "/generateName", generate_name);
    objects::set(&mut metadata, "/namespace", objects::namespace(owner));
    objects::set(&mut metadata, "/ownerReferences", json!([owner_reference(owner)]));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.get("spec")})
}

/// Whether a pod serves.
fn is_ready(pod: &Value) -> bool {
    objects::is_true(pod, "Ready") && objects::text(pod, "/status/phase") == "Running"
}
