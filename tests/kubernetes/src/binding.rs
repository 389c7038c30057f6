//! Placing a pod on a node, as a scheduler does.

use serde_json::json;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::objects;
use crate::request::{Request, Target};
use crate::world::World;

/// Answers a POST of a binding. Whether there is such a node nobody asks, here as there.
pub fn answer(world: &mut World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let binding = request.json()?;
    let mut pod = world.store.get("/pods", target.space(), &target.name).cloned().ok_or_else(|| target.missing())?;
    let node = objects::text(&binding, "/target/name");
    if node.is_empty() || objects::text(&binding, "/target/kind") != "Node" {
        return Err(Failure::bad_request("a pod is bound to a node, and to one that has a name"));
    }
    let conflict = |why: &str| Failure::conflict("", "pods/binding", &target.name, why);
    if objects::is_going(&pod) {
        return Err(conflict(&format!("pod {} is being deleted, cannot be assigned to a host", target.name)));
    }
    let placed = objects::text(&pod, "/spec/nodeName");
    if !placed.is_empty() {
        return Err(conflict(&format!("pod {} is already assigned to node \"{placed}\"", target.name)));
    }
    objects::set(&mut pod, "/spec/nodeName", node);
    let scheduled = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": world.clock.seconds(),
    });
    objects::set(&mut pod, "/status/conditions", json!([scheduled]));
    // The node is not the template's, and binding is no change of the spec that a generation would count.
    world.store.put("/pods", pod);
    let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(Answer::json(201, done))
}
