//! What a run did lately, for those who watch it.
//!
//! The run writes and never waits: what is older than the bounds is dropped, whether or not anybody has read it. Each
//! reader keeps its own position, so one that is slow misses something, is told how much, and holds up nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::{CallRecord, LogLine};
use crate::engine::Observer;

/// Most events that are held for readers. With the next bound about the most that all runs at once may cost.
const MAX_EVENTS: usize = 1_000;

/// Most bytes of the texts in them.
const MAX_BYTES: usize = 256 << 10;

/// How far a reader of a run has come: how many lines of the log and how many calls it has seen. So it says the same about a
/// run under way and about its record, in which the two stand apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Lines of the log.
    pub lines: u32,
    /// Calls.
    pub calls: u32,
}

/// One thing that happened, and the position after it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Of a reader that has seen it.
    pub position: Position,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// A line of the log was written.
    Line(Arc<LogLine>),
    /// A call ended.
    Call(Arc<CallRecord>),
}

impl Position {
    /// The position after one more `what`.
    pub fn after(self, what: &What) -> Self {
        match what {
            What::Line(_) => Self { lines: self.lines.saturating_add(1), ..self },
            What::Call(_) => Self { calls: self.calls.saturating_add(1), ..self },
        }
    }

    /// The position of a reader that has in addition seen all that `other` has.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { lines: self.lines.max(other.lines), calls: self.calls.max(other.calls) }
    }
}

impl Event {
    /// True when a reader at `position` has not seen it.
    pub fn is_new_at(&self, position: Position) -> bool {
        match self.what {
            What::Line(_) => self.position.lines > position.lines,
            What::Call(_) => self.position.calls > position.calls,
        }
    }
}

/// What happened since a reader looked last.
#[derive(Debug, Default)]
pub struct Batch {
    /// What was dropped before the reader came: so many lines and so many calls.
    pub missed: Position,
    /// What is still there, in order.
    pub events: Vec<Event>,
}

impl Batch {
    /// True when nothing happened.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.missed == Position::default()
    }
}

/// The events of one run.
pub(super) struct Feed {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    /// Position of a reader that has seen everything.
    last: Position,
    /// Position of a reader that has seen what was dropped.
    dropped: Position,
}

impl Default for Feed {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Feed {
    /// What a reader at `position` has not seen.
    pub(super) fn since(&self, position: Position) -> Batch {
        let state = self.lock();
        let missed = Position {
            lines: state.dropped.lines.saturating_sub(position.lines),
            calls: state.dropped.calls.saturating_sub(position.calls),
        };
        let new = state.events.iter().filter(|event| event.is_new_at(position));
        Batch { missed, events: new.cloned().collect() }
    }

    /// Tells whoever waits that there is more.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn push(&self, what: What) {
        let mut state = self.lock();
        let position = state.last.after(&what);
        state.last = position;
        state.bytes += size(&what);
        state.events.push_back(Event { position, what });
        while state.events.len() > MAX_EVENTS || state.bytes > MAX_BYTES {
            let Some(oldest) = state.events.pop_front() else { break };
            state.bytes -= size(&oldest.what);
            state.dropped = state.dropped.max(oldest.position);
        }
        drop(state);
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in there can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Feed {
    fn line(&self, line: &LogLine) {
        self.push(What::Line(Arc::new(line.clone())));
    }

    fn call(&self, call: &CallRecord) {
        self.push(What::Call(Arc::new(call.clone())));
    }
}

/// Bytes of the texts of an event.
fn size(what: &What) -> usize {
    match what {
        What::Line(line) => {
            let fields = line.fields.iter().map(|field| field.name.len() + field.value.len());
            line.message.len() + fields.sum::<usize>()
        }
        What::Call(call) => {
            call.operation.len() + call.target.len() + call.arguments.len() + call.error.as_ref().map_or(0, String::len)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Decision, LogLevel, LogSource, Timestamp};

    const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);

    fn line(message: &str) -> LogLine {
        let (level, source) = (LogLevel::Info, LogSource::Plugin);
        LogLine { time: NOW, level, source, message: message.to_owned(), fields: Vec::new() }
    }

    fn call(sequence: u32) -> CallRecord {
        CallRecord {
            sequence,
            operation: "redis/ping".to_owned(),
            target: "redis/cache".to_owned(),
            arguments: "{}".to_owned(),
            decision: Decision::Permitted,
            started: NOW,
            duration: std::time::Duration::ZERO,
            answer_bytes: 0,
            answer_digest: None,
            error: None,
        }
    }

    fn at(lines: u32, calls: u32) -> Position {
        Position { lines, calls }
    }

    fn positions(batch: &Batch) -> Vec<Position> {
        batch.events.iter().map(|event| event.position).collect()
    }

    #[test]
    fn each_reader_goes_on_where_it_was() {
        let feed = Feed::default();
        assert!(feed.since(at(0, 0)).is_empty());
        feed.line(&line("one"));
        feed.call(&call(1));
        feed.line(&line("two"));
        assert_eq!(positions(&feed.since(at(0, 0))), [at(1, 0), at(1, 1), at(2, 1)]);
        assert_eq!(positions(&feed.since(at(1, 0))), [at(1, 1), at(2, 1)]);
        assert_eq!(positions(&feed.since(at(2, 0))), [at(1, 1)]);
        assert!(feed.since(at(2, 1)).is_empty() && feed.since(at(9, 9)).is_empty());
    }

    #[test]
    fn whoever_waits_is_told() {
        let feed = Feed::default();
        let mut changes = feed.changes();
        assert!(!changes.has_changed().unwrap());
        feed.line(&line("one"));
        assert!(changes.has_changed().unwrap());
        changes.borrow_and_update();
        feed.call(&call(1));
        assert!(changes.has_changed().unwrap());
    }

    #[test]
    fn a_reader_that_comes_late_is_told_what_it_missed() {
        let feed = Feed::default();
        feed.call(&call(1));
        for n in 0..MAX_EVENTS + 10 {
            feed.line(&line(&n.to_string()));
        }
        let batch = feed.since(at(0, 0));
        assert_eq!((batch.missed, batch.events.len()), (at(10, 1), MAX_EVENTS));
        assert_eq!(positions(&batch)[0], at(11, 1));
        let batch = feed.since(at(7, 1));
        assert_eq!((batch.missed, batch.events.len()), (at(3, 0), MAX_EVENTS));
        let batch = feed.since(at(12, 1));
        assert_eq!((batch.missed, positions(&batch)[0]), (at(0, 0), at(13, 1)));
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let feed = Feed::default();
        let long = "x".repeat(8 << 10);
        for _ in 0..100 {
            feed.line(&line(&long));
        }
        let state = feed.lock();
        assert!(state.bytes <= MAX_BYTES && state.events.len() == 32, "{} of {}", state.events.len(), state.bytes);
        drop(state);
        // One that is larger than all of it leaves nothing but the note that it was there.
        feed.line(&line(&"x".repeat(MAX_BYTES + 1)));
        let batch = feed.since(at(100, 0));
        assert_eq!((batch.missed, batch.events.len()), (at(1, 0), 0));
    }
}
