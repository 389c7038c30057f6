//! Freezes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain;

/// Freezes that hold, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreezeList {
    /// All of them.
    pub freezes: Vec<Freeze>,
}

/// What is asked for with `POST /v1/freezes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scope": {"target": "queue/email"}, "for": "2h", "reason": "migration, ticket 4711"}))]
pub struct FreezeRequest {
    /// What is frozen.
    pub scope: Scope,
    /// Why, for those who are kept from changing something: 1 to 500 bytes.
    pub reason: String,
    /// For how long: a length of time such as `90m`, `6h` or `2d`, or RFC 3339 for when it ends; at most 31 days.
    pub r#for: String,
}

/// What a freeze is about: just one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// `true` for all changes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// A target, with its system before it: its changes, whoever makes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "queue/email")]
    pub target: Option<String>,
    /// A plugin: its changes, wherever it makes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "queue-pause")]
    pub plugin: Option<String>,
}

/// Nothing is changed for a while, except back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Freeze {
    /// Its id.
    #[schema(format = "uuid", example = "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b")]
    pub id: String,
    /// What is frozen.
    pub scope: Scope,
    /// Why.
    #[schema(example = "migration, ticket 4711")]
    pub reason: String,
    /// Who: the name of the token.
    #[schema(example = "alice")]
    pub creator: String,
    /// Since when.
    #[schema(format = DateTime, example = "2026-03-01T03:00:00.000Z")]
    pub created: String,
    /// Until when.
    #[schema(format = DateTime, example = "2026-03-01T05:00:00.000Z")]
    pub expires: String,
}

impl From<domain::Scope> for Scope {
    fn from(scope: domain::Scope) -> Self {
        match scope {
            domain::Scope::All => Self { all: true, ..Self::default() },
            domain::Scope::Target(target) => Self { target: Some(target.to_string()), ..Self::default() },
            domain::Scope::Plugin(plugin) => Self { plugin: Some(plugin.to_string()), ..Self::default() },
        }
    }
}

impl From<domain::Freeze> for Freeze {
    fn from(freeze: domain::Freeze) -> Self {
        Self {
            id: freeze.id.to_string(),
            scope: freeze.scope.into(),
            reason: freeze.reason,
            creator: freeze.creator.0,
            created: freeze.created.to_string(),
            expires: freeze.expires.to_string(),
        }
    }
}
