//! Advances the epoch every millisecond while guests run.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// One slice of a guest. A shorter one costs more than it gives; with 10 ms deadlines are met 10 ms late.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// A thread of its own, so that busy workers cannot hold it up. It sleeps while nothing runs.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    running: AtomicUsize,
    over: AtomicBool,
}

/// Keeps the ticker going as long as it exists.
pub(super) struct Ticking(Arc<Shared>);

impl Ticker {
    pub(super) fn start(engine: &wasmtime::Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared { running: AtomicUsize::new(0), over: AtomicBool::new(false) });
        let (engine, seen) = (engine.clone(), shared.clone());
        let thread = thread::Builder::new().name("epoch".to_owned()).spawn(move || tick(&engine, &seen))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Tick from now on, until the result is dropped.
    pub(super) fn run(&self) -> Ticking {
        if self.shared.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.wake();
        }
        Ticking(self.shared.clone())
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // It holds no lock and calls nothing that panics.
            let _ = thread.join();
        }
    }
}

fn tick(engine: &wasmtime::Engine, shared: &Shared) {
    let mut next = Instant::now();
    while !shared.over.load(Ordering::SeqCst) {
        if shared.running.load(Ordering::SeqCst) == 0 {
            // A token left by `unpark` makes this return at once, so no start is missed.
            thread::park();
            next = Instant::now();
            continue;
        }
        // Against absolute time: sleeping one tick in a loop drifts by a tenth.
        next += TICK;
        let now = Instant::now();
        match next.checked_duration_since(now) {
            Some(pause) => thread::sleep(pause),
            None => next = now,
        }
        engine.increment_epoch();
    }
}
