//! What the host tells of things that are well. A test changes what it is about.

use crate::Label;
use crate::kubernetes::{Container, Pod, Quantities};

/// A container that runs and is ready, without requests and limits.
pub fn container(name: &str) -> Container {
    let none = || Quantities { cpu: None, memory: None, others: Vec::new() };
    Container {
        name: name.to_owned(),
        image: format!("registry.example/{name}:7"),
        sidecar: false,
        ready: true,
        started: true,
        restarts: 0,
        state: "running".to_owned(),
        reason: None,
        end: None,
        last_end: None,
        requests: none(),
        limits: none(),
    }
}

/// A pod of two hours that runs, with labels such as `app=api,tier=web`. It is ready if all its containers are.
pub fn pod(name: &str, labels: &str, containers: Vec<Container>) -> Pod {
    let label = |(name, value): (&str, &str)| Label { name: name.to_owned(), value: value.to_owned() };
    Pod {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        labels: labels.split(',').filter_map(|text| text.split_once('=')).map(label).collect(),
        phase: "Running".to_owned(),
        reason: None,
        status: "Running".to_owned(),
        ready: containers.iter().all(|container| container.ready),
        node: Some("node-1".to_owned()),
        age: 7200.0,
        removal: None,
        init_containers: Vec::new(),
        containers,
    }
}
