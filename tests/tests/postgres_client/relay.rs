//! A way to a server on which the answers to the first connection are held up.

use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Passes bytes on to a server. The first connection hears nothing until [`Relay::release`].
pub struct Relay {
    port: u16,
    events: Arc<Events>,
}

/// Each holds a permit once it has happened.
struct Events {
    answered: Semaphore,
    closed: Semaphore,
    released: Semaphore,
}

impl Relay {
    /// Relays to the loopback port `server`.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let none = || Semaphore::new(0);
        let events = Arc::new(Events { answered: none(), closed: none(), released: none() });
        tokio::spawn(accept(listener, server, events.clone()));
        Self { port, events }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server has answered the first connection, which it therefore has given a slot.
    pub async fn first_was_answered(&self) {
        self.events.answered.acquire().await.unwrap().forget();
    }

    /// The server has closed the second connection.
    pub async fn second_was_closed(&self) {
        self.events.closed.acquire().await.unwrap().forget();
    }

    /// Lets the first connection hear its answers.
    pub fn release(&self) {
        self.events.released.add_permits(1);
    }
}

async fn accept(listener: TcpListener, server: u16, events: Arc<Events>) {
    for number in 1_u32.. {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
        let (from_client, to_client) = near.into_split();
        let (from_server, to_server) = far.into_split();
        tokio::spawn(pass(from_client, to_server));
        let events = events.clone();
        tokio::spawn(async move {
            match number {
                1 => hold(from_server, to_client, &events).await,
                2 => {
                    pass(from_server, to_client).await;
                    events.closed.add_permits(1);
                }
                _ => pass(from_server, to_client).await,
            }
        });
    }
}

/// Passes everything on, and the end as well. A peer that is gone ends it too.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    drop(copy(&mut from, &mut to).await);
    drop(to.shutdown().await);
}

async fn hold(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, events: &Events) {
    let mut first = [0; 1024];
    let read = from.read(&mut first).await.unwrap();
    events.answered.add_permits(1);
    events.released.acquire().await.unwrap().forget();
    to.write_all(first.get(..read).unwrap()).await.unwrap();
    pass(from, to).await;
}
