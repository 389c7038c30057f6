//! Lines of logs: bounded at the server, filtered and made presentable here, put in order of time.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::transport::{Query, What};
use super::{Kubernetes, names, pods, status};
use crate::clients::mask;
use crate::domain::{CallError, CallLimits};

/// Most bytes that are read of one container's log. The server cuts there, at whatever byte that is.
const LOG_BYTES: usize = 4 << 20;

/// Most bytes of one line.
const LINE_BYTES: usize = 2_048;

/// Most lines of one answer.
const MOST_LINES: u32 = 5_000;

/// Most containers whose logs are read for one answer.
const MOST_CONTAINERS: usize = 100;

/// Most bytes that a compiled pattern takes.
const PATTERN_BYTES: usize = 1 << 20;

/// Names a pod and one of its containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRef {
    /// Its name.
    pub name: String,
    /// Its unique identifier, if it has to be this very pod.
    pub uid: Option<String>,
    /// A container; none stands for the default one.
    pub container: Option<String>,
}

/// Which lines to return.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogQuery {
    /// Only lines younger than so many seconds.
    pub since: Option<f64>,
    /// At most so many of the last lines of each container, before filtering.
    pub tail: Option<u32>,
    /// The log of the containers' previous run.
    pub previous: bool,
    /// Only lines in which this regular expression matches.
    pub matching: Option<String>,
    /// Most lines to return.
    pub limit: u32,
    /// Mark from the page before.
    pub after: Option<String>,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written, in nanoseconds since 1970, as far as the cluster knows.
    pub time_ns: Option<i64>,
    /// The pod it came from.
    pub pod: String,
    /// The line without its end.
    pub text: String,
}

/// Part of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPage {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Mark of the next page.
    pub next: Option<String>,
    /// A log was longer than is read of one, so that its newest lines are missing.
    pub truncated: bool,
}

/// What was read of logs.
#[derive(Default)]
struct Found {
    lines: Vec<LogLine>,
    /// Of one of them there is more.
    is_cut: bool,
}

pub(super) async fn of_container(
    cluster: &Kubernetes,
    limits: &CallLimits,
    pod: &PodRef,
    query: &LogQuery,
) -> Result<LogPage, CallError> {
    names::check_name("the name of the pod", &pod.name)?;
    if let Some(uid) = &pod.uid {
        check_uid(cluster, limits, &pod.name, uid).await?;
    }
    let wanted = Wanted::of(query)?;
    let found = read(cluster, limits, &pod.name, pod.container.as_deref(), &wanted).await?;
    Ok(wanted.page(found, limits))
}

pub(super) async fn of_pods(
    cluster: &Kubernetes,
    limits: &CallLimits,
    labels: &str,
    query: &LogQuery,
) -> Result<LogPage, CallError> {
    let wanted = Wanted::of(query)?;
    let mut places = Vec::new();
    for pod in pods::raw(cluster, limits, labels).await? {
        let name = pod.metadata.name.clone().unwrap_or_default();
        places.extend(logging(pod).map(|container| (name.clone(), container)));
    }
    if places.len() > MOST_CONTAINERS {
        let found = places.len();
        return Err(CallError::TooLarge(format!(
            "{found} containers match, and {MOST_CONTAINERS} logs are read at most; give labels that fewer have"
        )));
    }
    let (mut all, mut read_any, mut failed) = (Found::default(), false, None);
    for (pod, container) in &places {
        match read(cluster, limits, pod, Some(container), &wanted).await {
            Ok(found) => {
                read_any = true;
                all.lines.extend(found.lines);
                all.is_cut |= found.is_cut;
            }
            // One that has not begun, or is gone by now, has no log; the others have.
            Err(error @ (CallError::Remote(_) | CallError::NotFound(_))) => failed = Some(error),
            Err(error) => return Err(error),
        }
    }
    match failed {
        Some(error) if !read_any => Err(error),
        _ => Ok(wanted.page(all, limits)),
    }
}

/// The containers of a pod that may have something to say: those that run as long as it does, and while it waits for its init
/// containers those as well.
fn logging(pod: core::Pod) -> impl Iterator<Item = String> {
    let conditions = pod.status.and_then(|status| status.conditions).unwrap_or_default();
    let is_beyond = conditions.iter().any(|it| it.type_ == "Initialized" && it.status == "True");
    let spec = pod.spec.unwrap_or_default();
    let init = spec.init_containers.unwrap_or_default().into_iter();
    let init = init.filter(move |container| !is_beyond || status::is_sidecar(container));
    init.chain(spec.containers).map(|container| container.name)
}

/// Refuses a pod that is another one of the same name.
async fn check_uid(cluster: &Kubernetes, limits: &CallLimits, name: &str, uid: &str) -> Result<(), CallError> {
    #[derive(Deserialize)]
    struct Pod {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        uid: String,
    }
    let path = format!("/api/v1/namespaces/{}/pods/{name}", cluster.namespace);
    let what = What::new(format!("look at pod {name}"), format!("pod {name}"));
    let found: Pod = cluster.get(limits, &path, Query::new(), &what).await?;
    if found.metadata.uid == uid {
        return Ok(());
    }
    Err(CallError::Conflict(format!("the pod {name} is another one of that name by now")))
}

/// A query that makes sense.
struct Wanted {
    since: Option<u64>,
    tail: Option<u32>,
    previous: bool,
    matching: Option<Regex>,
    limit: usize,
    after: Option<Mark>,
}

/// How far a reader has come: lines at that moment that were handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    time_ns: i64,
    lines: usize,
}

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        let (time, lines) = text.split_once(':')?;
        Some(Self { time_ns: time.parse().ok()?, lines: lines.parse().ok()? })
    }
}

impl Wanted {
    fn of(query: &LogQuery) -> Result<Self, CallError> {
        let invalid = |message: String| CallError::Invalid(message);
        let since = query.since.map(|seconds| {
            let is_time = seconds.is_finite() && (0.0..=1e9).contains(&seconds);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "compared with its bounds before"
            )]
            is_time
                .then(|| (seconds.ceil() as u64).max(1))
                .ok_or_else(|| invalid("`since` is a number of seconds, 0 or more".to_owned()))
        });
        let matching = query.matching.as_deref().map(|pattern| {
            let built = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build();
            built.map_err(|error| invalid(format!("`matching` is no regular expression that is taken: {error}")))
        });
        let after = query.after.as_deref().map(|mark| {
            Mark::parse(mark).ok_or_else(|| invalid("`after` is no mark that a page of this log gave".to_owned()))
        });
        Ok(Self {
            since: since.transpose()?,
            tail: query.tail,
            previous: query.previous,
            matching: matching.transpose()?,
            limit: query.limit.clamp(1, MOST_LINES) as usize,
            after: after.transpose()?,
        })
    }

    fn parameters(&self, container: Option<&str>) -> Query {
        Query::new()
            .with("timestamps", true)
            .with("limitBytes", LOG_BYTES)
            .with_some("container", container)
            .with_some("previous", self.previous.then_some(true))
            .with_some("tailLines", self.tail)
            .with_some("sinceSeconds", self.since)
    }

    /// Lines that are wanted, of all containers: in order, after the mark, as many as fit.
    fn page(&self, found: Found, limits: &CallLimits) -> LogPage {
        let Found { mut lines, is_cut } = found;
        // Stable, so that lines of the same moment keep the order in which they were written.
        lines.sort_by_key(|line| line.time_ns);
        let mut rest = lines.into_iter().peekable();
        if let Some(mark) = self.after {
            let mut seen = 0;
            while let Some(line) = rest.peek() {
                let time = line.time_ns.unwrap_or(i64::MIN);
                if time > mark.time_ns || (time == mark.time_ns && seen == mark.lines) {
                    break;
                }
                seen += usize::from(time == mark.time_ns);
                rest.next();
            }
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(line) = rest.peek() {
            bytes += line.text.len() + line.pod.len() + 64;
            if taken.len() == self.limit || bytes > limits.answer_bytes {
                break;
            }
            taken.extend(rest.next());
        }
        let next = rest.peek().and_then(|_| self.mark(&taken));
        LogPage { lines: taken, next, truncated: is_cut }
    }

    /// Where the next page begins.
    fn mark(&self, taken: &[LogLine]) -> Option<String> {
        let time = taken.last()?.time_ns.unwrap_or(i64::MIN);
        let now = taken.iter().rev().take_while(|line| line.time_ns.unwrap_or(i64::MIN) == time).count();
        let before = self.after.filter(|mark| mark.time_ns == time).map_or(0, |mark| mark.lines);
        Some(format!("{time}:{}", now + before))
    }
}

async fn read(
    cluster: &Kubernetes,
    limits: &CallLimits,
    pod: &str,
    container: Option<&str>,
    wanted: &Wanted,
) -> Result<Found, CallError> {
    if let Some(container) = container.filter(|container| !names::is_label(container)) {
        return Err(CallError::Invalid(format!("`{}` is no name of a container", mask::clean(container, 80))));
    }
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/log", cluster.namespace);
    let run = if wanted.previous { "the log of the previous run" } else { "the log" };
    let what = What::new(format!("read {run} of pod {pod}"), format!("pod {pod}"));
    // A little more than was asked for: not every server cuts where it is told to.
    let body = cluster.fetch(limits, &path, wanted.parameters(container), LOG_BYTES + 1024, &what).await?;
    let is_cut = body.len() >= LOG_BYTES;
    let text = String::from_utf8_lossy(&body);
    let mut lines: Vec<&str> = text.lines().collect();
    if is_cut && !text.ends_with('\n') {
        // Half a line says something else than a whole one.
        lines.pop();
    }
    let lines = lines.into_iter().filter_map(|line| wanted_line(line, pod, wanted)).collect();
    Ok(Found { lines, is_cut })
}

fn wanted_line(line: &str, pod: &str, wanted: &Wanted) -> Option<LogLine> {
    let (time, text) = stamped(line);
    if wanted.matching.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
        return None;
    }
    let time_ns = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    Some(LogLine { time_ns, pod: pod.to_owned(), text: mask::hide_secrets(text, LINE_BYTES) })
}

/// A line and the time that the cluster put before it.
fn stamped(line: &str) -> (Option<Timestamp>, &str) {
    let Some((stamp, text)) = line.split_once(' ') else {
        return (line.parse().ok(), if line.parse::<Timestamp>().is_ok() { "" } else { line });
    };
    match stamp.parse::<Timestamp>() {
        Ok(time) => (Some(time), text),
        Err(_) => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn line(time_ns: i64, text: &str) -> LogLine {
        LogLine { time_ns: Some(time_ns), pod: "api-1".to_owned(), text: text.to_owned() }
    }

    fn limits() -> CallLimits {
        CallLimits { deadline: Instant::now() + Duration::from_secs(1), answer_bytes: 1 << 20 }
    }

    #[test]
    fn a_reader_gets_every_line_once_page_by_page() {
        let lines: Vec<_> =
            [(1, "a"), (2, "b"), (2, "c"), (2, "d"), (3, "e")].map(|(time, text)| line(time, text)).into();
        let (mut query, mut told) = (LogQuery { limit: 2, ..LogQuery::default() }, String::new());
        loop {
            let found = Found { lines: lines.clone(), is_cut: true };
            let page = Wanted::of(&query).unwrap().page(found, &limits());
            assert!(page.lines.len() <= 2 && page.truncated);
            told.extend(page.lines.iter().map(|line| line.text.as_str()));
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        assert_eq!(told, "abcde");
    }

    #[test]
    fn queries_without_sense_are_refused() {
        for query in [
            LogQuery { since: Some(f64::NAN), ..LogQuery::default() },
            LogQuery { since: Some(-1.0), ..LogQuery::default() },
            LogQuery { matching: Some("(".to_owned()), ..LogQuery::default() },
            LogQuery { matching: Some("(a{1000}){1000}".to_owned()), ..LogQuery::default() },
            LogQuery { after: Some("yesterday".to_owned()), ..LogQuery::default() },
        ] {
            assert!(matches!(Wanted::of(&query), Err(CallError::Invalid(_))), "{query:?}");
        }
    }

    #[test]
    fn lines_are_told_from_their_times() {
        let wanted = Wanted::of(&LogQuery { matching: Some("ERROR".to_owned()), ..LogQuery::default() }).unwrap();
        let found =
            wanted_line("2026-03-01T03:14:15.926535897Z ERROR password=hunter2 at 7", "api-1", &wanted).unwrap();
        assert_eq!(found.time_ns, Some(1_772_334_855_926_535_897));
        assert!(found.text.starts_with("ERROR") && !found.text.contains("hunter2"), "{}", found.text);
        assert_eq!(wanted_line("2026-03-01T03:14:15Z fine", "api-1", &wanted), None);
        assert_eq!(wanted_line("an ERROR without a time", "api-1", &wanted).unwrap().time_ns, None);
    }
}
