//! What containers use, if the cluster measures it.
//!
//! That it does not is told in three ways, because each has another cure: there is no metrics server; it is there and does not
//! answer; it answers and has nothing yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pods::Page;
use super::transport::{Query, What};
use super::{Kubernetes, PodRef, names};
use crate::domain::{CallError, CallLimits, Quantity};

/// Measured use of a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The target.
    pub target: String,
    /// The pod and the container.
    pub pod: PodRef,
    /// Processor use, in cores.
    pub cpu: f64,
    /// Working set, in bytes.
    pub memory: f64,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Metadata,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, String>,
}

pub(super) async fn list(cluster: &Kubernetes, limits: &CallLimits, labels: &str) -> Result<Vec<Usage>, CallError> {
    names::check_selector("labels", labels)?;
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods", cluster.namespace);
    let what = What::new("read what pods use", "metrics server in the cluster (metrics.k8s.io)");
    let query = Query::new().with_some("labelSelector", Some(labels));
    let found: Result<Page<PodMetrics>, CallError> = cluster.get(limits, &path, query, &what).await;
    let page = found.map_err(|error| match error {
        CallError::Remote(error) if error.code == "503" || error.code == "ServiceUnavailable" => {
            CallError::Unavailable("the cluster has a metrics server, which does not answer".to_owned())
        }
        error => error,
    })?;
    Ok(page.items.into_iter().flat_map(|pod| of_pod(cluster.name.as_str(), pod)).collect())
}

fn of_pod(target: &str, pod: PodMetrics) -> impl Iterator<Item = Usage> {
    let name = pod.metadata.name;
    pod.containers.into_iter().map(move |container| {
        let used = |resource: &str| {
            let quantity = container.usage.get(resource).and_then(|text| text.parse::<Quantity>().ok());
            quantity.map_or(0.0, Quantity::value)
        };
        let (cpu, memory) = (used("cpu"), used("memory"));
        let pod = PodRef { name: name.clone(), uid: None, container: Some(container.name) };
        Usage { target: target.to_owned(), pod, cpu, memory }
    })
}
