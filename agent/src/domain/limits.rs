//! What one run may use, and the most that an operator can allow.

use std::time::Duration;

/// Limits of a run. An operator sets them per plugin, up to [`Limits::CEILING`].
///
/// The stack is not among them: it is a property of the whole engine, 512 KiB for each guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time from the start of the guest to its end. A plugin's own `time-limit` can only shorten it.
    pub deadline: Duration,
    /// Linear memory of the component, all its modules together, in bytes.
    pub memory_bytes: usize,
    /// Elements of all its tables together.
    pub table_elements: usize,
    /// Host calls that reach a target, and those that were refused; and as many again to the plugin's memory.
    pub calls: u32,
    /// Answer of one host call, in bytes.
    pub answer_bytes: usize,
    /// Answers of all host calls together, in bytes of JSON.
    pub total_answer_bytes: u64,
    /// Lines of the run's log, the guest's standard output and error included.
    pub log_lines: u32,
    /// Text of the run's log, in bytes.
    pub log_bytes: usize,
    /// Parameters, in bytes of JSON.
    pub params_bytes: usize,
    /// Outcome, in bytes of all its texts.
    pub outcome_bytes: usize,
}

impl Limits {
    /// What holds where the operator says nothing.
    pub const DEFAULT: Self = Self {
        deadline: Duration::from_secs(30),
        memory_bytes: 64 << 20,
        table_elements: 20_000,
        calls: 500,
        answer_bytes: 1 << 20,
        total_answer_bytes: 16 << 20,
        log_lines: 2_000,
        log_bytes: 256 << 10,
        params_bytes: 64 << 10,
        outcome_bytes: 256 << 10,
    };

    /// The most that an operator can allow. The memory is what a slot of the engine's pool has room for.
    pub const CEILING: Self = Self {
        deadline: Duration::from_secs(15 * 60),
        memory_bytes: 256 << 20,
        table_elements: 100_000,
        calls: 20_000,
        answer_bytes: 8 << 20,
        total_answer_bytes: 256 << 20,
        log_lines: 20_000,
        log_bytes: 4 << 20,
        params_bytes: 1 << 20,
        outcome_bytes: 2 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
