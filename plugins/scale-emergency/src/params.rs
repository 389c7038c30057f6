//! Parameters of scale-emergency.

use paramedic_sdk::{Workload, WorkloadKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of scale-emergency.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The Kubernetes target.
    #[serde(default = "prod")]
    pub target: String,
    /// The workloads with the number of replicas that each gets, in this order. There is no default.
    #[schemars(length(min = 1, max = 20))]
    pub workloads: Vec<Wanted>,
}

/// A workload of the target, and how many replicas it gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Its kind.
    #[serde(default)]
    pub kind: WorkloadKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The number of replicas.
    #[schemars(range(max = 10_000))]
    pub replicas: u32,
}

impl Params {
    pub(crate) fn workload(&self, wanted: &Wanted) -> Workload {
        Workload::new(&self.target, wanted.kind, &wanted.name)
    }

    /// One that is named twice: which of its numbers is meant, nobody knows.
    pub(crate) fn named_twice(&self) -> Option<&Wanted> {
        let is_same = |one: &Wanted, other: &Wanted| one.kind == other.kind && one.name == other.name;
        self.workloads
            .iter()
            .enumerate()
            .find_map(|(place, one)| self.workloads.iter().take(place).any(|other| is_same(one, other)).then_some(one))
    }
}

fn prod() -> String {
    "prod".to_owned()
}
