//! Everything that the cluster is at one moment. A request and a test change it under one lock, so that a test never
//! sees half a change.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::identity::{Identity, Tokens};
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::objects;
use crate::rbac;
use crate::resources::{self, Resource};
use crate::store::Store;
use crate::time::Clock;

/// The one node on which pods run.
pub const NODE: &str = "fake-0";

/// The state of a cluster.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The time, which stands still until it is moved.
    pub clock: Clock,
    /// The objects.
    pub store: Store,
    /// Who may call.
    pub tokens: Tokens,
    /// What metrics.k8s.io does.
    pub metrics: Metrics,
    /// What containers have written.
    pub logs: Logs,
    /// Nodes whose kubelet does not answer.
    pub dead_nodes: BTreeSet<String>,
}

impl World {
    /// A cluster with nothing in it but a node and the roles that every cluster has.
    #[must_use]
    pub fn new() -> Self {
        let mut world = World::default();
        for object in rbac::built_in() {
            world.plant(object);
        }
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        world.plant(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}, "spec": {}, "status": ready,
        }));
        world
    }

    /// Stores an object as it is, with what an object must have and does not. What was under its name is replaced; a
    /// resourceVersion in it is kept.
    ///
    /// # Panics
    ///
    /// If its kind is not one that the stand-in serves.
    pub fn plant(&mut self, object: Value) -> Value {
        let resource = resource_of(&object);
        let mut object = crate::events::absorb(resource, object);
        let version = objects::text(&object, "/metadata/resourceVersion").parse().ok();
        let known = self.store.get(&resource.storage(), objects::namespace(&object), objects::name(&object));
        if objects::uid(&object).is_empty() {
            let uid = known.map(objects::uid).map(str::to_owned).unwrap_or_else(|| self.store.new_uid());
            objects::set(&mut object, "/metadata/uid", uid);
        }
        if objects::text(&object, "/metadata/creationTimestamp").is_empty() {
            objects::set(&mut object, "/metadata/creationTimestamp", self.clock.seconds());
        }
        if resource.has_generation() && objects::number(&object, "/metadata/generation").is_none() {
            objects::set(&mut object, "/metadata/generation", 1);
        }
        match version {
            Some(version) => self.store.put_with_version(&resource.storage(), object, version),
            None => self.store.put(&resource.storage(), object),
        }
    }

    /// The service account with this name, as a caller.
    #[must_use]
    pub fn service_account(&self, namespace: &str, name: &str) -> Option<Identity> {
        let account = self.store.get("/serviceaccounts", namespace, name)?;
        Some(Identity::service_account(namespace, name, objects::uid(account)))
    }
}

/// The resource that holds objects of this kind.
///
/// # Panics
///
/// If there is none, which is a mistake in the test that plants the object.
#[must_use]
pub fn resource_of(object: &Value) -> &'static Resource {
    let (api_version, kind) = (objects::text(object, "/apiVersion"), objects::text(object, "/kind"));
    resources::of_kind(api_version, kind).expect("an object of a kind that the stand-in serves")
}
