//! Looking at a namespace of a Kubernetes cluster, and changing what is in it. Every function names a target that the operator
//! configured. Secrets are never readable, and values of environment variables are left out of objects. What becomes of a changed
//! workload's pods is followed by [`crate::Follow`].

use crate::bindings::paramedic::plugin::kubernetes as host;
#[cfg(target_arch = "wasm32")]
use crate::bindings::paramedic::plugin::kubernetes_actions as actions;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::kubernetes as harness;
use crate::{Label, Receipt, Seconds, human};

pub use crate::bindings::paramedic::plugin::kubernetes_types::{PodRef, Quantities};
pub use crate::{Workload, WorkloadKind};
pub use host::{
    Container, ContainerEnd, Event, EventList, LogLine, LogPage, LogQuery, ObjectPage, ObjectQuery, Pod, Removal,
    Rollout, Usage,
};

host_function! {
    /// One object as JSON, of a resource such as `deployments.apps`.
    "kubernetes/get-object" as GET_OBJECT,
    fn get_object(target: &str, resource: &str, name: &str) -> String = host::get_object(target, resource, name)
}

selecting_function! {
    /// A page of objects as JSON.
    "kubernetes/list-objects" as LIST_OBJECTS by harness::list_objects,
    fn list_objects(query: &ObjectQuery) -> ObjectPage = host::list_objects(query)
}

selecting_function! {
    /// The pods that match a label selector.
    "kubernetes/list-pods" as LIST_PODS by harness::list_pods,
    fn list_pods(target: &str, labels: &str) -> Vec<Pod> = host::list_pods(target, labels)
}

host_function! {
    /// How far the rollout of a workload has come.
    "kubernetes/get-rollout" as GET_ROLLOUT,
    fn get_rollout(workload: &Workload) -> Rollout = host::get_rollout(&workload.into())
}

host_function! {
    /// Recent events, newest first; of one object, written `kind/name`, or of all. The list says when there are more.
    "kubernetes/list-events" as LIST_EVENTS,
    fn list_events(target: &str, object: Option<&str>) -> EventList = host::list_events(target, object)
}

selecting_function! {
    /// What the containers of the pods that match a label selector use, if the cluster measures it.
    "kubernetes/list-usage" as LIST_USAGE by harness::list_usage,
    fn list_usage(target: &str, labels: &str) -> Vec<Usage> = host::list_usage(target, labels)
}

selecting_function! {
    /// Lines of the logs of all pods that match a label selector, in order of time.
    "kubernetes/read-logs" as READ_LOGS by harness::read_logs,
    fn read_logs(target: &str, labels: &str, query: &LogQuery) -> LogPage = host::read_logs(target, labels, query)
}

selecting_function! {
    /// Lines of the log of one container.
    "kubernetes/read-log" as READ_LOG by harness::read_log,
    fn read_log(pod: &PodRef, query: &LogQuery) -> LogPage = host::read_log(pod, query)
}

changing_function! {
    /// Set the number of replicas of a Deployment or StatefulSet.
    "kubernetes-actions/scale" as SCALE,
    fn scale(workload: &Workload, replicas: u32) -> Receipt = actions::scale(&workload.into(), replicas)
}

changing_function! {
    /// Replace all pods one after the other.
    "kubernetes-actions/restart" as RESTART,
    fn restart(workload: &Workload) -> Receipt = actions::restart(&workload.into())
}

changing_function! {
    /// Go back to an earlier revision; none stands for the newest earlier one that is known to have been ready.
    "kubernetes-actions/rollback" as ROLLBACK,
    fn rollback(workload: &Workload, revision: Option<u32>) -> Receipt = actions::rollback(&workload.into(), revision)
}

changing_function! {
    /// Set environment variables of a container, or of all.
    "kubernetes-actions/set-env" as SET_ENV,
    fn set_env(workload: &Workload, container: Option<&str>, variables: &[Label]) -> Receipt =
        actions::set_env(&workload.into(), container, variables)
}

changing_function! {
    /// Remove environment variables of a container, or of all.
    "kubernetes-actions/unset-env" as UNSET_ENV,
    fn unset_env(workload: &Workload, container: Option<&str>, names: &[String]) -> Receipt =
        actions::unset_env(&workload.into(), container, names)
}

changing_function! {
    /// Set the image of a container.
    "kubernetes-actions/set-image" as SET_IMAGE,
    fn set_image(workload: &Workload, container: &str, image: &str) -> Receipt =
        actions::set_image(&workload.into(), container, image)
}

changing_function! {
    /// Set requests and limits of a container. What is none stays as it is.
    "kubernetes-actions/set-resources" as SET_RESOURCES,
    fn set_resources(workload: &Workload, container: &str, requests: &Quantities, limits: &Quantities) -> Receipt =
        actions::set_resources(&workload.into(), container, requests, limits)
}

changing_function! {
    /// Evict a pod, respecting disruption budgets.
    "kubernetes-actions/evict-pod" as EVICT_POD,
    fn evict_pod(pod: &PodRef, grace: Option<Seconds>) -> Receipt = actions::evict_pod(pod, grace)
}

changing_function! {
    /// Start a Job from the template of a CronJob, with these variables added or replaced. The answer has the name of the `job`.
    "kubernetes-actions/run-job" as RUN_JOB,
    fn run_job(target: &str, cron_job: &str, variables: &[Label]) -> Receipt =
        actions::run_job(target, cron_job, variables)
}

changing_function! {
    /// Take the pods of a Service out of its traffic. Connections that are open stay.
    "kubernetes-actions/detach-service" as DETACH_SERVICE,
    fn detach_service(target: &str, service: &str) -> Receipt = actions::detach_service(target, service)
}

impl Pod {
    /// All its containers, init ones first.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers)
    }

    /// The containers that run as long as the pod does: sidecars, then the others.
    pub fn lasting_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().filter(|container| container.sidecar).chain(&self.containers)
    }

    /// The init container that the others wait for, or that came to an end after them: the first one that is neither done nor, as
    /// a sidecar, started.
    pub fn held_up_by(&self) -> Option<&Container> {
        self.init_containers.iter().find(|container| !container.lets_others_start())
    }
}

impl Container {
    fn lets_others_start(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.exit_code == 0) || (self.sidecar && self.started)
    }
}

impl ContainerEnd {
    /// Reason and exit status, such as `OOMKilled, exit 137`.
    pub fn in_words(&self) -> String {
        // Reasons are short words; whatever else somebody wrote there must not fill a sentence.
        let reason =
            self.reason.as_deref().map(|reason| human::shorten(reason, 60)).filter(|reason| !reason.is_empty());
        let signal = self.signal.map(|signal| format!("signal {signal}"));
        let parts = [reason, signal, Some(format!("exit {}", self.exit_code))];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl PodRef {
    /// A container of that very pod.
    pub fn of(target: &str, pod: &Pod, container: &str) -> Self {
        let (name, uid) = (pod.name.clone(), Some(pod.uid.clone()));
        Self { target: target.to_owned(), name, uid, container: Some(container.to_owned()) }
    }
}

impl LogQuery {
    /// The last lines of each container, and at most as many in all.
    pub fn last(lines: u32, limit: u32) -> Self {
        Self { since: None, tail: Some(lines), previous: false, matching: None, limit, after: None }
    }

    /// Only lines younger than so many seconds.
    #[must_use]
    pub fn since(self, seconds: Seconds) -> Self {
        Self { since: Some(seconds), ..self }
    }

    /// Only lines in which this regular expression matches.
    #[must_use]
    pub fn matching(self, pattern: &str) -> Self {
        Self { matching: Some(pattern.to_owned()), ..self }
    }

    /// The log of the containers' previous run.
    #[must_use]
    pub fn previous(self) -> Self {
        Self { previous: true, ..self }
    }
}

impl ObjectQuery {
    /// All objects of a resource, a page at a time.
    pub fn all(target: &str, resource: &str, limit: u32) -> Self {
        let (target, resource) = (target.to_owned(), resource.to_owned());
        Self { target, resource, labels: None, fields: None, limit, after: None }
    }

    /// Only those that match a label selector.
    #[must_use]
    pub fn labelled(self, labels: &str) -> Self {
        Self { labels: (!labels.is_empty()).then(|| labels.to_owned()), ..self }
    }

    /// The page after the one that gave the mark.
    #[must_use]
    pub fn after(self, mark: &str) -> Self {
        Self { after: Some(mark.to_owned()), ..self }
    }
}

/// The number that a quantity such as `500m`, `2Gi` or `231746n` stands for; none where it is no quantity.
pub fn quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 13] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let plain = text.parse::<f64>().ok().filter(|number| number.is_finite());
    plain.or_else(|| {
        let (number, factor) =
            SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)))?;
        Some(number.parse::<f64>().ok().filter(|number| number.is_finite())? * factor)
    })
}

#[cfg(not(target_arch = "wasm32"))]
impl crate::testing::Argument for &PodRef {
    fn write(self, to: &mut Vec<String>) {
        to.push(self.target.clone());
        to.push(self.name.clone());
        to.extend(self.container.clone());
    }
}

/// One argument, such as `cpu=500m,memory=2Gi`; `-` where there is nothing in it.
#[cfg(not(target_arch = "wasm32"))]
impl crate::testing::Argument for &Quantities {
    fn write(self, to: &mut Vec<String>) {
        let amount = |name: &str, amount: &String| format!("{name}={amount}");
        let cpu = self.cpu.iter().map(|cpu| amount("cpu", cpu));
        let memory = self.memory.iter().map(|memory| amount("memory", memory));
        let others = self.others.iter().map(|other| amount(&other.name, &other.value));
        let all: Vec<String> = cpu.chain(memory).chain(others).collect();
        to.push(if all.is_empty() { "-".to_owned() } else { all.join(",") });
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl crate::testing::Argument for &LogQuery {
    fn write(self, to: &mut Vec<String>) {
        to.push(if self.previous { "previous" } else { "current" }.to_owned());
        to.push(self.matching.clone().unwrap_or_default());
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl crate::testing::Argument for &ObjectQuery {
    fn write(self, to: &mut Vec<String>) {
        to.push(self.target.clone());
        to.push(self.resource.clone());
        to.extend(self.after.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn an_end_is_told_by_its_reason_its_signal_and_its_status() {
        let end = |reason: &str, signal, exit_code| {
            ContainerEnd { exit_code, signal, reason: Some(reason.to_owned()), finished: None }.in_words()
        };
        assert_eq!(end("OOMKilled", None, 137), "OOMKilled, exit 137");
        assert_eq!(end("", Some(9), 137), "signal 9, exit 137");
        assert_eq!(end(&"x".repeat(99), None, 1).chars().count(), 68);
    }

    #[test]
    fn a_pod_is_held_up_by_the_first_init_container_that_is_neither_done_nor_a_started_sidecar() {
        let done = |mut container: Container| {
            container.state = "terminated".to_owned();
            container.end = Some(ContainerEnd { exit_code: 0, signal: None, reason: None, finished: None });
            container
        };
        let sidecar = |started| Container { sidecar: true, started, ..testing::container("proxy") };
        let held = |init_containers: Vec<Container>| {
            let pod = Pod { init_containers, ..testing::pod("api-1", "app=api", vec![testing::container("api")]) };
            (pod.held_up_by().map(|container| container.name.clone()), pod.lasting_containers().count())
        };
        let migrate = || testing::container("migrate");
        assert_eq!(held(vec![]), (None, 1));
        assert_eq!(held(vec![done(migrate()), sidecar(true)]), (None, 2));
        assert_eq!(held(vec![done(migrate()), sidecar(false)]), (Some("proxy".to_owned()), 2));
        assert_eq!(held(vec![sidecar(true), migrate()]), (Some("migrate".to_owned()), 2));
    }

    #[test]
    fn quantities_are_numbers() {
        for (text, expected) in [("2", 2.0), ("500m", 0.5), ("2Gi", 2_147_483_648.0), ("96312Ki", 98_623_488.0)] {
            assert_eq!(quantity(text), Some(expected), "{text}");
        }
        for text in ["", "m", "two", "1 Gi", "inf"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
