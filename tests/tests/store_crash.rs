//! The store under the two things that no test inside one process can do: the process is killed, and the operating
//! system refuses to write.
//!
//! Each test starts this binary again as a child that runs the same test, told apart by a variable that names the
//! file. The child prints a line for each write that was answered; the parent holds the store to those lines.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use paramedic::clock::{Clock, SystemClock};
use paramedic::domain::{
    Actor, CallRecord, Decision, Digest, Ending, Failure, FailureKind, Label, LogLevel, LogLine, LogSource, Mode,
    Outcome, Run, RunId, Status, Trigger, Usage,
};
use paramedic::store::{Finish, Page, RunFilter, SqliteStore, Store, StoreError, StoreOptions};
use rand::RngExt;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Names the store's file to a child.
const CHILD_FILE: &str = "PARAMEDIC_STORE_CRASH_FILE";

/// The file, when this process is the child.
#[expect(clippy::disallowed_methods, reason = "the parent has no other way to reach a test of the same binary")]
fn as_child() -> Option<PathBuf> {
    std::env::var_os(CHILD_FILE).map(PathBuf::from)
}

/// This binary again, as a child that runs the test `name`. A write that the file size limit forbids is answered with
/// an error instead of a signal.
fn start_child(name: &str, file: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD_FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout)
}

/// Tell the parent. The leading line break ends whatever the test harness has begun.
fn tell(what: &str, about: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(format!("\n{what} {about}\n").as_bytes()).unwrap();
    stdout.flush().unwrap();
}

/// The ids that the child told with the word `what`. The kill may have cut the last line short, and that one does not
/// count.
fn told(lines: &[String], what: &str) -> Vec<RunId> {
    let after_word = |line: &String| line.strip_prefix(what)?.strip_prefix(' ').map(str::to_owned);
    lines.iter().filter_map(after_word).filter_map(|id| id.parse().ok()).collect()
}

fn open(file: &Path, options: StoreOptions) -> SqliteStore {
    SqliteStore::open(file, Arc::new(SystemClock), options).unwrap()
}

fn new_run() -> Run {
    let now = SystemClock.now();
    Run {
        id: RunId::new(now),
        plugin: "pg-ready".parse().unwrap(),
        version: "1.0.0".to_owned(),
        digest: Digest::of(b"component"),
        mode: Mode::Check,
        trigger: Trigger::Manual,
        actor: Actor("test".to_owned()),
        sweep_run: None,
        params: "{}".to_owned(),
        started: now,
        finished: None,
        ending: None,
        usage: Usage::default(),
        log: Vec::new(),
        calls: Vec::new(),
        changes: paramedic::domain::RunChanges::default(),
    }
}

fn concluded(run: &Run) -> Run {
    let call = |sequence| CallRecord {
        sequence,
        operation: "postgres/query".to_owned(),
        target: "postgres/main".to_owned(),
        arguments: "{}".to_owned(),
        decision: Decision::Permitted,
        started: run.started,
        duration: Duration::from_millis(3),
        answer_bytes: 100,
        answer_digest: Some(Digest::of(b"answer")),
        error: None,
    };
    let line = |n: u32| LogLine {
        time: run.started,
        level: LogLevel::Info,
        source: LogSource::Plugin,
        message: format!("line {n}"),
        fields: vec![Label { name: "n".to_owned(), value: n.to_string() }],
    };
    let outcome = Outcome {
        status: Status::Ok,
        summary: "ready".to_owned(),
        details: None,
        metrics: Vec::new(),
        findings: Vec::new(),
        suggestions: Vec::new(),
        labels: Vec::new(),
        files: paramedic::domain::Files::default(),
    };
    Run {
        finished: Some(run.started),
        ending: Some(Ending::Concluded(outcome)),
        log: (0..3).map(line).collect(),
        calls: (1..=2).map(call).collect(),
        ..run.clone()
    }
}

/// The child: fifty runs at a time begin and end until somebody kills it.
#[tokio::main]
async fn begin_and_end_runs(file: &Path) {
    // So few pages that the log is often being copied into the file when the kill comes.
    let store = Arc::new(open(file, StoreOptions { checkpoint_pages: 50, ..StoreOptions::default() }));
    let workers: Vec<_> = (0..50).map(|_| tokio::spawn(begin_and_end_forever(Arc::clone(&store)))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

async fn begin_and_end_forever(store: Arc<SqliteStore>) {
    loop {
        let run = new_run();
        store.start_run(run.clone()).await.unwrap();
        tell("started", run.id);
        assert_eq!(store.finish_run(concluded(&run)).await.unwrap(), Finish::Recorded);
        tell("finished", run.id);
    }
}

/// Let a child write until it told `count` writes, kill it, and return everything it told.
fn kill_after(name: &str, file: &Path, count: usize) -> Vec<String> {
    let (mut child, stdout) = start_child(name, file);
    let mut told = 0;
    let mut lines = Vec::new();
    for line in stdout.lines() {
        let line = line.unwrap();
        told += usize::from(line.contains("ed "));
        lines.push(line);
        if told == count {
            // SIGKILL. The loop goes on with what was told before it came.
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success() && told >= count, "the child ended by itself: {lines:?}");
    lines
}

#[test]
fn after_kill_9_every_answered_write_is_there_and_the_rest_is_interrupted() {
    if let Some(file) = as_child() {
        return begin_and_end_runs(&file);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("paramedic.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut interrupted, mut answered) = (0, Vec::new());
    for round in 0..20 {
        let since = SystemClock.now();
        let count = rand::rng().random_range(1..400);
        let name = "after_kill_9_every_answered_write_is_there_and_the_rest_is_interrupted";
        let lines = kill_after(name, &file, count);
        let store = open(&file, StoreOptions::default());
        interrupted += store.interrupted();
        answered.extend(told(&lines, "started"));
        runtime.block_on(async {
            assert_eq!(store.verify().await.unwrap(), Vec::<String>::new(), "round {round}");
            for id in told(&lines, "finished") {
                let run = store.run(id).await.unwrap().expect("its end was answered");
                assert_eq!(run, concluded(&as_started(&run)), "round {round}");
            }
            let filter = RunFilter { since: Some(since), ..RunFilter::default() };
            assert_eq!(assert_whole(&store, filter).await, store.interrupted(), "round {round}");
            assert_present(&store, &answered).await;
            store.close().await.unwrap();
        });
    }
    assert!(interrupted > 0, "no kill came while a run was under way");
}

fn as_started(run: &Run) -> Run {
    Run { finished: None, ending: None, usage: Usage::default(), log: Vec::new(), calls: Vec::new(), ..run.clone() }
}

/// Every run that `filter` finds has a whole end or was interrupted. Returns how many were.
async fn assert_whole(store: &SqliteStore, filter: RunFilter) -> usize {
    let mut interrupted = 0;
    for id in ids(store, filter).await {
        let run = store.run(id).await.unwrap().unwrap();
        match &run.ending {
            Some(Ending::Failed(Failure { kind: FailureKind::Interrupted, .. })) => {
                assert!(run.log.is_empty() && run.calls.is_empty());
                interrupted += 1;
            }
            _ => assert_eq!(run, concluded(&as_started(&run))),
        }
    }
    interrupted
}

async fn assert_present(store: &SqliteStore, answered: &[RunId]) {
    let mut found = ids(store, RunFilter::default()).await;
    found.sort_unstable();
    for id in answered {
        assert!(found.binary_search(id).is_ok(), "{id} was answered and is gone");
    }
}

async fn ids(store: &SqliteStore, filter: RunFilter) -> Vec<RunId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = store.runs(filter.clone(), Page::new(Page::MAX_LIMIT, after).unwrap()).await.unwrap();
        ids.extend(page.runs.iter().map(|run| run.id));
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

/// No file of this process may be larger from now on.
fn limit_file_size(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// The child: begins runs until the operating system refuses to write at the length that the file's name tells, looks
/// whether reads go on, and begins another run when it may write again.
#[tokio::main]
async fn write_until_refused(file: &Path) {
    let limit = file.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()).unwrap();
    let store = open(file, StoreOptions { checkpoint_pages: 20, ..StoreOptions::default() });
    let first = new_run();
    store.start_run(first.clone()).await.unwrap();
    tell("started", first.id);

    limit_file_size(Some(limit));
    let refused = loop {
        // Large enough that the limit is soon reached.
        let run = Run { params: format!("\"{}\"", "x".repeat(3_000)), ..new_run() };
        match store.start_run(run.clone()).await {
            Ok(()) => tell("started", run.id),
            Err(error) => break (run, error),
        }
    };
    assert!(matches!(refused.1, StoreError::Io(_) | StoreError::Full(_)), "{}", refused.1);
    assert_eq!(store.run(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.run(refused.0.id).await.unwrap(), None);

    limit_file_size(None);
    assert!(store.health().await.is_writable());
    store.start_run(refused.0.clone()).await.unwrap();
    tell("started", refused.0.id);
    assert_eq!(store.finish_run(concluded(&first)).await.unwrap(), Finish::Recorded);
    tell("finished", first.id);
    // Gone without closing, as after a crash.
    std::process::exit(0);
}

#[test]
fn whichever_write_the_system_refuses_no_answered_one_is_lost() {
    if let Some(file) = as_child() {
        return write_until_refused(&file);
    }
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // From the size that an empty store's log has on, in steps that hit the head, the middle and the end of a page.
    for limit in (90_000..240_000).step_by(3_100) {
        let file = folder.path().join(format!("{limit}.db"));
        let (mut child, stdout) = start_child("whichever_write_the_system_refuses_no_answered_one_is_lost", &file);
        let lines: Vec<_> = stdout.lines().map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success(), "{limit}: {lines:?}");
        let store = open(&file, StoreOptions::default());
        runtime.block_on(async {
            assert_eq!(store.verify().await.unwrap(), Vec::<String>::new(), "{limit}");
            let started = told(&lines, "started");
            assert_eq!(store.interrupted() + 1, started.len(), "{limit}");
            assert_eq!(assert_whole(&store, RunFilter::default()).await, store.interrupted(), "{limit}");
            assert_present(&store, &started).await;
        });
    }
}
