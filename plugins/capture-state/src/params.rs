//! What is to be captured, and how much of it.

use paramedic_sdk::Seconds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Extra {
    /// Objects of Kubernetes, as in `resources`.
    Objects,
    /// Events of Kubernetes.
    Events,
    /// What containers use.
    Usage,
    /// The last lines of containers.
    Logs,
    /// Costly statements of Postgres, without their values.
    Statements,
    /// Replication of Postgres.
    Replication,
    /// Settings of Postgres, which takes the verb `query`.
    Settings,
    /// Locks of Postgres, which takes the verb `query`.
    Locks,
    /// Slow commands of Redis, without what they were given.
    SlowLog,
    /// Failed jobs of queues by their reasons.
    Failures,
}

/// Parameters of capture-state.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Kubernetes targets.
    #[schemars(length(max = 5))]
    pub kubernetes: Vec<String>,
    /// Postgres targets.
    #[schemars(length(max = 10))]
    pub postgres: Vec<String>,
    /// Redis targets.
    #[schemars(length(max = 10))]
    pub redis: Vec<String>,
    /// Queue targets.
    #[schemars(length(max = 20))]
    pub queues: Vec<String>,
    /// What is not captured, and is then not missing either.
    pub leave_out: Vec<Extra>,
    /// Label selector of the pods; all where it is empty.
    #[schemars(length(max = 1000))]
    pub labels: String,
    /// Kinds of objects to capture, as in rules of RBAC.
    #[schemars(length(max = 20))]
    pub resources: Vec<String>,
    /// Seconds back to which events and logs go.
    #[schemars(range(min = 1, max = 86400))]
    pub since: Seconds,
    /// Last lines of each container.
    #[schemars(range(min = 1, max = 2000))]
    pub lines: u32,
    /// Pods whose logs are captured, those in trouble first.
    #[schemars(range(min = 1, max = 50))]
    pub pods: usize,
    /// Bytes for all of it, no more than the plugin's limit `outcome`.
    #[schemars(range(min = 16384, max = 2097152))]
    pub max_bytes: usize,
}

impl Default for Params {
    fn default() -> Self {
        let resources = ["pods", "deployments.apps", "statefulsets.apps", "daemonsets.apps"];
        Self {
            kubernetes: Vec::new(),
            postgres: Vec::new(),
            redis: Vec::new(),
            queues: Vec::new(),
            leave_out: Vec::new(),
            labels: String::new(),
            resources: resources.map(str::to_owned).to_vec(),
            since: 3600.0,
            lines: 200,
            pods: 20,
            max_bytes: 256 << 10,
        }
    }
}

impl Params {
    /// Whether something is wanted.
    pub fn wants(&self, extra: Extra) -> bool {
        !self.leave_out.contains(&extra)
    }

    /// All targets, written as in grants.
    pub fn targets(&self) -> Vec<String> {
        let systems = [
            ("kubernetes", &self.kubernetes),
            ("postgres", &self.postgres),
            ("redis", &self.redis),
            ("queue", &self.queues),
        ];
        systems.iter().flat_map(|(system, names)| names.iter().map(move |name| format!("{system}/{name}"))).collect()
    }
}
