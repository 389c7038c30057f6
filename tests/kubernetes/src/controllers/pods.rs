//! The scheduler and the nodes: what happens to a pod after it was made.

use serde_json::{Value, json};

use super::{all, put_as};
use crate::events::{self, Note};
use crate::objects;
use crate::quantity::Quantity;
use crate::world::{NODE, World};

/// Processors of the node.
const NODE_CPU: &str = "32";
const UNSCHEDULABLE: &str = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 \
                             nodes are available: 1 Preemption is not helpful for scheduling.";

/// Lets every pod do the next thing. What is on a node other than ours is for somebody else to move.
pub fn sync(world: &mut World) {
    let has_node = world.store.get("/nodes", "", NODE).is_some();
    for pod in all(world, "/pods") {
        let node = objects::text(&pod, "/spec/nodeName");
        let is_placed = !node.is_empty();
        if (is_placed && node != NODE) || !has_node {
            continue;
        }
        let has_started = pod.pointer("/status/containerStatuses").is_some();
        match (objects::is_going(&pod), is_placed, has_started) {
            (true, ..) => go(world, pod),
            (false, false, _) => place(world, pod),
            (false, true, false) => start(world, pod),
            (false, true, true) => {}
        }
    }
}

/// First the node has ended the containers, then the pod is gone.
fn go(world: &mut World, mut pod: Value) {
    if objects::number(&pod, "/metadata/deletionGracePeriodSeconds") == Some(0) {
        world.store.delete("/pods", objects::namespace(&pod), objects::name(&pod));
        return;
    }
    objects::set(&mut pod, "/metadata/deletionGracePeriodSeconds", 0);
    objects::set(&mut pod, "/metadata/deletionTimestamp", world.clock.seconds());
    world.store.put("/pods", pod);
}

fn place(world: &mut World, mut pod: Value) {
    let asked =
        objects::items(&pod, "/spec/containers").map(|container| objects::text(container, "/resources/requests/cpu"));
    let most = Quantity::parse(NODE_CPU).expect("the node has a number of processors");
    if asked.filter_map(|cpu| Quantity::parse(cpu).ok()).any(|cpu| cpu > most) {
        return refuse(world, pod);
    }
    objects::set(&mut pod, "/spec/nodeName", NODE);
    let condition = condition(world, "PodScheduled", "True");
    objects::set(&mut pod, "/status/conditions", json!([condition]));
    let message = format!("Successfully assigned {}/{} to {NODE}", objects::namespace(&pod), objects::name(&pod));
    schedule_event(world, &pod, "Normal", "Scheduled", &message, "Binding");
    // The node is not the template's, and binding is no change of the spec that a generation would count.
    world.store.put("/pods", pod);
}

fn refuse(world: &mut World, mut pod: Value) {
    if objects::condition(&pod, "PodScheduled").is_some() {
        return;
    }
    let mut condition = condition(world, "PodScheduled", "False");
    objects::set(&mut condition, "/observedGeneration", 1);
    objects::set(&mut condition, "/reason", "Unschedulable");
    objects::set(&mut condition, "/message", UNSCHEDULABLE);
    objects::set(&mut pod, "/status/conditions", json!([condition]));
    schedule_event(world, &pod, "Warning", "FailedScheduling", UNSCHEDULABLE, "Scheduling");
    let mut again = schedule_event(world, &pod, "Warning", "FailedScheduling", UNSCHEDULABLE, "Scheduling");
    // It was tried again and seen again.
    objects::set(&mut again, "/series", json!({"count": 2, "lastObservedTime": world.clock.micros()}));
    world.store.put("/events", again);
    put_as(world, pod, "kube-scheduler", "status");
}

fn schedule_event(world: &mut World, pod: &Value, severity: &str, reason: &str, message: &str, action: &str) -> Value {
    let note = Note { component: "default-scheduler", host: "", severity, reason, message, field_path: "" };
    let suffix = world.store.new_suffix();
    world.plant(events::timed(pod, &note, action, &world.clock.micros(), &suffix))
}

fn condition(world: &World, name: &str, status: &str) -> Value {
    json!({"type": name, "status": status, "lastProbeTime": null, "lastTransitionTime": world.clock.seconds()})
}

fn start(world: &mut World, pod: Value) {
    let behaviour = objects::text(&pod, "/metadata/annotations/sim~1behaviour").to_owned();
    let exit = objects::labels(&pod).get("sim/exit").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let runs_once = objects::text(&pod, "/spec/restartPolicy") != "Always";
    let image = objects::items(&pod, "/spec/containers").map(|container| objects::text(container, "/image"));
    let bad = image.filter(|image| image.contains("does-not-exist")).map(str::to_owned).next();
    match (bad, behaviour.as_str()) {
        (Some(image), _) => cannot_pull(world, pod, &image),
        (None, "stuck") => {}
        (None, "crash") => crash(world, pod),
        (None, _) if runs_once => end(world, pod, exit.unwrap_or(0)),
        (None, behaviour) => run(world, pod, behaviour == "oom"),
    }
}

/// The status of each container, from its state and what it was before.
fn statuses(pod: &Value, restarts: i64, is_ready: bool, state: &Value, last: &Value) -> Vec<Value> {
    let containers = objects::items(pod, "/spec/containers");
    containers
        .map(|container| {
            let name = objects::text(container, "/name");
            let has_run = state.pointer("/waiting/reason") != Some(&json!("ImagePullBackOff"));
            let mut status = json!({
                "name": name, "state": state, "lastState": last, "ready": is_ready, "restartCount": restarts,
                "image": objects::text(container, "/image"), "imageID": if has_run { "fake" } else { "" },
                "started": is_ready,
            });
            if is_ready {
                objects::set(&mut status, "/containerID", format!("fake://{name}"));
            }
            status
        })
        .collect()
}

/// The pod has an address and conditions by now.
fn settled(world: &World, pod: &mut Value, phase: &str, is_ready: bool) {
    let mut conditions = vec![condition(world, "Initialized", "True")];
    for name in ["ContainersReady", "Ready"] {
        let mut condition = condition(world, name, if is_ready { "True" } else { "False" });
        if !is_ready {
            objects::set(&mut condition, "/reason", "ContainersNotReady");
        }
        conditions.push(condition);
    }
    conditions.extend(objects::condition(pod, "PodScheduled").cloned());
    let facts = [
        ("phase", json!(phase)),
        ("conditions", json!(conditions)),
        ("hostIP", json!("127.0.0.1")),
        ("podIP", json!("127.0.0.1")),
        ("podIPs", json!([{"ip": "127.0.0.1"}])),
        ("startTime", json!(world.clock.seconds())),
    ];
    for (key, value) in facts {
        objects::set(pod, &format!("/status/{key}"), value);
    }
}

fn run(world: &mut World, mut pod: Value, was_killed: bool) {
    let now = world.clock.seconds();
    let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": now, "finishedAt": now}});
    let (restarts, last) = if was_killed { (3, ended) } else { (0, json!({})) };
    settled(world, &mut pod, "Running", true);
    let containers = statuses(&pod, restarts, true, &json!({"running": {"startedAt": now}}), &last);
    objects::set(&mut pod, "/status/containerStatuses", containers);
    put_as(world, pod, "kubelet", "status");
}

fn crash(world: &mut World, mut pod: Value) {
    let now = world.clock.seconds();
    let (name, space, uid) = (objects::name(&pod), objects::namespace(&pod), objects::uid(&pod));
    let place = format!("{name}_{space}({uid})");
    let container = objects::text(&pod, "/spec/containers/0/name").to_owned();
    let state = json!({"waiting": {
        "reason": "CrashLoopBackOff",
        "message": format!("back-off 2m40s restarting failed container={container} pod={place}"),
    }});
    let last = json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now}});
    let message = format!("Back-off restarting failed container {container} in pod {place}");
    settled(world, &mut pod, "Running", false);
    let containers = statuses(&pod, 5, false, &state, &last);
    objects::set(&mut pod, "/status/containerStatuses", containers);
    let pod = put_as(world, pod, "kubelet", "status");
    kubelet_event(world, &pod, &container, "BackOff", &message, 14);
}

fn cannot_pull(world: &mut World, mut pod: Value, image: &str) {
    let container = objects::text(&pod, "/spec/containers/0/name").to_owned();
    let why = format!("failed to pull and unpack image \"{image}\": not found");
    let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {why}");
    let state = json!({"waiting": {"reason": "ImagePullBackOff", "message": message}});
    let containers = statuses(&pod, 0, false, &state, &json!({}));
    objects::set(&mut pod, "/status/containerStatuses", containers);
    let pod = put_as(world, pod, "kubelet", "status");
    kubelet_event(world, &pod, &container, "Failed", &format!("Failed to pull image \"{image}\": {why}"), 4);
    kubelet_event(world, &pod, &container, "Failed", "Error: ErrImagePull", 4);
    kubelet_event(world, &pod, &container, "BackOff", &format!("Back-off pulling image \"{image}\""), 21);
}

/// A pod of a Job runs to its end at once.
fn end(world: &mut World, mut pod: Value, exit: i64) {
    let now = world.clock.seconds();
    let (phase, reason) = if exit == 0 { ("Succeeded", "Completed") } else { ("Failed", "Error") };
    let state = json!({"terminated": {"exitCode": exit, "reason": reason, "startedAt": now, "finishedAt": now}});
    settled(world, &mut pod, phase, true);
    let mut containers = statuses(&pod, 0, false, &state, &json!({}));
    for status in &mut containers {
        objects::set(status, "/started", false);
    }
    objects::set(&mut pod, "/status/containerStatuses", containers);
    put_as(world, pod, "kubelet", "status");
}

fn kubelet_event(world: &mut World, pod: &Value, container: &str, reason: &str, message: &str, count: u64) {
    let field_path = format!("spec.containers{{{container}}}");
    let note = Note { component: "kubelet", host: NODE, severity: "Warning", reason, message, field_path: &field_path };
    let suffix = world.store.new_suffix();
    let event = events::counted(pod, &note, count, &world.clock.seconds(), &suffix);
    world.plant(event);
}
