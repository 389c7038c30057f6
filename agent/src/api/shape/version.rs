//! Versions of a plugin: those that are kept, what became of one that came in, and two beside each other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Became, Origin, Step, VersionState};
use crate::catalog::{self, Candidate, Change, Side, Standing};
use crate::domain::{Arrival, PluginName};
use crate::store::{KeptPlugin, KeptVersion, Waiting};

/// The versions of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionList {
    /// The plugin.
    #[schema(example = "pg-outbox")]
    pub plugin: String,
    /// The version that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.2.0")]
    pub active: Option<String>,
    /// The version that ran before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.1.0")]
    pub previous: Option<String>,
    /// All that are kept, the newest first. One that waits for its grants comes before them.
    pub versions: Vec<Version>,
    /// Versions that were not taken, the newest first, since one was.
    pub candidates: Vec<VersionCandidate>,
}

/// A version that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Its version; none for one that waits and could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.2.0")]
    pub version: Option<String>,
    /// How it stands.
    pub state: VersionState,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Digest of its component.
    pub digest: String,
    /// Size of its component.
    #[schema(example = 250_000)]
    pub size_bytes: u64,
    /// Which way it came in.
    pub origin: Origin,
    /// Who brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "ci")]
    pub actor: Option<String>,
    /// The key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "release")]
    pub signer: Option<String>,
    /// When it came in.
    #[schema(format = DateTime, example = "2026-03-01T03:00:00.000Z")]
    pub added: String,
}

impl VersionList {
    /// What is kept of `plugin`.
    pub fn of(plugin: &PluginName, kept: KeptPlugin, standing: Standing) -> Self {
        let KeptPlugin { versions, active, previous, waiting, .. } = kept;
        let state = |version: &semver::Version| match version {
            version if Some(version) == active.as_ref() => "active",
            version if Some(version) == previous.as_ref() => "previous",
            _ => "kept",
        };
        let waiting = waiting.map(|Waiting { version, arrival, reason }| {
            let version = version.map(|version| version.to_string());
            Version { reason: Some(reason), ..Version::of(version, "waiting", arrival) }
        });
        let versions = versions
            .into_iter()
            .map(|KeptVersion { version, arrival }| Version::of(Some(version.to_string()), state(&version), arrival));
        Self {
            plugin: plugin.to_string(),
            versions: waiting.into_iter().chain(versions).collect(),
            active: active.as_ref().map(ToString::to_string),
            previous: previous.as_ref().map(ToString::to_string),
            candidates: standing.candidates.into_iter().map(VersionCandidate::from).collect(),
        }
    }
}

impl Version {
    fn of(version: Option<String>, state: &'static str, arrival: Arrival) -> Self {
        Self {
            version,
            state: VersionState::from(state),
            reason: None,
            digest: arrival.digest.to_string(),
            size_bytes: arrival.size,
            origin: arrival.origin.into(),
            actor: arrival.actor.map(|actor| actor.0),
            signer: arrival.signer,
            added: arrival.at.to_string(),
        }
    }
}

/// A version that was not taken, or not yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionCandidate {
    /// Its version, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.3.0")]
    pub version: Option<String>,
    /// Its digest, if it came that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Which way it came.
    pub origin: Origin,
    /// Who brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// When.
    #[schema(format = DateTime, example = "2026-03-01T03:00:00.000Z")]
    pub at: String,
    /// The step that it did not pass.
    pub step: Step,
    /// True when it is kept, or lies where it came from, until the lines in `reason` are added.
    pub waits: bool,
    /// Why.
    #[schema(
        example = "its grants lack what it needs; add plugins.pg-outbox.grants: - { postgres: main, verbs: [query] }"
    )]
    pub reason: String,
}

impl From<Candidate> for VersionCandidate {
    fn from(candidate: Candidate) -> Self {
        let Candidate { version, digest, origin, actor, at, step, waits, reason } = candidate;
        Self {
            version: version.map(|version| version.to_string()),
            digest: digest.map(|digest| digest.to_string()),
            origin: origin.into(),
            actor: actor.map(|actor| actor.0),
            at: at.to_string(),
            step: step.into(),
            waits,
            reason,
        }
    }
}

/// What became of a component that came in, or of a version that was activated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Delivered {
    /// The plugin.
    #[schema(example = "pg-outbox")]
    pub plugin: String,
    /// What it became.
    pub state: Became,
    /// Its version; none for one that waits and could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.2.0")]
    pub version: Option<String>,
    /// Digest of its component.
    pub digest: String,
    /// The version that ran until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.1.0")]
    pub previous: Option<String>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Delivered {
    /// What became of a component of `plugin`.
    pub fn of(plugin: &PluginName, delivered: catalog::Delivered) -> Self {
        let catalog::Delivered { became, version, digest, previous, reason } = delivered;
        Self {
            plugin: plugin.to_string(),
            state: became.into(),
            version: version.map(|version| version.to_string()),
            digest: digest.to_string(),
            previous: previous.map(|version| version.to_string()),
            reason,
        }
    }
}

/// Two versions beside each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionDiff {
    /// The plugin.
    #[schema(example = "pg-outbox")]
    pub plugin: String,
    /// The one that is looked from.
    pub from: VersionSide,
    /// The one that is looked at.
    pub to: VersionSide,
    /// Functions that it imports.
    pub interfaces: Vec<Difference>,
    /// What it asks to be allowed.
    pub capabilities: Vec<Difference>,
    /// Parameters that it takes.
    pub params: Vec<Difference>,
    /// Title, kind, risk and the like.
    pub facts: Vec<Difference>,
    /// Interfaces that the second imports and of which nothing is granted.
    pub not_granted: Vec<String>,
    /// Versions that could not be asked what they are, because their grants lack an interface. Only their interfaces and
    /// sizes are compared.
    pub undescribed: Vec<String>,
}

/// One of two versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionSide {
    /// Its version, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.2.0")]
    pub version: Option<String>,
    /// Digest of its component.
    pub digest: String,
    /// Size of its component.
    #[schema(example = 250_000)]
    pub size_bytes: u64,
    /// The key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
}

/// One difference between two versions: one of the two is left out where it has nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// What it is about; left out where `from` or `to` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "limit")]
    pub what: Option<String>,
    /// What the first has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What the second has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "postgres/query")]
    pub to: Option<String>,
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        match change {
            Change::Added(to) => Self { what: None, from: None, to: Some(to) },
            Change::Removed(from) => Self { what: None, from: Some(from), to: None },
            Change::Changed { what, from, to } => Self { what: Some(what), from: Some(from), to: Some(to) },
        }
    }
}

impl From<Side> for VersionSide {
    fn from(side: Side) -> Self {
        let Side { version, digest, size, signer } = side;
        let version = version.map(|version| version.to_string());
        Self { version, digest: digest.to_string(), size_bytes: size, signer }
    }
}

impl VersionDiff {
    /// Two versions of `plugin`.
    pub fn of(plugin: &PluginName, diff: catalog::Diff) -> Self {
        let differences = |changes: Vec<Change>| changes.into_iter().map(Difference::from).collect();
        Self {
            plugin: plugin.to_string(),
            from: diff.from.into(),
            to: diff.to.into(),
            interfaces: differences(diff.interfaces),
            capabilities: differences(diff.capabilities),
            params: differences(diff.params),
            facts: differences(diff.facts),
            not_granted: diff.not_granted,
            undescribed: diff.undescribed,
        }
    }
}
