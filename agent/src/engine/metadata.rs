//! Checks what a plugin says of itself.

use std::time::Duration;

use super::outcome::{clean, labels};
use crate::domain::{CapabilityRequest, Kind, Metadata, Risk, cut_bytes};
use crate::host::bindings::exports::paramedic::plugin::plugin as wit;
use crate::host::bindings::paramedic::plugin::types;

/// Longest texts of a description together, the schema included, in bytes.
const MAX_TEXT: usize = 128 << 10;

/// Most capabilities that a plugin can ask for.
const MAX_CAPABILITIES: usize = 100;

/// Decode and check an answer of `describe`. The problem is one sentence for the author.
pub(super) fn decode(metadata: wit::Metadata) -> Result<Metadata, String> {
    if text_bytes(&metadata) > MAX_TEXT {
        return Err(format!("its texts and its schema have more than {MAX_TEXT} bytes together"));
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
            .map_err(|_| format!("its version `{}` is no semantic version", clean(cut_bytes(&metadata.version, 80))))?,
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

fn text_bytes(metadata: &wit::Metadata) -> usize {
    let of_request =
        |request: &wit::CapabilityRequest| request.operation.len() + request.target.len() + request.reason.len();
    let of_label = |label: &types::Label| label.name.len() + label.value.len();
    let single = [&metadata.title, &metadata.description, &metadata.params_schema, &metadata.version];
    single.into_iter().chain(&metadata.runbook).map(String::len).sum::<usize>()
        + metadata.capabilities.iter().map(of_request).sum::<usize>()
        + metadata.labels.iter().map(of_label).sum::<usize>()
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
