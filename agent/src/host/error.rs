//! Errors of host calls as the WIT package spells them.

use super::bindings::paramedic::plugin::types;
use crate::domain::{CallError, Denial, DenialReason, RemoteError};

impl From<CallError> for types::Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Denied(denial) => Self::Denied(denial.into()),
            CallError::Invalid(message) => Self::Invalid(message),
            CallError::NotFound(message) => Self::NotFound(message),
            CallError::Conflict(message) => Self::Conflict(message),
            CallError::Unavailable(message) => Self::Unavailable(message),
            CallError::TimedOut(message) => Self::TimedOut(message),
            CallError::TooLarge(message) => Self::TooLarge(message),
            CallError::Exhausted(message) => Self::Exhausted(message),
            CallError::Remote(remote) => Self::Remote(remote.into()),
        }
    }
}

impl From<Denial> for types::Denial {
    fn from(denial: Denial) -> Self {
        let reason = match denial.reason {
            DenialReason::NotGranted => types::DenialReason::NotGranted,
            DenialReason::OutOfBounds => types::DenialReason::OutOfBounds,
            DenialReason::NotInPlan => types::DenialReason::NotInPlan,
            DenialReason::Frozen => types::DenialReason::Frozen,
        };
        Self { operation: denial.operation, target: denial.target, reason, message: denial.message }
    }
}

impl From<RemoteError> for types::RemoteError {
    fn from(remote: RemoteError) -> Self {
        Self {
            system: remote.system.to_owned(),
            code: remote.code,
            message: remote.message,
            retryable: remote.retryable,
        }
    }
}

/// One sentence for a host error that a plugin gives as the reason of its failure.
pub(crate) fn describe(error: &types::Error) -> String {
    match error {
        types::Error::Denied(denial) => {
            format!("{} on {} is denied: {}", denial.operation, denial.target, denial.message)
        }
        types::Error::Invalid(message) => format!("invalid: {message}"),
        types::Error::NotFound(message) => format!("not found: {message}"),
        types::Error::Conflict(message) => format!("conflict: {message}"),
        types::Error::Unavailable(message) => format!("unavailable: {message}"),
        types::Error::TimedOut(message) => format!("timed out: {message}"),
        types::Error::TooLarge(message) => format!("too large: {message}"),
        types::Error::Exhausted(message) => format!("exhausted: {message}"),
        types::Error::Remote(remote) => format!("{} answered {}: {}", remote.system, remote.code, remote.message),
        types::Error::Other(message) => message.clone(),
    }
}
