//! Going back to an earlier template.
//!
//! Kubernetes does not record which revision was good. Proven is one of which pods are available at the moment, as the old ones are
//! while a new one does not become ready; every other has to be named by its number.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Kubernetes;
use super::super::rollout::{Workload, WorkloadKind};
use super::super::transport::Verb;
use super::edit::{Alteration, Back, Draft, Place};
use super::revisions::{self, Revision};
use super::{care, template};
use crate::domain::{CallError, CallLimits, Difference, Fact, Operation};
use crate::journal::canonical;

/// What the workload has now.
const CURRENT: &str = "revision";

/// Where it goes back to.
const EARLIER: &str = "earlier revision";

/// A workload goes back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    workload: Workload,
    to: To,
}

/// Where to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum To {
    /// The newest earlier one that is proven.
    Proven,
    /// The one of that number.
    Number(u32),
    /// The one that an object of that name keeps. Its number may have moved.
    Name(String),
}

impl Rollback {
    pub(super) fn to_number(workload: Workload, revision: Option<u32>) -> Self {
        Self { workload, to: revision.map_or(To::Proven, To::Number) }
    }

    fn choose<'a>(&self, revisions: &'a [Revision], current: Option<&Revision>) -> Result<&'a Revision, CallError> {
        let is_current = |revision: &&Revision| current.is_some_and(|current| current.name == revision.name);
        let found = match &self.to {
            To::Proven => revisions.iter().find(|revision| !is_current(revision) && revision.available > 0),
            To::Number(number) => revisions.iter().find(|revision| revision.number == i64::from(*number)),
            To::Name(name) => revisions.iter().find(|revision| revision.name == *name),
        };
        found.ok_or_else(|| {
            let others = revisions.iter().filter(|revision| !is_current(revision));
            let kept = others.map(|revision| revision.number.to_string()).collect::<Vec<_>>().join(", ");
            let Workload { kind, name } = &self.workload;
            let title = format!("{} {name}", kind.as_str());
            match (&self.to, kept.is_empty()) {
                (_, true) => CallError::NotFound(format!("the cluster keeps no earlier revision of {title}")),
                (To::Proven, false) => CallError::Conflict(format!(
                    "no earlier revision of {title} is known to have been ready; name one of those that are kept: {kept}"
                )),
                (To::Number(_) | To::Name(_), false) => CallError::NotFound(format!(
                    "the cluster does not keep that revision of {title}; it keeps {kept}"
                )),
            }
        })
    }
}

fn title(revision: &Revision) -> String {
    format!("{} ({})", revision.number, revision.name)
}

fn fact(name: &str, revision: Option<&Revision>) -> Fact {
    // The name stays; the number of a revision that is used again moves.
    Fact { name: name.to_owned(), value: revision.map_or("not seen yet", |revision| revision.name.as_str()).to_owned() }
}

/// What is different, as far as people look for it.
fn differences(is: &Value, revision: &Revision, current: Option<&Revision>) -> Vec<Difference> {
    let before = Some(current.map_or_else(|| "not seen yet".to_owned(), title));
    let mut told = vec![Difference { field: CURRENT.to_owned(), before, after: Some(title(revision)) }];
    let containers = |template: &Value| {
        let list = template.pointer("/spec/containers").and_then(Value::as_array).cloned();
        list.unwrap_or_default()
    };
    let (is, then) = (containers(is), containers(&revision.template));
    let image = |list: &[Value], name: &str| {
        let found = list.iter().find(|container| template::name(container) == name)?;
        found["image"].as_str().map(str::to_owned)
    };
    let mut names: Vec<_> = is.iter().chain(&then).map(template::name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (before, after) = (image(&is, name), image(&then, name));
        if before != after {
            told.push(Difference { field: format!("image of {name}"), before, after });
        }
    }
    told
}

#[async_trait]
impl Alteration for Rollback {
    type Around = Vec<Revision>;

    fn place(&self) -> Place {
        template::place(&self.workload)
    }

    async fn look(
        &self,
        cluster: &Kubernetes,
        limits: &CallLimits,
        object: &Value,
    ) -> Result<Vec<Revision>, CallError> {
        revisions::list(cluster, limits, &self.workload, object).await
    }

    fn draft(&self, cluster: &Kubernetes, object: &Value, revisions: &Vec<Revision>) -> Result<Draft, CallError> {
        let is = &object["spec"]["template"];
        let current = revisions.iter().find(|revision| revisions::is_same(&revision.template, is));
        let earlier = self.choose(revisions, current)?;
        let is_there = current.is_some_and(|current| current.name == earlier.name);
        let mut wanted = earlier.template.clone();
        wanted["$patch"] = json!("replace");
        let mut notes = vec![template::consequence(self.workload.kind, object)];
        if earlier.available > 0 {
            let pods = earlier.available;
            notes.push(format!("revision {} is ready: {pods} pods of it are available", title(earlier)));
        }
        // What the agent itself rolled back from is known well enough to go forward to.
        let is_doubtful = earlier.available == 0 && !matches!(self.to, To::Name(_));
        let doubt = is_doubtful.then(|| {
            format!("revision {} is not proven to have been ready: somebody else has to approve it", title(earlier))
        });
        if self.workload.kind == WorkloadKind::StatefulSet {
            notes.push("a pod that never became ready is not replaced by itself: evict it afterwards".to_owned());
        }
        let others = care::rollout_of_others(self.workload.kind, object);
        notes.extend(others.map(|whose| format!("{whose} is on its way, and is given up")));
        notes.extend(care::reconcilers(object));
        let back =
            current.ok_or_else(|| "the cluster has not seen the revision of now, and so does not keep it".to_owned());
        Ok(Draft {
            summary: format!("roll {} back to revision {}", self.place().title(cluster), title(earlier)),
            differences: if is_there { Vec::new() } else { differences(is, earlier, current) },
            ground: vec![fact(CURRENT, current), fact(EARLIER, Some(earlier))],
            verb: Verb::Strategic,
            patch: json!({ "spec": { "template": wanted } }),
            back: back.map(|current| Back {
                how: format!("to roll to revision {} gives it back, as long as the cluster keeps it", title(current)),
                operation: Operation::KubernetesRollback,
                arguments: canonical(&Self { to: To::Name(current.name.clone()), ..self.clone() }),
                left: vec![fact(CURRENT, Some(earlier))],
            }),
            doubt,
            notes,
        })
    }

    fn object_to(&self, object: &Value) -> Result<(), CallError> {
        if object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
            return Err(CallError::Conflict("its rollouts are paused: resume them first".to_owned()));
        }
        Ok(())
    }

    /// Where it went back to stands in the ground: what is proven now may be another one.
    fn is_done(
        &self,
        _: &Kubernetes,
        object: &Value,
        revisions: &Vec<Revision>,
        ground: &[Fact],
    ) -> Result<bool, CallError> {
        let earlier = ground.iter().find(|fact| fact.name == EARLIER);
        let kept = revisions.iter().find(|revision| earlier.is_some_and(|fact| fact.value == revision.name));
        Ok(kept.is_some_and(|kept| revisions::is_same(&kept.template, &object["spec"]["template"])))
    }
}
