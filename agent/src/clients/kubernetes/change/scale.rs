//! The number of replicas.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Kubernetes;
use super::super::rollout::{Workload, WorkloadKind};
use super::super::transport::Verb;
use super::care::{self, Autoscaler};
use super::edit::{Alteration, Back, Draft, Place};
use super::template;
use crate::domain::{CallError, CallLimits, Difference, Fact, Operation};
use crate::journal::canonical;

const REPLICAS: &str = "replicas";

/// A workload gets a number of replicas.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scale {
    workload: Workload,
    replicas: u32,
}

impl Scale {
    pub(super) fn new(workload: Workload, replicas: u32) -> Result<Self, CallError> {
        if workload.kind == WorkloadKind::DaemonSet {
            return Err(CallError::Invalid(
                "a DaemonSet has one pod on each node and no number of replicas".to_owned(),
            ));
        }
        if replicas > i32::MAX.unsigned_abs() {
            return Err(CallError::Invalid(format!("no workload has {replicas} replicas")));
        }
        Ok(Self { workload, replicas })
    }
}

#[derive(Default)]
pub(super) struct Around {
    autoscaler: Option<Autoscaler>,
    quotas: Vec<String>,
}

/// Where it is not said there is one.
fn replicas(object: &Value) -> u32 {
    let given = object.pointer("/spec/replicas").and_then(Value::as_u64);
    // A Scale leaves out a zero; a workload always says its number.
    let absent = u32::from(object.get("kind").and_then(Value::as_str) != Some("Scale"));
    given.map_or(absent, |given| u32::try_from(given).unwrap_or(u32::MAX))
}

fn fact(replicas: u32) -> Fact {
    Fact { name: REPLICAS.to_owned(), value: replicas.to_string() }
}

#[async_trait]
impl Alteration for Scale {
    type Around = Around;

    fn place(&self) -> Place {
        Place { subresource: Some("scale"), ..template::place(&self.workload) }
    }

    async fn look(&self, cluster: &Kubernetes, limits: &CallLimits, object: &Value) -> Result<Around, CallError> {
        let autoscaler = care::autoscaler(cluster, limits, &self.workload).await?;
        let more = self.replicas.saturating_sub(replicas(object));
        let quotas = match more {
            0 => Vec::new(),
            more => care::quotas(cluster, limits, template::of(object), more).await?,
        };
        Ok(Around { autoscaler, quotas })
    }

    fn draft(&self, cluster: &Kubernetes, object: &Value, around: &Around) -> Result<Draft, CallError> {
        let (is, wanted) = (replicas(object), self.replicas);
        let (before, after) = (Some(is.to_string()), Some(wanted.to_string()));
        let difference = Difference { field: REPLICAS.to_owned(), before, after };
        let whose = around.autoscaler.as_ref().map_or_else(
            || "none".to_owned(),
            |autoscaler| format!("{} ({} to {})", autoscaler.name, autoscaler.least, autoscaler.most),
        );
        let mut notes: Vec<_> = around.autoscaler.iter().map(|autoscaler| autoscaler.will_do(wanted)).collect();
        notes.extend(around.quotas.iter().cloned());
        let others = care::rollout_of_others(self.workload.kind, object);
        notes.extend(others.map(|whose| format!("{whose} is on its way")));
        notes.extend(care::reconcilers(object));
        Ok(Draft {
            summary: format!("scale {} from {is} to {wanted}", self.place().title(cluster)),
            differences: if is == wanted { Vec::new() } else { vec![difference] },
            ground: vec![fact(is), Fact { name: "autoscaler".to_owned(), value: whose }],
            verb: Verb::Merge,
            patch: json!({ "spec": { "replicas": wanted } }),
            back: Ok(Back {
                how: format!("to set it to {is} again gives it back, as long as nobody else changed it"),
                operation: Operation::KubernetesScale,
                arguments: canonical(&Self { replicas: is, ..self.clone() }),
                left: vec![fact(wanted)],
            }),
            doubt: None,
            notes,
        })
    }
}
