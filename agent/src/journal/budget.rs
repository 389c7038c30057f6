//! How many calls a run may make and how many bytes it may be answered.

/// How often a guest is told that its budget is used up before the run is ended. A guest that reports the error and
/// concludes needs one or two; a loop that ignores it must not run to the deadline.
const WARNINGS: u32 = 16;

/// What is left of a run's budgets.
#[derive(Debug)]
pub struct Budget {
    calls: u32,
    max_calls: u32,
    answer_bytes: u64,
    max_answer_bytes: u64,
    warnings: u32,
}

/// A budget is used up.
#[derive(Debug)]
pub struct Spent {
    /// One sentence for the guest.
    pub message: String,
    /// True when the guest has been told so often that the run should end.
    pub told_before: bool,
}

impl Budget {
    /// Full budgets.
    pub fn new(max_calls: u32, max_answer_bytes: u64) -> Self {
        Self { calls: 0, max_calls, answer_bytes: 0, max_answer_bytes, warnings: 0 }
    }

    /// Calls counted so far.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Bytes answered so far.
    pub fn answer_bytes(&self) -> u64 {
        self.answer_bytes
    }

    /// Count one call.
    pub fn take_call(&mut self) -> Result<(), Spent> {
        if self.calls < self.max_calls {
            self.calls += 1;
            return Ok(());
        }
        Err(self.spent(format!("the run has made the {} host calls of its limit `calls`", self.max_calls)))
    }

    /// Count one answer.
    pub fn take_answer(&mut self, bytes: u64) -> Result<(), Spent> {
        let total = self.answer_bytes.saturating_add(bytes);
        if total <= self.max_answer_bytes {
            self.answer_bytes = total;
            return Ok(());
        }
        let limit = self.max_answer_bytes;
        Err(self.spent(format!("the answers would exceed the {limit} bytes of the limit `total_answer`")))
    }

    fn spent(&mut self, message: String) -> Spent {
        self.warnings += 1;
        Spent { message, told_before: self.warnings > WARNINGS }
    }
}
