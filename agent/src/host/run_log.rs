//! The log of one run, bounded in lines and bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::domain::{Label, Limits, LogLevel, LogLine, LogSource};
use crate::journal::Stop;

/// Lines that may be dropped, as a multiple of those that are kept, before the run is ended. Enough for a chatty
/// plugin, and reached by a loop within milliseconds.
const DROPPED_PER_KEPT: u32 = 8;

/// Longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 8 << 10;

/// The log of one run. Copies write to the same log.
#[derive(Clone)]
pub struct RunLog(Arc<Mutex<Inner>>);

struct Inner {
    clock: Arc<dyn Clock>,
    lines: Vec<LogLine>,
    bytes: usize,
    dropped: u32,
    max_lines: u32,
    max_bytes: usize,
}

impl RunLog {
    /// An empty log.
    pub fn new(clock: Arc<dyn Clock>, limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            clock,
            lines: Vec::new(),
            bytes: 0,
            dropped: 0,
            max_lines: limits.log_lines,
            max_bytes: limits.log_bytes,
        })))
    }

    /// Add a line, or count it as dropped when the log is full. Fails when so many were dropped that the run should
    /// end.
    pub fn write(&self, level: LogLevel, source: LogSource, message: &str, fields: Vec<Label>) -> Result<(), Stop> {
        let mut inner = self.lock();
        let message = crate::domain::cut_bytes(message, MAX_MESSAGE);
        let bytes = message.len() + fields.iter().map(|field| field.name.len() + field.value.len()).sum::<usize>();
        let full = inner.lines.len() >= inner.max_lines as usize || inner.bytes + bytes > inner.max_bytes;
        if full {
            inner.dropped = inner.dropped.saturating_add(1);
            return if inner.dropped / DROPPED_PER_KEPT > inner.max_lines { Err(Stop::Log) } else { Ok(()) };
        }
        inner.bytes += bytes;
        let line = LogLine { time: inner.clock.now(), level, source, message: message.to_owned(), fields };
        inner.lines.push(line);
        Ok(())
    }

    /// The last lines that the guest wrote to its standard error, joined; a panic message, mostly.
    pub fn stderr_tail(&self) -> Option<String> {
        let inner = self.lock();
        let mut lines: Vec<&str> = inner
            .lines
            .iter()
            .rev()
            .filter(|line| line.source == LogSource::Stderr)
            .map(|line| &*line.message)
            .take(4)
            .collect();
        lines.reverse();
        (!lines.is_empty()).then(|| crate::domain::cut_bytes(&lines.join("\n"), 1024).to_owned())
    }

    /// The lines and how many were dropped. The log is empty afterwards.
    pub fn take(&self) -> (Vec<LogLine>, u32) {
        let mut inner = self.lock();
        (std::mem::take(&mut inner.lines), inner.dropped)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing is left half done when a writer panics, so the lines are still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::Timestamp;

    fn log(log_lines: u32, log_bytes: usize) -> RunLog {
        let limits = Limits { log_lines, log_bytes, ..Limits::DEFAULT };
        RunLog::new(Arc::new(ManualClock::at(Timestamp::from_millis(5))), &limits)
    }

    #[test]
    fn a_full_log_drops_and_counts_until_it_is_a_flood() {
        let log = log(2, 1_000);
        let mut written = 0;
        while log.write(LogLevel::Info, LogSource::Plugin, "again", vec![]).is_ok() {
            written += 1;
        }
        assert_eq!(written, 2 + 23);
        let (lines, dropped) = log.take();
        assert_eq!((lines.len(), dropped), (2, 24));
    }

    #[test]
    fn the_bytes_of_fields_count() {
        let log = log(100, 20);
        let field = Label { name: "n".repeat(10), value: "v".repeat(10) };
        log.write(LogLevel::Info, LogSource::Plugin, "m", vec![field]).unwrap();
        assert_eq!(log.take(), (vec![], 1));
    }

    #[test]
    fn the_tail_of_standard_error_tells_why_a_guest_trapped() {
        let log = log(100, 10_000);
        log.write(LogLevel::Info, LogSource::Stdout, "fine", vec![]).unwrap();
        log.write(LogLevel::Error, LogSource::Stderr, "panicked at src/lib.rs:1:", vec![]).unwrap();
        log.write(LogLevel::Error, LogSource::Stderr, "oh no", vec![]).unwrap();
        assert_eq!(log.stderr_tail().as_deref(), Some("panicked at src/lib.rs:1:\noh no"));
    }
}
