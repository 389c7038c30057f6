//! Plans, and the changes that runs made.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Fate, document};
use crate::{domain, store};

/// The ordered changes that a run would make. It goes by the id of that run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Its id, which is that of the run that made it.
    #[schema(format = "uuid", example = "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b")]
    pub id: String,
    /// SHA-256 over the plan in canonical form (RFC 8785). Whoever gives it when applying has seen just this plan.
    pub digest: String,
    /// The plugin that asked for the changes.
    #[schema(example = "pg-terminate-idle")]
    pub plugin: String,
    /// Digest of its component; the plan can be applied by no other.
    pub component: String,
    /// The run whose changes it gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub undoes: Option<String>,
    /// When it was made.
    #[schema(format = DateTime, example = "2026-03-01T03:14:15.951Z")]
    pub made: String,
    /// Until when it can be applied.
    #[schema(format = DateTime, example = "2026-03-01T03:29:15.951Z")]
    pub expires: String,
    /// How many people who did not ask for it have to approve it before it is applied.
    #[serde(default)]
    #[schema(example = 1)]
    pub approvals_needed: u32,
    /// Who approved it, the first one first.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// What it would change, in order.
    pub changes: Vec<PlannedChange>,
}

/// Somebody has looked at a plan and agrees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Who: the name of the token.
    #[schema(example = "bob")]
    pub actor: String,
    /// When.
    #[schema(format = DateTime, example = "2026-03-01T03:16:15.926Z")]
    pub time: String,
}

/// A change in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedChange {
    /// Its place, from 1.
    #[schema(example = 1)]
    pub position: u32,
    /// The function.
    #[schema(example = "queue-actions/pause")]
    pub operation: String,
    /// The target.
    #[schema(example = "queue/email")]
    pub target: String,
    /// The other arguments.
    #[schema(value_type = Object)]
    pub arguments: Value,
    /// The change in one line.
    #[schema(example = "pause the queue email (BullMQ 5)")]
    pub summary: String,
    /// How many things it touches: sessions, keys, jobs, requests; 1 for a switch.
    #[schema(example = 1)]
    pub objects: u64,
    /// What it would make different.
    pub differences: Vec<ChangedField>,
    /// What it rests on; when that is different later, it is not done.
    pub ground: Vec<Fact>,
    /// Whether it can be given back.
    pub reversible: bool,
    /// How it can be given back, or why it cannot.
    #[schema(example = "the queue is resumed")]
    pub undo: String,
    /// What else somebody should know before saying yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangedField {
    /// What differs.
    #[schema(example = "paused")]
    pub field: String,
    /// The value beforehand, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "false")]
    pub before: Option<String>,
    /// The value afterwards, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "true")]
    pub after: Option<String>,
}

/// Something that a change rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fact {
    /// What it is about.
    #[schema(example = "paused")]
    pub name: String,
    /// How it is.
    #[schema(example = "false")]
    pub value: String,
}

/// A change that a run made, or tried to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Its place among the changes of the run, from 1.
    #[schema(example = 1)]
    pub position: u32,
    /// The call that asked for it.
    #[schema(example = 2)]
    pub sequence: u32,
    /// The function.
    #[schema(example = "queue-actions/pause")]
    pub operation: String,
    /// The target.
    #[schema(example = "queue/email")]
    pub target: String,
    /// The other arguments.
    #[schema(value_type = Object)]
    pub arguments: Value,
    /// The change in one line.
    #[schema(example = "pause the queue email (BullMQ 5)")]
    pub summary: String,
    /// What became of it; left out while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
    /// Why, where that needs words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many things it touched.
    #[schema(example = 1)]
    pub objects: u64,
    /// What it made different.
    pub differences: Vec<ChangedField>,
    /// Whether it can be given back.
    pub reversible: bool,
    /// The run that gave it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub undone_by: Option<String>,
    /// When it was recorded that it would be done.
    #[schema(format = DateTime, example = "2026-03-01T03:14:15.926Z")]
    pub intended: String,
    /// When it was recorded what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-03-01T03:14:15.951Z")]
    pub settled: Option<String>,
}

/// What is sent with `POST /v1/plans/{id}/apply`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// The digest of the plan that was looked at. When it is given, no other plan is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Give the changes back by themselves after this time, such as `45m`; from 1 second to 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "45m")]
    pub r#for: Option<String>,
    /// Give the changes back when the check of the plugin is worse afterwards.
    #[serde(default)]
    pub revert_if_worse: bool,
    /// Apply it although it is frozen, not approved, or too soon. Takes an admin; the reason stays with the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// Going past the guards of changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// Why: 1 to 500 bytes.
    #[schema(example = "the database is down and nobody else is awake")]
    pub reason: String,
}

/// What is sent with `POST /v1/plans/{id}/approve`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// The digest of the plan that was looked at; no other plan is approved.
    pub digest: String,
}

impl From<&domain::Approval> for Approval {
    fn from(approval: &domain::Approval) -> Self {
        Self { actor: approval.actor.0.clone(), time: approval.time.to_string() }
    }
}

impl Plan {
    /// The plan that a run made, if it did.
    pub(super) fn of(changes: &domain::RunChanges) -> Option<Self> {
        let plan = changes.plan.as_ref()?;
        Some(Self {
            id: plan.run.to_string(),
            digest: store::plan_digest(plan).to_string(),
            plugin: plan.plugin.to_string(),
            component: plan.component.to_string(),
            undoes: plan.undoes.map(|run| run.to_string()),
            made: plan.made.to_string(),
            expires: plan.expires.to_string(),
            approvals_needed: changes.approvals_needed,
            approvals: changes.approvals.iter().map(Approval::from).collect(),
            changes: plan.changes.iter().map(PlannedChange::from).collect(),
        })
    }
}

impl From<&domain::PlannedChange> for PlannedChange {
    fn from(planned: &domain::PlannedChange) -> Self {
        let domain::PlannedChange { position, call, preview, .. } = planned;
        let (reversible, undo) = match &preview.undo {
            domain::Undo::Possible(how) => (true, how.clone()),
            domain::Undo::Impossible(why) => (false, why.clone()),
        };
        Self {
            position: *position,
            operation: call.operation.to_string(),
            target: target(call),
            arguments: document(&call.arguments),
            summary: preview.summary.clone(),
            objects: preview.objects,
            differences: preview.differences.iter().map(ChangedField::from).collect(),
            ground: preview.ground.iter().map(Fact::from).collect(),
            reversible,
            undo,
            notes: preview.notes.iter().chain(&preview.doubt).cloned().collect(),
        }
    }
}

impl From<&domain::ChangeRecord> for Change {
    fn from(change: &domain::ChangeRecord) -> Self {
        let domain::PlannedChange { call, preview, .. } = &change.planned;
        let (objects, differences, reversible, reason) = match &change.fate {
            Some(domain::Fate::Applied(done)) => {
                (done.objects, done.differences.as_slice(), done.inverse.is_some(), done.incomplete.clone())
            }
            Some(domain::Fate::Conflict(text) | domain::Fate::Failed(text) | domain::Fate::Unknown(text)) => {
                (0, [].as_slice(), false, Some(text.clone()))
            }
            Some(domain::Fate::Unchanged) | None => (0, [].as_slice(), false, None),
        };
        Self {
            position: change.position,
            sequence: change.sequence,
            operation: call.operation.to_string(),
            target: target(call),
            arguments: document(&call.arguments),
            summary: preview.summary.clone(),
            fate: change.fate.as_ref().map(Fate::from),
            reason,
            objects,
            differences: differences.iter().map(ChangedField::from).collect(),
            reversible,
            undone_by: change.undone_by.map(|run| run.to_string()),
            intended: change.intended.to_string(),
            settled: change.settled.map(|time| time.to_string()),
        }
    }
}

fn target(call: &domain::ChangeCall) -> String {
    call.target().map_or_else(|| call.target.to_string(), |target| target.to_string())
}

impl From<&domain::Difference> for ChangedField {
    fn from(difference: &domain::Difference) -> Self {
        let domain::Difference { field, before, after } = difference.clone();
        Self { field, before, after }
    }
}

impl From<&domain::Fact> for Fact {
    fn from(fact: &domain::Fact) -> Self {
        let domain::Fact { name, value } = fact.clone();
        Self { name, value }
    }
}
