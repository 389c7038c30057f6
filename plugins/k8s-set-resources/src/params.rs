//! Parameters of k8s-set-resources.

use paramedic_sdk::kubernetes::Quantities;
use paramedic_sdk::{Seconds, Workload, WorkloadKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of k8s-set-resources.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The Kubernetes target.
    #[serde(default = "prod")]
    pub target: String,
    /// The kind of the workload.
    #[serde(default)]
    pub kind: WorkloadKind,
    /// Its name. It has no default.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The container. It has no default.
    #[schemars(length(min = 1, max = 63))]
    pub container: String,
    /// What is set aside for it. What is left out stays as it is.
    #[serde(default)]
    pub requests: Amounts,
    /// What it may use at most. What is left out stays as it is.
    #[serde(default)]
    pub limits: Amounts,
    /// Seconds within which its new pods have to be ready.
    #[schemars(range(min = 1, max = 880))]
    #[serde(default = "five_minutes")]
    pub ready_within: Seconds,
    /// Whether what was done is given back when they are not.
    #[serde(default = "yes")]
    pub give_back_if_not_ready: bool,
}

/// Amounts in the notation of Kubernetes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Amounts {
    /// Processor share, such as `500m`.
    #[schemars(length(min = 1, max = 40))]
    pub cpu: Option<String>,
    /// Memory, such as `2Gi`.
    #[schemars(length(min = 1, max = 40))]
    pub memory: Option<String>,
}

impl Amounts {
    pub(crate) fn quantities(&self) -> Quantities {
        Quantities { cpu: self.cpu.clone(), memory: self.memory.clone(), others: Vec::new() }
    }
}

impl Params {
    pub(crate) fn workload(&self) -> Workload {
        Workload::new(&self.target, self.kind, &self.name)
    }
}

fn prod() -> String {
    "prod".to_owned()
}

fn five_minutes() -> Seconds {
    300.0
}

fn yes() -> bool {
    true
}
