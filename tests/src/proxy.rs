//! A way to a server that can go wrong at a chosen moment: when a word passes to the server for the first time.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;

/// What happens after the word has passed.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The server's answer is swallowed and the connection ends.
    Swallow,
    /// From then on every answer, on all connections, comes so much later.
    Slow(Duration),
}

/// A proxy on 127.0.0.1 that lives as long as the test binary.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
}

impl Proxy {
    /// Passes everything to `port` until `word` is sent; then comes the fault.
    pub fn start(port: u16, word: &'static str, fault: Fault) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        let proxy = Proxy { port: listener.local_addr().context("no address")?.port() };
        let has_passed = Arc::new(AtomicBool::new(false));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let has_passed = Arc::clone(&has_passed);
                // A connection that fails ends; its test sees that.
                std::thread::spawn(move || pass(&client, port, word, fault, &has_passed).ok());
            }
        });
        Ok(proxy)
    }

    /// The same URL by way of this proxy.
    #[must_use]
    pub fn url(&self, url: &str, port: u16) -> String {
        url.replace(&format!(":{port}/"), &format!(":{}/", self.port))
    }
}

/// One request, one answer: whoever speaks RESP in batches waits for each.
fn pass(mut client: &TcpStream, port: u16, word: &str, fault: Fault, has_passed: &AtomicBool) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    let is_cut = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::new(AtomicBool::new(false));
    let (cut, slow) = (Arc::clone(&is_cut), Arc::clone(&is_slow));
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(bytes @ 1..) = answers.read(&mut buffer) {
            if cut.load(Ordering::SeqCst) {
                // The server has answered, so it is done there.
                let _ = back.shutdown(Shutdown::Both);
                return;
            }
            if let (true, Fault::Slow(delay)) = (slow.load(Ordering::SeqCst), fault) {
                std::thread::sleep(delay);
            }
            if back.write_all(buffer.get(..bytes).unwrap_or_default()).is_err() {
                return;
            }
        }
    });
    let mut buffer = [0; 65_536];
    loop {
        let bytes = client.read(&mut buffer)?;
        let chunk = buffer.get(..bytes).unwrap_or_default();
        if chunk.is_empty() {
            return server.shutdown(Shutdown::Both);
        }
        let is_here = chunk.windows(word.len()).any(|window| window == word.as_bytes());
        let is_first = is_here && !has_passed.swap(true, Ordering::SeqCst);
        match fault {
            Fault::Swallow if is_first => is_cut.store(true, Ordering::SeqCst),
            Fault::Swallow => {}
            Fault::Slow(_) => is_slow.store(has_passed.load(Ordering::SeqCst), Ordering::SeqCst),
        }
        server.write_all(chunk)?;
    }
}
