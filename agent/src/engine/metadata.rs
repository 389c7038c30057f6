//! Checks what a plugin says of itself.

use std::time::Duration;

use super::outcome::{clean, labels};
use crate::domain::{CapabilityRequest, Kind, Metadata, Risk};
use crate::host::bindings::exports::paramedic::plugin::plugin as wit;

/// Longest description and schema together, in bytes.
const MAX_TEXT: usize = 128 << 10;

/// Most capabilities that a plugin can ask for.
const MAX_CAPABILITIES: usize = 100;

/// Decode and check an answer of `describe`. The problem is one sentence for the author.
pub(super) fn decode(metadata: wit::Metadata) -> Result<Metadata, String> {
    if metadata.description.len() + metadata.params_schema.len() + metadata.title.len() > MAX_TEXT {
        return Err(format!("title, description and schema have more than {MAX_TEXT} bytes together"));
    }
    if metadata.capabilities.len() > MAX_CAPABILITIES {
        return Err(format!("it asks for more than {MAX_CAPABILITIES} capabilities"));
    }
    let time_limit = Duration::try_from_secs_f64(metadata.time_limit)
        .ok()
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| format!("its time limit is {} s; expected a positive number", metadata.time_limit))?;
    Ok(Metadata {
        name: metadata.name.parse().map_err(|error| format!("its name is wrong: {error}"))?,
        version: metadata
            .version
            .parse()
            .map_err(|_| format!("its version `{}` is no semantic version", clean(&metadata.version)))?,
        kind: kind(metadata.kind),
        title: clean(&metadata.title),
        description: clean(&metadata.description),
        runbook: metadata.runbook.map(|anchor| clean(&anchor)),
        params_schema: metadata.params_schema,
        capabilities: metadata.capabilities.into_iter().map(request).collect(),
        time_limit,
        risk: risk(metadata.risk),
        idempotent: metadata.idempotent,
        labels: labels(metadata.labels)?,
    })
}

const fn kind(kind: wit::Kind) -> Kind {
    match kind {
        wit::Kind::Check => Kind::Check,
        wit::Kind::Mitigation => Kind::Mitigation,
        wit::Kind::Responder => Kind::Responder,
    }
}

const fn risk(risk: wit::Risk) -> Risk {
    match risk {
        wit::Risk::Low => Risk::Low,
        wit::Risk::Medium => Risk::Medium,
        wit::Risk::High => Risk::High,
    }
}

fn request(request: wit::CapabilityRequest) -> CapabilityRequest {
    CapabilityRequest {
        operation: clean(&request.operation),
        target: clean(&request.target),
        reason: clean(&request.reason),
        optional: request.optional,
    }
}
