//! A namespace: its pods, objects, events, what containers use, and their last lines.

use paramedic_sdk::kubernetes::{
    self, Container, ContainerEnd, Event, EventList, LogPage, LogQuery, ObjectQuery, Pod, PodRef, Quantities, Removal,
    Usage,
};
use paramedic_sdk::{Error, File, clock, human};
use serde_json::{Map, Value, json};

use crate::capture::Capture;
use crate::lines;
use crate::params::{Extra, Params};

/// What it asks for, and why.
pub const USES: &[(&str, &str)] = &[
    ("kubernetes/list-pods", "to capture how pods are"),
    ("kubernetes/list-objects", "to capture workloads and pods as objects, without the values of their variables"),
    ("kubernetes/list-events", "to capture what the cluster noted"),
    ("kubernetes/list-usage", "to capture what containers use"),
    ("kubernetes/read-log", "to capture the last lines of containers, and of those before that ended"),
];

/// Objects of one page, and pages of one resource.
const PAGE: u32 = 50;
const PAGES: usize = 20;

/// Most events, and logs of one namespace.
const EVENTS: usize = 1000;
const LOGS: usize = 150;

/// What is left out of objects wherever it stands: it is typed by people and programs, and passwords are typed as well.
const LEFT_OUT: [&str; 7] = ["args", "command", "httpHeaders", "data", "binaryData", "stringData", "volumeAttributes"];

/// Annotations that are kept; all others are whatever somebody's tool wrote.
const ANNOTATIONS: [&str; 2] = ["deployment.kubernetes.io/revision", "kubectl.kubernetes.io/restartedAt"];

/// Capture a namespace.
pub fn capture(capture: &mut Capture, target: &str, params: &Params) {
    let base = format!("kubernetes/{target}");
    let pods = capture.ask(&format!("{base}/pods"), || kubernetes::list_pods(target, &params.labels));
    let pods = pods.map(|mut pods| {
        pods.sort_by_key(|pod| !is_troubled(pod));
        capture.list(File::whole(format!("{base}/pods.jsonl"), lines::of(pods.iter().map(of_pod))));
        pods
    });
    if params.wants(Extra::Events) {
        let part = format!("{base}/events");
        if let Some(events) = capture.ask(&part, || kubernetes::list_events(target, None)) {
            capture.list(events_file(format!("{part}.jsonl"), events, params));
        }
    }
    if params.wants(Extra::Usage) {
        let part = format!("{base}/usage");
        if let Some(usage) = capture.ask(&part, || kubernetes::list_usage(target, &params.labels)) {
            capture.list(File::whole(format!("{part}.jsonl"), lines::of(usage.iter().map(of_usage))));
        }
    }
    if params.wants(Extra::Objects) {
        params.resources.iter().for_each(|resource| objects(capture, target, resource, params));
    }
    if params.wants(Extra::Logs) {
        match pods {
            Some(pods) => logs(capture, target, &pods, params),
            None => capture.miss(&format!("{base}/logs"), "the pods are not known"),
        }
    }
}

/// Whether a pod is not as it should be.
fn is_troubled(pod: &Pod) -> bool {
    let fine = pod.ready || pod.phase == "Succeeded";
    !fine || pod.lasting_containers().any(|container| container.restarts > 0)
}

fn of_pod(pod: &Pod) -> Value {
    let containers = |containers: &[Container]| containers.iter().map(of_container).collect::<Vec<_>>();
    let labels: Map<String, Value> =
        pod.labels.iter().map(|label| (label.name.clone(), Value::from(label.value.clone()))).collect();
    json!({
        "name": pod.name, "labels": labels, "status": pod.status, "phase": pod.phase, "reason": pod.reason,
        "ready": pod.ready, "node": pod.node, "age_seconds": pod.age.round(), "removal": pod.removal.as_ref().map(of_removal),
        "init_containers": containers(&pod.init_containers), "containers": containers(&pod.containers),
    })
}

fn of_removal(removal: &Removal) -> Value {
    json!({
        "grace_seconds": removal.grace, "overdue_seconds": removal.overdue.round(), "finalizers": removal.finalizers,
    })
}

fn of_container(container: &Container) -> Value {
    json!({
        "name": container.name, "image": container.image, "sidecar": container.sidecar, "ready": container.ready,
        "started": container.started, "restarts": container.restarts, "state": container.state,
        "reason": container.reason, "end": container.end.as_ref().map(of_end),
        "last_end": container.last_end.as_ref().map(of_end), "requests": of_quantities(&container.requests),
        "limits": of_quantities(&container.limits),
    })
}

fn of_end(end: &ContainerEnd) -> Value {
    json!({
        "exit_code": end.exit_code, "signal": end.signal, "reason": end.reason,
        "seconds_ago": end.finished.map(|at| clock::age(at).round()),
    })
}

fn of_quantities(quantities: &Quantities) -> Value {
    json!({ "cpu": quantities.cpu, "memory": quantities.memory })
}

fn of_usage(usage: &Usage) -> Value {
    json!({
        "pod": usage.pod.name, "container": usage.pod.container, "cpu_cores": usage.cpu, "memory_bytes": usage.memory,
    })
}

/// The newest first, as they come.
fn events_file(path: String, list: EventList, params: &Params) -> File {
    let EventList { events, truncated } = list;
    let recent: Vec<Event> = events.into_iter().filter(|event| clock::age(event.last_seen) <= params.since).collect();
    let event = |event: &Event| {
        json!({
            "seconds_ago": clock::age(event.last_seen).round(), "severity": event.severity, "reason": event.reason,
            "object": event.object, "count": event.count, "message": event.message,
        })
    };
    let newest = (recent.len() > EVENTS).then(|| format!("the newest {EVENTS} of {} events", recent.len()));
    let unread = truncated.then(|| "there are more than the agent reads, newer ones perhaps among them".to_owned());
    let cut: Vec<String> = newest.into_iter().chain(unread).collect();
    let cut = (!cut.is_empty()).then(|| cut.join("; "));
    File { path, text: lines::of(recent.iter().take(EVENTS).map(event)), cut }
}

fn objects(capture: &mut Capture, target: &str, resource: &str, params: &Params) {
    let part = format!("kubernetes/{target}/objects/{}", file_name(resource));
    let Some((objects, is_whole)) = capture.ask(&part, || list_objects(target, resource, params)) else { return };
    let cut = (!is_whole).then(|| format!("the first {} objects; there are more", objects.len()));
    capture.list(File { path: format!("{part}.jsonl"), text: lines::of(objects), cut });
}

/// The objects without what could be a secret, and whether these are all.
fn list_objects(target: &str, resource: &str, params: &Params) -> Result<(Vec<Value>, bool), Error> {
    let mut query = ObjectQuery::all(target, resource, PAGE);
    if resource == "pods" {
        query = query.labelled(&params.labels);
    }
    let (mut objects, mut bytes) = (Vec::new(), 0);
    for _ in 0..PAGES {
        let page = kubernetes::list_objects(&query)?;
        bytes += page.items.iter().map(String::len).sum::<usize>();
        // What is no JSON, no API server says.
        objects.extend(page.items.iter().filter_map(|item| serde_json::from_str(item).ok()).map(without_secrets));
        match page.next {
            None => return Ok((objects, true)),
            // There is no room for more.
            Some(_) if bytes > 2 * params.max_bytes => break,
            Some(mark) => query = query.after(&mark),
        }
    }
    Ok((objects, false))
}

/// An object in which only names are left where somebody could have typed a password. The agent has left out the values of
/// variables before.
fn without_secrets(object: Value) -> Value {
    match object {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let kept = match name.as_str() {
                    "annotations" => annotations(value),
                    "terminated" => without_secrets(without_last_words(value)),
                    known if LEFT_OUT.contains(&known) => Value::from("[left out]"),
                    _ => without_secrets(value),
                };
                (name, kept)
            });
            Value::Object(fields.collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_secrets).collect()),
        plain => plain,
    }
}

/// How a container ended, without the message that it left, which often is the end of its log.
fn without_last_words(mut end: Value) -> Value {
    if let Some(message) = end.get_mut("message") {
        *message = Value::from("[left out]");
    }
    end
}

fn annotations(annotations: Value) -> Value {
    let Value::Object(annotations) = annotations else { return Value::Null };
    let kept: Map<String, Value> = annotations
        .into_iter()
        .map(|(name, value)| {
            let value = if ANNOTATIONS.contains(&name.as_str()) { value } else { Value::from("[left out]") };
            (name, value)
        })
        .collect();
    Value::Object(kept)
}

/// The last lines of each container, and of the one before that ended. One that has none is not missing.
fn logs(capture: &mut Capture, target: &str, pods: &[Pod], params: &Params) {
    let base = format!("kubernetes/{target}/logs");
    let mut lost: Vec<String> = Vec::new();
    let (mut count, mut had) = (0, 0);
    for (pod, container, run) in pods.iter().take(params.pods).flat_map(runs) {
        count += 1;
        let previous = if run == Run::Previous { ".previous" } else { "" };
        let place = format!("{}/{}{previous}", pod.name, container.name);
        if count > LOGS {
            lost.push(format!("{place}: there are more than {LOGS} logs"));
            continue;
        }
        match read(capture, target, (pod, container, run), params) {
            Ok(page) if run == Run::Done && page.lines.is_empty() => {}
            Err(_) if run == Run::Done => {}
            Ok(page) => {
                had += 1;
                capture.log(log_file(format!("{base}/{}.log", file_path(&place)), &page, params));
            }
            Err(why) => lost.push(format!("{place}: {why}")),
        }
    }
    if had > 0 {
        capture.had();
    }
    if pods.len() > params.pods {
        let left = human::plural((pods.len() - params.pods) as u64, "pod");
        capture.list(File::whole(
            format!("{base}-left-out.txt"),
            format!("Logs are of {} pods, those in trouble first; {left} more are not among them.\n", params.pods),
        ));
    }
    if !lost.is_empty() {
        let why = format!("{} of {count} logs cannot be had: {}", lost.len(), lost.join("; "));
        capture.miss(&base, &why);
    }
}

/// Which log of a container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    /// Of the run under way.
    Current,
    /// Of an init container that the pod waits for: what it said may be long ago.
    Holding,
    /// Of an init container that is done. Its node may have thrown it away.
    Done,
    /// Of the run before.
    Previous,
}

/// The logs of a pod's containers, those of init containers after the others.
fn runs(pod: &Pod) -> impl Iterator<Item = (&Pod, &Container, Run)> {
    let waits = pod.held_up_by().is_some();
    let has_run = |container: &&Container| container.state != "waiting" || container.restarts > 0;
    let of_init = move |container: &Container| match (container.sidecar, waits) {
        (true, _) => Run::Current,
        (false, true) => Run::Holding,
        (false, false) => Run::Done,
    };
    let init = pod.init_containers.iter().filter(has_run).map(move |container| (container, of_init(container)));
    let all = pod.containers.iter().map(|container| (container, Run::Current)).chain(init);
    all.flat_map(move |(container, run)| {
        let previous = (container.restarts > 0 && run != Run::Done).then_some(Run::Previous);
        [run].into_iter().chain(previous).map(move |run| (pod, container, run))
    })
}

fn read(
    capture: &mut Capture,
    target: &str,
    (pod, container, run): (&Pod, &Container, Run),
    params: &Params,
) -> Result<LogPage, String> {
    let query = LogQuery::last(params.lines, params.lines);
    let query = match run {
        Run::Current | Run::Done => query.since(params.since),
        Run::Holding => query,
        // It ended before, and its last words are wanted however long ago they were.
        Run::Previous => query.previous(),
    };
    let place = PodRef::of(target, pod, &container.name);
    let read = capture.attempt(|| kubernetes::read_log(&place, &query));
    match read {
        // A container that was never started has no log, and the pods say why.
        Err(_) if run == Run::Current && container.state == "waiting" && container.restarts == 0 => {
            Ok(LogPage { lines: Vec::new(), next: None, truncated: false })
        }
        read => read,
    }
}

fn log_file(path: String, page: &LogPage, params: &Params) -> File {
    let (count, wanted) = (page.lines.len(), params.lines as usize);
    let cut = match (page.truncated || page.next.is_some(), count >= wanted) {
        // Lines are read from the first of the last ones on.
        (true, _) => Some(format!("the first {count} of the last {wanted} lines; the newest were too much to read")),
        (false, true) => Some(format!("the last {count} lines; there may be more")),
        (false, false) => None,
    };
    File { path, text: page.lines.iter().map(|line| format!("{}\n", line.text)).collect(), cut }
}

/// A name that the API server gave, as one of a file: it may consist of other signs only where somebody plays a cluster.
fn file_name(name: &str) -> String {
    file_path(name).replace('/', "-")
}

fn file_path(path: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/') { c } else { '-' };
    path.chars().map(plain).collect::<String>().replace("/.", "/-")
}
