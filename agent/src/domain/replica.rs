//! What several replicas of the agent see of each other: the objects of a cluster that they share.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{CallError, Timestamp};

/// A version of a shared object, as its server counts: whoever writes names the one that they read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision(pub String);

/// Who leads, as a Lease of the cluster says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Office {
    /// Who holds it; none where nobody does.
    pub holder: Option<String>,
    /// For how long its holder leads without a word of it.
    pub term: Duration,
    /// Since when it is held.
    pub acquired: Option<Timestamp>,
    /// When its holder last said so, by the holder's own clock.
    pub renewed: Option<Timestamp>,
    /// How often the holder became another one.
    pub transitions: u32,
}

/// What replicas remember together: texts by their names.
pub type Entries = BTreeMap<String, String>;

/// Why a shared object was not written, or perhaps not.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotWritten {
    /// Somebody wrote since it was read. Nothing was done.
    #[error("somebody else wrote it meanwhile")]
    Stale,
    /// The server said no, or nothing: whether it was done shows the next look.
    #[error(transparent)]
    Failed(CallError),
}
