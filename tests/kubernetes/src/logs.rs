//! Logs of containers, and everything that a kubelet or its absence says instead of one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::answer::Answer;
use crate::failure::{Cause, Failure};
use crate::objects;
use crate::request::{Request, Target};
use crate::time;
use crate::world::World;

/// Namespace, pod, container, and whether it is the run before the present one.
type Place = (String, String, String, bool);

/// What containers have written.
#[derive(Clone, Debug, Default)]
pub struct Logs(BTreeMap<Place, Vec<(Timestamp, String)>>);

impl Logs {
    /// One more line of the present run of a container.
    pub fn write(&mut self, namespace: &str, pod: &str, container: &str, time: Timestamp, line: &str) {
        self.push((namespace.to_owned(), pod.to_owned(), container.to_owned(), false), time, line);
    }

    /// One more line of the run before it.
    pub fn write_previous(&mut self, namespace: &str, pod: &str, container: &str, time: Timestamp, line: &str) {
        self.push((namespace.to_owned(), pod.to_owned(), container.to_owned(), true), time, line);
    }

    fn push(&mut self, place: Place, time: Timestamp, line: &str) {
        self.0.entry(place).or_default().push((time, line.to_owned()));
    }
}

/// What a request wants of a log.
struct Wanted {
    tail: Option<usize>,
    since: Option<Timestamp>,
    limit: Option<usize>,
    is_previous: bool,
    has_times: bool,
}

/// Answers a request for a log. A log is answered as far as it goes, also to those who want to follow it.
pub fn answer(world: &World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let wanted = wanted(world, request, target)?;
    let pod = world.store.get("/pods", target.space(), &target.name).ok_or_else(|| target.missing())?;
    let container = choose(pod, request.parameter("container"))?;
    let node = objects::text(pod, "/spec/nodeName");
    if node.is_empty() {
        return Ok(Answer::nothing(204));
    }
    if world.dead_nodes.contains(node) {
        let address = "127.0.0.1:10250";
        let url = format!("https://{address}/containerLogs/{}/{}/{container}", target.space(), target.name);
        return Err(Failure::internal(format!("Get \"{url}\": dial tcp {address}: connect: connection refused")));
    }
    let place = (target.space().to_owned(), target.name.clone(), container.clone(), wanted.is_previous);
    let written = world.logs.0.get(&place);
    if written.is_none() {
        kubelet_says(pod, &container, wanted.is_previous)?;
    }
    Ok(Answer::log(cut(written.map(Vec::as_slice).unwrap_or_default(), &wanted)))
}

fn wanted(world: &World, request: &Request, target: &Target) -> Result<Wanted, Failure> {
    let mut causes = Vec::new();
    let mut number = |name: &str, least: i64| {
        let value: Option<i64> = request.parameter(name).and_then(|text| text.parse().ok());
        if let Some(value) = value.filter(|value| *value < least) {
            causes.push(Cause::invalid(name, value, &format!("must be greater than or equal to {least}")));
        }
        value
    };
    let (tail, limit, since) = (number("tailLines", 0), number("limitBytes", 1), number("sinceSeconds", 1));
    let since_time = request.parameter("sinceTime");
    if since.is_some() && since_time.is_some() {
        causes.push(Cause::forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if !causes.is_empty() {
        return Err(Failure::invalid("", "PodLogOptions", &target.name, &causes));
    }
    let ago = since.and_then(|seconds| world.clock.now().checked_sub(SignedDuration::from_secs(seconds)).ok());
    Ok(Wanted {
        tail: tail.and_then(|lines| usize::try_from(lines).ok()),
        since: ago.or_else(|| since_time.and_then(|text| text.parse().ok())),
        limit: limit.and_then(|bytes| usize::try_from(bytes).ok()),
        is_previous: request.flag("previous"),
        has_times: request.flag("timestamps"),
    })
}

fn choose(pod: &Value, named: Option<&str>) -> Result<String, Failure> {
    let name = objects::name(pod);
    let lists = ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"];
    let all: Vec<&str> = lists
        .iter()
        .flat_map(|list| objects::items(pod, list))
        .map(|container| objects::text(container, "/name"))
        .collect();
    match (named, all.as_slice()) {
        (Some(named), all) if all.contains(&named) => Ok(named.to_owned()),
        (Some(named), _) => Err(Failure::bad_request(format!("container {named} is not valid for pod {name}"))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, all) => {
            let choices = all.join(" ");
            let message = format!("a container name must be specified for pod {name}, choose one of: [{choices}]");
            Err(Failure::bad_request(message))
        }
    }
}

/// Why there is no log, if the container has not run; one that runs and wrote nothing has an empty log.
fn kubelet_says(pod: &Value, container: &str, is_previous: bool) -> Result<(), Failure> {
    let name = objects::name(pod);
    let lists = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let status = lists
        .iter()
        .flat_map(|list| objects::items(pod, list))
        .find(|status| objects::text(status, "/name") == container);
    let has_ended = status.is_some_and(|status| status.pointer("/lastState/terminated").is_some());
    if is_previous && !has_ended {
        let message = format!("previous terminated container \"{container}\" in pod \"{name}\" not found");
        return Err(Failure::bad_request(message));
    }
    let waiting = status.map(|status| objects::text(status, "/state/waiting/reason")).unwrap_or("ContainerCreating");
    let why = match waiting {
        "" | "CrashLoopBackOff" => return Ok(()),
        "ImagePullBackOff" | "ErrImagePull" => "trying and failing to pull image",
        other => other,
    };
    Err(Failure::bad_request(format!("container \"{container}\" in pod \"{name}\" is waiting to start: {why}")))
}

fn cut(written: &[(Timestamp, String)], wanted: &Wanted) -> Vec<u8> {
    let young: Vec<_> = written.iter().filter(|(time, _)| wanted.since.is_none_or(|since| *time >= since)).collect();
    let skipped = wanted.tail.map_or(0, |tail| young.len().saturating_sub(tail));
    let mut text = String::new();
    for (time, line) in young.into_iter().skip(skipped) {
        if wanted.has_times {
            text.push_str(&time::nanos(*time));
            text.push(' ');
        }
        text.push_str(line);
        text.push('\n');
    }
    let mut bytes = text.into_bytes();
    // Bytes, not characters: the cut may fall into the middle of either.
    bytes.truncate(wanted.limit.unwrap_or(usize::MAX));
    bytes
}
