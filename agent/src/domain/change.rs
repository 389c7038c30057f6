//! Changes: what one would do, what it rests on, what it did and what takes it back.

use super::{Digest, Operation, PluginName, RunId, Target, TargetName, Timestamp};

/// What a change asks for: a function, the target and all other arguments. Two that are equal ask for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeCall {
    /// The function.
    pub operation: Operation,
    /// The target; of the operation's system.
    pub target: TargetName,
    /// The other arguments, a JSON object in the canonical form of RFC 8785.
    pub arguments: String,
}

impl ChangeCall {
    /// The target with its system; none for an operation that reaches none, which no change is.
    pub fn target(&self) -> Option<Target> {
        Some(Target { system: self.operation.interface().system()?, name: self.target.clone() })
    }
}

/// One difference that a change makes or would make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs, such as `paused`.
    pub field: String,
    /// The value beforehand, if there was one.
    pub before: Option<String>,
    /// The value afterwards, if there is one.
    pub after: Option<String>,
}

/// Something that was so when a change was previewed, and has to be so when it is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is about, such as `paused` or `statement`.
    pub name: String,
    /// How it was.
    pub value: String,
}

/// Whether a change can be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// It can; one sentence says how.
    Possible(String),
    /// It cannot; one sentence says why.
    Impossible(String),
}

/// What a change would do at the moment. Nothing was done to learn it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The change in one line, such as `pause the queue email (BullMQ 5)`.
    pub summary: String,
    /// How many things it touches: sessions, keys, jobs; 1 for a switch. 0 when nothing needs to change.
    pub objects: u64,
    /// What it would make different. Empty when nothing needs to change.
    pub differences: Vec<Difference>,
    /// What it rests on. One that is different later keeps it from being carried out.
    pub ground: Vec<Fact>,
    /// Exact limits of what it may touch, as the client reads them back when it carries out the plan; a JSON object.
    pub scope: String,
    /// Whether it can be given back.
    pub undo: Undo,
    /// Why somebody who did not ask for it has to agree, whatever the configuration says.
    pub doubt: Option<String>,
    /// What else somebody should know before saying yes.
    pub notes: Vec<String>,
}

impl Preview {
    /// True when the state that is asked for is not there already.
    pub const fn is_needed(&self) -> bool {
        self.objects > 0
    }
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// How many things it touched.
    pub objects: u64,
    /// What it made different.
    pub differences: Vec<Difference>,
    /// What the system answered, a JSON document, where that is worth having.
    pub answer: Option<String>,
    /// Why less was done than was planned, if so.
    pub incomplete: Option<String>,
    /// What gives it back.
    pub inverse: Option<Inverse>,
}

/// The change that gives another one back, with what has to be so for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inverse {
    /// What it asks for.
    pub call: ChangeCall,
    /// How the change left things. When that is different later, somebody else was there since.
    pub ground: Vec<Fact>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was carried out.
    Applied(Done),
    /// Nothing needed to change.
    Unchanged,
    /// What it rests on is not so any more; nothing was done. One sentence says what was and what is.
    Conflict(String),
    /// It failed, and nothing was done.
    Failed(String),
    /// It may have been done or not: the answer never came.
    Unknown(String),
}

impl Fate {
    /// Labels of all of them.
    pub const LABELS: [&'static str; 5] = ["applied", "unchanged", "conflict", "failed", "unknown"];

    /// Stable label for records and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Unchanged => "unchanged",
            Self::Conflict(_) => "conflict",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// A change in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedChange {
    /// Its place, from 1.
    pub position: u32,
    /// The change that it gives back, by its place among those of the run that the plan undoes.
    pub gives_back: Option<u32>,
    /// What it asks for.
    pub call: ChangeCall,
    /// What it would do, and what it rests on.
    pub preview: Preview,
}

/// The ordered changes of a run that made a plan. It goes by the id of that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The run that made it.
    pub run: RunId,
    /// The plugin that asked for the changes.
    pub plugin: PluginName,
    /// Digest of its component.
    pub component: Digest,
    /// Digest of what the plugin was granted.
    pub grants: Digest,
    /// The parameters of the run, a JSON document.
    pub params: String,
    /// The run whose changes it gives back, if it was made for that.
    pub undoes: Option<RunId>,
    /// When it was made.
    pub made: Timestamp,
    /// Until when it can be applied.
    pub expires: Timestamp,
    /// What it would change, in order.
    pub changes: Vec<PlannedChange>,
}

impl Plan {
    /// The targets that it would change, each once and in order.
    pub fn targets(&self) -> Vec<Target> {
        let mut targets: Vec<_> = self.changes.iter().filter_map(|change| change.call.target()).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

/// A change of a run, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Its place among the changes of the run, from 1.
    pub position: u32,
    /// The call of the run that asked for it.
    pub sequence: u32,
    /// What the plan says of it.
    pub planned: PlannedChange,
    /// When it was recorded that it would be done.
    pub intended: Timestamp,
    /// When it was recorded what became of it.
    pub settled: Option<Timestamp>,
    /// What became of it; none while it is under way.
    pub fate: Option<Fate>,
    /// The run that gave it back.
    pub undone_by: Option<RunId>,
}
