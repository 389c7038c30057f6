//! Tests of the store as a whole. Those that need a process of their own are in `tests/tests/store_crash.rs`.

mod chain;
mod crash;
mod files;
mod guards;
mod hostile;
mod hour;
mod once;
mod plugins;
mod recordings;
mod retention;
mod runs;
mod state;
mod sweeps;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::clock::ManualClock;
use crate::domain::{
    Actor, CallRecord, Decision, DenialReason, Digest, Ending, Failure, FailureKind, Files, Label, LogLevel, LogLine,
    LogSource, Metric, Mode, Outcome, Status, Suggestion, Table, Timestamp, Trigger, Usage,
};

/// 1 March 2026.
const MARCH: Timestamp = Timestamp::from_millis(1_772_323_200_000);

/// A folder with a store's file in it and a clock.
struct Place {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::at(MARCH)) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("paramedic.db")
    }

    fn try_open(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(&self.path(), self.clock.clone(), StoreOptions::default())
    }

    fn open(&self) -> SqliteStore {
        self.try_open().unwrap()
    }

    /// A connection of somebody who edits the file by hand. It takes no notice of what rows belong together.
    fn by_hand(&self) -> Connection {
        let db = Connection::open(self.path()).unwrap();
        db.pragma_update(None, "foreign_keys", false).unwrap();
        db
    }
}

fn plugin(name: &str) -> PluginName {
    name.parse().unwrap()
}

/// A run that begins at `started`.
fn run_at(started: Timestamp) -> Run {
    Run {
        id: RunId::new(started),
        plugin: plugin("pg-ready"),
        version: "1.2.3".to_owned(),
        digest: Digest::of(b"component"),
        mode: Mode::Check,
        trigger: Trigger::Manual,
        actor: Actor("oncall".to_owned()),
        sweep_run: None,
        params: r#"{"limit":10}"#.to_owned(),
        started,
        finished: None,
        ending: None,
        usage: Usage::default(),
        log: Vec::new(),
        calls: Vec::new(),
        changes: crate::domain::RunChanges::default(),
    }
}

/// The same run with an end that leaves nothing empty.
fn concluded(run: &Run, status: Status) -> Run {
    Run {
        finished: Some(run.started.after(Duration::from_millis(40))),
        ending: Some(Ending::Concluded(outcome(status))),
        usage: Usage {
            duration: Duration::from_nanos(40_000_123),
            memory_bytes: 1_114_112,
            calls: 2,
            answer_bytes: 512,
            dropped_log_lines: 3,
        },
        log: vec![log_line(LogLevel::Info, LogSource::Plugin, 2), log_line(LogLevel::Error, LogSource::Stderr, 0)],
        calls: vec![call(1, Decision::Permitted), call(2, Decision::Denied(DenialReason::OutOfBounds))],
        ..run.clone()
    }
}

fn failed(run: &Run, kind: FailureKind) -> Run {
    let failure = Failure { kind, message: format!("it ended with {}", kind.as_str()) };
    Run { finished: Some(run.started), ending: Some(Ending::Failed(failure)), ..run.clone() }
}

fn label(name: &str, value: &str) -> Label {
    Label { name: name.to_owned(), value: value.to_owned() }
}

fn outcome(status: Status) -> Outcome {
    Outcome {
        status,
        summary: "3 of 100 connections are used".to_owned(),
        details: Some("**all** is well".to_owned()),
        metrics: vec![Metric {
            name: "connections".to_owned(),
            // Neither short nor exact in decimal.
            value: 0.1 + 0.2,
            unit: "1".to_owned(),
            warn: Some(1e300),
            critical: None,
            labels: vec![label("state", "idle"), label("state", "twice")],
        }],
        findings: vec![Table {
            title: "by application".to_owned(),
            columns: vec!["application".to_owned(), "count".to_owned()],
            rows: vec![vec!["api".to_owned(), "2".to_owned()], vec!["it's \"quoted\"\u{0}".to_owned(), String::new()]],
        }],
        suggestions: vec![Suggestion {
            plugin: "pg-connections".to_owned(),
            params: "{}".to_owned(),
            reason: "look closer".to_owned(),
            confidence: 2.0 / 3.0,
        }],
        labels: vec![label("team", "données")],
        files: Files::default(),
    }
}

fn log_line(level: LogLevel, source: LogSource, fields: usize) -> LogLine {
    let fields = (0..fields).map(|n| label("n", &n.to_string())).collect();
    LogLine { time: MARCH, level, source, message: "line\nof two".to_owned(), fields }
}

fn call(sequence: u32, decision: Decision) -> CallRecord {
    let permitted = decision == Decision::Permitted;
    CallRecord {
        sequence,
        operation: "postgres/query".to_owned(),
        target: "postgres/main".to_owned(),
        arguments: r#"{"sql":"select 1","params":["text of 7 characters"]}"#.to_owned(),
        decision,
        started: MARCH,
        duration: Duration::from_nanos(1_234_567),
        answer_bytes: if permitted { 512 } else { 0 },
        answer_digest: permitted.then(|| Digest::of(b"answer")),
        error: (!permitted).then(|| "denied: limit is 50".to_owned()),
    }
}

fn page(limit: u32) -> Page {
    Page::new(limit, None).unwrap()
}

/// Start and finish `count` runs, one each second from `first` on.
async fn fill(store: &SqliteStore, first: Timestamp, count: u64) -> Vec<Run> {
    let mut runs = Vec::new();
    for n in 0..count {
        let run = run_at(first.after(Duration::from_secs(n)));
        store.start_run(run.clone()).await.unwrap();
        let run = concluded(&run, Status::Ok);
        store.finish_run(run.clone()).await.unwrap();
        runs.push(run);
    }
    runs
}

/// Copy what a crash would leave of the file at `from`; the index of the log is shared memory and is lost.
fn copy_after_crash(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        std::fs::copy(name(from), name(to)).unwrap();
    }
}
