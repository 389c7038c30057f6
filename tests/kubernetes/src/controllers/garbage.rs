//! The garbage collector: what a controller owned goes when the controller is gone.

use serde_json::Value;

use crate::delete;
use crate::objects;
use crate::resources;
use crate::world::World;

const DEPENDENTS: [&str; 5] =
    ["apps/replicasets", "apps/controllerrevisions", "batch/jobs", "discovery.k8s.io/endpointslices", "/pods"];

/// Takes away whatever has lost its controller.
pub fn sync(world: &mut World) {
    for storage in DEPENDENTS {
        let orphans = world.store.list(storage, None).filter(|object| is_orphan(world, object));
        for object in orphans.cloned().collect::<Vec<Value>>() {
            let (space, name) = (objects::namespace(&object), objects::name(&object));
            if storage == "/pods" {
                delete::pod(world, space, name, None);
            } else {
                world.store.delete(storage, space, name);
            }
        }
    }
}

fn is_orphan(world: &World, object: &Value) -> bool {
    objects::controller(object).is_some_and(|owner| !is_there(world, object, owner))
}

fn is_there(world: &World, object: &Value, owner: &Value) -> bool {
    let (api_version, kind) = (objects::text(owner, "/apiVersion"), objects::text(owner, "/kind"));
    let Some(resource) = resources::of_kind(api_version, kind) else { return true };
    let found = world.store.get(&resource.storage(), objects::namespace(object), objects::text(owner, "/name"));
    found.is_some_and(|found| objects::uid(found) == objects::text(owner, "/uid"))
}
