//! Free loopback ports.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;

/// How often a server may find its port taken before we ask why.
const ATTEMPTS: usize = 5;

/// A port on 127.0.0.1 that nobody listens on at the moment.
pub fn free() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
    Ok(listener.local_addr().context("a bound socket has no address")?.port())
}

/// Starts a server on a free port. Between the choice of the port and its use somebody else can take it; then another
/// one is tried.
pub fn with_free<T>(mut start: impl FnMut(u16) -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 1..ATTEMPTS {
        match start(free()?) {
            Err(error) if format!("{error:#}").to_lowercase().contains("address already in use") => {}
            outcome => return outcome,
        }
    }
    start(free()?)
}
