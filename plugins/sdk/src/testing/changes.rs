//! Answers to calls that change something.

use super::answers::Call;
use crate::http::{Exchange, Response};
use crate::{Denial, DenialReason, Disposition, Error, Receipt};

/// The answer to a call that changes something.
pub trait Changed: 'static {
    /// What the host says where the test says nothing else: it was done.
    fn done(call: &Call) -> Self;

    /// The same while a plan is made.
    fn planned(self) -> Self;
}

impl Changed for Receipt {
    fn done(call: &Call) -> Self {
        receipt(&call.line())
    }

    fn planned(self) -> Self {
        match self.disposition {
            Disposition::Applied | Disposition::Planned => {
                Self { disposition: Disposition::Planned, answer: None, ..self }
            }
            Disposition::Unchanged => self,
        }
    }
}

impl Changed for Exchange {
    fn done(call: &Call) -> Self {
        let empty =
            Response { status: 200, headers: Vec::new(), body: Vec::new(), latency: 0.01, certificate_remaining: None };
        Self { receipt: Receipt::done(call), response: Some(empty) }
    }

    fn planned(self) -> Self {
        Self { receipt: self.receipt.planned(), response: None }
    }
}

/// A receipt of something that was done, described in these words. What a test needs else, such as the system's `answer`, it
/// puts in.
pub fn receipt(summary: &str) -> Receipt {
    Receipt {
        sequence: 1,
        disposition: Disposition::Applied,
        summary: summary.to_owned(),
        changes: Vec::new(),
        reversible: false,
        answer: None,
    }
}

/// A receipt that says that nothing needed to change.
pub fn unchanged() -> Receipt {
    Receipt { disposition: Disposition::Unchanged, ..receipt("nothing") }
}

/// An error as the host gives it for a thing that is not any more as it was.
pub fn conflict(reason: &str) -> Error {
    Error::Conflict(reason.to_owned())
}

/// An error as the host gives it for a call that its grant covers, but not with these arguments.
pub fn out_of_bounds(operation: &str, target: &str, message: &str) -> Error {
    Error::Denied(Denial {
        operation: operation.to_owned(),
        target: target.to_owned(),
        reason: DenialReason::OutOfBounds,
        message: message.to_owned(),
    })
}
