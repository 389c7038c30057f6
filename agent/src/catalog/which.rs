//! Which of the versions of a plugin is meant: by number, or by how it stands.

use std::fmt;
use std::str::FromStr;

use super::Undelivered;
use crate::domain::{Arrival, PluginName};
use crate::store::{KeptPlugin, KeptVersion, Waiting};

/// Which version is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that runs.
    Active,
    /// The one that ran before it.
    Previous,
    /// The one that waits for its grants.
    Waiting,
    /// The one of that number.
    Version(semver::Version),
}

/// Why a text names no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a semantic version such as 0.2.0, or `active`, `previous` or `waiting`")]
pub struct InvalidWhich;

impl FromStr for Which {
    type Err = InvalidWhich;

    fn from_str(text: &str) -> Result<Self, InvalidWhich> {
        match text {
            "active" => Ok(Self::Active),
            "previous" => Ok(Self::Previous),
            "waiting" => Ok(Self::Waiting),
            text => text.parse().map(Self::Version).map_err(|_| InvalidWhich),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Previous => f.write_str("previous"),
            Self::Waiting => f.write_str("waiting"),
            Self::Version(version) => version.fmt(f),
        }
    }
}

/// What a version turned out to be.
pub(super) enum Found<'a> {
    Kept(&'a KeptVersion),
    Waiting(&'a Waiting),
}

impl Found<'_> {
    /// Where it came from and what it is.
    pub(super) fn arrival(&self) -> &Arrival {
        match self {
            Found::Kept(kept) => &kept.arrival,
            Found::Waiting(waiting) => &waiting.arrival,
        }
    }
}

/// The version of `name` that is meant.
pub(super) fn find<'a>(name: &PluginName, kept: &'a KeptPlugin, which: &Which) -> Result<Found<'a>, Undelivered> {
    let version = match which {
        Which::Active => kept.active.as_ref(),
        Which::Previous => kept.previous.as_ref(),
        Which::Version(version) => Some(version),
        Which::Waiting => None,
    };
    let waiting = || match which {
        Which::Waiting => kept.waiting.as_ref(),
        Which::Version(version) => kept.waiting.as_ref().filter(|waiting| waiting.version.as_ref() == Some(version)),
        Which::Active | Which::Previous => None,
    };
    let found = version.and_then(|version| kept.version(version)).map(Found::Kept);
    found.or_else(|| waiting().map(Found::Waiting)).ok_or_else(|| Undelivered::UnknownVersion {
        name: name.clone(),
        wanted: which.to_string(),
        kept: kept.versions.iter().map(|kept| kept.version.to_string()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_by_number_or_by_how_it_stands() {
        for text in ["active", "previous", "waiting", "0.1.0", "1.0.0-rc.1+build.7"] {
            assert_eq!(text.parse::<Which>().unwrap().to_string(), text);
        }
        for bad in ["", "latest", "1", "v0.1.0", "0.1", "Active", " 0.1.0"] {
            assert_eq!(bad.parse::<Which>(), Err(InvalidWhich), "{bad}");
        }
    }
}
