//! Changes that are given back by themselves, and whether they helped.

use super::{RunId, Timestamp};

/// How a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// Its changes are there, and are given back at its end.
    Held,
    /// They were given back, or there is nothing to give back.
    Ended,
    /// They could not be given back at its end; somebody has to see to it.
    Stuck,
}

impl LeaseState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Held, Self::Ended, Self::Stuck];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Ended => "ended",
            Self::Stuck => "stuck",
        }
    }
}

/// The changes of a run, until they are given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run that made them.
    pub run: RunId,
    /// When they are given back.
    pub until: Timestamp,
    /// How it stands.
    pub state: LeaseState,
    /// Why it is stuck.
    pub detail: Option<String>,
    /// The run that gave them back.
    pub ended_by: Option<RunId>,
}

/// What an apply did for the check that its plugin names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helped {
    /// Its verdict is better than before.
    Helped,
    /// It is the same.
    NoChange,
    /// It is worse.
    Worse,
    /// One of the two is not known.
    Unknown,
}

impl Helped {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Helped, Self::NoChange, Self::Worse, Self::Unknown];

    /// Stable label for JSON, metrics and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Helped => "helped",
            Self::NoChange => "no_change",
            Self::Worse => "worse",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether an apply helped, and the two runs of the check that tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Help {
    /// The verdict.
    pub verdict: Helped,
    /// The check before it.
    pub before: RunId,
    /// The check after it; none when it could not be run.
    pub after: Option<RunId>,
}
