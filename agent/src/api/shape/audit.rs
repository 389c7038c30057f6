//! The chain of records, as far as it is told as JSON of the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{domain, store};

/// The last link of the chain of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainHead {
    /// Its number; 0 when there is no link.
    #[schema(example = 1042)]
    pub seq: u64,
    /// Its hash.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub hash: String,
    /// When it was recorded.
    #[schema(format = DateTime, example = "2026-03-01T03:00:00.000Z")]
    pub time: String,
}

/// What is asked for with `POST /v1/audit/verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditRequest {
    /// A link that was the head once: its number, a colon and its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "1042:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub head: Option<String>,
}

/// What comparing the records came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// Links that were compared.
    pub links: u64,
    /// The last of them that is sound.
    pub verified_to: Option<ChainHead>,
    /// The first thing that is not as it was recorded; null when there is none.
    pub broken: Option<Broken>,
}

/// Something that is not as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Broken {
    /// The link at which it was noticed.
    pub seq: u64,
    /// What it is.
    #[schema(example = "run 019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b: the call 3 is not as it was recorded")]
    pub why: String,
}

impl From<domain::ChainHead> for ChainHead {
    fn from(head: domain::ChainHead) -> Self {
        Self { seq: head.seq, hash: head.hash.hex(), time: head.time.to_string() }
    }
}

impl From<store::Verified> for Audit {
    fn from(verified: store::Verified) -> Self {
        let store::Verified { links, to, broken } = verified;
        let broken = broken.map(|store::Broken { seq, why }| Broken { seq, why });
        Self { links, verified_to: to.map(Into::into), broken }
    }
}
