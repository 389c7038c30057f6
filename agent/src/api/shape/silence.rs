//! Silences.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain;

/// Silences that hold, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SilenceList {
    /// All of them.
    pub silences: Vec<Silence>,
}

/// What is asked for with `POST /v1/silences`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sweep": "health", "expires": "2h", "reason": "failover test, ticket 4711"}))]
pub struct SilenceRequest {
    /// The sweep; all of them if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<String>,
    /// Until when: RFC 3339, or a length of time from now such as `90m`, `6h` or `2d`; at most 366 days.
    pub expires: String,
    /// Why, for those who come after: 1 to 500 bytes.
    pub reason: String,
    /// Whether it also ends when the sweep recovers.
    #[serde(default)]
    pub expire_on_resolve: bool,
}

/// Somebody knows, and does not want to hear of it for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Silence {
    /// Its id.
    #[schema(format = "uuid", example = "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b")]
    pub id: String,
    /// The sweep; all of them if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "health")]
    pub sweep: Option<String>,
    /// Why.
    #[schema(example = "failover test, ticket 4711")]
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
    /// Whether it also ends when the sweep recovers.
    pub expire_on_resolve: bool,
}

impl From<domain::Silence> for Silence {
    fn from(silence: domain::Silence) -> Self {
        Self {
            id: silence.id.to_string(),
            sweep: silence.sweep.map(|sweep| sweep.to_string()),
            reason: silence.reason,
            creator: silence.creator.0,
            created: silence.created.to_string(),
            expires: silence.expires.to_string(),
            expire_on_resolve: silence.expire_on_resolve,
        }
    }
}
