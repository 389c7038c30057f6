//! A web server with one answer for every request, and the least of clients.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

/// A client that sends nothing must not keep the others waiting.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A running server. Requests are answered one after another, each on a connection of its own.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    answer: String,
    heads: Mutex<Vec<String>>,
    stopping: AtomicBool,
}

impl Endpoint {
    /// Answers every request with this status, such as `503 Service Unavailable`, and this text.
    pub fn start(status: &str, body: &str) -> anyhow::Result<Self> {
        let length = body.len();
        let fields = format!("content-type: text/plain\r\ncontent-length: {length}\r\nconnection: close");
        Self::start_raw(format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n{body}"))
    }

    /// Answers every request with these bytes, head and all.
    pub fn start_raw(answer: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
        let address = listener.local_addr().context("a bound socket has no address")?;
        let shared = Arc::new(Shared { answer, heads: Mutex::default(), stopping: AtomicBool::new(false) });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.serve(&listener)
        });
        Ok(Endpoint { address, shared, thread: Some(thread) })
    }

    /// Address of the server, such as `http://127.0.0.1:4711`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests so far: request line and header fields.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // The thread waits for a connection; this is the one that it sees last.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            thread.join().unwrap_or_else(|_| eprintln!("the web server of {} panicked", self.address));
        }
    }
}

impl Shared {
    fn serve(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            // A client that went away is the client's business.
            if let Err(error) = stream.and_then(|stream| self.answer(&stream)) {
                eprintln!("a request ended early: {error}");
            }
        }
    }

    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let head = read_head(&mut BufReader::new(stream))?;
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
        let mut writer = stream;
        writer.write_all(self.answer.as_bytes())
    }
}

/// The status with which a server on `address`, such as `127.0.0.1:7117`, answers a GET.
pub fn status(address: &str, path: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(READ_TIMEOUT)).context("cannot set a timeout")?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")
        .with_context(|| format!("{address} takes no request"))?;
    let head = read_head(&mut BufReader::new(stream)).with_context(|| format!("{address} gives no answer"))?;
    head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).context("an answer without a status")
}

fn read_head(reader: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head.get(before..).is_some_and(|line| line.trim_end().is_empty()) {
            return Ok(head);
        }
    }
}
