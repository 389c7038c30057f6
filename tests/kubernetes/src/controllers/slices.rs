//! The EndpointSlice controller: the addresses behind each Service, by its selector.

use serde_json::{Value, json};

use super::{all, is_ready, put};
use crate::objects;
use crate::selectors::Labels;
use crate::world::World;

const STORAGE: &str = "discovery.k8s.io/endpointslices";
const TRIGGER: &str = "/metadata/annotations/endpoints.kubernetes.io~1last-change-trigger-time";

/// Looks at every Service once.
pub fn sync(world: &mut World) {
    for service in all(world, "/services") {
        let selector = Labels::of_map(service.pointer("/spec/selector").unwrap_or(&Value::Null));
        // Without a selector nobody keeps the slices, and they stay as they were.
        if selector.is_empty() {
            continue;
        }
        let in_space = world.store.list("/pods", Some(objects::namespace(&service)));
        let endpoints: Vec<Value> =
            in_space.filter(|pod| selector.matches(pod) && is_reachable(pod)).map(endpoint).collect();
        let slice = super::owned(world, STORAGE, &service).into_iter().next();
        let slice = slice.unwrap_or_else(|| new_slice(world, &service));
        write(world, &service, slice, endpoints);
    }
}

fn is_reachable(pod: &Value) -> bool {
    is_ready(pod) && !objects::is_going(pod) && !objects::text(pod, "/status/podIP").is_empty()
}

fn endpoint(pod: &Value) -> Value {
    json!({
        "addresses": [objects::text(pod, "/status/podIP")],
        "conditions": {"ready": true, "serving": true, "terminating": false},
        "targetRef": {
            "kind": "Pod", "namespace": objects::namespace(pod), "name": objects::name(pod), "uid": objects::uid(pod),
        },
        "nodeName": objects::text(pod, "/spec/nodeName"),
    })
}

fn new_slice(world: &mut World, service: &Value) -> Value {
    let name = objects::name(service);
    let mut labels = json!({
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": name,
    });
    if objects::text(service, "/spec/clusterIP") == "None" {
        objects::set(&mut labels, "/service.kubernetes.io~1headless", "");
    }
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-{}", world.store.new_suffix()), "generateName": format!("{name}-"),
            "namespace": objects::namespace(service), "uid": world.store.new_uid(),
            "creationTimestamp": world.clock.seconds(), "generation": 0, "labels": labels,
            "ownerReferences": [super::owner_reference(service)],
        },
        "addressType": "IPv4",
    })
}

fn write(world: &mut World, service: &Value, mut slice: Value, endpoints: Vec<Value>) {
    let is_empty = endpoints.is_empty();
    let ports = objects::items(service, "/spec/ports").map(|port| {
        let target = port.get("targetPort").filter(|target| target.is_number()).or_else(|| port.get("port"));
        json!({"name": objects::text(port, "/name"), "protocol": objects::text(port, "/protocol"), "port": target})
    });
    // A slice without endpoints has no list of them, not an empty one.
    let ports = if is_empty { Value::Null } else { ports.collect() };
    let endpoints = if is_empty { Value::Null } else { Value::from(endpoints) };
    if slice.get("endpoints") == Some(&endpoints) && slice.get("ports") == Some(&ports) {
        return;
    }
    objects::set(&mut slice, "/endpoints", endpoints);
    objects::set(&mut slice, "/ports", ports);
    if is_empty {
        objects::remove(&mut slice, "/metadata/annotations");
    } else {
        objects::set(&mut slice, TRIGGER, world.clock.seconds());
    }
    let generation = objects::number(&slice, "/metadata/generation").unwrap_or_default();
    objects::set(&mut slice, "/metadata/generation", generation + 1);
    put(world, slice);
}
