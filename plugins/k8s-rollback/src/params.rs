//! Parameters of k8s-rollback.

use paramedic_sdk::{Seconds, Workload, WorkloadKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of k8s-rollback.
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
    /// The revision to go back to, as `kubectl rollout history` numbers them; null for the newest earlier one that is ready.
    #[schemars(range(min = 1))]
    #[serde(default)]
    pub revision: Option<u32>,
    /// Seconds within which its new pods have to be ready.
    #[schemars(range(min = 1, max = 880))]
    #[serde(default = "five_minutes")]
    pub ready_within: Seconds,
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
