//! Starting a Job from the template of a CronJob, as `kubectl create job --from` does.
//!
//! The Job's name is chosen when the plan is made, so that one that was sent and not answered can be found, and could not be made twice.
//! It has no owner: a CronJob clears away the Jobs that it owns, and with them what they wrote.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Kubernetes;
use super::super::transport::{Lost, Query, Refusal, Verb, What, Write};
use super::edit::{leaving_time_to_look, stop, uid};
use super::env::{self, Variable};
use crate::domain::{CallError, CallLimits, ChangeCall, Difference, Done, Fact, Preview, Undo};
use crate::journal::{Change, Halt, Performed, Settled, canonical, moved};
use crate::policy::{Op, Permit, op};

/// What kubectl notes on Jobs that a person started.
const INSTANTIATE: &str = "cronjob.kubernetes.io/instantiate";

/// Names of Jobs become labels of their pods, which are this long at most.
const NAME_BYTES: usize = 63;

/// What to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    cron_job: String,
    variables: Vec<Variable>,
}

impl Start {
    pub(super) fn new(cron_job: String, variables: Vec<Variable>) -> Result<Self, CallError> {
        if !variables.is_empty() {
            env::check_variables(&variables)?;
        }
        Ok(Self { cron_job, variables })
    }
}

pub(super) struct RunJob {
    cluster: Arc<Kubernetes>,
    permit: Permit<op::KubernetesRunJob>,
    start: Start,
}

/// What a plan keeps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    job: String,
}

impl RunJob {
    pub(super) fn new(cluster: &Arc<Kubernetes>, permit: Permit<op::KubernetesRunJob>, start: Start) -> Self {
        Self { cluster: cluster.clone(), permit, start }
    }

    fn jobs(&self) -> String {
        format!("/apis/batch/v1/namespaces/{}/jobs", self.cluster.namespace)
    }

    async fn look(&self, limits: &CallLimits) -> Result<Value, CallError> {
        let name = &self.start.cron_job;
        let path = format!("/apis/batch/v1/namespaces/{}/cronjobs/{name}", self.cluster.namespace);
        let what = What::new(format!("look at cronjob {name}"), format!("cronjob {name}"));
        self.cluster.get(limits, &path, Query::new(), &what).await
    }

    /// The CronJob and its template, whose text may hold values that nobody may read.
    fn ground(&self, cron_job: &Value) -> Vec<Fact> {
        let mark = self.cluster.seal.mark(&canonical(&cron_job["spec"]["jobTemplate"]));
        vec![Fact { name: "template".to_owned(), value: mark }, uid(cron_job)]
    }

    fn job(&self, cron_job: &Value, name: &str) -> Value {
        let template = &cron_job["spec"]["jobTemplate"];
        let mut spec = template["spec"].clone();
        let containers = spec.pointer_mut("/template/spec/containers").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mut list = container["env"].as_array().cloned().unwrap_or_default();
            self.start.variables.iter().for_each(|variable| env::set(&mut list, variable));
            if !list.is_empty() {
                container["env"] = Value::Array(list);
            }
        }
        let mut annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        annotations.insert(INSTANTIATE.to_owned(), json!("manual"));
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": self.cluster.namespace,
                "labels": template["metadata"]["labels"],
                "annotations": annotations,
            },
            "spec": spec,
        })
    }

    async fn send(&self, limits: &CallLimits, body: Value, is_rehearsal: bool) -> Result<Value, Lost> {
        let name = &self.start.cron_job;
        let what = What::new(format!("start a job of cronjob {name}"), format!("cronjob {name}"));
        self.cluster.write(limits, Write { verb: Verb::Create, path: self.jobs(), body, is_rehearsal }, &what).await
    }

    /// True when the Job of the plan is there.
    async fn is_there(&self, job: &str, limits: &CallLimits) -> Result<bool, CallError> {
        let what = What::new(format!("look at job {job}"), format!("job {job}"));
        match self.cluster.get::<Value>(limits, &format!("{}/{job}", self.jobs()), Query::new(), &what).await {
            Ok(_) => Ok(true),
            Err(CallError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn done(planned: &Preview, job: &str) -> Done {
        let differences = planned.differences.clone();
        let answer = Some(json!({ "job": job }).to_string());
        Done { objects: 1, differences, answer, incomplete: None, inverse: None }
    }
}

/// The Job of the plan.
fn planned_job(planned: &Preview) -> Result<String, CallError> {
    let scope: Result<Scope, _> = serde_json::from_str(&planned.scope);
    scope.map(|scope| scope.job).map_err(|_| CallError::Invalid("the plan names no job".to_owned()))
}

/// A name that no other Job has.
fn new_name(cron_job: &str) -> String {
    let random: u32 = rand::random();
    let suffix = format!("-{random:08x}");
    let head: String = cron_job.chars().take(NAME_BYTES - suffix.len()).collect();
    format!("{}{suffix}", head.trim_end_matches(['-', '.']))
}

#[async_trait]
impl Change for RunJob {
    fn call(&self) -> ChangeCall {
        ChangeCall {
            operation: op::KubernetesRunJob::OPERATION,
            target: self.permit.target().clone(),
            arguments: canonical(&self.start),
        }
    }

    async fn preview(&self, limits: &CallLimits) -> Result<Preview, CallError> {
        let cron_job = self.look(limits).await?;
        let job = new_name(&self.start.cron_job);
        self.send(limits, self.job(&cron_job, &job), true).await.map_err(|lost| match lost {
            Lost::Refused(Refusal { error, .. })
            | Lost::Unsent(error)
            | Lost::Failed(error)
            | Lost::Unanswered(error) => error,
        })?;
        let variable = |variable: &Variable| Difference {
            field: format!("{} of the job", variable.name),
            before: None,
            after: Some(variable.value.clone()),
        };
        let new = Difference { field: "job".to_owned(), before: None, after: Some(job.clone()) };
        Ok(Preview {
            summary: format!("start a job of {}/cronjob/{}", self.cluster.name, self.start.cron_job),
            objects: 1,
            differences: [new].into_iter().chain(self.start.variables.iter().map(variable)).collect(),
            ground: self.ground(&cron_job),
            scope: canonical(&Scope { job }),
            undo: Undo::Impossible("what a job does, the cluster cannot take back".to_owned()),
            doubt: None,
            notes: vec![
                "it does what the template of the CronJob says; the cluster keeps it until somebody deletes it"
                    .to_owned(),
            ],
        })
    }

    async fn perform(&self, planned: &Preview, limits: &CallLimits, halt: &Halt) -> Performed {
        if let Some(reason) = stop(limits, halt) {
            return Performed::Nothing(CallError::TimedOut(reason));
        }
        let looked = async { Ok::<_, CallError>((planned_job(planned)?, self.look(limits).await?)) };
        let (job, cron_job) = match looked.await {
            Ok(looked) => looked,
            Err(error) => return Performed::Nothing(error),
        };
        if let Some(moved) = moved(&planned.ground, &self.ground(&cron_job)) {
            return Performed::Nothing(CallError::Conflict(moved));
        }
        let error = match self.send(&leaving_time_to_look(limits), self.job(&cron_job, &job), false).await {
            Ok(_) => return Performed::Done(Self::done(planned, &job)),
            Err(Lost::Refused(refusal)) => return Performed::Nothing(refusal.error),
            Err(Lost::Unsent(error)) => return Performed::Nothing(error),
            Err(Lost::Failed(error) | Lost::Unanswered(error)) => error,
        };
        match self.is_there(&job, limits).await {
            Ok(true) => Performed::Done(Self::done(planned, &job)),
            Ok(false) | Err(_) => Performed::Unknown(error),
        }
    }

    async fn settle(&self, planned: &Preview, limits: &CallLimits) -> Settled {
        let job = match planned_job(planned) {
            Ok(job) => job,
            Err(error) => return Settled::Unknown(error.to_string()),
        };
        match self.is_there(&job, limits).await {
            Ok(true) => Settled::Done(Self::done(planned, &job)),
            Ok(false) => Settled::NotDone,
            Err(error) => Settled::Unknown(format!("look whether job {job} is there: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_is_one_and_fits() {
        for name in ["restore", &"a".repeat(80), "a.b", &format!("{}-tail", "a".repeat(53))] {
            let (one, other) = (new_name(name), new_name(name));
            assert!(one != other && one.len() <= NAME_BYTES, "{one}");
            assert!(super::super::super::names::check_name("it", &one).is_ok(), "{one}");
        }
    }
}
