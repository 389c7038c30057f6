//! Telling the cluster what the agent changed: an Event of the object, where `kubectl describe` shows it.

use serde::Deserialize;
use serde_json::json;

use super::rollout::Workload;
use super::transport::{Lost, Verb, What, Write, micro_time};
use super::{Kubernetes, names};
use crate::clients::AGENT;
use crate::clock::{Clock, SystemClock};
use crate::domain::{CallError, CallLimits, ChangeCall, ChangeRecord, Fate, ObjectKind, Run, cut_bytes};

/// Who reports, a qualified name.
const CONTROLLER: &str = "paramedic.dev/agent";

/// Longest note that a server takes, in bytes.
const NOTE_BYTES: usize = 1_024;

/// What a recorded change of a cluster was about, whatever it was.
#[derive(Deserialize)]
struct Subject {
    workload: Option<Workload>,
    service: Option<String>,
    pod: Option<String>,
    cron_job: Option<String>,
}

/// The object that a recorded call is about.
fn subject(call: &ChangeCall) -> Option<(ObjectKind, String)> {
    let subject: Subject = serde_json::from_str(&call.arguments).ok()?;
    let workload = subject.workload.map(|workload| (workload.kind.object(), workload.name));
    workload
        .or(subject.service.map(|name| (ObjectKind::Service, name)))
        .or(subject.pod.map(|name| (ObjectKind::Pod, name)))
        .or(subject.cron_job.map(|name| (ObjectKind::CronJob, name)))
}

/// How the API calls a kind: its version and its name.
const fn kind_of(kind: ObjectKind) -> (&'static str, &'static str) {
    match kind {
        ObjectKind::Deployment => ("apps/v1", "Deployment"),
        ObjectKind::StatefulSet => ("apps/v1", "StatefulSet"),
        ObjectKind::DaemonSet => ("apps/v1", "DaemonSet"),
        ObjectKind::Pod => ("v1", "Pod"),
        ObjectKind::CronJob => ("batch/v1", "CronJob"),
        ObjectKind::Service => ("v1", "Service"),
    }
}

impl Kubernetes {
    /// Note a change of `run` on its object. Nothing to note is nothing to do.
    pub async fn announce(&self, limits: &CallLimits, run: &Run, change: &ChangeRecord) -> Result<(), CallError> {
        let (kind, reason) = match &change.fate {
            Some(Fate::Applied(_)) => ("Normal", "Changed"),
            Some(Fate::Unknown(_)) => ("Warning", "PerhapsChanged"),
            Some(Fate::Unchanged | Fate::Conflict(_) | Fate::Failed(_)) | None => return Ok(()),
        };
        let call = &change.planned.call;
        let Some((object, name)) = subject(call) else { return Ok(()) };
        names::check_name("the name of the object", &name)?;
        let uid = change.planned.preview.ground.iter().find(|fact| fact.name == "uid");
        let (version, object) = kind_of(object);
        let summary = &change.planned.preview.summary;
        let note = format!("{summary}; run {}, {} {}, asked for by {}", run.id, run.plugin, run.version, run.actor.0);
        let body = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": format!("{name}.{}.{}", run.id, change.position), "namespace": self.namespace },
            "eventTime": micro_time(SystemClock.now()),
            "type": kind,
            "reason": reason,
            "action": call.operation.verb(),
            "note": cut_bytes(&note, NOTE_BYTES),
            "reportingController": CONTROLLER,
            "reportingInstance": AGENT,
            "regarding": {
                "apiVersion": version,
                "kind": object,
                "namespace": self.namespace,
                "name": name,
                "uid": uid.map(|fact| fact.value.as_str()),
            },
        });
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.namespace);
        let what = What::new("note what was changed", "way to note what was changed");
        let written = self.write(limits, Write { verb: Verb::Create, path, body, is_rehearsal: false }, &what).await;
        written.map(drop).map_err(Lost::into_error)
    }
}
