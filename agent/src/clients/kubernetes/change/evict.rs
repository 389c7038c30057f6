//! Ending a pod, if the disruption budgets allow it.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Kubernetes;
use super::super::transport::{Lost, Query, Refusal, Verb, What, Write};
use super::edit::{leaving_time_to_look, stop, uid};
use crate::domain::{CallError, CallLimits, ChangeCall, Difference, Done, Fact, Preview, Undo};
use crate::journal::{Change, Halt, Performed, Settled, canonical, moved};
use crate::policy::{Op, Permit, op};

/// What to evict.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eviction {
    /// The pod's name.
    pub pod: String,
    /// Its unique identifier, if it has to be this very pod.
    pub uid: Option<String>,
    /// Time it gets to end, in seconds; its own where there is none.
    pub grace: Option<u32>,
}

pub(super) struct Evict {
    cluster: Arc<Kubernetes>,
    permit: Permit<op::KubernetesEvictPod>,
    eviction: Eviction,
}

/// How a pod was found.
struct Found {
    uid: Fact,
    node: Option<String>,
    owner: Option<String>,
    is_ending: bool,
}

impl Found {
    fn read(pod: &Value) -> Self {
        let owner = pod.pointer("/metadata/ownerReferences/0");
        let owner = owner.map(|owner| format!("{} {}", text(&owner["kind"]), text(&owner["name"])));
        Self {
            uid: uid(pod),
            node: pod.pointer("/spec/nodeName").and_then(Value::as_str).map(str::to_owned),
            owner,
            is_ending: pod.pointer("/metadata/deletionTimestamp").is_some(),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Evict {
    pub(super) fn new(cluster: &Arc<Kubernetes>, permit: Permit<op::KubernetesEvictPod>, eviction: Eviction) -> Self {
        Self { cluster: cluster.clone(), permit, eviction }
    }

    fn what(&self, deed: &str) -> What {
        let name = &self.eviction.pod;
        What::new(format!("{deed} pod {name}"), format!("pod {name}"))
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.cluster.namespace, self.eviction.pod)
    }

    async fn look(&self, limits: &CallLimits) -> Result<Found, CallError> {
        let pod: Value = self.cluster.get(limits, &self.path(), Query::new(), &self.what("look at")).await?;
        let found = Found::read(&pod);
        if self.eviction.uid.as_ref().is_some_and(|uid| *uid != found.uid.value) {
            let name = &self.eviction.pod;
            return Err(CallError::Conflict(format!("the pod {name} is another one of the same name")));
        }
        Ok(found)
    }

    async fn send(&self, limits: &CallLimits, uid: &str, is_rehearsal: bool) -> Result<Value, Lost> {
        let mut options = json!({ "preconditions": { "uid": uid } });
        if let Some(grace) = self.eviction.grace {
            options["gracePeriodSeconds"] = json!(grace);
        }
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": self.eviction.pod, "namespace": self.cluster.namespace },
            "deleteOptions": options,
        });
        let write = Write { verb: Verb::Create, path: format!("{}/eviction", self.path()), body, is_rehearsal };
        self.cluster.write(limits, write, &self.what("evict")).await
    }

    fn refused(&self, refusal: Refusal) -> CallError {
        let name = &self.eviction.pod;
        match refusal.code {
            429 => CallError::Conflict(format!("a disruption budget does not let the pod {name} go at the moment")),
            409 => CallError::Conflict(format!("the pod {name} is another one of the same name")),
            _ => refusal.error,
        }
    }

    fn difference(&self) -> Difference {
        let gone = Some("evicted".to_owned());
        Difference { field: format!("pod {}", self.eviction.pod), before: Some("there".to_owned()), after: gone }
    }

    fn done(&self) -> Done {
        Done { objects: 1, differences: vec![self.difference()], answer: None, incomplete: None, inverse: None }
    }

    /// True when the pod of the plan is gone or ends; none where the cluster does not tell.
    async fn is_gone(&self, planned: &Preview, limits: &CallLimits) -> Result<bool, CallError> {
        match self.look(limits).await {
            Ok(found) => Ok(found.is_ending || !planned.ground.contains(&found.uid)),
            Err(CallError::NotFound(_) | CallError::Conflict(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Change for Evict {
    fn call(&self) -> ChangeCall {
        ChangeCall {
            operation: op::KubernetesEvictPod::OPERATION,
            target: self.permit.target().clone(),
            arguments: canonical(&self.eviction),
        }
    }

    async fn preview(&self, limits: &CallLimits) -> Result<Preview, CallError> {
        let found = self.look(limits).await?;
        if !found.is_ending {
            self.send(limits, &found.uid.value, true).await.map_err(|lost| match lost {
                Lost::Refused(refusal) => self.refused(refusal),
                Lost::Unsent(error) | Lost::Failed(error) | Lost::Unanswered(error) => error,
            })?;
        }
        let name = &self.eviction.pod;
        let node = found.node.map(|node| format!("it runs on {node}"));
        let owner = match found.owner {
            Some(owner) => format!("its {owner} makes another one"),
            None => "nothing makes another one: it has no owner".to_owned(),
        };
        Ok(Preview {
            summary: format!("evict {}/pod/{name}", self.cluster.name),
            objects: u64::from(!found.is_ending),
            differences: if found.is_ending { Vec::new() } else { vec![self.difference()] },
            ground: vec![found.uid],
            scope: "{}".to_owned(),
            undo: Undo::Impossible("a pod that has ended does not come back".to_owned()),
            doubt: None,
            notes: node.into_iter().chain([owner]).collect(),
        })
    }

    async fn perform(&self, planned: &Preview, limits: &CallLimits, halt: &Halt) -> Performed {
        if let Some(reason) = stop(limits, halt) {
            return Performed::Nothing(CallError::TimedOut(reason));
        }
        let found = match self.look(limits).await {
            Ok(found) => found,
            Err(error) => return Performed::Nothing(error),
        };
        if let Some(moved) = moved(&planned.ground, std::slice::from_ref(&found.uid)) {
            return Performed::Nothing(CallError::Conflict(moved));
        }
        let error = match self.send(&leaving_time_to_look(limits), &found.uid.value, false).await {
            Ok(_) => return Performed::Done(self.done()),
            Err(Lost::Refused(refusal)) => return Performed::Nothing(self.refused(refusal)),
            Err(Lost::Unsent(error)) => return Performed::Nothing(error),
            Err(Lost::Failed(error) | Lost::Unanswered(error)) => error,
        };
        match self.is_gone(planned, limits).await {
            Ok(true) => Performed::Done(self.done()),
            Ok(false) | Err(_) => Performed::Unknown(error),
        }
    }

    async fn settle(&self, planned: &Preview, limits: &CallLimits) -> Settled {
        match self.is_gone(planned, limits).await {
            Ok(true) => Settled::Done(self.done()),
            Ok(false) => Settled::NotDone,
            Err(error) => Settled::Unknown(format!("look whether pod {} is there: {error}", self.eviction.pod)),
        }
    }
}
