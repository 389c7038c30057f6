//! `kubernetes`: looking at a namespace of a cluster.

use super::RunState;
use super::bindings::paramedic::plugin::types::{Error, Label};
use super::bindings::paramedic::plugin::{kubernetes as wit, kubernetes_types as types};
use super::targets::client;
use crate::clients::kubernetes::{
    Container, ContainerEnd, Event, EventList, LogLine, LogPage, LogQuery, ObjectPage, ObjectQuery, Pod, PodRef,
    Quantities, Removal, Rollout, Usage, Workload, WorkloadKind,
};
use crate::journal::Arguments;
use crate::policy::op;

impl wit::Host for RunState {
    async fn get_object(
        &mut self,
        target: String,
        resource: String,
        name: String,
    ) -> wasmtime::Result<Result<String, Error>> {
        let arguments = self.arguments().text("resource", &resource).text("name", &name);
        let same = |object: String| object;
        self.read::<op::KubernetesGetObject, _, _, _>(&target, arguments, same, async |targets, permit, limits| {
            client(&targets.kubernetes, &permit)?.get_object(&permit, &limits, &resource, &name).await
        })
        .await
    }

    async fn list_objects(&mut self, query: wit::ObjectQuery) -> wasmtime::Result<Result<wit::ObjectPage, Error>> {
        let (target, query) = object_query(query);
        let arguments = self
            .arguments()
            .text("resource", &query.resource)
            .optional_text("labels", query.labels.as_deref())
            .optional_text("fields", query.fields.as_deref())
            .plain("limit", query.limit)
            .optional_text("after", query.after.as_deref());
        self.read::<op::KubernetesListObjects, _, _, _>(&target, arguments, objects, async |targets, permit, limits| {
            client(&targets.kubernetes, &permit)?.list_objects(&permit, &limits, &query).await
        })
        .await
    }

    async fn list_pods(&mut self, target: String, labels: String) -> wasmtime::Result<Result<Vec<wit::Pod>, Error>> {
        let arguments = self.arguments().text("labels", &labels);
        self.read::<op::KubernetesListPods, _, _, _>(&target, arguments, pods, async |targets, permit, limits| {
            client(&targets.kubernetes, &permit)?.list_pods(&permit, &limits, &labels).await
        })
        .await
    }

    async fn get_rollout(&mut self, workload: types::Workload) -> wasmtime::Result<Result<wit::Rollout, Error>> {
        let (target, workload) = self::workload(workload);
        let arguments = self.arguments().text("kind", workload.kind.as_str()).text("name", &workload.name);
        self.read::<op::KubernetesGetRollout, _, _, _>(&target, arguments, rollout, async |targets, permit, limits| {
            client(&targets.kubernetes, &permit)?.get_rollout(&permit, &limits, &workload).await
        })
        .await
    }

    async fn list_events(
        &mut self,
        target: String,
        object: Option<String>,
    ) -> wasmtime::Result<Result<wit::EventList, Error>> {
        let arguments = self.arguments().optional_text("object", object.as_deref());
        self.read::<op::KubernetesListEvents, _, _, _>(&target, arguments, events, async |targets, permit, limits| {
            client(&targets.kubernetes, &permit)?.list_events(&permit, &limits, object.as_deref()).await
        })
        .await
    }

    async fn list_usage(&mut self, target: String, labels: String) -> wasmtime::Result<Result<Vec<wit::Usage>, Error>> {
        let arguments = self.arguments().text("labels", &labels);
        self.read::<op::KubernetesListUsage, _, _, _>(&target, arguments, usage, async |targets, permit, limits| {
            client(&targets.kubernetes, &permit)?.list_usage(&permit, &limits, &labels).await
        })
        .await
    }

    async fn read_logs(
        &mut self,
        target: String,
        labels: String,
        query: wit::LogQuery,
    ) -> wasmtime::Result<Result<wit::LogPage, Error>> {
        let query = log_query(query);
        let arguments = query_arguments(self.arguments().text("labels", &labels), &query);
        self.read::<op::KubernetesReadLogs, _, _, _>(&target, arguments, log_page, async |targets, permit, limits| {
            client(&targets.kubernetes, &permit)?.read_logs(&permit, &limits, &labels, &query).await
        })
        .await
    }

    async fn read_log(
        &mut self,
        pod: types::PodRef,
        query: wit::LogQuery,
    ) -> wasmtime::Result<Result<wit::LogPage, Error>> {
        let query = log_query(query);
        let (target, pod) = (pod.target, PodRef { name: pod.name, uid: pod.uid, container: pod.container });
        let arguments = self
            .arguments()
            .text("pod", &pod.name)
            .optional_text("uid", pod.uid.as_deref())
            .optional_text("container", pod.container.as_deref());
        let arguments = query_arguments(arguments, &query);
        self.read::<op::KubernetesReadLog, _, _, _>(&target, arguments, log_page, async |targets, permit, limits| {
            client(&targets.kubernetes, &permit)?.read_log(&permit, &limits, &pod, &query).await
        })
        .await
    }
}

fn query_arguments(arguments: Arguments, query: &LogQuery) -> Arguments {
    arguments
        .plain("since", query.since)
        .plain("tail", query.tail)
        .plain("previous", query.previous)
        .optional_text("matching", query.matching.as_deref())
        .plain("limit", query.limit)
        .optional_text("after", query.after.as_deref())
}

fn object_query(query: wit::ObjectQuery) -> (String, ObjectQuery) {
    let wit::ObjectQuery { target, resource, labels, fields, limit, after } = query;
    (target, ObjectQuery { resource, labels, fields, limit, after })
}

fn log_query(query: wit::LogQuery) -> LogQuery {
    let wit::LogQuery { since, tail, previous, matching, limit, after } = query;
    LogQuery { since, tail, previous, matching, limit, after }
}

pub(super) fn workload(workload: types::Workload) -> (String, Workload) {
    let kind = match workload.kind {
        types::WorkloadKind::Deployment => WorkloadKind::Deployment,
        types::WorkloadKind::StatefulSet => WorkloadKind::StatefulSet,
        types::WorkloadKind::DaemonSet => WorkloadKind::DaemonSet,
    };
    (workload.target, Workload { kind, name: workload.name })
}

fn objects(page: ObjectPage) -> wit::ObjectPage {
    wit::ObjectPage { items: page.items, next: page.next }
}

fn pods(pods: Vec<Pod>) -> Vec<wit::Pod> {
    let pod = |pod: Pod| wit::Pod {
        name: pod.name,
        uid: pod.uid,
        labels: pod.labels.into_iter().map(|(name, value)| Label { name, value }).collect(),
        phase: pod.phase,
        reason: pod.reason,
        status: pod.status,
        ready: pod.ready,
        node: pod.node,
        age: pod.age,
        removal: pod.removal.map(removal),
        init_containers: pod.init_containers.into_iter().map(container).collect(),
        containers: pod.containers.into_iter().map(container).collect(),
    };
    pods.into_iter().map(pod).collect()
}

fn removal(removal: Removal) -> wit::Removal {
    let Removal { grace, overdue, finalizers } = removal;
    wit::Removal { grace, overdue, finalizers }
}

fn container_end(end: ContainerEnd) -> wit::ContainerEnd {
    let ContainerEnd { exit_code, signal, reason, finished_ms } = end;
    wit::ContainerEnd { exit_code, signal, reason, finished: finished_ms }
}

fn container(container: Container) -> wit::Container {
    wit::Container {
        name: container.name,
        image: container.image,
        sidecar: container.sidecar,
        ready: container.ready,
        started: container.started,
        restarts: container.restarts,
        state: container.state,
        reason: container.reason,
        end: container.end.map(container_end),
        last_end: container.last_end.map(container_end),
        requests: quantities(container.requests),
        limits: quantities(container.limits),
    }
}

fn quantities(quantities: Quantities) -> types::Quantities {
    let others = quantities.others.into_iter().map(|(name, value)| Label { name, value }).collect();
    types::Quantities { cpu: quantities.cpu, memory: quantities.memory, others }
}

fn rollout(rollout: Rollout) -> wit::Rollout {
    let Rollout { desired, updated, ready, available, complete, message } = rollout;
    wit::Rollout { desired, updated, ready, available, complete, message }
}

fn events(list: EventList) -> wit::EventList {
    let event = |event: Event| wit::Event {
        last_seen: event.last_seen_ms,
        count: event.count,
        severity: event.severity,
        reason: event.reason,
        object: event.object,
        message: event.message,
    };
    wit::EventList { events: list.events.into_iter().map(event).collect(), truncated: list.truncated }
}

fn usage(usage: Vec<Usage>) -> Vec<wit::Usage> {
    let one = |usage: Usage| {
        let Usage { target, pod: PodRef { name, uid, container }, cpu, memory } = usage;
        wit::Usage { pod: types::PodRef { target, name, uid, container }, cpu, memory }
    };
    usage.into_iter().map(one).collect()
}

fn log_page(page: LogPage) -> wit::LogPage {
    let line = |line: LogLine| wit::LogLine {
        time: line.time_ns.and_then(|ns| u64::try_from(ns / 1_000_000).ok()),
        pod: line.pod,
        text: line.text,
    };
    wit::LogPage { lines: page.lines.into_iter().map(line).collect(), next: page.next, truncated: page.truncated }
}
