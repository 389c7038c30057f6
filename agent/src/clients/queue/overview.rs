//! The state of a queue: one round trip for the figures, one for the jobs that they point to.
//!
//! The server works through a pipeline in one go, so the figures are of one moment without a transaction, which a login
//! that only looks need not be allowed.

use std::time::Duration;

use ::redis::FromRedisValue;

use super::super::resp::{Answers, Command};
use super::keys::Keys;
use super::library::Library;
use super::{JobCount, JobState, Overview, Queue};
use crate::domain::{CallError, CallLimits, RemoteError, System};

/// Most bytes of an answer. The list of a few thousand clients is the largest part of it.
pub(super) const ANSWER_BYTES: usize = 16 << 20;

/// Most active jobs whose locks are looked at: those that are active for longest.
const ACTIVE: i64 = 1_000;

/// How far from the end of a list to look for a job that is no marker. There is one marker at most, unless versions mix.
const LAST: i64 = 5;

/// BullMQ before 5 and Bull take a job and its lock in two steps. A lock that is still missing after this has lapsed.
const LOCK_GRACE: Duration = Duration::from_millis(100);

/// What the libraries write into the limiter when a worker asks for a pause. No count of jobs gets there.
const PAUSE_MARK: u64 = (1 << 53) - 1;

/// A score in `delayed` is the due time in milliseconds with twelve bits of order behind it, in all versions.
const DELAYED_FACTOR: f64 = 4_096.0;

/// The code of an error that says that the target names another version than the data.
pub(super) const MISMATCH: &str = "VERSION_MISMATCH";

/// Every key whose presence shows that the queue exists.
pub(super) const PARTS: [&str; 13] = [
    "meta",
    "meta-paused",
    "id",
    "wait",
    "paused",
    "active",
    "prioritized",
    "delayed",
    "failed",
    "completed",
    "waiting-children",
    "events",
    "marker",
];

pub(super) async fn inspect(queue: &Queue, limits: &CallLimits) -> Result<Overview, CallError> {
    let mut answers = queue.server.ask(limits, &questions(&queue.keys), ANSWER_BYTES).await?;
    let meta = read_meta(queue, &mut answers)?;
    let figures = Figures::read(&queue.keys, &mut answers)?;
    let details = ask_details(queue, limits, &figures).await?;
    Ok(Overview {
        version: queue.library.major(),
        bull: queue.library.is_bull(),
        counts: figures.counts(queue.library),
        paused: meta.paused,
        oldest_waiting: details.created.map(|created| seconds(figures.now.saturating_sub(created))),
        overdue: figures.due.filter(|due| *due < figures.now).map(|due| seconds(figures.now - due)),
        stalled: details.stalled,
        workers: figures.workers,
        rate_limited: figures.rate_limited(meta.max).map(seconds),
    })
}

/// All commands of the first round trip, in the order in which [`read_meta`] and [`Figures::read`] take the answers.
pub(super) fn questions(keys: &Keys) -> Vec<Command> {
    let on = |name: &str, part: &str| Command::new(name).arg(keys.key(part));
    let mut questions = meta_questions(keys);
    questions.extend([
        Command::new("TIME"),
        on("LLEN", "wait"),
        on("LRANGE", "wait").number(-LAST).arg("-1"),
        on("LLEN", "paused"),
        on("LRANGE", "paused").number(-LAST).arg("-1"),
        on("LLEN", "active"),
        on("LRANGE", "active").number(-ACTIVE).arg("-1"),
        on("ZCARD", "prioritized"),
        on("ZRANGE", "prioritized").arg("0").arg("0"),
        on("ZCARD", "delayed"),
        on("ZRANGE", "delayed").arg("0").arg("0").arg("WITHSCORES"),
        on("ZCARD", "failed"),
        on("ZCARD", "completed"),
        on("ZCARD", "waiting-children"),
        on("PTTL", "limiter"),
        on("GET", "limiter"),
        Command::new("CLIENT").arg("LIST"),
    ]);
    questions
}

/// A field of a hash, if it is there.
type Field = Option<Vec<u8>>;

/// What the queue says of itself.
#[derive(Debug)]
pub(super) struct Meta {
    paused: bool,
    max: Option<u64>,
}

impl Meta {
    /// Whether the queue as a whole is paused.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }
}

pub(super) fn meta_questions(keys: &Keys) -> Vec<Command> {
    vec![
        Command::new("EXISTS").args(PARTS.map(|part| keys.key(part))),
        Command::new("EXISTS").arg(keys.key("meta-paused")),
        Command::new("HMGET").arg(keys.key("meta")).args(["paused", "max", "version"]),
    ]
}

/// Take the answers to [`meta_questions`]. A queue that does not exist, and one of another library, is an error: zeros or
/// wrong figures would pass for good news.
pub(super) fn read_meta(queue: &Queue, answers: &mut Answers) -> Result<Meta, CallError> {
    let found: u64 = answers.take()?;
    let bull_paused: bool = answers.take()?;
    let (paused, max, version): (Field, Field, Field) = answers.take()?;
    if found == 0 {
        return Err(missing(&queue.keys));
    }
    let hint = version.map(|version| String::from_utf8_lossy(&version).into_owned()).unwrap_or_default();
    if let Some(other) = queue.library.contradiction(&hint) {
        return Err(mismatch(queue.library, &format!("it was last opened by {other}")));
    }
    if bull_paused && !queue.library.is_bull() {
        return Err(mismatch(queue.library, "it was paused by Bull 4"));
    }
    let max = max.and_then(|max| String::from_utf8(max).ok()?.parse().ok());
    Ok(Meta { paused: paused.is_some() || bull_paused, max })
}

pub(super) fn missing(keys: &Keys) -> CallError {
    CallError::NotFound(format!(
        "there is no queue {} on this server: its name may be mistyped or never used, its application may use another \
         prefix, or BullMQ 6 may keep it in Postgres",
        keys.title()
    ))
}

fn mismatch(library: Library, evidence: &str) -> CallError {
    CallError::Remote(RemoteError {
        system: System::Queue.as_str(),
        code: MISMATCH.to_owned(),
        message: format!(
            "the target says that the queue is one of {library}, but {evidence}; correct the target, or find the \
             dashboard or worker of another version"
        ),
        retryable: false,
    })
}

/// The answers of the first round trip after the `meta` part.
#[derive(Debug)]
struct Figures {
    now: u64,
    waiting: List,
    paused: List,
    active: u64,
    active_ids: Vec<Vec<u8>>,
    prioritized: u64,
    first_prioritized: Option<Vec<u8>>,
    delayed: u64,
    due: Option<u64>,
    failed: u64,
    completed: u64,
    waiting_children: u64,
    limiter_ttl: i64,
    limiter: Option<u64>,
    workers: Option<u32>,
}

/// A list from whose right end workers take jobs.
#[derive(Debug)]
struct List {
    length: u64,
    last: Vec<Vec<u8>>,
}

impl List {
    fn read(answers: &mut Answers) -> Result<Self, CallError> {
        Ok(Self { length: answers.take()?, last: answers.take()? })
    }

    /// How many jobs the library counts in it.
    fn count(&self, library: Library) -> u64 {
        let has_marker = library.discounts_markers() && self.last.last().is_some_and(|id| is_marker(id));
        self.length.saturating_sub(u64::from(has_marker))
    }

    /// The job that is taken next.
    fn next(&self, library: Library) -> Option<&[u8]> {
        let is_job = |id: &&Vec<u8>| !library.discounts_markers() || !is_marker(id);
        self.last.iter().rev().find(is_job).map(Vec::as_slice)
    }
}

/// True for an entry that only wakes a worker: `0:` and a time.
fn is_marker(id: &[u8]) -> bool {
    id.starts_with(b"0:")
}

impl Figures {
    fn read(keys: &Keys, answers: &mut Answers) -> Result<Self, CallError> {
        let (s, us): (u64, u64) = answers.take()?;
        Ok(Self {
            now: s.saturating_mul(1_000).saturating_add(us / 1_000),
            waiting: List::read(answers)?,
            paused: List::read(answers)?,
            active: answers.take()?,
            active_ids: answers.take()?,
            prioritized: answers.take()?,
            first_prioritized: first(answers)?,
            delayed: answers.take()?,
            due: first::<(Vec<u8>, f64)>(answers)?.map(|(_, score)| to_millis(score / DELAYED_FACTOR)),
            failed: answers.take()?,
            completed: answers.take()?,
            waiting_children: answers.take()?,
            limiter_ttl: answers.take()?,
            limiter: answers.take()?,
            workers: read_workers(keys, answers)?,
        })
    }

    fn counts(&self, library: Library) -> Vec<JobCount> {
        let count = |state: JobState| match state {
            JobState::Waiting => self.waiting.count(library),
            JobState::Paused => self.paused.count(library),
            JobState::Prioritized => self.prioritized,
            JobState::Active => self.active,
            JobState::Delayed => self.delayed,
            JobState::Failed => self.failed,
            JobState::Completed => self.completed,
            JobState::WaitingChildren => self.waiting_children,
        };
        library.states().iter().map(|state| JobCount { state: *state, count: count(*state) }).collect()
    }

    /// The job that a worker would take next, or takes first when the queue resumes.
    fn next_job(&self, library: Library) -> Option<&[u8]> {
        let paused = if library.moves_paused_jobs() { self.paused.next(library) } else { None };
        self.waiting.next(library).or(paused).or(self.first_prioritized.as_deref())
    }

    /// The limit as far as the queue tells it. One that only its workers know shows when they ask for a pause.
    fn rate_limited(&self, max: Option<u64>) -> Option<u64> {
        let limit = max.unwrap_or(PAUSE_MARK);
        let holds = self.limiter.is_some_and(|passed| passed >= limit);
        u64::try_from(self.limiter_ttl).ok().filter(|ttl| holds && *ttl > 0)
    }
}

fn first<T: FromRedisValue>(answers: &mut Answers) -> Result<Option<T>, CallError> {
    Ok(answers.take::<Vec<T>>()?.into_iter().next())
}

/// None when the login may not list clients; some servers let nobody.
fn read_workers(keys: &Keys, answers: &mut Answers) -> Result<Option<u32>, CallError> {
    let clients = answers.try_take::<String>()?;
    Ok(clients.ok().map(|clients| keys.workers_in(&clients)))
}

/// What the second round trip tells.
#[derive(Debug, Default)]
struct Details {
    created: Option<u64>,
    stalled: u64,
}

async fn ask_details(queue: &Queue, limits: &CallLimits, figures: &Figures) -> Result<Details, CallError> {
    let next = figures.next_job(queue.library).map(<[u8]>::to_vec);
    let timestamp = next.map(|id| Command::new("HGET").arg(queue.keys.job(&id)).arg("timestamp"));
    let active: Vec<&Vec<u8>> = figures.active_ids.iter().filter(|id| !is_marker(id)).collect();
    let locks = active.iter().map(|id| Command::new("EXISTS").arg(queue.keys.lock(id)));
    let questions: Vec<Command> = timestamp.iter().cloned().chain(locks).collect();
    let mut answers = queue.server.ask(limits, &questions, ANSWER_BYTES).await?;
    let created = if timestamp.is_some() { answers.take::<Option<String>>()? } else { None };
    let mut suspects = Vec::new();
    for id in active {
        if !answers.take::<bool>()? {
            suspects.push(id);
        }
    }
    let stalled = confirm(queue, limits, &suspects).await?;
    Ok(Details { created: created.and_then(|created| created.parse().ok()), stalled })
}

/// Of the jobs that were active and had no lock a moment ago, count those for which both still holds. The others
/// were finished between the two round trips, or were just being taken.
async fn confirm(queue: &Queue, limits: &CallLimits, suspects: &[&Vec<u8>]) -> Result<u64, CallError> {
    if suspects.is_empty() {
        return Ok(0);
    }
    tokio::time::sleep(LOCK_GRACE).await;
    let active = Command::new("LRANGE").arg(queue.keys.key("active")).number(-ACTIVE).arg("-1");
    let locks = suspects.iter().map(|id| Command::new("EXISTS").arg(queue.keys.lock(id)));
    let questions: Vec<Command> = [active].into_iter().chain(locks).collect();
    let mut answers = queue.server.ask(limits, &questions, ANSWER_BYTES).await?;
    let active: std::collections::HashSet<Vec<u8>> = answers.take()?;
    let mut stalled = 0;
    for id in suspects {
        let is_locked: bool = answers.take()?;
        stalled += u64::from(!is_locked && active.contains(*id));
    }
    Ok(stalled)
}

/// A score or part of one as whole milliseconds.
pub(super) fn to_millis(score: f64) -> u64 {
    // Scores are below 2^53 and whole, or the data is not a queue's; the conversion of a float stops at the limits.
    if score.is_finite() { score as u64 } else { 0 }
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(length: u64, last: &[&str]) -> List {
        List { length, last: last.iter().map(|id| id.as_bytes().to_vec()).collect() }
    }

    #[test]
    fn a_marker_at_the_end_is_no_job_for_bullmq_and_one_for_bull() {
        let (bullmq, bull) = (Library::BullMq(4), Library::Bull(4));
        let with_marker = list(3, &["7", "0:1700000000000"]);
        assert_eq!((with_marker.count(bullmq), with_marker.count(bull)), (2, 3));
        assert_eq!(with_marker.next(bullmq), Some(&b"7"[..]));
        let alone = list(1, &["0:0"]);
        assert_eq!((alone.count(bullmq), alone.next(bullmq)), (0, None));
        let plain = list(2, &["7", "8"]);
        assert_eq!((plain.count(bullmq), plain.next(bullmq)), (2, Some(&b"8"[..])));
    }

    #[test]
    fn scores_become_whole_milliseconds() {
        for millis in [1_700_000_000_123, 1_700_000_005_998, 1_999_999_999_999] {
            assert_eq!(to_millis(millis as f64), millis);
            assert_eq!(to_millis((millis * 4_096 + 4_095) as f64 / DELAYED_FACTOR), millis);
        }
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert_eq!(to_millis(odd), 0, "{odd}");
        }
    }
}
