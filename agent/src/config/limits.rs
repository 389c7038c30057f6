//! `plugins.<name>.limits`: what a run may use.

use std::time::Duration;

use crate::domain::Limits;

use super::field::Mapping;

const FIELDS: &[&str] = &[
    "deadline",
    "memory",
    "table_elements",
    "calls",
    "answer",
    "total_answer",
    "log_lines",
    "log",
    "params",
    "outcome",
];

/// Read the limits of `plugin`. What is not said is as in [`Limits::DEFAULT`]; nothing passes [`Limits::CEILING`].
pub(super) fn read(plugin: &Mapping<'_>) -> Option<Limits> {
    let limits = plugin.section("limits", FIELDS)?;
    let (default, ceiling) = (Limits::DEFAULT, Limits::CEILING);
    let deadline =
        limits.or("deadline", default.deadline, |field| field.duration(Duration::from_millis(1)..=ceiling.deadline));
    let count = |name, default: usize, most: usize| limits.or(name, default, |field| field.whole(1..=most as u64));
    let small_count = |name, default: u32, most: u32| limits.or(name, default, |field| field.whole(1..=most.into()));
    let size = |name, default: usize, most: usize| limits.or(name, default, |field| field.size(1..=most as u64));

    let memory_bytes = size("memory", default.memory_bytes, ceiling.memory_bytes);
    let table_elements = count("table_elements", default.table_elements, ceiling.table_elements);
    let calls = small_count("calls", default.calls, ceiling.calls);
    let answer_bytes = size("answer", default.answer_bytes, ceiling.answer_bytes);
    let total_answer_bytes =
        limits.or("total_answer", default.total_answer_bytes, |field| field.size(1..=ceiling.total_answer_bytes));
    let log_lines = small_count("log_lines", default.log_lines, ceiling.log_lines);
    let log_bytes = size("log", default.log_bytes, ceiling.log_bytes);
    let params_bytes = size("params", default.params_bytes, ceiling.params_bytes);
    let outcome_bytes = size("outcome", default.outcome_bytes, ceiling.outcome_bytes);

    Some(Limits {
        deadline: deadline?,
        memory_bytes: memory_bytes?,
        table_elements: table_elements?,
        calls: calls?,
        answer_bytes: answer_bytes?,
        total_answer_bytes: total_answer_bytes?,
        log_lines: log_lines?,
        log_bytes: log_bytes?,
        params_bytes: params_bytes?,
        outcome_bytes: outcome_bytes?,
    })
}
