//! Changing one object by a patch: what all of them have in common.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Kubernetes;
use super::super::transport::{Lost, Query, Verb, What, Write};
use crate::domain::{
    CallError, CallLimits, ChangeCall, Difference, Done, Fact, Inverse, Operation, Preview, TargetName, Undo,
};
use crate::journal::{Change, Halt, Performed, Settled, moved};
use crate::policy::{ChangeOp, Permit};

/// With less time left nothing is sent, so that its answer is heard.
const SEND_TIME: Duration = Duration::from_millis(200);

/// Where an object is.
pub(super) struct Place {
    /// The object below its namespace, such as `/apis/apps/v1` and `deployments`.
    pub(super) api: &'static str,
    pub(super) plural: &'static str,
    /// As people write it, such as `deployment`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// Where the patch goes, if that is not the object itself.
    pub(super) subresource: Option<&'static str>,
}

impl Place {
    pub(super) fn path(&self, cluster: &Kubernetes) -> String {
        format!("{}/namespaces/{}/{}/{}", self.api, cluster.namespace, self.plural, self.name)
    }

    /// As plans write it: `prod/deployment/api`.
    pub(super) fn title(&self, cluster: &Kubernetes) -> String {
        format!("{}/{}/{}", cluster.name, self.kind, self.name)
    }

    fn what(&self, deed: &str) -> What {
        let Self { kind, name, .. } = self;
        What::new(format!("{deed} {kind} {name}"), format!("{kind} {name}"))
    }
}

/// What is to be made of an object.
#[async_trait]
pub(super) trait Alteration: Send + Sync {
    /// What has to be looked at beside the object; `()` for nothing.
    type Around: Default + Send + Sync;

    /// Where the object is.
    fn place(&self) -> Place;

    /// Look at what is around the object.
    async fn look(&self, _: &Kubernetes, _: &CallLimits, _object: &Value) -> Result<Self::Around, CallError> {
        Ok(Self::Around::default())
    }

    /// What there is to do. Asks nobody, and is the same for the same object.
    fn draft(&self, cluster: &Kubernetes, object: &Value, around: &Self::Around) -> Result<Draft, CallError>;

    /// Why it must not be done at the moment, though it could be.
    fn object_to(&self, _object: &Value) -> Result<(), CallError> {
        Ok(())
    }

    /// True when the object is as the change wants it to be. `ground` is what the change rested on.
    fn is_done(
        &self,
        cluster: &Kubernetes,
        object: &Value,
        around: &Self::Around,
        _ground: &[Fact],
    ) -> Result<bool, CallError> {
        Ok(self.draft(cluster, object, around)?.differences.is_empty())
    }
}

/// What there is to do with an object, and what it rests on.
pub(super) struct Draft {
    pub(super) summary: String,
    /// Empty when nothing needs to change.
    pub(super) differences: Vec<Difference>,
    pub(super) ground: Vec<Fact>,
    pub(super) verb: Verb,
    pub(super) patch: Value,
    /// What gives it back, or why nothing can.
    pub(super) back: Result<Back, String>,
    /// Why somebody else has to agree.
    pub(super) doubt: Option<String>,
    pub(super) notes: Vec<String>,
}

/// What gives a change back.
pub(super) struct Back {
    /// In words.
    pub(super) how: String,
    pub(super) operation: Operation,
    pub(super) arguments: String,
    /// How the change leaves things.
    pub(super) left: Vec<Fact>,
}

/// What a plan keeps for the moment when it is carried out: the way back, as it was drafted on the ground that is compared then.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    inverse: Option<Kept>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    operation: String,
    arguments: String,
    left: Vec<(String, String)>,
}

impl Scope {
    fn of(back: Option<&Back>, uid: &Fact) -> String {
        let left =
            |back: &Back| back.left.iter().chain([uid]).map(|fact| (fact.name.clone(), fact.value.clone())).collect();
        let inverse = back.map(|back| Kept {
            operation: back.operation.to_string(),
            arguments: back.arguments.clone(),
            left: left(back),
        });
        crate::journal::canonical(&Self { inverse })
    }

    fn inverse(scope: &str, target: &TargetName) -> Option<Inverse> {
        let Kept { operation, arguments, left } = serde_json::from_str::<Self>(scope).ok()?.inverse?;
        let operation = Operation::from_name(&operation)?;
        let ground = left.into_iter().map(|(name, value)| Fact { name, value }).collect();
        Some(Inverse { call: ChangeCall { operation, target: target.clone(), arguments }, ground })
    }
}

/// A change of one object.
pub(super) struct Edit<O: ChangeOp, A> {
    cluster: Arc<Kubernetes>,
    permit: Permit<O>,
    arguments: String,
    alteration: A,
}

/// An object, what is around it, and what there is to do.
struct Looked<A: Alteration> {
    object: Value,
    around: A::Around,
    draft: Draft,
}

impl<O: ChangeOp, A: Alteration> Edit<O, A> {
    /// `arguments` are those of the alteration, in their canonical form.
    pub(super) fn new(cluster: &Arc<Kubernetes>, permit: Permit<O>, arguments: String, alteration: A) -> Self {
        Self { cluster: cluster.clone(), permit, arguments, alteration }
    }

    async fn object(&self, limits: &CallLimits) -> Result<Value, CallError> {
        let place = self.alteration.place();
        self.cluster.get(limits, &place.path(&self.cluster), Query::new(), &place.what("look at")).await
    }

    async fn look(&self, limits: &CallLimits) -> Result<Looked<A>, CallError> {
        let object = self.object(limits).await?;
        let around = self.alteration.look(&self.cluster, limits, &object).await?;
        let mut draft = self.alteration.draft(&self.cluster, &object, &around)?;
        draft.ground.push(uid(&object));
        Ok(Looked { object, around, draft })
    }

    /// The patch, good only for the object at the version that was looked at.
    async fn send(&self, limits: &CallLimits, looked: &Looked<A>, is_rehearsal: bool) -> Result<Value, Lost> {
        let place = self.alteration.place();
        let path = place.path(&self.cluster);
        let path = place.subresource.map_or_else(|| path.clone(), |subresource| format!("{path}/{subresource}"));
        let precondition = json!({ "resourceVersion": version(&looked.object) });
        let body = with(looked.draft.patch.clone(), "metadata", precondition);
        let write = Write { verb: looked.draft.verb, path, body, is_rehearsal };
        self.cluster.write(limits, write, &place.what("change")).await
    }

    /// Let the server judge the patch. Somebody who writes at the same time is no reason against it.
    async fn rehearse(&self, limits: &CallLimits, looked: &mut Looked<A>) -> Result<(), CallError> {
        loop {
            match self.send(limits, looked, true).await {
                Ok(answer) => {
                    let ground = looked.draft.ground.clone();
                    if self.alteration.is_done(&self.cluster, &answer, &looked.around, &ground) != Ok(true) {
                        looked
                            .draft
                            .notes
                            .push("the cluster makes something else of it: see what it admits".to_owned());
                    }
                    return Ok(());
                }
                Err(Lost::Refused(refusal)) if refusal.is_stale() => *looked = self.look(limits).await?,
                Err(Lost::Refused(refusal)) => return Err(refusal.error),
                Err(Lost::Unsent(error) | Lost::Failed(error) | Lost::Unanswered(error)) => return Err(error),
            }
        }
    }

    fn done(&self, planned: &Preview) -> Done {
        Done {
            objects: 1,
            differences: planned.differences.clone(),
            answer: None,
            incomplete: None,
            inverse: Scope::inverse(&planned.scope, self.permit.target()),
        }
    }

    /// How it ended that there is no good answer: the object tells.
    async fn find_out(&self, planned: &Preview, limits: &CallLimits, sent_at: &Value, lost: InDoubt) -> Performed {
        let InDoubt { error, is_over } = lost;
        match self.object(limits).await {
            Ok(object) if self.shows(&object, planned, limits).await == Ok(true) => Performed::Done(self.done(planned)),
            // The server is done with the request, and nobody wrote since.
            Ok(object) if is_over && version(&object) == *sent_at => Performed::Nothing(error),
            Ok(_) | Err(_) => Performed::Unknown(error),
        }
    }

    /// True when the object is as `planned` would have made it.
    async fn shows(&self, object: &Value, planned: &Preview, limits: &CallLimits) -> Result<bool, CallError> {
        let around = self.alteration.look(&self.cluster, limits, object).await?;
        self.alteration.is_done(&self.cluster, object, &around, &planned.ground)
    }
}

/// A request of which nobody knows whether it was carried out.
struct InDoubt {
    error: CallError,
    /// True when the server is done with it.
    is_over: bool,
}

#[async_trait]
impl<O: ChangeOp, A: Alteration> Change for Edit<O, A> {
    fn call(&self) -> ChangeCall {
        let target = self.permit.target().clone();
        ChangeCall { operation: O::OPERATION, target, arguments: self.arguments.clone() }
    }

    async fn preview(&self, limits: &CallLimits) -> Result<Preview, CallError> {
        let mut looked = self.look(limits).await?;
        let is_needed = !looked.draft.differences.is_empty();
        if is_needed {
            self.alteration.object_to(&looked.object)?;
            self.rehearse(limits, &mut looked).await?;
        }
        let Looked { object, draft, .. } = looked;
        let scope = Scope::of(draft.back.as_ref().ok(), &uid(&object));
        Ok(Preview {
            summary: draft.summary,
            objects: u64::from(is_needed),
            differences: draft.differences,
            ground: draft.ground,
            scope,
            undo: match draft.back {
                Ok(back) => Undo::Possible(back.how),
                Err(why) => Undo::Impossible(why),
            },
            doubt: draft.doubt.filter(|_| is_needed),
            notes: if is_needed { draft.notes } else { Vec::new() },
        })
    }

    async fn perform(&self, planned: &Preview, limits: &CallLimits, halt: &Halt) -> Performed {
        loop {
            if let Some(reason) = stop(limits, halt) {
                return Performed::Nothing(CallError::TimedOut(reason));
            }
            let looked = match self.look(limits).await {
                Ok(looked) => looked,
                Err(error) => return Performed::Nothing(error),
            };
            if looked.draft.differences.is_empty() {
                return Performed::Done(Done {
                    objects: 0,
                    differences: Vec::new(),
                    inverse: None,
                    ..self.done(planned)
                });
            }
            if let Some(moved) = moved(&planned.ground, &looked.draft.ground) {
                return Performed::Nothing(CallError::Conflict(moved));
            }
            if let Err(objection) = self.alteration.object_to(&looked.object) {
                return Performed::Nothing(objection);
            }
            let sending = leaving_time_to_look(limits);
            let (error, is_over) = match self.send(&sending, &looked, false).await {
                Ok(_) => return Performed::Done(self.done(planned)),
                Err(Lost::Refused(refusal)) if refusal.is_stale() => continue,
                Err(Lost::Refused(refusal)) => return Performed::Nothing(refusal.error),
                Err(Lost::Unsent(error)) => return Performed::Nothing(error),
                Err(Lost::Failed(error)) => (error, true),
                Err(Lost::Unanswered(error)) => (error, false),
            };
            return self.find_out(planned, limits, &version(&looked.object), InDoubt { error, is_over }).await;
        }
    }

    async fn settle(&self, planned: &Preview, limits: &CallLimits) -> Settled {
        let place = self.alteration.place();
        let title = place.title(&self.cluster);
        let object = match self.object(limits).await {
            Ok(object) => object,
            Err(CallError::NotFound(_)) => return Settled::Unknown(format!("{title} is not there any more")),
            Err(error) => return Settled::Unknown(format!("look at {title}: {error}")),
        };
        if !planned.ground.contains(&uid(&object)) {
            return Settled::Unknown(format!("{title} is another one than the plan was made for"));
        }
        match self.shows(&object, planned, limits).await {
            Ok(true) => Settled::Done(self.done(planned)),
            Ok(false) => Settled::NotDone,
            Err(error) => Settled::Unknown(format!("look at {title}: {error}")),
        }
    }
}

/// Why nothing should be sent any more.
pub(super) fn stop(limits: &CallLimits, halt: &Halt) -> Option<String> {
    if halt.is_asked() {
        return Some("it was asked to halt".to_owned());
    }
    let is_over = Instant::now() + SEND_TIME >= limits.deadline;
    is_over.then(|| "the time for it was over".to_owned())
}

/// A quarter of the time is for finding out what became of a request that nobody answered.
pub(super) fn leaving_time_to_look(limits: &CallLimits) -> CallLimits {
    let left = limits.deadline.saturating_duration_since(Instant::now());
    CallLimits { deadline: limits.deadline.checked_sub(left / 4).unwrap_or(limits.deadline), ..*limits }
}

/// A JSON object with one field more.
pub(super) fn with(mut object: Value, field: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    object
}

/// Which very object of its name it is.
pub(super) fn uid(object: &Value) -> Fact {
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
    Fact { name: "uid".to_owned(), value: uid.to_owned() }
}

fn version(object: &Value) -> Value {
    object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default()
}
