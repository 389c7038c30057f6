//! The JSON of what a component is like. Private to the store, as the shapes in [`super::json`] are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::json::Labels;
use crate::domain::{self, CapabilityRequest, Interface, Kind, Metadata, Risk};

/// Imports and description of a component.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    imports: BTreeMap<String, BTreeSet<String>>,
    description: Option<Description>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    name: String,
    version: String,
    kind: String,
    title: String,
    description: String,
    runbook: Option<String>,
    params_schema: String,
    capabilities: Vec<Capability>,
    time_limit_ms: u64,
    risk: String,
    idempotent: bool,
    labels: Labels,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Capability {
    operation: String,
    target: String,
    reason: String,
    optional: bool,
}

/// What stands in a row and was never written there.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not known here")]
pub(super) struct Unknown(String);

impl From<domain::Profile> for Profile {
    fn from(profile: domain::Profile) -> Self {
        let imports = profile.imports.into_iter().map(|(interface, names)| (interface.to_string(), names)).collect();
        Self { imports, description: profile.metadata.map(Description::from) }
    }
}

impl TryFrom<Profile> for domain::Profile {
    type Error = Unknown;

    fn try_from(profile: Profile) -> Result<Self, Unknown> {
        let interface = |(name, functions): (String, BTreeSet<String>)| match Interface::from_name(&name) {
            Some(interface) => Ok((interface, functions)),
            None => Err(Unknown(name)),
        };
        let imports = profile.imports.into_iter().map(interface).collect::<Result<_, _>>()?;
        Ok(Self { imports, metadata: profile.description.map(Metadata::try_from).transpose()? })
    }
}

impl From<Metadata> for Description {
    fn from(metadata: Metadata) -> Self {
        Self {
            name: metadata.name.to_string(),
            version: metadata.version.to_string(),
            kind: metadata.kind.as_str().to_owned(),
            title: metadata.title,
            description: metadata.description,
            runbook: metadata.runbook,
            params_schema: metadata.params_schema,
            capabilities: metadata.capabilities.into_iter().map(Capability::from).collect(),
            time_limit_ms: u64::try_from(metadata.time_limit.as_millis()).unwrap_or(u64::MAX),
            risk: metadata.risk.as_str().to_owned(),
            idempotent: metadata.idempotent,
            labels: metadata.labels.into(),
        }
    }
}

impl TryFrom<Description> for Metadata {
    type Error = Unknown;

    fn try_from(stored: Description) -> Result<Self, Unknown> {
        Ok(Self {
            name: stored.name.parse().map_err(|_| Unknown(stored.name))?,
            version: stored.version.parse().map_err(|_| Unknown(stored.version))?,
            kind: word(&Kind::ALL, Kind::as_str, stored.kind)?,
            title: stored.title,
            description: stored.description,
            runbook: stored.runbook,
            params_schema: stored.params_schema,
            capabilities: stored.capabilities.into_iter().map(CapabilityRequest::from).collect(),
            time_limit: Duration::from_millis(stored.time_limit_ms),
            risk: word(&Risk::ALL, Risk::as_str, stored.risk)?,
            idempotent: stored.idempotent,
            labels: stored.labels.into(),
        })
    }
}

fn word<T: Copy>(all: &[T], text: impl Fn(T) -> &'static str, stored: String) -> Result<T, Unknown> {
    all.iter().copied().find(|word| text(*word) == stored).ok_or(Unknown(stored))
}

impl From<CapabilityRequest> for Capability {
    fn from(request: CapabilityRequest) -> Self {
        let CapabilityRequest { operation, target, reason, optional } = request;
        Self { operation, target, reason, optional }
    }
}

impl From<Capability> for CapabilityRequest {
    fn from(stored: Capability) -> Self {
        let Capability { operation, target, reason, optional } = stored;
        Self { operation, target, reason, optional }
    }
}
