//! Where a server is and who we are there, from a URL.

use std::fmt;

use ::redis::{ConnectionAddr, IntoConnectionInfo};

use crate::domain::Secret;

/// Why a URL was refused. It does not quote the URL, which holds a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a usable Redis URL: {0}")]
pub struct InvalidUrl(&'static str);

/// The parts of a URL.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: i64,
}

impl Endpoint {
    pub(super) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            return Err(InvalidUrl("it must begin with redis:// or rediss://"));
        }
        if url.contains(['?', '#']) {
            return Err(InvalidUrl("it must have no query and no fragment; encode `?` and `#` of a password"));
        }
        let info =
            url.into_connection_info().map_err(|_| InvalidUrl("use redis://user:password@host:port/database"))?;
        let (host, port, tls) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), *port, false),
            ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port, true),
            _ => return Err(InvalidUrl("it must name a host")),
        };
        let login = info.redis_settings();
        if login.username().is_some() && login.password().is_none() {
            return Err(InvalidUrl("it names a user without a password"));
        }
        Ok(Self {
            host,
            port,
            tls,
            user: login.username().map(str::to_owned),
            password: login.password().map(Secret::new),
            database: login.db(),
        })
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The same server, entered by nobody in particular.
    pub(super) fn without_credentials(&self) -> Self {
        Self { user: None, password: None, database: 0, ..self.clone() }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("tls", &self.tls).field("database", &self.database).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let endpoint = Endpoint::parse("rediss://monitor:p%40ss%3F@cache.internal:6390/2").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.tls), ("cache.internal", 6390, true));
        assert_eq!((endpoint.user(), endpoint.database), (Some("monitor"), 2));
        assert_eq!(endpoint.password.unwrap().expose(), "p@ss?");

        let endpoint = Endpoint::parse("redis://:secret@[::1]").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.tls), ("::1", 6379, false));
        assert_eq!((endpoint.user(), endpoint.database), (None, 0));
    }

    #[test]
    fn a_refused_url_is_not_quoted() {
        for bad in [
            "",
            "cache.internal:6379",
            "http://hunter2@host",
            "unix:///run/redis.sock",
            "rediss://u:hunter2@host/#insecure",
            "redis://u:hunter2@host/?protocol=resp3",
            "redis://u:hunter2@host/zero",
            "redis://u:hunter2@",
            "redis://lonely@host",
        ] {
            let error = Endpoint::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.starts_with("not a usable Redis URL: "), "{bad}: {error}");
        }
    }

    #[test]
    fn an_endpoint_prints_neither_its_place_nor_its_login() {
        let printed = format!("{:?}", Endpoint::parse("redis://monitor:hunter2@cache.internal").unwrap());
        for hidden in ["monitor", "hunter2", "cache.internal"] {
            assert!(!printed.contains(hidden), "{printed}");
        }
    }
}
