//! What a pod as an object tells more than its line in a list: when containers ended, and how its init containers did.

use crate::ends::End;
use paramedic_sdk::kubernetes::Pod;
use paramedic_sdk::{Instant, human};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    status: ObjectStatus,
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ObjectStatus {
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    init_containers: Vec<Init>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Init {
    name: String,
    resources: Resources,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resources {
    limits: Limits,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Limits {
    memory: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    restart_count: u32,
    state: State,
    last_state: State,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Waiting {
    reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Terminated {
    exit_code: i32,
    reason: Option<String>,
    finished_at: Option<String>,
}

/// A pod as an object; none where it is no pod.
pub(crate) struct Details(Object);

impl Details {
    pub(crate) fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok().map(Self)
    }

    /// Add to an end what is known of it.
    pub(crate) fn complete(&self, end: &mut End<'_>) {
        let Some(status) = self.0.status.container_statuses.iter().find(|status| status.name == end.container) else {
            return;
        };
        if let Some(terminated) = status.ended() {
            end.at = terminated.finished_at.as_deref().and_then(instant);
            end.code = Some(terminated.exit_code);
            if let Some(reason) = &terminated.reason {
                end.reason = human::shorten(reason, 60);
            }
        }
    }

    /// The ends of init containers that keep the pod from starting.
    pub(crate) fn init_ends<'a>(&self, pod: &'a Pod) -> Vec<End<'a>> {
        let end = |status: &ContainerStatus| {
            let ended = status.ended().filter(|ended| ended.exit_code != 0)?;
            let init = self.0.spec.init_containers.iter().find(|init| init.name == status.name);
            let waits = status.state.waiting.as_ref();
            let is_last = status.state.terminated.is_some();
            Some(End {
                pod,
                container: status.name.clone(),
                restarts: status.restart_count,
                is_down: is_last || waits.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff")),
                is_last,
                reason: human::shorten(ended.reason.as_deref().unwrap_or_default(), 60),
                code: Some(ended.exit_code),
                memory: init.and_then(|init| init.resources.limits.memory.clone()),
                at: ended.finished_at.as_deref().and_then(instant),
            })
        };
        self.0.status.init_container_statuses.iter().filter_map(end).collect()
    }
}

impl ContainerStatus {
    fn ended(&self) -> Option<&Terminated> {
        self.state.terminated.as_ref().or(self.last_state.terminated.as_ref())
    }
}

/// A time as Kubernetes writes it, `2026-03-01T03:14:15Z`, always in UTC.
fn instant(text: &str) -> Option<Instant> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time.split('.').next()?, ':')?;
    let in_range = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970 of the Gregorian calendar, with years that begin in March so that leap days come last.
    let shifted = if month > 2 { year } else { year - 1 };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = (365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + of_year).checked_sub(719_468)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let mut parts = text.splitn(3, between).map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_cluster_are_instants() {
        let table = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600_000)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199_000)),
            ("2026-03-01T03:14:15.926Z", Some(1_772_334_855_000)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("99999999999999999999-01-01T00:00:00Z", None),
            ("2026-01-01", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(instant(text), expected, "{text}");
        }
    }
}
