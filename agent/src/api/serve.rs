//! Connections: how many there may be, how long a greeting and a head may take, and how they end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::tls::Tls;

/// Connections at the same time. Those beyond it wait in the kernel's queue until one ends.
const MAX_CONNECTIONS: u32 = 512;

/// How long the head of a request may take, and a connection stay without one. Connections that trickle or only wait
/// would otherwise keep all others out.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long the greeting of a connection with TLS may take, for the same reason.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Largest head of a request, in bytes, and most headers in it.
const MAX_HEAD: usize = 32 << 10;
const MAX_HEADERS: usize = 64;

/// How long a client may leave an answer unread, in milliseconds. One that asks and never reads would otherwise keep its
/// connection for ever, and needs no token for that.
#[cfg(target_os = "linux")]
const UNREAD: u32 = 60_000;

/// How long requests under way may take to be answered after the end began.
const FAREWELL: Duration = Duration::from_secs(5);

/// Pause after the system refused a connection; it has no file descriptors left, and trying at once would not help.
const BREATH: Duration = Duration::from_millis(100);

/// Answer requests on `listener`, in the clear without `tls`, until `stopping` becomes true. Then take no more, and let
/// those under way be answered.
pub async fn serve(listener: TcpListener, tls: Option<Arc<Tls>>, router: Router, mut stopping: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    loop {
        let (stream, slot) = tokio::select! {
            () = told_to_stop(&mut stopping) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        tokio::spawn(answer(stream, tls.clone(), router.clone(), stopping.clone(), slot));
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, slots.acquire_many(MAX_CONNECTIONS)).await.is_err() {
        let open = (MAX_CONNECTIONS as usize).saturating_sub(slots.available_permits());
        tracing::warn!(open, "connections are cut off");
    }
}

/// A sender that is gone cannot tell us to go on either.
async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let slot = slots.clone().acquire_owned().await.expect("nobody closes this semaphore");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

async fn answer(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    _slot: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "answers may be held back a little");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNREAD) {
        tracing::debug!(%error, "answers may be left unread");
    }
    let Some(tls) = tls else { return converse(stream, router, stopping).await };
    let greeting = tokio::time::timeout(HANDSHAKE_PATIENCE, tls.acceptor().accept(stream));
    let greeted = tokio::select! {
        greeted = greeting => greeted,
        () = told_to_stop(&mut stopping) => return,
    };
    match greeted {
        Ok(Ok(stream)) => converse(stream, router, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, "a connection failed before it was encrypted"),
        Err(_) => tracing::debug!("a connection took too long to become encrypted"),
    }
}

/// Answer the requests of one connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let end = tokio::select! {
        end = connection.as_mut() => end,
        () = told_to_stop(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = end {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
