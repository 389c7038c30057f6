//! What a guest was told: a value, an error, or nothing any more.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{CallError, Denial, DenialReason, RemoteError, System};

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It was answered.
    Ok(Value),
    /// It failed, and the guest was told why.
    Error(Refused),
    /// The run ended in it.
    None,
}

/// An error as it stands in a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the words of `CallError`")]
pub enum Refused {
    Denied { operation: String, target: String, reason: String, message: String },
    Invalid { message: String },
    NotFound { message: String },
    Conflict { message: String },
    Unavailable { message: String },
    TimedOut { message: String },
    TooLarge { message: String },
    Exhausted { message: String },
    Remote { system: String, code: String, message: String, retryable: bool },
}

impl From<&CallError> for Refused {
    fn from(error: &CallError) -> Self {
        match error.clone() {
            CallError::Denied(Denial { operation, target, reason, message }) => {
                Self::Denied { operation, target, reason: reason.as_str().to_owned(), message }
            }
            CallError::Invalid(message) => Self::Invalid { message },
            CallError::NotFound(message) => Self::NotFound { message },
            CallError::Conflict(message) => Self::Conflict { message },
            CallError::Unavailable(message) => Self::Unavailable { message },
            CallError::TimedOut(message) => Self::TimedOut { message },
            CallError::TooLarge(message) => Self::TooLarge { message },
            CallError::Exhausted(message) => Self::Exhausted { message },
            CallError::Remote(RemoteError { system, code, message, retryable }) => {
                Self::Remote { system: system.to_owned(), code, message, retryable }
            }
        }
    }
}

impl Refused {
    /// The error for the guest; none where a word in it is of no error that there is.
    pub fn error(&self) -> Option<CallError> {
        Some(match self.clone() {
            Self::Denied { operation, target, reason, message } => {
                let reason = DenialReason::ALL.into_iter().find(|known| known.as_str() == reason)?;
                CallError::Denied(Denial { operation, target, reason, message })
            }
            Self::Invalid { message } => CallError::Invalid(message),
            Self::NotFound { message } => CallError::NotFound(message),
            Self::Conflict { message } => CallError::Conflict(message),
            Self::Unavailable { message } => CallError::Unavailable(message),
            Self::TimedOut { message } => CallError::TimedOut(message),
            Self::TooLarge { message } => CallError::TooLarge(message),
            Self::Exhausted { message } => CallError::Exhausted(message),
            Self::Remote { system, code, message, retryable } => {
                let system = System::ALL.into_iter().find(|known| known.as_str() == system)?.as_str();
                CallError::Remote(RemoteError { system, code, message, retryable })
            }
        })
    }
}
