//! What a run did and wrote: its host calls and its log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::outcome::labels;
use super::{Decision, Label, LogLevel, LogSource, document};
use crate::domain;

/// One host call of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Call {
    /// Position within the run, from 1.
    #[schema(example = 1)]
    pub sequence: u32,
    /// The function.
    #[schema(example = "postgres/sessions")]
    pub operation: String,
    /// The target as the plugin named it.
    #[schema(example = "postgres/main")]
    pub target: String,
    /// The arguments; what may be secret is replaced by its type and length.
    #[schema(value_type = Object)]
    pub arguments: Value,
    /// What the host decided.
    pub decision: Decision,
    /// When it began.
    #[schema(format = DateTime, example = "2026-03-01T03:14:15.926Z")]
    pub started: String,
    /// How long it took.
    #[schema(example = 0.0042)]
    pub duration_seconds: f64,
    /// Size of the answer in bytes of JSON.
    #[schema(example = 5120)]
    pub answer_bytes: u64,
    /// SHA-256 of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_digest: Option<String>,
    /// What went wrong, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<domain::CallRecord> for Call {
    fn from(call: domain::CallRecord) -> Self {
        Self {
            sequence: call.sequence,
            operation: call.operation,
            target: call.target,
            arguments: document(&call.arguments),
            decision: call.decision.into(),
            started: call.started.to_string(),
            duration_seconds: call.duration.as_secs_f64(),
            answer_bytes: call.answer_bytes,
            answer_digest: call.answer_digest.map(|digest| digest.to_string()),
            error: call.error,
        }
    }
}

/// One line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When it was written.
    #[schema(format = DateTime, example = "2026-03-01T03:14:15.926Z")]
    pub time: String,
    /// How important it is.
    pub level: LogLevel,
    /// Who wrote it, and how.
    pub source: LogSource,
    /// The message, as the plugin wrote it.
    pub message: String,
    /// Further facts.
    #[serde(default)]
    pub fields: Vec<Label>,
}

impl From<domain::LogLine> for LogLine {
    fn from(line: domain::LogLine) -> Self {
        Self {
            time: line.time.to_string(),
            level: line.level.into(),
            source: line.source.into(),
            message: line.message,
            fields: labels(line.fields),
        }
    }
}
