//! Plays a node where there is none: places the pods of one namespace on it, has them run, and lets them go.
//!
//! What a pod will do is written on it as for the stand-in's own node: an image with `does-not-exist` in its name cannot be pulled, and
//! label `sim/exit` is the status with which a pod that runs once ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use super::LABEL;
use super::server::{self, Server};

/// Between two looks at the pods.
const STEP: Duration = Duration::from_millis(50);

/// A control plane takes a node that says nothing for 40 s for lost, and then all on it for not ready.
const HEARTBEAT: Duration = Duration::from_secs(5);

const POD: &str = "v1/Pod";

/// A node, of the same name as the namespace that it is for. It is gone when the handle is.
#[derive(Debug)]
pub struct Nodes {
    server: Server,
    name: String,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Nodes {
    /// Plays it until the handle is dropped.
    pub fn play(server: Server, namespace: &str) -> anyhow::Result<Self> {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": namespace, "labels": { LABEL: "true" } },
        });
        server.create("", &node).with_context(|| format!("cannot make the node {namespace}, since there is none"))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut kubelet =
            Kubelet { server: server.clone(), name: namespace.to_owned(), addresses: 0, told: BTreeSet::new() };
        let thread = Some(std::thread::spawn({
            let is_over = is_over.clone();
            move || kubelet.work(&is_over)
        }));
        Ok(Nodes { server, name: namespace.to_owned(), is_over, thread })
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the node {} panicked", self.name);
        }
        if let Err(error) = self.server.delete("", "v1/Node", &self.name, None) {
            eprintln!("the node {} was left behind: {error:#}", self.name);
        }
    }
}

struct Kubelet {
    server: Server,
    /// Of the node, and of the namespace.
    name: String,
    addresses: u16,
    told: BTreeSet<String>,
}

impl Kubelet {
    fn work(&mut self, is_over: &AtomicBool) {
        let mut beat: Option<Instant> = None;
        while !is_over.load(Ordering::Relaxed) {
            if beat.is_none_or(|beat| beat.elapsed() > HEARTBEAT) {
                beat = Some(Instant::now());
                let alive = self.server.patch("", "v1/Node", &self.name, "/status", "strategic-merge-patch", &alive());
                self.note(alive.map(|_| ()));
            }
            match self.server.list(&self.name, POD) {
                Ok(pods) => pods.iter().for_each(|pod| self.look(pod)),
                Err(error) => self.note(Err(error)),
            }
            std::thread::sleep(STEP);
        }
    }

    /// Has a pod do the next thing.
    fn look(&mut self, pod: &Value) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if !node.is_empty() && node != self.name {
            return;
        }
        let is_going = !pod["metadata"]["deletionTimestamp"].is_null();
        let has_started = !pod["status"]["containerStatuses"].is_null();
        let done = if is_going {
            self.server.delete(&self.name, POD, name, Some(0))
        } else if node.is_empty() {
            let target = json!({ "apiVersion": "v1", "kind": "Node", "name": self.name });
            let binding =
                json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name }, "target": target });
            self.server.post(&self.name, POD, name, "/binding", &binding).map(|_| ())
        } else if !has_started {
            self.addresses += 1;
            let status = json!({ "status": status(pod, self.addresses) });
            self.server.patch(&self.name, POD, name, "/status", "merge-patch", &status).map(|_| ())
        } else {
            Ok(())
        };
        self.note(done);
    }

    /// What a pod does between a look and an answer is no fault, and is looked at again; a fault that stays is told once.
    fn note(&mut self, done: anyhow::Result<()>) {
        let Err(error) = done else { return };
        let text = format!("{error:#}");
        let is_passing = matches!(server::code(&error), Some(404 | 409));
        if !is_passing && self.told.insert(text.chars().take(80).collect()) {
            eprintln!("the node {}: {text}", self.name);
        }
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn alive() -> Value {
    let now = now();
    let room = json!({ "cpu": "64", "memory": "256Gi", "pods": "500" });
    json!({ "status": {
        "capacity": room, "allocatable": room,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Played", "message": "a test plays this node",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        }],
    } })
}

/// The status of a pod that has just been started.
fn status(pod: &Value, address: u16) -> Value {
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_bad =
        containers.iter().any(|one| one["image"].as_str().is_some_and(|image| image.contains("does-not-exist")));
    let runs_once = pod["spec"]["restartPolicy"] != "Always";
    let exit = pod["metadata"]["labels"]["sim/exit"].as_str().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let now = now();
    let (phase, is_ready, state) = match (is_bad, runs_once) {
        (true, _) => {
            let waiting = json!({ "reason": "ImagePullBackOff", "message": "Back-off pulling image" });
            ("Pending", false, json!({ "waiting": waiting }))
        }
        (false, false) => ("Running", true, json!({ "running": { "startedAt": now } })),
        (false, true) => {
            let (phase, reason) = if exit == 0 { ("Succeeded", "Completed") } else { ("Failed", "Error") };
            let ended = json!({ "exitCode": exit, "reason": reason, "startedAt": now, "finishedAt": now });
            (phase, false, json!({ "terminated": ended }))
        }
    };
    let word = |is_true: bool| if is_true { "True" } else { "False" };
    let conditions =
        [("PodScheduled", true), ("Initialized", true), ("ContainersReady", is_ready), ("Ready", is_ready)];
    let conditions = conditions.map(|(kind, is_true)| {
        json!({ "type": kind, "status": word(is_true), "lastProbeTime": null, "lastTransitionTime": now })
    });
    let statuses: Vec<Value> = containers
        .iter()
        .map(|one| {
            json!({
                "name": one["name"], "image": one["image"], "imageID": "", "ready": is_ready, "started": is_ready,
                "restartCount": 0, "state": state, "lastState": {},
            })
        })
        .collect();
    // No loopback address is taken into an EndpointSlice.
    let [high, low] = address.to_be_bytes();
    let address = format!("10.213.{high}.{low}");
    json!({
        "phase": phase, "conditions": conditions, "containerStatuses": statuses, "startTime": now,
        "hostIP": "10.212.0.1", "hostIPs": [{ "ip": "10.212.0.1" }], "podIP": address, "podIPs": [{ "ip": address }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(image: &str, restart: &str, exit: &str) -> Value {
        json!({
            "metadata": { "labels": { "sim/exit": exit } },
            "spec": { "restartPolicy": restart, "containers": [{ "name": "app", "image": image }] },
        })
    }

    #[test]
    fn a_pod_does_what_is_written_on_it() {
        let table = [
            (pod("a/app:1", "Always", "1"), "Running", true, "running"),
            (pod("a/does-not-exist:2", "Always", "0"), "Pending", false, "waiting"),
            (pod("a/app:1", "Never", "0"), "Succeeded", false, "terminated"),
            (pod("a/app:1", "Never", "3"), "Failed", false, "terminated"),
        ];
        for (pod, phase, is_ready, state) in table {
            let status = status(&pod, 300);
            let container = &status["containerStatuses"][0];
            assert_eq!((&status["phase"], &container["ready"]), (&json!(phase), &json!(is_ready)), "{pod}");
            assert!(container["state"][state].is_object(), "{status}");
            assert_eq!(status["podIP"], "10.213.1.44");
        }
    }
}
