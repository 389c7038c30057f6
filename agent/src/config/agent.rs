//! Settings of the agent itself: where it listens, who may ask, what it keeps and how much it works at once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::Digest;

/// `server`: the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it listens. A loopback address, unless the operator says `allow_remote`.
    pub listen: SocketAddr,
    /// Largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// Runs under way at the same time; more are turned away.
    pub max_concurrent_runs: usize,
    /// True when the operator wants it to listen where other machines reach it, without TLS.
    pub allow_remote: bool,
}

/// One entry of `auth.tokens`: someone who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Name under which runs are recorded.
    pub name: String,
    /// SHA-256 of the token. The token itself is not in the configuration.
    pub digest: Digest,
}

/// `store`: the agent's own database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The file.
    pub path: PathBuf,
    /// What is kept.
    pub retain: Retain,
}

/// `store.retain`: finished runs beyond either bound are forgotten, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retain {
    /// Longest time that a finished run is kept.
    pub age: Duration,
    /// Largest size of the database, in bytes.
    pub size_bytes: u64,
}

/// `engine`: how plugins are compiled and run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Directory of compiled components. Nobody but the agent may write there.
    pub cache: PathBuf,
    /// Threads that run plugins.
    pub guest_threads: usize,
}
