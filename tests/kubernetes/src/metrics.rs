//! metrics.k8s.io: absent, down, without a sample, or there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::failure::Failure;
use crate::objects;
use crate::request::{Request, Target};
use crate::selectors::Labels;
use crate::world::World;

/// What the group does.
#[derive(Clone, Debug, Default)]
pub enum Metrics {
    /// There is no metrics-server.
    #[default]
    Absent,
    /// It is registered and does not answer.
    Down,
    /// It has just started.
    Empty,
    /// It has a sample of every running container.
    There(Usage),
}

/// Use of containers.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    given: BTreeMap<(String, String, String), (String, String)>,
}

impl Usage {
    /// The same, with the processor and memory use of one container, such as `231746n` and `96312Ki`.
    #[must_use]
    pub fn with(mut self, namespace: &str, pod: &str, container: &str, cpu: &str, memory: &str) -> Self {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        self.given.insert(key, (cpu.to_owned(), memory.to_owned()));
        self
    }

    fn of(&self, namespace: &str, pod: &str, container: &str) -> Value {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        let (cpu, memory) = self.given.get(&key).map_or(("231746n", "96312Ki"), |(cpu, memory)| (cpu, memory));
        json!({"cpu": cpu, "memory": memory})
    }
}

impl Metrics {
    /// Whether the group is announced.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        !matches!(self, Metrics::Absent)
    }
}

/// Answers a request for use; there is none for nodes.
pub fn answer(world: &World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let samples: Vec<Value> = match &world.metrics {
        Metrics::There(usage) if target.resource.plural == "pods" => {
            let pods = world.store.list("/pods", target.namespace.as_deref());
            pods.filter(|pod| objects::text(pod, "/status/phase") == "Running")
                .map(|pod| sample(world, usage, pod))
                .collect()
        }
        _ => Vec::new(),
    };
    if target.name.is_empty() {
        let labels = Labels::parse(request.parameter("labelSelector").unwrap_or_default())?;
        let items: Vec<Value> = samples.into_iter().filter(|sample| labels.matches(sample)).collect();
        // A server without a sample says more about its list than one with samples.
        let metadata = match world.metrics {
            Metrics::There(_) => json!({}),
            _ => json!({"continue": "", "resourceVersion": world.store.version().to_string()}),
        };
        let (kind, version) = (format!("{}List", target.resource.kind), target.resource.api_version());
        return Ok(Answer::json(
            200,
            json!({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items}),
        ));
    }
    let mut found =
        samples.into_iter().find(|sample| objects::name(sample) == target.name).ok_or_else(|| target.missing())?;
    objects::set(&mut found, "/kind", target.resource.kind.clone());
    objects::set(&mut found, "/apiVersion", target.resource.api_version());
    Ok(Answer::json(200, found))
}

fn sample(world: &World, usage: &Usage, pod: &Value) -> Value {
    let (namespace, name) = (objects::namespace(pod), objects::name(pod));
    let containers: Vec<Value> = objects::items(pod, "/spec/containers")
        .map(|container| objects::text(container, "/name"))
        .map(|container| json!({"name": container, "usage": usage.of(namespace, name, container)}))
        .collect();
    let now = world.clock.seconds();
    json!({
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": now, "labels": objects::labels(pod)},
        "timestamp": now, "window": "15s", "containers": containers,
    })
}
