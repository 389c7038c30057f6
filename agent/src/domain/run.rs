//! One execution of a plugin, from the request to the record.

use std::time::Duration;

use super::{
    Approval, CallRecord, ChangeRecord, Digest, Help, Label, Lease, Outcome, Plan, PluginName, RunId, Status,
    SweepRunId, Timestamp,
};

/// How changes of a run are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// There can be none: the plugin is a check.
    Check,
    /// They become entries of a plan, and none is carried out.
    Plan,
    /// They are carried out as far as an approved plan lists them.
    Apply,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Check, Self::Plan, Self::Apply];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Plan => "plan",
            Self::Apply => "apply",
        }
    }
}

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A person or a program asked for it.
    Manual,
    /// A person or a program asked for a sweep that it is part of.
    Sweep,
    /// The schedule of a sweep that it is part of.
    Schedule,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Manual, Self::Sweep, Self::Schedule];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Sweep => "sweep",
            Self::Schedule => "schedule",
        }
    }
}

/// Who asked: the name of the token, or `kubernetes:` and the name that a cluster knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor(pub String);

/// Importance of a line in a run's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only of interest while developing the plugin.
    Debug,
    /// Normal course of events.
    Info,
    /// Something unexpected that the plugin copes with.
    Warn,
    /// Something that keeps the plugin from its work.
    Error,
}

impl LogLevel {
    /// All of them, the least important first.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Who wrote a line of a run's log, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// The plugin, through `log/emit`.
    Plugin,
    /// The plugin, through `log/progress`; the fields `done` and `total` tell how far it is.
    Progress,
    /// The plugin, through `log/milestone`.
    Milestone,
    /// The plugin's standard output.
    Stdout,
    /// The plugin's standard error.
    Stderr,
    /// The agent.
    Host,
}

impl LogSource {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Plugin, Self::Progress, Self::Milestone, Self::Stdout, Self::Stderr, Self::Host];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Progress => "progress",
            Self::Milestone => "milestone",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Host => "host",
        }
    }
}

/// One line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub time: Timestamp,
    /// How important it is.
    pub level: LogLevel,
    /// Where it comes from.
    pub source: LogSource,
    /// The message.
    pub message: String,
    /// Further facts.
    pub fields: Vec<Label>,
}

/// Why a run came to no conclusion. Each limit has a name of its own, so that an operator knows which one to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The plugin found its parameters senseless although they match the schema.
    BadParams,
    /// A host call failed and the plugin could not go on.
    HostCall,
    /// Any other reason that the plugin gave.
    Plugin,
    /// It ran longer than its deadline.
    Deadline,
    /// It wanted more memory than its limit.
    Memory,
    /// It wanted larger tables than its limit.
    Tables,
    /// It nested calls deeper than its stack.
    Stack,
    /// It went on calling the host after its budget of calls or answers was used up.
    Calls,
    /// It went on writing to the log after its budget was used up.
    Log,
    /// It passed the host more data at once than the limit.
    Data,
    /// What it answered is no valid outcome, or too large.
    InvalidOutcome,
    /// It left through `exit`.
    Exit,
    /// It trapped: unreachable code, a division by zero, a panic.
    Trap,
    /// The agent had no room for another instance.
    Capacity,
    /// It asked for a change that the plan it follows does not list.
    NotInPlan,
    /// Somebody ended it; the message says who.
    Cancelled,
    /// The agent ended while the run was under way.
    Interrupted,
    /// A defect of the agent; the log tells more.
    Internal,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::BadParams,
        Self::HostCall,
        Self::Plugin,
        Self::Deadline,
        Self::Memory,
        Self::Tables,
        Self::Stack,
        Self::Calls,
        Self::Log,
        Self::Data,
        Self::InvalidOutcome,
        Self::Exit,
        Self::Trap,
        Self::Capacity,
        Self::NotInPlan,
        Self::Cancelled,
        Self::Interrupted,
        Self::Internal,
    ];

    /// Stable label for JSON, metrics and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadParams => "bad_params",
            Self::HostCall => "host_call",
            Self::Plugin => "plugin",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Tables => "tables",
            Self::Stack => "stack",
            Self::Calls => "calls",
            Self::Log => "log",
            Self::Data => "data",
            Self::InvalidOutcome => "invalid_outcome",
            Self::Exit => "exit",
            Self::Trap => "trap",
            Self::Capacity => "capacity",
            Self::NotInPlan => "not_in_plan",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
        }
    }

    /// The kind of that label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == label)
    }
}

/// Why a run came to no conclusion, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The name of what happened.
    pub kind: FailureKind,
    /// One sentence for a human.
    pub message: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The plugin came to a verdict.
    Concluded(Outcome),
    /// It did not.
    Failed(Failure),
}

impl Ending {
    /// The verdict; `unknown` for a run that failed.
    pub const fn status(&self) -> Status {
        match self {
            Self::Concluded(outcome) => outcome.status,
            Self::Failed(_) => Status::Unknown,
        }
    }
}

/// What a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time from the start of the guest to its end.
    pub duration: Duration,
    /// Most linear memory that it had, in bytes.
    pub memory_bytes: u64,
    /// Host calls that reached a target or were refused.
    pub calls: u32,
    /// Bytes of all answers, as JSON.
    pub answer_bytes: u64,
    /// Log lines that were dropped because the log was full.
    pub dropped_log_lines: u32,
}

/// One execution of a plugin. A run without an end is under way, or was when the agent died.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The plugin.
    pub plugin: PluginName,
    /// Version of the plugin.
    pub version: String,
    /// Digest of the component that ran.
    pub digest: Digest,
    /// How changes are treated.
    pub mode: Mode,
    /// What started it.
    pub trigger: Trigger,
    /// Who asked.
    pub actor: Actor,
    /// The run of a sweep that it is part of.
    pub sweep_run: Option<SweepRunId>,
    /// The parameters, a JSON document, with the operator's and the schema's defaults filled in.
    pub params: String,
    /// When it was recorded as started.
    pub started: Timestamp,
    /// When it was recorded as finished.
    pub finished: Option<Timestamp>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// What it used.
    pub usage: Usage,
    /// Its log.
    pub log: Vec<LogLine>,
    /// Its host calls.
    pub calls: Vec<CallRecord>,
    /// What it has to do with changes.
    pub changes: RunChanges,
}

/// What a run has to do with changes. Nothing, for a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunChanges {
    /// The plan that it follows, by the run that made it.
    pub follows: Option<RunId>,
    /// The run whose changes it gives back.
    pub undoes: Option<RunId>,
    /// The plan that it made.
    pub plan: Option<Plan>,
    /// Who approved that plan.
    pub approvals: Vec<Approval>,
    /// How many people have to, by the rules in force when this was looked up.
    pub approvals_needed: u32,
    /// Why it went past the guards of changes, if somebody broke the glass.
    pub break_glass: Option<String>,
    /// The changes that it made, or tried to.
    pub made: Vec<ChangeRecord>,
    /// The lease that gives its changes back. When a run begins, it says until when.
    pub lease: Option<Lease>,
    /// Whether it helped.
    pub help: Option<Help>,
}
