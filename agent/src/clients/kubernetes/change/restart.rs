//! Replacing all pods, as `kubectl rollout restart` does.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Kubernetes;
use super::super::rollout::Workload;
use super::super::transport::Verb;
use super::edit::{Alteration, Draft, Place};
use super::{care, template};
use crate::clock::{Clock, SystemClock};
use crate::domain::{CallError, Difference, Fact};

/// What kubectl writes, and what its users look for.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// What a plan calls it.
const RESTARTED: &str = "restarted at";

/// A workload's pods are replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restart {
    pub(super) workload: Workload,
}

/// When it was restarted last.
fn restarted(object: &Value) -> String {
    let annotations = object.pointer("/spec/template/metadata/annotations");
    let given = annotations.and_then(|annotations| annotations.get(RESTARTED_AT)).and_then(Value::as_str);
    given.unwrap_or("never").chars().take(60).collect()
}

/// In whole seconds, and never the time that is there already, which would change nothing.
fn time_after(last: &str) -> String {
    let seconds = i64::try_from(SystemClock.now().as_millis() / 1000).unwrap_or(0);
    let text = |seconds: i64| Timestamp::from_second(seconds).unwrap_or_default().to_string();
    if text(seconds) == last { text(seconds + 1) } else { text(seconds) }
}

#[async_trait]
impl Alteration for Restart {
    type Around = ();

    fn place(&self) -> Place {
        template::place(&self.workload)
    }

    fn draft(&self, cluster: &Kubernetes, object: &Value, (): &()) -> Result<Draft, CallError> {
        let last = restarted(object);
        let before = Some(last.clone()).filter(|last| last != "never");
        let difference = Difference { field: RESTARTED.to_owned(), before, after: Some("now".to_owned()) };
        let mut notes = vec![template::consequence(self.workload.kind, object)];
        notes.extend(care::reconcilers(object));
        Ok(Draft {
            summary: format!("restart {}", self.place().title(cluster)),
            differences: vec![difference],
            patch: json!({ "spec": { "template": { "metadata": { "annotations": { RESTARTED_AT: time_after(&last) } } } } }),
            ground: vec![Fact { name: RESTARTED.to_owned(), value: last }],
            verb: Verb::Strategic,
            back: Err("the pods of before are gone, and those of after are the same".to_owned()),
            doubt: None,
            notes,
        })
    }

    fn object_to(&self, object: &Value) -> Result<(), CallError> {
        care::stand_down(self.workload.kind, object)
    }

    /// Whoever restarted it since: its pods are replaced.
    fn is_done(&self, _: &Kubernetes, object: &Value, (): &(), ground: &[Fact]) -> Result<bool, CallError> {
        let last = restarted(object);
        Ok(ground.iter().any(|fact| fact.name == RESTARTED && fact.value != last))
    }
}
