use paramedic_sdk::{Threshold, Workload, WorkloadKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of k8s-pods.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Kubernetes target.
    pub(crate) target: String,
    /// Label selector of the pods.
    #[schemars(length(min = 1, max = 1000))]
    pub(crate) labels: String,
    /// The workload that the pods belong to: it tells how many are wanted. Without it those that are there are wanted.
    pub(crate) workload: Option<Named>,
    /// Pods that are ready before it is a warning, in percent of the wanted ones.
    pub(crate) ready_warning: Threshold,
    /// Pods that are ready before it is critical, in percent of the wanted ones. None at all is critical anyway.
    pub(crate) ready_critical: Threshold,
    /// Restarts of a container before it is a warning.
    pub(crate) restarts_warning: Threshold,
    /// Restarts of a container before it is critical.
    pub(crate) restarts_critical: Threshold,
    /// Most pods to show.
    #[schemars(range(min = 1, max = 200))]
    pub(crate) limit: usize,
}

/// Names a workload of the target.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its kind.
    #[serde(default)]
    pub(crate) kind: WorkloadKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub(crate) name: String,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "prod".to_owned(),
            labels: "app=api".to_owned(),
            workload: None,
            ready_warning: Threshold::below(100.0),
            ready_critical: Threshold::below(50.0),
            restarts_warning: Threshold::above(5.0),
            restarts_critical: Threshold::never(),
            limit: 30,
        }
    }
}

impl Params {
    /// The workload, as a suggestion names it.
    pub(crate) fn suggested(&self) -> Option<Workload> {
        let named = self.workload.as_ref()?;
        Some(Workload { target: self.target.clone(), kind: named.kind, name: named.name.clone() })
    }
}

impl Named {
    /// As people write it.
    pub(crate) fn in_words(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}
