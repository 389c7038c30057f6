//! The JSON of the API: what it takes and gives, as documented in `/openapi.json`.
//!
//! Each shape converts from the domain beside its definition. Times are RFC 3339 in UTC, lengths of time are seconds as
//! a number, and what there is not is left out. The command line reads the same shapes back, and takes words and fields
//! that a later agent may add.

mod audit;
mod call;
mod change;
mod configuration;
mod freeze;
mod lease;
mod outcome;
mod plugin;
mod run;
mod silence;
mod sweep;
mod version;
mod word;

pub use audit::{Audit, AuditRequest, Broken, ChainHead};
pub use call::{Call, LogLine};
pub use change::{ApplyRequest, Approval, ApproveRequest, BreakGlass, Change, ChangedField, Fact, Plan, PlannedChange};
pub use configuration::Reloaded;
pub use freeze::{Freeze, FreezeList, FreezeRequest, Scope};
pub use lease::{ExtendRequest, HeldLease, Help, Lease, LeaseList};
pub use outcome::{Failure, File, Label, Metric, Missing, Outcome, Suggestion, Table, Verdict};
pub use plugin::{Capability, Grant, Limits, Plugin, PluginList, PluginSummary, Quarantine};
pub use run::{Run, RunPage, RunRequest, RunSummary, Usage};
pub use silence::{Silence, SilenceList, SilenceRequest};
pub use sweep::{CheckResult, Schedule, Standing, Sweep, SweepEvent, SweepList, SweepRun, SweepSummary};
pub use version::{Delivered, Difference, Version, VersionCandidate, VersionDiff, VersionList, VersionSide};
pub use word::{
    Became, Decision, EventKind, FailureKind, Fate, HelpVerdict, LeaseState, LogLevel, LogSource, Mode, Muted, Origin,
    PluginKind, PluginState, Reason, Risk, RunState, Status, Step, SweepRunState, Trigger, VersionState,
};

use serde_json::Value;

/// A stored JSON document as JSON. Text that is none is shown as it is.
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
