//! Parameters of k8s-set-image.

use paramedic_sdk::{Seconds, Workload, WorkloadKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of k8s-set-image.
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
    /// The container that gets the image. It has no default.
    #[schemars(length(min = 1, max = 63))]
    pub container: String,
    /// The image, such as `registry.example.org/api:1.4.2`. It has no default.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// Seconds within which its new pods have to be ready.
    #[schemars(range(min = 1, max = 880))]
    #[serde(default = "five_minutes")]
    pub ready_within: Seconds,
    /// Whether what was done is given back when they are not.
    #[serde(default = "yes")]
    pub give_back_if_not_ready: bool,
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
