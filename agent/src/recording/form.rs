//! Values of the domain as they stand in a recording.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::{Limits, Mode};

/// What is written and read as text.
pub(super) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::recording) fn serialize<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(in crate::recording) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A mode as its word.
pub(super) mod mode {
    use super::*;

    pub(in crate::recording) fn serialize<S: Serializer>(mode: &Mode, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(mode.as_str())
    }

    pub(in crate::recording) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Mode, D::Error> {
        let word = String::deserialize(from)?;
        let known = Mode::ALL.into_iter().find(|mode| mode.as_str() == word);
        known.ok_or_else(|| D::Error::custom(format!("`{word}` is no mode: expected check, plan or apply")))
    }
}

/// Limits by their names.
pub(super) mod limits {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form {
        deadline_ms: u64,
        memory_bytes: usize,
        table_elements: usize,
        calls: u32,
        answer_bytes: usize,
        total_answer_bytes: u64,
        log_lines: u32,
        log_bytes: usize,
        params_bytes: usize,
        outcome_bytes: usize,
    }

    pub(in crate::recording) fn serialize<S: Serializer>(limits: &Limits, to: S) -> Result<S::Ok, S::Error> {
        let form = Form {
            deadline_ms: u64::try_from(limits.deadline.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: limits.memory_bytes,
            table_elements: limits.table_elements,
            calls: limits.calls,
            answer_bytes: limits.answer_bytes,
            total_answer_bytes: limits.total_answer_bytes,
            log_lines: limits.log_lines,
            log_bytes: limits.log_bytes,
            params_bytes: limits.params_bytes,
            outcome_bytes: limits.outcome_bytes,
        };
        form.serialize(to)
    }

    /// A file may come from anywhere, and gets no more than an operator could allow.
    pub(in crate::recording) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Limits, D::Error> {
        let form = Form::deserialize(from)?;
        let most = Limits::CEILING;
        Ok(Limits {
            deadline: Duration::from_millis(form.deadline_ms).min(most.deadline),
            memory_bytes: form.memory_bytes.min(most.memory_bytes),
            table_elements: form.table_elements.min(most.table_elements),
            calls: form.calls.min(most.calls),
            answer_bytes: form.answer_bytes.min(most.answer_bytes),
            total_answer_bytes: form.total_answer_bytes.min(most.total_answer_bytes),
            log_lines: form.log_lines.min(most.log_lines),
            log_bytes: form.log_bytes.min(most.log_bytes),
            params_bytes: form.params_bytes.min(most.params_bytes),
            outcome_bytes: form.outcome_bytes.min(most.outcome_bytes),
        })
    }
}
