//! How the store fails, in terms of what a caller can do about it.

use std::error::Error;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::domain::{Actor, Freeze, PluginName, RunId, Timestamp};

use super::{STATE_KEYS, query::InvalidPage};

/// Why the store did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too many writes wait. Trying again later helps.
    #[error("the store is busy: its queue of writes is full")]
    Busy,
    /// The disk or the quota is full. Reads go on, and writes do as soon as there is space.
    #[error("no space is left for the store")]
    Full(#[source] rusqlite::Error),
    /// The operating system refused to read or write.
    #[error("the store's file cannot be read or written")]
    Io(#[source] rusqlite::Error),
    /// The file, or something that lies beside it, cannot be used.
    #[error("cannot use {path}")]
    Path {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Something that was stored cannot be understood any more.
    #[error("the store is damaged: {place} cannot be read")]
    Corrupt {
        /// `table.column`, or `the file`.
        place: String,
        /// What was wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file comes from a later release.
    #[error(
        "{path} has format {found}, which is newer than the {known} that this agent knows: use a newer agent or another file"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this agent knows.
        known: i64,
    },
    /// The file belongs to something else.
    #[error("{path} is a database, but not one of paramedic's: name another file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another agent works with the file.
    #[error("{path} is in use by another agent: stop that one first, or name another file")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A run of that id was recorded before.
    #[error("run {0} exists already")]
    DuplicateRun(RunId),
    /// No run of that id was recorded.
    #[error("there is no run {0}")]
    UnknownRun(RunId),
    /// That version of a plugin is not kept.
    #[error("version {version} of {plugin} is not kept")]
    UnknownVersion {
        /// The plugin.
        plugin: PluginName,
        /// The version.
        version: String,
    },
    /// The caller's argument makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The caller asked for a page that there cannot be.
    #[error(transparent)]
    InvalidPage(#[from] InvalidPage),
    /// The key was written by somebody else in the meantime.
    #[error("key `{key}` has revision {found}, not {expected}")]
    Conflict {
        /// The key.
        key: String,
        /// The revision that the caller knew.
        expected: u64,
        /// The revision that it has; 0 when it does not exist.
        found: u64,
    },
    /// Something was done under this key already.
    #[error("the idempotency key is taken")]
    KeyTaken,
    /// No plan was made by that run.
    #[error("run {0} made no plan")]
    UnknownPlan(RunId),
    /// The plan is or was applied by a run.
    #[error("the plan {plan} was taken by run {by}")]
    PlanTaken {
        /// The plan.
        plan: RunId,
        /// The run that applies it.
        by: RunId,
    },
    /// The plan's time is over.
    #[error("the plan {plan} expired at {at}")]
    PlanExpired {
        /// The plan.
        plan: RunId,
        /// When it did.
        at: Timestamp,
    },
    /// The plan is not as it was recorded.
    #[error("the plan is not as it was recorded: its digest is another")]
    DamagedPlan,
    /// The plugin has touched as much as it may within an hour.
    #[error("it has touched {touched} within the last hour, and the grant says `per_hour: {most}`")]
    HourSpent {
        /// How much it touched.
        touched: u64,
        /// How much it may.
        most: u64,
    },
    /// All plugins together have touched as much as they may within an hour.
    #[error("all plugins together have touched {touched} within the last hour, and the budget says `{budget}`")]
    BudgetSpent {
        /// The budget, as it is written.
        budget: String,
        /// How much they touched.
        touched: u64,
    },
    /// A freeze stands against the change.
    #[error("{0}")]
    Frozen(Box<Freeze>),
    /// One person approves a plan once.
    #[error("{} has approved the plan {plan} before", actor.0)]
    ApprovedBefore {
        /// The plan.
        plan: RunId,
        /// Who.
        actor: Actor,
    },
    /// The plugin keeps as many keys as it may.
    #[error("{0} keeps {STATE_KEYS} keys already, the most it may")]
    StateFull(PluginName),
    /// What replicas share cannot be written.
    #[error("what replicas share cannot be written: {0}")]
    Shared(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The database refused what we asked; a defect of ours.
    #[error("the database refused a statement")]
    Internal(#[source] rusqlite::Error),
}

impl StoreError {
    /// The stored value in `place`, written `table.column`, is not what was ever written there.
    pub(super) fn corrupt(place: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Corrupt { place: place.into(), source: source.into() }
    }

    /// True when the same request may succeed later: there is room again, or the disk answers.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Busy | Self::Full(_) | Self::Io(_) => true,
            Self::Path { .. }
            | Self::Corrupt { .. }
            | Self::TooNew { .. }
            | Self::Foreign { .. }
            | Self::Locked { .. }
            | Self::DuplicateRun(_)
            | Self::UnknownRun(_)
            | Self::UnknownVersion { .. }
            | Self::Invalid(_)
            | Self::InvalidPage(_)
            | Self::Conflict { .. }
            | Self::KeyTaken
            | Self::UnknownPlan(_)
            | Self::PlanTaken { .. }
            | Self::PlanExpired { .. }
            | Self::DamagedPlan
            | Self::HourSpent { .. }
            | Self::BudgetSpent { .. }
            | Self::Frozen(_)
            | Self::ApprovedBefore { .. }
            | Self::StateFull(_)
            | Self::Shared(_)
            | Self::Closed
            | Self::Internal(_) => false,
        }
    }

    /// True when it is the file, the disk or the database that fails, not the single request.
    pub(super) const fn is_storage(&self) -> bool {
        match self {
            Self::Full(_) | Self::Io(_) | Self::Path { .. } | Self::Corrupt { .. } | Self::Internal(_) => true,
            Self::Busy
            | Self::TooNew { .. }
            | Self::Foreign { .. }
            | Self::Locked { .. }
            | Self::DuplicateRun(_)
            | Self::UnknownRun(_)
            | Self::UnknownVersion { .. }
            | Self::Invalid(_)
            | Self::InvalidPage(_)
            | Self::Conflict { .. }
            | Self::KeyTaken
            | Self::UnknownPlan(_)
            | Self::PlanTaken { .. }
            | Self::PlanExpired { .. }
            | Self::DamagedPlan
            | Self::HourSpent { .. }
            | Self::BudgetSpent { .. }
            | Self::Frozen(_)
            | Self::ApprovedBefore { .. }
            | Self::StateFull(_)
            | Self::Shared(_)
            | Self::Closed => false,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::corrupt("the file", error),
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport
                | ErrorCode::OutOfMemory,
            ) => Self::Io(error),
            _ => Self::Internal(error),
        }
    }
}
