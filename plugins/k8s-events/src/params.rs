use paramedic_sdk::{Seconds, Threshold};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of k8s-events.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Kubernetes target.
    pub(crate) target: String,
    /// Only events about this object, written `Kind/name`; null for all.
    #[schemars(length(max = 320), regex(pattern = "^[A-Za-z0-9]+/[a-z0-9.-]+$"))]
    pub(crate) object: Option<String>,
    /// Seconds since an event was last seen. A cluster keeps events for an hour unless it is told otherwise.
    #[schemars(range(min = 1, max = 604_800))]
    pub(crate) since: Seconds,
    /// Reasons that are left out, such as `Unhealthy`.
    #[schemars(length(max = 50))]
    pub(crate) ignore: Vec<String>,
    /// Warnings before it is a warning. One that the cluster saw several times counts as often.
    pub(crate) warning: Threshold,
    /// Warnings before it is critical.
    pub(crate) critical: Threshold,
    /// Most groups to show.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "prod".to_owned(),
            object: None,
            since: 3600.0,
            ignore: Vec::new(),
            warning: Threshold::above(10.0),
            critical: Threshold::never(),
            limit: 20,
        }
    }
}
