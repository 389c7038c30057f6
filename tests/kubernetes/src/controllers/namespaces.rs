//! The namespace controller: what is in a namespace goes with it, and it goes last.

use serde_json::Value;

use super::all;
use crate::delete;
use crate::objects;
use crate::resources;
use crate::world::World;

/// Empties every namespace that is on its way out.
pub fn sync(world: &mut World) {
    for namespace in all(world, "/namespaces").iter().filter(|it| objects::is_going(it)) {
        empty(world, objects::name(namespace));
    }
}

fn empty(world: &mut World, name: &str) {
    let kinds = resources::all().filter(|it| it.is_namespaced && it.subresource.is_none());
    let storages: Vec<String> = kinds.map(resources::Resource::storage).collect();
    let mut is_empty = true;
    for storage in storages {
        for object in world.store.list(&storage, Some(name)).cloned().collect::<Vec<Value>>() {
            if storage == "/pods" {
                is_empty &= delete::pod(world, name, objects::name(&object), None).is_none();
            } else {
                world.store.delete(&storage, name, objects::name(&object));
            }
        }
    }
    if is_empty {
        world.store.delete("/namespaces", "", name);
    }
}
