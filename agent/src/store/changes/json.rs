//! The JSON of plans and changes. A plan's is canonical, and its digest is taken over it.

use serde::{Deserialize, Serialize};

use crate::domain;

/// The generation of this form; another one gives another digest.
const FORM: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    form: u32,
    run: String,
    plugin: String,
    component: String,
    grants: String,
    params: String,
    undoes: Option<String>,
    made: u64,
    expires: u64,
    changes: Vec<PlannedChange>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct PlannedChange {
    position: u32,
    gives_back: Option<u32>,
    call: Call,
    preview: Preview,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    operation: String,
    target: String,
    arguments: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preview {
    summary: String,
    objects: u64,
    differences: Vec<Difference>,
    ground: Vec<Fact>,
    scope: String,
    undo: Undo,
    /// Left out where there is none, as in plans of agents that did not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<String>,
    notes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    field: String,
    before: Option<String>,
    after: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fact {
    name: String,
    value: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Undo {
    Possible(String),
    Impossible(String),
}

/// What a change did. The system's answer is not kept: it can hold anything.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct Done {
    objects: u64,
    differences: Vec<Difference>,
    incomplete: Option<String>,
    inverse: Option<Inverse>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inverse {
    call: Call,
    ground: Vec<Fact>,
}

/// A form that this agent does not read, or a value in it that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("it holds {0}")]
pub(in crate::store) struct Nonsense(&'static str);

impl From<&domain::Plan> for Plan {
    fn from(plan: &domain::Plan) -> Self {
        Self {
            form: FORM,
            run: plan.run.to_string(),
            plugin: plan.plugin.to_string(),
            component: plan.component.to_string(),
            grants: plan.grants.to_string(),
            params: plan.params.clone(),
            undoes: plan.undoes.map(|run| run.to_string()),
            made: plan.made.as_millis(),
            expires: plan.expires.as_millis(),
            changes: plan.changes.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<Plan> for domain::Plan {
    type Error = Nonsense;

    fn try_from(plan: Plan) -> Result<Self, Nonsense> {
        if plan.form != FORM {
            return Err(Nonsense("a plan of another form"));
        }
        let run = |text: &str| text.parse().map_err(|_| Nonsense("no id of a run"));
        let digest = |text: &str| text.parse().map_err(|_| Nonsense("no digest"));
        Ok(Self {
            run: run(&plan.run)?,
            plugin: plan.plugin.parse().map_err(|_| Nonsense("no name of a plugin"))?,
            component: digest(&plan.component)?,
            grants: digest(&plan.grants)?,
            params: plan.params,
            undoes: plan.undoes.as_deref().map(run).transpose()?,
            made: domain::Timestamp::from_millis(plan.made),
            expires: domain::Timestamp::from_millis(plan.expires),
            changes: plan.changes.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&domain::PlannedChange> for PlannedChange {
    fn from(planned: &domain::PlannedChange) -> Self {
        Self {
            position: planned.position,
            gives_back: planned.gives_back,
            call: (&planned.call).into(),
            preview: (&planned.preview).into(),
        }
    }
}

impl TryFrom<PlannedChange> for domain::PlannedChange {
    type Error = Nonsense;

    fn try_from(planned: PlannedChange) -> Result<Self, Nonsense> {
        let PlannedChange { position, gives_back, call, preview } = planned;
        Ok(Self { position, gives_back, call: call.try_into()?, preview: preview.into() })
    }
}

impl From<&domain::ChangeCall> for Call {
    fn from(call: &domain::ChangeCall) -> Self {
        let (operation, target) = (call.operation.to_string(), call.target.to_string());
        Self { operation, target, arguments: call.arguments.clone() }
    }
}

impl TryFrom<Call> for domain::ChangeCall {
    type Error = Nonsense;

    fn try_from(call: Call) -> Result<Self, Nonsense> {
        Ok(Self {
            operation: domain::Operation::from_name(&call.operation).ok_or(Nonsense("no known operation"))?,
            target: call.target.parse().map_err(|_| Nonsense("no name of a target"))?,
            arguments: call.arguments,
        })
    }
}

impl From<&domain::Preview> for Preview {
    fn from(preview: &domain::Preview) -> Self {
        Self {
            summary: preview.summary.clone(),
            objects: preview.objects,
            differences: preview.differences.iter().map(Into::into).collect(),
            ground: preview.ground.iter().map(Into::into).collect(),
            scope: preview.scope.clone(),
            undo: match &preview.undo {
                domain::Undo::Possible(how) => Undo::Possible(how.clone()),
                domain::Undo::Impossible(why) => Undo::Impossible(why.clone()),
            },
            doubt: preview.doubt.clone(),
            notes: preview.notes.clone(),
        }
    }
}

impl From<Preview> for domain::Preview {
    fn from(preview: Preview) -> Self {
        Self {
            summary: preview.summary,
            objects: preview.objects,
            differences: preview.differences.into_iter().map(Into::into).collect(),
            ground: preview.ground.into_iter().map(Into::into).collect(),
            scope: preview.scope,
            undo: match preview.undo {
                Undo::Possible(how) => domain::Undo::Possible(how),
                Undo::Impossible(why) => domain::Undo::Impossible(why),
            },
            doubt: preview.doubt,
            notes: preview.notes,
        }
    }
}

impl From<&domain::Difference> for Difference {
    fn from(difference: &domain::Difference) -> Self {
        let domain::Difference { field, before, after } = difference.clone();
        Self { field, before, after }
    }
}

impl From<Difference> for domain::Difference {
    fn from(difference: Difference) -> Self {
        let Difference { field, before, after } = difference;
        Self { field, before, after }
    }
}

impl From<&domain::Fact> for Fact {
    fn from(fact: &domain::Fact) -> Self {
        let domain::Fact { name, value } = fact.clone();
        Self { name, value }
    }
}

impl From<Fact> for domain::Fact {
    fn from(fact: Fact) -> Self {
        let Fact { name, value } = fact;
        Self { name, value }
    }
}

impl From<&domain::Done> for Done {
    fn from(done: &domain::Done) -> Self {
        Self {
            objects: done.objects,
            differences: done.differences.iter().map(Into::into).collect(),
            incomplete: done.incomplete.clone(),
            inverse: done.inverse.as_ref().map(|inverse| Inverse {
                call: (&inverse.call).into(),
                ground: inverse.ground.iter().map(Into::into).collect(),
            }),
        }
    }
}

impl TryFrom<Done> for domain::Done {
    type Error = Nonsense;

    fn try_from(done: Done) -> Result<Self, Nonsense> {
        let inverse = |inverse: Inverse| {
            let ground = inverse.ground.into_iter().map(Into::into).collect();
            Ok(domain::Inverse { call: inverse.call.try_into()?, ground })
        };
        Ok(Self {
            objects: done.objects,
            differences: done.differences.into_iter().map(Into::into).collect(),
            answer: None,
            incomplete: done.incomplete,
            inverse: done.inverse.map(inverse).transpose()?,
        })
    }
}
