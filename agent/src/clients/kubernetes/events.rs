//! What the cluster noted about its objects.

use k8s_openapi::api::core::v1 as core;
use serde::{Deserialize, Serialize};

use super::pods::Page;
use super::transport::{Query, What};
use super::{Kubernetes, names};
use crate::clients::mask;
use crate::domain::{CallError, CallLimits};

/// Events of one request, and of one answer. A namespace keeps those of an hour.
const PAGE: u32 = 500;
const MOST: usize = 5_000;

/// Longest message that is passed on.
const MESSAGE_BYTES: usize = 512;

/// Something that the cluster noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was last seen, in milliseconds since 1970.
    pub last_seen_ms: u64,
    /// How often it was seen.
    pub count: u32,
    /// `Normal` or `Warning`.
    pub severity: String,
    /// Short reason in camel case.
    pub reason: String,
    /// The object, written `kind/name`.
    pub object: String,
    /// The message, without what could be secret.
    pub message: String,
}

/// What the cluster noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventList {
    /// The events, newest first.
    pub events: Vec<Event>,
    /// There are more than are read. They come in the order of their names, so which ones are missing nobody knows.
    pub truncated: bool,
}

pub(super) async fn list(
    cluster: &Kubernetes,
    limits: &CallLimits,
    object: Option<&str>,
) -> Result<EventList, CallError> {
    let selector = object.map(selector).transpose()?;
    let path = format!("/api/v1/namespaces/{}/events", cluster.namespace);
    let what = What::new("list events", format!("namespace {}", cluster.namespace));
    let (mut events, mut mark) = (Vec::new(), None);
    loop {
        let query = Query::new().with("limit", PAGE).with_some("fieldSelector", selector.as_ref());
        let page: Page<core::Event> =
            cluster.get(limits, &path, query.with_some("continue", mark.as_ref()), &what).await?;
        events.extend(page.items.into_iter().map(Event::read));
        mark = page.metadata.next();
        if mark.is_none() || events.len() >= MOST {
            break;
        }
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.last_seen_ms));
    Ok(EventList { events, truncated: mark.is_some() })
}

/// `kind/name` as a field selector. Kinds are written as the cluster writes them, `Pod`, or in lower case.
fn selector(object: &str) -> Result<String, CallError> {
    let invalid = || CallError::Invalid("an object is written `kind/name`, such as `Pod/api-1`".to_owned());
    let (kind, name) = object.split_once('/').ok_or_else(invalid)?;
    names::check_name("the name of the object", name)?;
    if kind.is_empty() || kind.len() > 63 || !kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(invalid());
    }
    Ok(format!("involvedObject.kind={},involvedObject.name={name}", camel(kind)))
}

/// `deployment` as `Deployment`; what has capitals is written as it should be.
fn camel(kind: &str) -> String {
    const KNOWN: [&str; 9] = [
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "CronJob",
        "ConfigMap",
        "HorizontalPodAutoscaler",
        "EndpointSlice",
        "PodDisruptionBudget",
        "PersistentVolumeClaim",
    ];
    if kind.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return kind.to_owned();
    }
    let known = KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(kind)).map(str::to_owned);
    known.unwrap_or_else(|| {
        let (first, rest) = kind.split_at(1);
        format!("{}{rest}", first.to_ascii_uppercase())
    })
}

impl Event {
    /// Events come in two dresses: those of controllers and kubelets have a count and a last time, those of others a series.
    fn read(event: core::Event) -> Self {
        let series = event.series.as_ref();
        let last = series
            .and_then(|series| series.last_observed_time.as_ref().map(|time| time.0))
            .or(event.last_timestamp.as_ref().map(|time| time.0))
            .or(event.event_time.as_ref().map(|time| time.0))
            .or(event.metadata.creation_timestamp.as_ref().map(|time| time.0));
        let count = series.and_then(|series| series.count).or(event.count).unwrap_or(1);
        let object = event.involved_object;
        Self {
            last_seen_ms: last.map_or(0, |time| time.as_millisecond().unsigned_abs()),
            count: u32::try_from(count).unwrap_or(1).max(1),
            severity: event.type_.unwrap_or_default(),
            reason: event.reason.unwrap_or_default(),
            object: format!("{}/{}", object.kind.unwrap_or_default(), object.name.unwrap_or_default()),
            message: mask::hide_secrets(&event.message.unwrap_or_default(), MESSAGE_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_selected_by_kind_and_name() {
        for (written, expected) in [
            ("Pod/api-1", "involvedObject.kind=Pod,involvedObject.name=api-1"),
            ("pod/api-1", "involvedObject.kind=Pod,involvedObject.name=api-1"),
            ("replicaset/api-7", "involvedObject.kind=ReplicaSet,involvedObject.name=api-7"),
            ("HorizontalPodAutoscaler/api", "involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name=api"),
        ] {
            assert_eq!(selector(written).unwrap(), expected);
        }
        for written in ["api-1", "/api", "Pod/", "Pod/a,b=c", "Po d/a", "Pod/a/b", ""] {
            assert!(selector(written).is_err(), "{written}");
        }
    }
}
