//! What becomes of a configuration that is read again.

use super::Timestamp;

/// What was different in a configuration that is in force now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// When it was put in force.
    pub at: Timestamp,
    /// What was added, removed or changed, as paths such as `plugins.pg-ready`.
    pub changed: Vec<String>,
    /// Settings that are other ones than the agent was started with, and hold only after a restart.
    pub needs_restart: Vec<&'static str>,
}

/// Why a configuration was not put in force. The one before holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is refused, and the one before stays in force: {reason}")]
pub struct ReloadRefused {
    /// Why.
    pub reason: String,
    /// Each mistake in the file, where that is the reason: place, path of the field, and what would be right.
    pub problems: Vec<String>,
}

/// How the configuration in force stands to what lies in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigStanding {
    /// When it was put in force.
    pub since: Timestamp,
    /// Why the one that was read last is not in force.
    pub refused: Option<ReloadRefused>,
    /// Settings that hold only after a restart.
    pub needs_restart: Vec<&'static str>,
}
