//! Whoever wants to hear what a run does while it does it.

use crate::domain::{CallRecord, LogLine};

/// Hears of each line of the log and of each call in the moment in which it is kept for the record. It must not wait: the
/// run stands still meanwhile.
pub trait Observer: Send + Sync + 'static {
    /// A line was kept.
    fn line(&self, line: &LogLine);

    /// A call is over.
    fn call(&self, call: &CallRecord);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn line(&self, _: &LogLine) {}

    fn call(&self, _: &CallRecord) {}
}
