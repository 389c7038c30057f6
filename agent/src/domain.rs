//! The words of Paramedic as types: ids, targets, operations, calls, outcomes, runs and sweeps.
//!
//! Nothing here does IO, knows a wire format or a driver. JSON shapes live in `api`, rows in `store`, WIT types in
//! `host`; each converts beside its own shape.

pub mod access;
pub mod call;
pub mod chain;
pub mod change;
pub mod cron;
pub mod diagnosis;
pub mod file_mark;
pub mod files;
pub mod grant;
pub mod guard;
pub mod id;
pub mod identity;
pub mod lease;
pub mod limits;
pub mod operation;
pub mod outcome;
pub mod plugin;
pub mod quantity;
pub mod recordings;
pub mod reload;
pub mod replica;
pub mod run;
pub mod secret;
pub mod sweep;
pub mod target;
pub mod text;
pub mod time;
pub mod version;

pub use access::{InvalidRole, Rate, Role, ShortKey, TokenKey, names_a_caller};
pub use call::{CallError, CallLimits, CallRecord, Decision, Denial, DenialReason, RemoteError};
pub use chain::{Anchor, ChainHead, InvalidAnchor};
pub use change::{ChangeCall, ChangeRecord, Difference, Done, Fact, Fate, Inverse, Plan, PlannedChange, Preview, Undo};
pub use cron::{CronPattern, InvalidCron};
pub use diagnosis::{Diagnosis, Severity};
pub use file_mark::FileMark;
pub use files::{File, FilePath, Files, InvalidFiles, MANIFEST, Missing};
pub use grant::{
    ChangeBounds, Grant, InvalidPattern, KeyPattern, ObjectKind, ObjectPattern, PathPattern, Resource, VariablePattern,
};
pub use guard::{Approval, Approvers, Budget, Freeze, FreezeId, Scope};
pub use id::{Digest, Digesting, PluginName, RunId};
pub use identity::{Identity, PluginVerb};
pub use lease::{Help, Helped, Lease, LeaseState};
pub use limits::Limits;
pub use operation::{Effect, Interface, Operation};
pub use outcome::{Label, Metric, Outcome, Status, Suggestion, Table};
pub use plugin::{CapabilityRequest, Kind, Metadata, Risk};
pub use quantity::{InvalidQuantity, Quantity};
pub use recordings::Recordings;
pub use reload::{ConfigStanding, ReloadRefused, Reloaded};
pub use replica::{Entries, NotWritten, Office, Revision};
pub use run::{
    Actor, Ending, Failure, FailureKind, LogLevel, LogLine, LogSource, Mode, Run, RunChanges, Trigger, Usage,
};
pub use secret::Secret;
pub use sweep::{
    Changes, CheckResult, EventKind, Missed, Muted, Overlap, Reason, Silence, SilenceId, Standing, SweepEvent,
    SweepName, SweepRun, SweepRunId, SweepRunState,
};
pub use target::{InvalidTarget, System, Target, TargetName};
pub use text::cut_bytes;
pub use time::{InvalidTime, Timestamp};
pub use version::{Arrival, Origin, Profile};
