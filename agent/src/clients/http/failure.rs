//! What went wrong with an exchange, in words that a plugin may read.
//!
//! The HTTP library's own messages name hosts, addresses and URLs. They go to the log; what is passed on is chosen here by
//! the types in the chain of causes.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError;

use super::certificate::in_days;
use super::names::LookupError;
use crate::domain::{CallError, RemoteError};

/// Either an error as it is, or one that only the caller can word, because it knows the operation.
#[derive(Debug)]
pub enum Failure {
    /// An error for the plugin.
    Call(CallError),
    /// The host refused to connect to where the name leads.
    Blocked(super::address::Blocked),
}

/// Translate an error of the HTTP library.
pub fn of(error: &reqwest::Error) -> Failure {
    if let Some(lookup) = cause::<LookupError>(error) {
        return of_lookup(lookup);
    }
    if let Some(tls) = cause::<rustls::Error>(error) {
        return Failure::Call(of_tls(tls));
    }
    if error.is_timeout() {
        return Failure::Call(CallError::TimedOut("no connection within the time limit".into()));
    }
    if let Some(protocol) = cause::<hyper::Error>(error).filter(|protocol| protocol.is_parse()) {
        return Failure::Call(of_parser(protocol));
    }
    Failure::Call(CallError::Unavailable(of_connection(error).into()))
}

fn of_lookup(error: &LookupError) -> Failure {
    match error {
        LookupError::Blocked(blocked) => Failure::Blocked(*blocked),
        LookupError::Unresolved(_) => Failure::Call(CallError::Unavailable("the name does not resolve".into())),
        LookupError::NoAddress => Failure::Call(CallError::Unavailable("the name has no address".into())),
    }
}

/// An answer that is none in the terms of HTTP, whatever its status.
pub fn remote(code: &str, message: impl Into<String>) -> CallError {
    CallError::Remote(RemoteError { system: "http", code: code.to_owned(), message: message.into(), retryable: false })
}

fn of_tls(error: &rustls::Error) -> CallError {
    match error {
        rustls::Error::InvalidCertificate(certificate) => of_certificate(certificate),
        rustls::Error::NoCertificatesPresented => remote("certificate_invalid", "the server presents no certificate"),
        // Alerts and handshakes have dozens of kinds, and for a plugin all of them mean the same.
        _ => remote("tls", "the TLS handshake failed"),
    }
}

fn of_certificate(error: &CertificateError) -> CallError {
    match error {
        CertificateError::Expired => remote("certificate_expired", "the server's certificate has expired"),
        CertificateError::ExpiredContext { time, not_after } => {
            let ago = in_days(Duration::from_secs(time.as_secs().saturating_sub(not_after.as_secs())));
            remote("certificate_expired", format!("the server's certificate expired {ago} ago"))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            remote("certificate_not_yet_valid", "the server's certificate is not valid yet")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            remote("certificate_name_mismatch", "the server's certificate is for another name")
        }
        // A bad signature is what an authority of the right name and the wrong key leaves, after a change of keys.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            remote("certificate_unknown_issuer", "the server's certificate is signed by nobody that is trusted here")
        }
        // The rest are ways of being malformed, and revocations, which are not looked up.
        _ => remote("certificate_invalid", "the server's certificate is not valid"),
    }
}

fn of_parser(error: &hyper::Error) -> CallError {
    if error.is_parse_too_large() {
        CallError::TooLarge("the head of the answer exceeds the host's limit".into())
    } else {
        remote("protocol", "the answer is no valid HTTP")
    }
}

fn of_connection(error: &reqwest::Error) -> &'static str {
    use io::ErrorKind::*;
    match cause::<io::Error>(error).map(io::Error::kind) {
        Some(ConnectionRefused) => "the connection was refused",
        Some(ConnectionReset | ConnectionAborted | BrokenPipe) => "the connection was reset",
        Some(NetworkUnreachable | HostUnreachable | AddrNotAvailable | NotConnected) => "the network cannot be reached",
        Some(TimedOut) => "the connection timed out",
        Some(_) | None if error.is_connect() => "the connection failed",
        Some(_) | None => "the connection ended before the answer was complete",
    }
}

/// The first cause of type `E`. An `io::Error` hides what it wraps from the chain, so it is opened here.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::UnixTime;

    use super::*;

    #[test]
    fn faults_of_a_certificate_are_told_apart() {
        let at = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * 86_400));
        for (fault, expected) in [
            (CertificateError::Expired, "certificate_expired: the server's certificate has expired"),
            (
                CertificateError::ExpiredContext { time: at(10), not_after: at(7) },
                "certificate_expired: the server's certificate expired 3 days ago",
            ),
            (
                CertificateError::NotValidYetContext { time: at(1), not_before: at(7) },
                "certificate_not_yet_valid: the server's certificate is not valid yet",
            ),
            (
                CertificateError::NotValidForName,
                "certificate_name_mismatch: the server's certificate is for another name",
            ),
            (
                CertificateError::UnknownIssuer,
                "certificate_unknown_issuer: the server's certificate is signed by nobody that is trusted here",
            ),
            (CertificateError::BadEncoding, "certificate_invalid: the server's certificate is not valid"),
        ] {
            let error = of_tls(&rustls::Error::InvalidCertificate(fault));
            assert_eq!(error.to_string(), format!("http answered {expected}"));
        }
        let other = of_tls(&rustls::Error::HandshakeNotComplete);
        assert_eq!(other.to_string(), "http answered tls: the TLS handshake failed");
    }

    #[test]
    fn a_cause_is_found_within_io_errors() {
        let tls = rustls::Error::NoCertificatesPresented;
        let wrapped = io::Error::other(io::Error::other(Arc::new(tls.clone())));
        assert_eq!(cause::<Arc<rustls::Error>>(&wrapped).map(|found| (**found).clone()), Some(tls));
        assert!(cause::<hyper::Error>(&wrapped).is_none());
    }
}
