//! The log of one run, bounded in lines and bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::domain::{Label, Limits, LogLevel, LogLine, LogSource};
use crate::journal::{Observer, Stop};

/// Lines, and likewise bytes, that may be dropped, as a multiple of those that are kept, before the run is ended. Enough
/// for a chatty plugin, and reached by a loop within milliseconds.
const DROPPED_PER_KEPT: u32 = 8;

/// Lines of standard error that are kept aside, however full the log is, to tell why a guest trapped.
const LAST_WORDS: usize = 4;

/// Longest text of these together, in bytes.
const MAX_LAST_WORDS: usize = 1024;

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
    dropped_bytes: usize,
    last_words: VecDeque<String>,
    max_lines: u32,
    max_bytes: usize,
    observer: Arc<dyn Observer>,
}

impl Inner {
    fn is_flooded(&self) -> bool {
        let too_many = self.dropped / DROPPED_PER_KEPT > self.max_lines;
        too_many || self.dropped_bytes / DROPPED_PER_KEPT as usize > self.max_bytes
    }

    fn overhear(&mut self, line: &str) {
        if self.last_words.len() == LAST_WORDS {
            self.last_words.pop_front();
        }
        self.last_words.push_back(crate::domain::cut_bytes(line, MAX_LAST_WORDS).to_owned());
    }
}

impl RunLog {
    /// An empty log, of whose lines `observer` hears.
    pub fn new(clock: Arc<dyn Clock>, limits: &Limits, observer: Arc<dyn Observer>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            clock,
            lines: Vec::new(),
            bytes: 0,
            dropped: 0,
            dropped_bytes: 0,
            last_words: VecDeque::new(),
            max_lines: limits.log_lines,
            max_bytes: limits.log_bytes,
            observer,
        })))
    }

    /// Add a line, or count it as dropped when the log is full. Fails when so many were dropped that the run should
    /// end.
    pub fn write(&self, level: LogLevel, source: LogSource, message: &str, fields: Vec<Label>) -> Result<(), Stop> {
        let mut inner = self.lock();
        let message = crate::domain::cut_bytes(message, MAX_MESSAGE);
        let bytes = message.len() + fields.iter().map(field_bytes).sum::<usize>();
        if source == LogSource::Stderr && !message.trim().is_empty() {
            inner.overhear(message);
        }
        let full = inner.lines.len() >= inner.max_lines as usize || inner.bytes + bytes > inner.max_bytes;
        if full {
            inner.dropped = inner.dropped.saturating_add(1);
            inner.dropped_bytes = inner.dropped_bytes.saturating_add(bytes);
            return if inner.is_flooded() { Err(Stop::Log) } else { Ok(()) };
        }
        inner.bytes += bytes;
        let line = LogLine { time: inner.clock.now(), level, source, message: message.to_owned(), fields };
        inner.observer.line(&line);
        inner.lines.push(line);
        Ok(())
    }

    /// The last lines that the guest wrote to its standard error, joined; a panic message, mostly.
    pub fn stderr_tail(&self) -> Option<String> {
        let lines: Vec<String> = self.lock().last_words.iter().cloned().collect();
        (!lines.is_empty()).then(|| crate::domain::cut_bytes(&lines.join("\n"), MAX_LAST_WORDS).to_owned())
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

/// What a field takes up. A message can have thousands of empty ones, which take up memory all the same.
fn field_bytes(field: &Label) -> usize {
    size_of::<Label>() + field.name.len() + field.value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::Timestamp;
    use crate::journal::Unobserved;

    fn log(log_lines: u32, log_bytes: usize) -> RunLog {
        let limits = Limits { log_lines, log_bytes, ..Limits::DEFAULT };
        RunLog::new(Arc::new(ManualClock::at(Timestamp::from_millis(5))), &limits, Arc::new(Unobserved))
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
    fn few_lines_that_are_long_are_a_flood_as_well() {
        let log = log(1_000, 100);
        let line = "x".repeat(100);
        let written = (0..).take_while(|_| log.write(LogLevel::Info, LogSource::Plugin, &line, vec![]).is_ok()).count();
        assert_eq!(written, 1 + 8);
    }

    #[test]
    fn the_bytes_of_fields_count() {
        let log = log(100, 20);
        let field = Label { name: "n".repeat(10), value: "v".repeat(10) };
        log.write(LogLevel::Info, LogSource::Plugin, "m", vec![field]).unwrap();
        assert_eq!(log.take(), (vec![], 1));
    }

    #[test]
    fn empty_fields_fill_the_log_as_well() {
        let log = log(1_000, 10_000);
        let empty = || vec![Label { name: String::new(), value: String::new() }; 100];
        let written = (0..).take_while(|_| log.write(LogLevel::Info, LogSource::Plugin, "", empty()).is_ok()).count();
        assert!(written < 30, "{written}");
        assert!(log.take().0.len() <= 2);
    }

    #[test]
    fn the_tail_of_standard_error_tells_why_a_guest_trapped() {
        let log = log(100, 10_000);
        log.write(LogLevel::Info, LogSource::Stdout, "fine", vec![]).unwrap();
        log.write(LogLevel::Error, LogSource::Stderr, "panicked at src/lib.rs:1:", vec![]).unwrap();
        log.write(LogLevel::Error, LogSource::Stderr, "oh no", vec![]).unwrap();
        assert_eq!(log.stderr_tail().as_deref(), Some("panicked at src/lib.rs:1:\noh no"));
    }

    #[test]
    fn a_full_log_does_not_hide_why_a_guest_trapped() {
        let log = log(1, 1_000);
        log.write(LogLevel::Info, LogSource::Stdout, "chatter", vec![]).unwrap();
        for line in ["one", "two", "three", "four", "oh no"] {
            log.write(LogLevel::Error, LogSource::Stderr, line, vec![]).unwrap();
        }
        assert_eq!(log.stderr_tail().as_deref(), Some("two\nthree\nfour\noh no"));
    }
}
