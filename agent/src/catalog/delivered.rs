//! What becomes of a component that comes in: taken, waiting, or refused with a reason.

use std::sync::Arc;

use super::{PluginError, Step};
use crate::domain::{Actor, Digest, Origin, PluginName, Timestamp};
use crate::store::StoreError;

/// A version that was not taken, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its version, as far as it is known.
    pub version: Option<semver::Version>,
    /// Its digest, if it came that far.
    pub digest: Option<Digest>,
    /// Which way it came.
    pub origin: Origin,
    /// Who brought it.
    pub actor: Option<Actor>,
    /// When.
    pub at: Timestamp,
    /// The step that it did not pass.
    pub step: Step,
    /// True when it is kept and waits for the lines in `reason`.
    pub waits: bool,
    /// Why, and what would be right.
    pub reason: String,
}

/// What became of a component that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// What it became.
    pub became: Became,
    /// Its version; none for one that waits and could not be asked.
    pub version: Option<semver::Version>,
    /// Its digest.
    pub digest: Digest,
    /// The version that ran until now, if that is another one.
    pub previous: Option<semver::Version>,
    /// What it waits for.
    pub reason: Option<String>,
}

/// What a component became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It runs from now on.
    Active,
    /// It ran already, with these very bytes.
    Unchanged,
    /// These very bytes are kept already, and another version runs.
    Kept,
    /// It asks for more than its grants; the version before keeps serving.
    Waiting,
}

impl Became {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Unchanged, Self::Kept, Self::Waiting];

    /// Word for JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
            Self::Waiting => "waiting",
        }
    }
}

/// Why a version was not taken, activated, compared or forgotten. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// No plugin of that name is configured.
    #[error("no plugin is named `{name}`")]
    UnknownPlugin {
        /// The name.
        name: PluginName,
    },
    /// The plugin comes another way.
    #[error("`{name}` comes from {source_in_words}; to take it from here, write `source: {}` in the configuration", wanted.as_str())]
    OtherSource {
        /// The plugin.
        name: PluginName,
        /// Where it comes from.
        source_in_words: &'static str,
        /// Where this one came from.
        wanted: Origin,
    },
    /// That version is there with other bytes.
    #[error(
        "version {version} of `{name}` is kept already and has other bytes ({digest}); give the new one a new version"
    )]
    Exists {
        /// The plugin.
        name: PluginName,
        /// The version.
        version: semver::Version,
        /// Digest of what is kept.
        digest: Digest,
    },
    /// There is no such version.
    #[error("`{name}` has no version `{wanted}`; {}", choices(kept))]
    UnknownVersion {
        /// The plugin.
        name: PluginName,
        /// What was asked for.
        wanted: String,
        /// The versions that there are.
        kept: Vec<String>,
    },
    /// The active version cannot be forgotten.
    #[error("version {version} of `{name}` is active; activate another one first")]
    InUse {
        /// The plugin.
        name: PluginName,
        /// The version.
        version: semver::Version,
    },
    /// It did not pass a step.
    #[error("{}", error.chain())]
    Refused {
        /// The plugin.
        name: PluginName,
        /// The version, as far as it is known.
        version: Option<semver::Version>,
        /// The reason.
        error: Arc<PluginError>,
    },
    /// It could not be kept.
    #[error("the store does not keep it")]
    Store(#[from] StoreError),
}

fn choices(kept: &[String]) -> String {
    if kept.is_empty() { "none is kept".to_owned() } else { format!("kept are {}", kept.join(", ")) }
}
