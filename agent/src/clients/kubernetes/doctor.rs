//! What is wrong with a cluster as a target: told to its operator, never to a plugin.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Kubernetes;
use super::transport::{Query, What};
use crate::domain::{CallError, CallLimits, Diagnosis, Severity};

/// What the first answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rights that looking takes, as rules of a Role.
const ROLE: &str = "a Role with these rules: get and list on pods, events, deployments.apps, statefulsets.apps and \
     daemonsets.apps; get on pods/log; list on pods.metrics.k8s.io";

pub(super) async fn examine(cluster: &Kubernetes) -> Vec<Diagnosis> {
    let limits = CallLimits { deadline: Instant::now() + PATIENCE, answer_bytes: 1 << 20 };
    let path = format!("/api/v1/namespaces/{}/pods", cluster.namespace);
    let what = What::new("list pods", format!("namespace {}", cluster.namespace));
    let found: Result<Value, CallError> = cluster.get(&limits, &path, Query::new().with("limit", 1), &what).await;
    let diagnosis = |severity, message: String, remedy: Option<String>| {
        vec![Diagnosis { severity, subject: format!("kubernetes/{}", cluster.name), message, remedy }]
    };
    match found {
        Ok(_) => diagnosis(Severity::Ok, format!("pods of the namespace {} can be listed", cluster.namespace), None),
        Err(CallError::Remote(error)) if error.code == "Forbidden" => {
            diagnosis(Severity::Error, error.message, Some(format!("give the agent's service account {ROLE}")))
        }
        Err(error) => {
            let remedy =
                "look at `kubeconfig`, or at the pod's service account, and at the way to the API server".to_owned();
            diagnosis(Severity::Error, error.to_string(), Some(remedy))
        }
    }
}
