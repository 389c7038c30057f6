//! Parameters of k8s-set-env.

use paramedic_sdk::{Seconds, Workload, WorkloadKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parameters of k8s-set-env.
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
    /// Variables with their values, such as `{"CACHE_TTL": "3600"}`.
    #[schemars(extend("maxProperties" = 100))]
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Names of variables to remove.
    #[schemars(length(max = 100))]
    #[serde(default)]
    pub unset: Vec<String>,
    /// The container; null for all of them, without the init ones.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default)]
    pub container: Option<String>,
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
