use paramedic_sdk::{Seconds, Threshold};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of k8s-crashes.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Kubernetes target.
    pub(crate) target: String,
    /// Label selector of the pods.
    #[schemars(length(min = 1, max = 1000))]
    pub(crate) labels: String,
    /// Of these, look at this pod alone; null for all.
    #[schemars(length(min = 1, max = 253))]
    pub(crate) pod: Option<String>,
    /// Containers that ended by a fault before it is a warning.
    pub(crate) warning: Threshold,
    /// Containers that ended by a fault before it is critical.
    pub(crate) critical: Threshold,
    /// Containers that are down after a fault before it is critical.
    pub(crate) down_critical: Threshold,
    /// Seconds after which an end is an old one: shown, and not judged while the container runs again.
    #[schemars(range(min = 1, max = 604_800))]
    pub(crate) since: Seconds,
    /// Of the containers that ended, read the last lines and the events of so many, the gravest first.
    #[schemars(range(min = 0, max = 10))]
    pub(crate) details_of: usize,
    /// Last lines of each before its end.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) lines: u32,
    /// Most containers to show.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "prod".to_owned(),
            labels: "app=api".to_owned(),
            pod: None,
            warning: Threshold::above(0.0),
            critical: Threshold::above(10.0),
            down_critical: Threshold::above(0.0),
            since: 3600.0,
            details_of: 3,
            lines: 15,
            limit: 20,
        }
    }
}
