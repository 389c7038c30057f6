//! Parameters of drain-traffic.

use paramedic_sdk::Seconds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of drain-traffic.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The Kubernetes target.
    #[serde(default = "prod")]
    pub target: String,
    /// The Service whose pods leave its traffic. It has no default.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
    /// Seconds within which its endpoints have to be gone.
    #[schemars(range(min = 1, max = 110))]
    #[serde(default = "moment")]
    pub gone_within: Seconds,
}

fn prod() -> String {
    "prod".to_owned()
}

/// Endpoints go within a second or two where the cluster is well, and with what is left it fits into the usual run.
fn moment() -> Seconds {
    20.0
}
