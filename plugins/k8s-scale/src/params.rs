//! Parameters of k8s-scale.

use paramedic_sdk::{Workload, WorkloadKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of k8s-scale.
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
    /// The number of replicas that it gets. It has no default.
    #[schemars(range(max = 10_000))]
    pub replicas: u32,
}

impl Params {
    pub(crate) fn workload(&self) -> Workload {
        Workload::new(&self.target, self.kind, &self.name)
    }
}

fn prod() -> String {
    "prod".to_owned()
}
