//! A way to a server that can go wrong at a chosen moment: when a word passes to the server for the first time.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;

use crate::wait;

/// What happens when the word is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It reaches the server, whose answer is swallowed, and the connection ends.
    Swallow,
    /// It reaches the server, and from then on every answer, on all connections, comes so much later.
    Slow(Duration),
    /// It never reaches the server, nor does anything after it on that connection, which stays open.
    Keep,
    /// It reaches the server, whose answer is kept, as is all that follows on that connection, which stays open.
    Withhold,
}

/// A proxy on 127.0.0.1 that lives as long as the test binary.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    armed: Mutex<Option<Armed>>,
    /// How much later answers come.
    delay: Mutex<Duration>,
    /// True while nothing gets through.
    is_parted: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    word: &'static str,
    fault: Option<Fault>,
    /// How often the word was sent, whether it arrived or not.
    sent: u32,
    /// True once the fault has shown: the word was kept, or the server has answered it.
    has_struck: bool,
}

impl Proxy {
    /// Passes everything to `port`.
    pub fn open(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        let proxy = Proxy { port: listener.local_addr().context("no address")?.port(), state: Arc::default() };
        let state = Arc::clone(&proxy.state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                // A connection that fails ends; its test sees that.
                std::thread::spawn(move || pass(&client, port, &state).ok());
            }
        });
        Ok(proxy)
    }

    /// Passes everything to `port` until `word` is sent; then comes the fault.
    pub fn start(port: u16, word: &'static str, fault: Fault) -> anyhow::Result<Self> {
        let proxy = Self::open(port)?;
        proxy.arm(word, fault);
        Ok(proxy)
    }

    /// From now on the fault comes when `word` is sent for the first time; without a word, when anything is. What was there
    /// before is forgotten.
    pub fn arm(&self, word: &'static str, fault: Fault) {
        *self.state.armed() = Some(Armed { word, fault: Some(fault), sent: 0, has_struck: false });
    }

    /// From now on nothing goes wrong, and what is sent with `word` is counted.
    pub fn watch(&self, word: &'static str) {
        *self.state.armed() = Some(Armed { word, fault: None, sent: 0, has_struck: false });
    }

    /// From now on nothing gets through and nothing ends, until [`Proxy::join`]. What was on its way is lost, and so are the
    /// connections that it was on.
    pub fn part(&self) {
        self.state.is_parted.store(true, Ordering::SeqCst);
    }

    /// From now on new connections get through.
    pub fn join(&self) {
        self.state.is_parted.store(false, Ordering::SeqCst);
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the fault has shown.
    pub fn until_struck(&self) -> anyhow::Result<()> {
        wait::until("the fault to strike", || {
            Ok(self.state.armed().is_some_and(|armed| armed.has_struck).then_some(()))
        })
    }

    /// How often the word was sent since it was named.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.state.armed().map_or(0, |armed| armed.sent)
    }

    /// The same URL by way of this proxy.
    #[must_use]
    pub fn url(&self, url: &str, port: u16) -> String {
        url.replace(&format!(":{port}/"), &format!(":{}/", self.port))
    }
}

impl State {
    fn armed(&self) -> MutexGuard<'_, Option<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that strikes with this part of what a client sends.
    fn strike(&self, part: &[u8]) -> Option<Fault> {
        let mut armed = self.armed();
        let armed = armed.as_mut()?;
        let word = armed.word.as_bytes();
        if !word.is_empty() && !part.windows(word.len()).any(|window| window == word) {
            return None;
        }
        armed.sent += 1;
        armed.fault.filter(|_| armed.sent == 1)
    }

    fn has_struck(&self) {
        if let Some(armed) = self.armed().as_mut() {
            armed.has_struck = true;
        }
    }

    fn delay(&self) -> MutexGuard<'_, Duration> {
        self.delay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request, one answer: whoever speaks RESP in batches waits for each.
fn pass(mut client: &TcpStream, port: u16, state: &Arc<State>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    // Of this connection: that its answers do not come back any more.
    let is_cut = Arc::new(AtomicBool::new(false));
    let (answers, back) = (server.try_clone()?, client.try_clone()?);
    let answering = (Arc::clone(state), Arc::clone(&is_cut));
    std::thread::spawn(move || pass_back(answers, back, &answering.0, &answering.1));
    let mut buffer = [0; 65_536];
    loop {
        let bytes = client.read(&mut buffer)?;
        let part = buffer.get(..bytes).unwrap_or_default();
        if part.is_empty() {
            return server.shutdown(Shutdown::Both);
        }
        if state.is_parted.load(Ordering::SeqCst) {
            is_cut.store(true, Ordering::SeqCst);
            return keep(client);
        }
        match state.strike(part) {
            Some(Fault::Keep) => {
                state.has_struck();
                return keep(client);
            }
            Some(Fault::Swallow | Fault::Withhold) => is_cut.store(true, Ordering::SeqCst),
            Some(Fault::Slow(delay)) => *state.delay() = delay,
            None => {}
        }
        server.write_all(part)?;
    }
}

fn pass_back(mut answers: TcpStream, mut back: TcpStream, state: &State, is_cut: &AtomicBool) {
    let mut buffer = [0; 65_536];
    while let Ok(bytes @ 1..) = answers.read(&mut buffer) {
        if state.is_parted.load(Ordering::SeqCst) {
            is_cut.store(true, Ordering::SeqCst);
            continue;
        }
        if is_cut.load(Ordering::SeqCst) {
            // The server has answered, so it is done there.
            state.has_struck();
            if state.armed().is_some_and(|armed| armed.fault == Some(Fault::Withhold)) {
                continue;
            }
            let _ = back.shutdown(Shutdown::Both);
            return;
        }
        let delay = *state.delay();
        std::thread::sleep(delay);
        if back.write_all(buffer.get(..bytes).unwrap_or_default()).is_err() {
            return;
        }
    }
}

/// Reads what the client still sends, and leaves it at that until the client goes away.
fn keep(mut client: &TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 65_536];
    while client.read(&mut buffer)? > 0 {}
    Ok(())
}
