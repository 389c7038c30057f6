//! Workloads of a Kubernetes cluster, as parameters, suggestions and calls name them.

use crate::bindings::paramedic::plugin::kubernetes_types as wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A workload: what a call is about, and in a check's parameters what it may suggest to restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// The Kubernetes target.
    pub target: String,
    /// Its kind.
    #[serde(default)]
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

/// A kind of workload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// A Deployment.
    #[default]
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

impl Workload {
    /// Any workload.
    pub fn new(target: &str, kind: WorkloadKind, name: &str) -> Self {
        Self { target: target.to_owned(), kind, name: name.to_owned() }
    }

    /// A Deployment.
    pub fn deployment(target: &str, name: &str) -> Self {
        Self::new(target, WorkloadKind::Deployment, name)
    }
}

impl WorkloadKind {
    /// As people write it, and as plans do.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// As people write it: `deployment api`.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, crate::human::shorten(&self.name, 63))
    }
}

impl From<&Workload> for wire::Workload {
    fn from(workload: &Workload) -> Self {
        let kind = match workload.kind {
            WorkloadKind::Deployment => wire::WorkloadKind::Deployment,
            WorkloadKind::StatefulSet => wire::WorkloadKind::StatefulSet,
            WorkloadKind::DaemonSet => wire::WorkloadKind::DaemonSet,
        };
        Self { target: workload.target.clone(), kind, name: workload.name.clone() }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl crate::testing::Argument for &Workload {
    fn write(self, to: &mut Vec<String>) {
        to.extend([self.target.clone(), self.kind.to_string(), self.name.clone()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_the_same_in_parameters_in_words_and_in_calls() {
        let table = [
            (WorkloadKind::Deployment, "Deployment", "deployment api", wire::WorkloadKind::Deployment),
            (WorkloadKind::StatefulSet, "StatefulSet", "statefulset api", wire::WorkloadKind::StatefulSet),
            (WorkloadKind::DaemonSet, "DaemonSet", "daemonset api", wire::WorkloadKind::DaemonSet),
        ];
        for (kind, written, words, called) in table {
            let workload = Workload::new("prod", kind, "api");
            let json = serde_json::json!({ "target": "prod", "kind": written, "name": "api" });
            assert_eq!(serde_json::to_value(&workload).unwrap(), json);
            assert_eq!(workload.to_string(), words);
            assert_eq!(wire::Workload::from(&workload).kind, called);
        }
    }
}
