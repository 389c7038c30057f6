//! `kubernetes-actions`: changing something in a namespace of a cluster.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::RunState;
use super::bindings::paramedic::plugin::types::{Error, Label, Receipt};
use super::bindings::paramedic::plugin::{kubernetes_actions as wit, kubernetes_types as types};
use super::kubernetes::workload;
use super::support::duration;
use super::targets::client;
use crate::clients::kubernetes::{EnvRequest, Eviction, ResourceAmounts, SetResources, Variable, Workload};
use crate::domain::CallError;
use crate::journal::Arguments;
use crate::policy::op;

impl wit::Host for RunState {
    async fn scale(&mut self, workload: types::Workload, replicas: u32) -> wasmtime::Result<Result<Receipt, Error>> {
        let (target, workload) = self::workload(workload);
        let arguments = of_workload(self.arguments(), &workload).plain("replicas", replicas);
        self.change::<op::KubernetesScale, _>(&target, arguments, |targets, permit| {
            client(&targets.kubernetes, &permit)?.scale(permit, workload, replicas)
        })
        .await
    }

    async fn restart(&mut self, workload: types::Workload) -> wasmtime::Result<Result<Receipt, Error>> {
        let (target, workload) = self::workload(workload);
        let arguments = of_workload(self.arguments(), &workload);
        self.change::<op::KubernetesRestart, _>(&target, arguments, |targets, permit| {
            client(&targets.kubernetes, &permit)?.restart(permit, workload)
        })
        .await
    }

    async fn rollback(
        &mut self,
        workload: types::Workload,
        revision: Option<u32>,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        let (target, workload) = self::workload(workload);
        let arguments = of_workload(self.arguments(), &workload).plain("revision", revision);
        self.change::<op::KubernetesRollback, _>(&target, arguments, |targets, permit| {
            client(&targets.kubernetes, &permit)?.rollback(permit, workload, revision)
        })
        .await
    }

    async fn set_env(
        &mut self,
        workload: types::Workload,
        container: Option<String>,
        variables: Vec<Label>,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        let (target, workload) = self::workload(workload);
        let arguments = of_workload(self.arguments(), &workload).optional_text("container", container.as_deref());
        let arguments = of_variables(arguments, &variables);
        self.change::<op::KubernetesSetEnv, _>(&target, arguments, |targets, permit| {
            let request = EnvRequest { workload, container };
            client(&targets.kubernetes, &permit)?.set_env(permit, request, self::variables(variables))
        })
        .await
    }

    async fn unset_env(
        &mut self,
        workload: types::Workload,
        container: Option<String>,
        names: Vec<String>,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        let (target, workload) = self::workload(workload);
        let arguments = of_workload(self.arguments(), &workload).optional_text("container", container.as_deref());
        let arguments = arguments.outlined("names", &names.join(", "), || json!(names));
        self.change::<op::KubernetesUnsetEnv, _>(&target, arguments, |targets, permit| {
            client(&targets.kubernetes, &permit)?.unset_env(permit, EnvRequest { workload, container }, names)
        })
        .await
    }

    async fn set_image(
        &mut self,
        workload: types::Workload,
        container: String,
        image: String,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        let (target, workload) = self::workload(workload);
        let arguments = of_workload(self.arguments(), &workload).text("container", &container).text("image", &image);
        self.change::<op::KubernetesSetImage, _>(&target, arguments, |targets, permit| {
            client(&targets.kubernetes, &permit)?.set_image(permit, workload, container, image)
        })
        .await
    }

    async fn set_resources(
        &mut self,
        workload: types::Workload,
        container: String,
        requests: types::Quantities,
        limits: types::Quantities,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        let (target, workload) = self::workload(workload);
        let arguments = of_workload(self.arguments(), &workload).text("container", &container);
        let (requests, limits) = (amounts(requests), amounts(limits));
        let outline = |amounts: &ResourceAmounts| {
            let one = |(name, amount): (&String, &Option<String>)| {
                format!("{name}={}", amount.as_deref().unwrap_or_default())
            };
            amounts.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let arguments = arguments.outlined("requests", &outline(&requests), || json!(requests)).outlined(
            "limits",
            &outline(&limits),
            || json!(limits),
        );
        self.change::<op::KubernetesSetResources, _>(&target, arguments, |targets, permit| {
            let set = SetResources { workload, container, requests, limits };
            client(&targets.kubernetes, &permit)?.set_resources(permit, set)
        })
        .await
    }

    async fn evict_pod(&mut self, pod: types::PodRef, grace: Option<f64>) -> wasmtime::Result<Result<Receipt, Error>> {
        let types::PodRef { target, name, uid, .. } = pod;
        let arguments = self.arguments().text("pod", &name).optional_text("uid", uid.as_deref()).plain("grace", grace);
        self.change::<op::KubernetesEvictPod, _>(&target, arguments, |targets, permit| {
            let grace = grace.map(whole_seconds).transpose()?;
            client(&targets.kubernetes, &permit)?.evict_pod(permit, Eviction { pod: name, uid, grace })
        })
        .await
    }

    async fn run_job(
        &mut self,
        target: String,
        cron_job: String,
        variables: Vec<Label>,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        let arguments = of_variables(self.arguments().text("cron-job", &cron_job), &variables);
        self.change::<op::KubernetesRunJob, _>(&target, arguments, |targets, permit| {
            client(&targets.kubernetes, &permit)?.run_job(permit, cron_job, self::variables(variables))
        })
        .await
    }

    async fn detach_service(&mut self, target: String, service: String) -> wasmtime::Result<Result<Receipt, Error>> {
        let arguments = self.arguments().text("service", &service);
        self.change::<op::KubernetesDetachService, _>(&target, arguments, |targets, permit| {
            client(&targets.kubernetes, &permit)?.detach_service(permit, service)
        })
        .await
    }
}

fn of_workload(arguments: Arguments, workload: &Workload) -> Arguments {
    arguments.text("kind", workload.kind.as_str()).text("name", &workload.name)
}

/// Their names; what they are set to stands in the plan.
fn of_variables(arguments: Arguments, variables: &[Label]) -> Arguments {
    let names = variables.iter().map(|variable| variable.name.as_str()).collect::<Vec<_>>().join(", ");
    let pairs = || variables.iter().map(|variable| json!([variable.name, variable.value])).collect::<Value>();
    arguments.outlined("variables", &names, pairs)
}

fn variables(labels: Vec<Label>) -> Vec<Variable> {
    labels.into_iter().map(|label| Variable { name: label.name, value: label.value }).collect()
}

fn amounts(quantities: types::Quantities) -> ResourceAmounts {
    let types::Quantities { cpu, memory, others } = quantities;
    let named = [("cpu", cpu), ("memory", memory)];
    let named = named.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), Some(amount?))));
    named.chain(others.into_iter().map(|label| (label.name, Some(label.value)))).collect::<BTreeMap<_, _>>()
}

/// The server takes whole seconds.
fn whole_seconds(seconds: f64) -> Result<u32, CallError> {
    let whole = duration("grace", seconds)?.as_secs();
    u32::try_from(whole).map_err(|_| CallError::Invalid("grace is longer than a pod is ever given".to_owned()))
}
