//! What goes wrong with a server, in words that a plugin may read.
//!
//! The server's own messages while connecting name the user, the database and addresses, so they are replaced. Once
//! connected its messages are about the statement, and are passed on without the names of the target. The driver's
//! errors go to the log.

use std::io;

use tokio_postgres::error::{DbError, SqlState};

use crate::domain::{CallError, RemoteError, Secret, cut_bytes};

/// Longest message of the server that is passed on.
const MESSAGE_BYTES: usize = 500;

/// Why an exchange with the server failed, sorted by what the pool can do about it.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server has no slot for another connection.
    NoSlot(CallError),
    /// The connection was already gone when it was used; nothing was done on it.
    Stale(CallError),
    /// Anything else.
    Final(CallError),
}

impl Failure {
    /// The same once something was done on the connection, so that it must not simply be done again.
    pub(super) fn settled(self) -> Self {
        Self::Final(self.into_error())
    }

    /// The error without the sorting.
    pub(super) fn into_error(self) -> CallError {
        match self {
            Self::NoSlot(error) | Self::Stale(error) | Self::Final(error) => error,
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Final(error)
    }
}

/// Names of the target that must not reach a plugin.
#[derive(Clone, Debug)]
pub(super) struct Names {
    user: String,
    password: Option<Secret>,
}

impl Names {
    pub(super) fn of(config: &tokio_postgres::Config) -> Self {
        let password = config.get_password().and_then(|bytes| std::str::from_utf8(bytes).ok()).map(Secret::new);
        Self { user: config.get_user().unwrap_or_default().to_owned(), password }
    }

    fn redact(&self, message: &str) -> String {
        let mut message = message.replace(&format!("\"{}\"", self.user), "of the agent");
        if let Some(password) = self.password.as_ref().filter(|password| !password.expose().is_empty()) {
            message = message.replace(password.expose(), "[redacted]");
        }
        cut_bytes(&message, MESSAGE_BYTES).to_owned()
    }

    /// A failure after the login.
    pub(super) fn running(&self, error: &tokio_postgres::Error) -> Failure {
        let Some(answer) = error.as_db_error() else {
            return Failure::Stale(lost(error));
        };
        tracing::debug!(sqlstate = answer.code().code(), "postgres answered an error");
        match *answer.code() {
            SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => Failure::Stale(
                CallError::Unavailable("the server ended the connection: it was restarted, or somebody did".to_owned()),
            ),
            SqlState::QUERY_CANCELED => {
                Failure::Final(CallError::TimedOut("the statement was cancelled, because it ran too long".to_owned()))
            }
            _ => Failure::Final(self.answered(answer)),
        }
    }

    fn answered(&self, answer: &DbError) -> CallError {
        remote(answer.code(), self.redact(answer.message()))
    }
}

/// A failure to get a connection.
pub(super) fn connecting(error: &tokio_postgres::Error) -> Failure {
    let Some(answer) = error.as_db_error() else {
        return Failure::Final(unreachable(error));
    };
    let code = answer.code();
    let message = match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "the server refuses the agent's login; check the role, its password and pg_hba.conf"
        }
        SqlState::TOO_MANY_CONNECTIONS => "the server has no connection slot left for the agent's role",
        SqlState::INVALID_CATALOG_NAME => "the database in the target's URL does not exist",
        SqlState::INSUFFICIENT_PRIVILEGE => "the agent's role may not connect to the database in the target's URL",
        // "the database system is starting up" and its kin: no names, and what a readiness probe wants to tell.
        SqlState::CANNOT_CONNECT_NOW => answer.message(),
        _ => "the server refuses the connection",
    };
    let error = remote(code, cut_bytes(message, MESSAGE_BYTES).to_owned());
    if *code == SqlState::TOO_MANY_CONNECTIONS { Failure::NoSlot(error) } else { Failure::Final(error) }
}

/// An error of the server, with what is known of its passing by.
pub(super) fn remote(code: &SqlState, message: String) -> CallError {
    let class = code.code().get(..2).unwrap_or_default();
    let passes = matches!(
        *code,
        SqlState::CANNOT_CONNECT_NOW
            | SqlState::LOCK_NOT_AVAILABLE
            | SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED
    );
    CallError::Remote(RemoteError {
        system: "postgres",
        code: code.code().to_owned(),
        message,
        // Class 53: out of connections, memory or disk.
        retryable: passes || class == "53",
    })
}

/// The server could not be asked at all.
fn unreachable(error: &tokio_postgres::Error) -> CallError {
    let cause = source::<io::Error>(error);
    let message = if source::<rustls::Error>(error).is_some() {
        "the TLS handshake failed; check sslmode and the root certificate of the target"
    } else if error.to_string().contains("TLS") {
        "the server speaks no TLS, which the target's sslmode asks for"
    } else {
        match cause.map(io::Error::kind) {
            Some(kind) => of_kind(kind),
            None if error.is_closed() => "the server closed the connection during the login",
            None => "the login failed; check the user and the password in the target's URL",
        }
    };
    CallError::Unavailable(message.to_owned())
}

/// A failure to open the socket.
pub(super) fn socket(error: &io::Error) -> CallError {
    CallError::Unavailable(of_kind(error.kind()).to_owned())
}

fn of_kind(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => "nothing accepts connections at the target",
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            "the connection was closed during the login"
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "there is no way to the target's network",
        io::ErrorKind::TimedOut => "the target does not answer",
        _ => "no connection to the target; its name may not resolve",
    }
}

fn lost(error: &tokio_postgres::Error) -> CallError {
    tracing::debug!(error = %error, "a connection to postgres broke");
    CallError::Unavailable("the connection to the server was lost".to_owned())
}

fn source<E: std::error::Error + 'static>(error: &tokio_postgres::Error) -> Option<&E> {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        // An `io::Error` hides what it wraps from `source` one level deep.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| inner.downcast_ref()) {
            return Some(found);
        }
        next = cause.source();
    }
    None
}
