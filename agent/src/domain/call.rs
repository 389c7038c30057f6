//! Host calls: how they end, and what is kept of each.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Digest, Timestamp};

/// The rule that stopped a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// No grant covers the operation on that target, or there is no such target.
    NotGranted,
    /// It is granted, but an argument lies outside the bounds of the grant.
    OutOfBounds,
    /// The run follows a plan that does not list this change.
    NotInPlan,
    /// Somebody has frozen changes since the run began.
    Frozen,
}

impl DenialReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NotGranted, Self::OutOfBounds, Self::NotInPlan, Self::Frozen];

    /// Stable label for logs, metrics and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotGranted => "not_granted",
            Self::OutOfBounds => "out_of_bounds",
            Self::NotInPlan => "not_in_plan",
            Self::Frozen => "frozen",
        }
    }
}

/// A refused call, with enough detail for an operator to write the missing grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} on {target} is denied ({}): {message}", reason.as_str())]
pub struct Denial {
    /// The refused function, written `interface/function`.
    pub operation: String,
    /// What it would have acted on, written `system/name`.
    pub target: String,
    /// Which rule applied.
    pub reason: DenialReason,
    /// One sentence for a human; for `NotGranted` it quotes the missing line.
    pub message: String,
}

/// An error that the system behind the host answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{system} answered {code}: {message}")]
pub struct RemoteError {
    /// `postgres`, `redis`, `queue` or `http`.
    pub system: &'static str,
    /// That system's own code: an SQLSTATE, a Redis error prefix.
    pub code: String,
    /// Its message, without credentials and addresses.
    pub message: String,
    /// True when the same call may succeed later without any change to it.
    pub retryable: bool,
}

/// Why a host call gave no result. The texts reach the plugin, so they hold no credentials and no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The host refused.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// An argument makes no sense, whatever the grant says.
    #[error("invalid: {0}")]
    Invalid(String),
    /// A granted thing does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// The thing changed since the plugin looked at it.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The system could not be reached.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// No answer within the time limit.
    #[error("timed out: {0}")]
    TimedOut(String),
    /// The answer exceeds a limit and cannot be cut safely.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The run used up a budget.
    #[error("exhausted: {0}")]
    Exhausted(String),
    /// The system answered with an error of its own.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl CallError {
    /// Stable label for metrics and records.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::Unavailable(_) => "unavailable",
            Self::TimedOut(_) => "timed_out",
            Self::TooLarge(_) => "too_large",
            Self::Exhausted(_) => "exhausted",
            Self::Remote(_) => "remote",
        }
    }
}

/// How much one host call may cost.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// When the call has to be over. The caller drops it then; a client that passes the time on (a statement timeout,
    /// a request timeout) ends the work at the other side as well.
    pub deadline: Instant,
    /// Most bytes of answer; what is larger is cut where the answer can say so, and refused with `TooLarge` elsewhere.
    pub answer_bytes: usize,
}

/// What the host decided about a call before doing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The grant covers it.
    Permitted,
    /// The grant does not cover it, or not with these arguments.
    Denied(DenialReason),
    /// The run had no budget left for it.
    Exhausted,
}

impl Decision {
    /// The decision that a call met which ended in `error` without using up a budget.
    pub const fn of(error: &CallError) -> Self {
        match error {
            CallError::Denied(denial) => Self::Denied(denial.reason),
            CallError::Invalid(_)
            | CallError::NotFound(_)
            | CallError::Conflict(_)
            | CallError::Unavailable(_)
            | CallError::TimedOut(_)
            | CallError::TooLarge(_)
            | CallError::Exhausted(_)
            | CallError::Remote(_) => Self::Permitted,
        }
    }

    /// Stable label for records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Denied(reason) => reason.as_str(),
            Self::Exhausted => "exhausted",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is kept of one host call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// Position within the run, from 1.
    pub sequence: u32,
    /// The function, written `interface/function`.
    pub operation: String,
    /// The target as the plugin named it, written `system/name` and cut to 100 characters.
    pub target: String,
    /// The arguments as a JSON object, values that may be secret replaced by their type and length.
    pub arguments: String,
    /// What the host decided.
    pub decision: Decision,
    /// When the call began.
    pub started: Timestamp,
    /// How long it took, the host's own work included.
    pub duration: Duration,
    /// Size of the answer in bytes of JSON; 0 for an error.
    pub answer_bytes: u64,
    /// SHA-256 of the answer as JSON; none for an error.
    pub answer_digest: Option<Digest>,
    /// Label and text of the error, if it failed.
    pub error: Option<String>,
}
