//! A web server whose answers are written byte by byte, so that it can be slow, broken or hostile.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A piece of an answer.
#[derive(Clone, Debug)]
pub enum Part {
    /// These bytes, in one packet as far as the network allows.
    Bytes(Vec<u8>),
    /// These bytes over and over, with a pause before each, until the client leaves.
    Drip(Vec<u8>, Duration),
    /// Nothing more, until the client leaves.
    Hold,
    /// A reset instead of an orderly end.
    Reset,
}

/// What is answered to a request, given its head.
type Answer = dyn Fn(&str) -> Vec<Part> + Send + Sync;

/// A running server; it ends with its handle.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    heads: Mutex<Vec<String>>,
    bodies: Mutex<Vec<Vec<u8>>>,
    connections: AtomicUsize,
    departures: AtomicUsize,
}

impl Server {
    /// Answers each request with what `answer` says to its head; plain, or with TLS.
    pub async fn start(tls: Option<ServerConfig>, answer: impl Fn(&str) -> Vec<Part> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let task = tokio::spawn(accept(listener, acceptor, Arc::new(answer), Arc::clone(&seen)));
        Self { address, seen, task }
    }

    /// Answers every request in the same way, without TLS.
    pub async fn plain(parts: Vec<Part>) -> Self {
        Self::start(None, move |_| parts.clone()).await
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its origin by address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().unwrap().clone()
    }

    /// The bodies of the requests so far; empty ones too.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.seen.bodies.lock().unwrap().clone()
    }

    /// Connections so far, with a request or without.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Clients that left while the server was waiting or dripping.
    pub fn departures(&self) -> usize {
        self.seen.departures.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, answer: Arc<Answer>, seen: Arc<Seen>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        seen.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, answer, seen) = (tls.clone(), Arc::clone(&answer), Arc::clone(&seen));
        tokio::spawn(async move {
            match tls {
                None => serve(stream, &answer, &seen).await,
                // A client that refuses the certificate leaves here, which is what some tests are about.
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, &answer, &seen).await,
                    Err(error) => eprintln!("handshake: {error}"),
                },
            }
        });
    }
}

/// One request after another, until the client leaves or an answer ends the connection.
async fn serve(mut stream: impl Connection, answer: &Arc<Answer>, seen: &Seen) {
    while let Some(head) = read_head(&mut stream).await {
        let Some(body) = read_body(&mut stream, &head).await else { return };
        let parts = answer(&head);
        seen.bodies.lock().unwrap().push(body);
        seen.heads.lock().unwrap().push(head);
        for part in parts {
            match part {
                Part::Bytes(bytes) => {
                    if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
                Part::Reset => return stream.reset(),
                Part::Drip(..) | Part::Hold => {
                    hold(&mut stream, part).await;
                    seen.departures.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
        }
    }
}

async fn hold(stream: &mut impl Connection, part: Part) {
    let mut ignored = [0; 64];
    loop {
        let (drop, pause) = match &part {
            Part::Drip(bytes, pause) => (bytes.as_slice(), *pause),
            Part::Hold | Part::Bytes(_) | Part::Reset => (&[][..], Duration::from_secs(3600)),
        };
        tokio::select! {
            read = stream.read(&mut ignored) => if matches!(read, Ok(0) | Err(_)) { return },
            () = tokio::time::sleep(pause) => if stream.write_all(drop).await.is_err() { return },
        }
    }
}

async fn read_head(stream: &mut impl Connection) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

async fn read_body(stream: &mut impl Connection, head: &str) -> Option<Vec<u8>> {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

trait Connection: AsyncRead + AsyncWrite + Unpin + Send {
    /// End it with a reset.
    fn reset(self);
}

impl Connection for TcpStream {
    fn reset(self) {
        self.set_zero_linger().unwrap();
    }
}

impl Connection for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(self) {
        self.into_inner().0.reset();
    }
}

/// An answer with a length: status line, header lines and body.
pub fn answer(status: &str, fields: &[&str], body: impl AsRef<[u8]>) -> Vec<Part> {
    let body = body.as_ref();
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let mut bytes = format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    vec![Part::Bytes(bytes)]
}

/// An answer in chunks, each sent by itself, without saying how long it will be.
pub fn chunked(chunks: &[&[u8]]) -> Vec<Part> {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunks = chunks.iter().map(|chunk| {
        let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        Part::Bytes(bytes)
    });
    [Part::Bytes(head)].into_iter().chain(chunks).chain([Part::Bytes(b"0\r\n\r\n".to_vec())]).collect()
}

/// Bytes as they are.
pub fn raw(bytes: impl AsRef<[u8]>) -> Vec<Part> {
    vec![Part::Bytes(bytes.as_ref().to_vec())]
}

/// The path and query of a request's head.
pub fn path_of(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}
