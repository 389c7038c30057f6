//! Why a host call gave no result, and why a run gave no verdict.
//!
//! The two are different types on purpose: a check decides which errors are findings (a database that cannot be reached
//! is what `pg-ready` is there to report) and which keep it from judging at all (a missing grant).

use crate::bindings::exports::paramedic::plugin::plugin as wire;
use crate::bindings::paramedic::plugin::types::{self, Denial, RemoteError};

/// Why a host call gave no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The host refused. Retrying cannot help.
    #[error("{} on {} is denied: {}", .0.operation, .0.target, .0.message)]
    Denied(Denial),
    /// An argument makes no sense, whatever the grant says.
    #[error("invalid: {0}")]
    Invalid(String),
    /// A granted thing does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// The thing changed since the plugin looked at it.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The system could not be reached.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// No answer within the time limit.
    #[error("timed out: {0}")]
    TimedOut(String),
    /// The answer would exceed a size limit and cannot be cut safely.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The run used up a budget: calls, bytes or mutations.
    #[error("exhausted: {0}")]
    Exhausted(String),
    /// The system answered with an error of its own.
    #[error("{} answered {}: {}", .0.system, .0.code, .0.message)]
    Remote(RemoteError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// The code the remote system gave, such as an SQLSTATE or a Redis error prefix.
    pub fn remote_code(&self) -> Option<&str> {
        match self {
            Self::Remote(remote) => Some(&remote.code),
            _ => None,
        }
    }

    /// True when the agent stands in the way (a missing grant, a spent budget), rather than the system examined.
    /// A check should hardly ever judge such an error.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Denied(_) | Self::Invalid(_) | Self::TooLarge(_) | Self::Exhausted(_) | Self::Other(_) => true,
            Self::NotFound(_) | Self::Conflict(_) | Self::Unavailable(_) | Self::TimedOut(_) | Self::Remote(_) => false,
        }
    }
}

/// Why a run came to no conclusion. The agent shows it as `unknown`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The parameters match the schema and still make no sense.
    #[error("bad parameters: {0}")]
    BadParams(String),
    /// A host call failed and the check could not go on without it.
    #[error(transparent)]
    Host(#[from] Error),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied(denial) => Self::Denied(denial),
            types::Error::Invalid(text) => Self::Invalid(text),
            types::Error::NotFound(text) => Self::NotFound(text),
            types::Error::Conflict(text) => Self::Conflict(text),
            types::Error::Unavailable(text) => Self::Unavailable(text),
            types::Error::TimedOut(text) => Self::TimedOut(text),
            types::Error::TooLarge(text) => Self::TooLarge(text),
            types::Error::Exhausted(text) => Self::Exhausted(text),
            types::Error::Remote(remote) => Self::Remote(remote),
            types::Error::Other(text) => Self::Other(text),
        }
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(denial) => Self::Denied(denial),
            Error::Invalid(text) => Self::Invalid(text),
            Error::NotFound(text) => Self::NotFound(text),
            Error::Conflict(text) => Self::Conflict(text),
            Error::Unavailable(text) => Self::Unavailable(text),
            Error::TimedOut(text) => Self::TimedOut(text),
            Error::TooLarge(text) => Self::TooLarge(text),
            Error::Exhausted(text) => Self::Exhausted(text),
            Error::Remote(remote) => Self::Remote(remote),
            Error::Other(text) => Self::Other(text),
        }
    }
}

impl From<Failure> for wire::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::BadParams(text) => Self::BadParams(text),
            Failure::Host(error) => Self::Host(error.into()),
            Failure::Other(text) => Self::Other(text),
        }
    }
}
