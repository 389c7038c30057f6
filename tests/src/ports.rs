//! Loopback ports that nobody else is given.
//!
//! A server that is killed and started again on its port leaves it free in between, and the kernel may give it to the
//! next outgoing connection. So we keep a socket bound to each port that we hand out, without ever listening on it:
//! Linux then neither picks the port for anybody who asks for any nor minds a server that binds to it as well, as long
//! as both have SO_REUSEADDR (see socket(7)), which every server sets so that it can be started again at once.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

/// How often a server may find its port taken before we ask why.
const ATTEMPTS: usize = 5;

/// What keeps the ports of this process, until it ends.
static KEPT: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// A port on 127.0.0.1 that nobody listens on and that nobody who asks for any port is given while this process lives.
pub fn free() -> anyhow::Result<u16> {
    let (port, socket) = keep(0).context("no free loopback port")?;
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    Ok(port)
}

/// Starts a server on a free port. Somebody who asks for just this one can take it between its choice and its use; then
/// another one is tried.
pub fn with_free<T>(mut start: impl FnMut(u16) -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 1..ATTEMPTS {
        match start(free()?) {
            Err(error) if format!("{error:#}").to_lowercase().contains("address already in use") => {}
            outcome => return outcome,
        }
    }
    start(free()?)
}

/// A socket bound to this port, or to one that the kernel picks for 0, and which that is.
fn keep(port: u16) -> rustix::io::Result<(u16, OwnedFd)> {
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    let address = SocketAddrV4::try_from(net::getsockname(&socket)?)?;
    Ok((address.port(), socket))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_port_is_for_the_server_that_asks_for_it_again_and_again_and_for_nobody_who_asks_for_any() {
        let ports: BTreeSet<u16> = (0..50).map(|_| free().unwrap()).collect();
        assert_eq!(ports.len(), 50);
        for port in &ports {
            for _ in 0..2 {
                TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).unwrap_err();
                let server = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).unwrap();
                TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).unwrap();
                drop(server);
            }
        }
        let others: Vec<TcpListener> = (0..500).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        for other in &others {
            let address = other.local_addr().unwrap();
            let outgoing = TcpStream::connect(address).unwrap();
            assert!(!ports.contains(&address.port()));
            assert!(!ports.contains(&outgoing.local_addr().unwrap().port()));
        }
    }
}
