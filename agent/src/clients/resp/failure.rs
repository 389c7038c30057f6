//! How a batch can fail as a whole, and what of it a plugin may know.

use std::error::Error;
use std::io;
use std::time::Duration;

use ::redis::RedisError;

use super::answers::ServerError;
use crate::domain::{CallError, System};

/// Why a batch got no answers.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("all {0} connections to the server are in use")]
    NoPlace(usize),
    #[error("no connection within {}", seconds(*.0))]
    ConnectTimeout(Duration),
    #[error("{}", connect_words(.0))]
    Connect(#[source] io::Error),
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("no answer within {}", seconds(*.0))]
    AnswerTimeout(Duration),
    #[error("the server closed the connection")]
    Closed(#[source] RedisError),
    #[error("the server sent more than {0} bytes")]
    TooLarge(usize),
    #[error("the server does not speak RESP as expected: {0}")]
    Unexpected(&'static str),
    #[error("the server refused: {0}")]
    Remote(ServerError),
}

impl Failure {
    /// The cause behind it, for the log.
    pub(super) fn cause(&self) -> Option<String> {
        self.source().map(ToString::to_string)
    }

    pub(super) fn to_call_error(&self, system: System) -> CallError {
        match self {
            Self::Connect(_) | Self::Tls(_) | Self::Closed(_) | Self::Unexpected(_) => {
                CallError::Unavailable(self.to_string())
            }
            Self::NoPlace(_) | Self::ConnectTimeout(_) | Self::AnswerTimeout(_) => {
                CallError::TimedOut(self.to_string())
            }
            Self::TooLarge(_) => CallError::TooLarge(self.to_string()),
            Self::Remote(error) => error.to_call_error(system),
        }
    }
}

/// Without the address that the operating system's own words may hold.
fn connect_words(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "the server refuses connections",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "there is no way to the server",
        io::ErrorKind::TimedOut => "the server does not answer connection attempts",
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => "the server ended the connection attempt",
        // Name resolution has no kind of its own.
        _ => "the server cannot be reached, or its name cannot be resolved",
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
