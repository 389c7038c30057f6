//! Failed jobs, grouped by what they say of themselves.
//!
//! ```text
//! newest ids ─► lengths of names and reasons ─► names, reasons and attempts, chunk by chunk ─► masked, grouped
//! ```
//!
//! Lengths come first because a hash field cannot be read in part, and a reason can be megabytes of somebody's page.

use std::collections::HashMap;

use super::super::mask::{clean, mask};
use super::super::resp::Command;
use super::overview::{ANSWER_BYTES, meta_questions, read_meta, to_millis};
use super::{FailureGroup, Failures, Queue};
use crate::domain::{CallError, CallLimits, cut_bytes};

/// Most jobs of one call.
const JOBS: u32 = 5_000;

/// Most jobs of one round trip, and most bytes of their texts.
const CHUNK_JOBS: usize = 500;
const CHUNK_BYTES: u64 = 4 << 20;

/// Longest text of a job that is read at all.
const TEXT_BYTES: u64 = 64 << 10;

/// As much of a reason as can make a difference after masking.
const TOLD_BYTES: usize = 2_048;

/// Most groups of one answer.
const GROUPS: usize = 200;

/// Longest name and identifier of a job that are shown.
const NAME_BYTES: usize = 100;

const TOO_LONG: &str = "(too long to be read)";
const NOTHING: &str = "(no reason given)";

pub(super) async fn list(queue: &Queue, limits: &CallLimits, limit: u32) -> Result<Failures, CallError> {
    if limit == 0 {
        return Err(CallError::Invalid("the number of jobs to look at must be at least 1".to_owned()));
    }
    let failed = queue.keys.key("failed");
    let mut questions = meta_questions(&queue.keys);
    questions.push(Command::new("ZCARD").arg(&failed));
    let newest = Command::new("ZREVRANGE").arg(&failed).arg("0").number(limit.min(JOBS) - 1).arg("WITHSCORES");
    questions.push(newest);
    let mut answers = queue.server.ask(limits, &questions, ANSWER_BYTES).await?;
    read_meta(queue, &mut answers)?;
    let total = answers.take()?;
    let ids: Vec<(Vec<u8>, f64)> = answers.take()?;
    let jobs = measure(queue, limits, ids).await?;
    let mut grouping = Grouping::default();
    for chunk in chunks(jobs) {
        read(queue, limits, &chunk, &mut grouping).await?;
        // Masking takes a few milliseconds for each chunk, in which nobody else runs on this thread.
        tokio::task::yield_now().await;
    }
    let examined = grouping.examined;
    Ok(Failures { groups: grouping.finish(limits.answer_bytes), examined, total })
}

/// A failed job before its texts are read.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: Vec<u8>,
    failed_at: u64,
    name_bytes: u64,
    reason_bytes: u64,
}

impl Job {
    /// Bytes that reading it brings.
    fn cost(&self) -> u64 {
        let readable = |bytes: u64| if bytes <= TEXT_BYTES { bytes } else { 0 };
        readable(self.name_bytes).saturating_add(readable(self.reason_bytes))
    }
}

pub(super) async fn measure(
    queue: &Queue,
    limits: &CallLimits,
    ids: Vec<(Vec<u8>, f64)>,
) -> Result<Vec<Job>, CallError> {
    let length = |id: &[u8], field: &str| Command::new("HSTRLEN").arg(queue.keys.job(id)).arg(field);
    let questions: Vec<Command> =
        ids.iter().flat_map(|(id, _)| [length(id, "name"), length(id, "failedReason")]).collect();
    let mut answers = queue.server.ask(limits, &questions, ANSWER_BYTES).await?;
    let mut jobs = Vec::with_capacity(ids.len());
    for (id, score) in ids {
        let (name_bytes, reason_bytes) = (answers.take()?, answers.take()?);
        jobs.push(Job { id, failed_at: to_millis(score), name_bytes, reason_bytes });
    }
    Ok(jobs)
}

pub(super) fn chunks(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let (mut chunks, mut chunk, mut bytes) = (Vec::new(), Vec::new(), 0_u64);
    for job in jobs {
        if chunk.len() == CHUNK_JOBS || (!chunk.is_empty() && bytes.saturating_add(job.cost()) > CHUNK_BYTES) {
            chunks.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes = bytes.saturating_add(job.cost());
        chunk.push(job);
    }
    chunks.push(chunk);
    chunks
}

async fn read(queue: &Queue, limits: &CallLimits, jobs: &[Job], grouping: &mut Grouping) -> Result<(), CallError> {
    let told = texts(queue, limits, jobs).await?;
    for (job, texts) in jobs.iter().zip(told) {
        if let Some(Texts { name, reason, attempts }) = texts {
            grouping.add(job, &name, &reason, attempts);
        }
    }
    Ok(())
}

/// What a job says of itself.
#[derive(Debug)]
pub(super) struct Texts {
    name: String,
    reason: String,
    attempts: u32,
}

impl Texts {
    /// The name as a group has it.
    pub(super) fn job_name(&self) -> String {
        clean(&self.name, NAME_BYTES)
    }

    /// The masked reason as a group has it.
    pub(super) fn reason(&self, masks: &mut Masks) -> String {
        masks.reason(&self.reason)
    }
}

/// The texts of each job; none of one that was removed since its id was read.
pub(super) async fn texts(queue: &Queue, limits: &CallLimits, jobs: &[Job]) -> Result<Vec<Option<Texts>>, CallError> {
    // A field that nobody writes stands for one that is too long, so that all answers have the same form.
    let field = |name: &'static str, bytes: u64| if bytes <= TEXT_BYTES { name } else { "" };
    let question = |job: &Job| {
        let fields = [field("name", job.name_bytes), field("failedReason", job.reason_bytes), "attemptsMade", "atm"];
        Command::new("HMGET").arg(queue.keys.job(&job.id)).args(fields)
    };
    let questions: Vec<Command> = jobs.iter().map(question).collect();
    let mut answers = queue.server.ask(limits, &questions, ANSWER_BYTES).await?;
    jobs.iter().map(|job| Ok(texts_of(job, answers.take()?))).collect()
}

fn texts_of(job: &Job, fields: Vec<Option<Vec<u8>>>) -> Option<Texts> {
    let mut fields = fields.into_iter().map(|text| text.map(|text| String::from_utf8_lossy(&text).into_owned()));
    let mut next = || fields.next().flatten();
    let (name, reason, attempts) = (next(), next(), [next(), next()]);
    if name.is_none() && reason.is_none() && attempts.iter().all(Option::is_none) {
        return None;
    }
    Some(Texts {
        attempts: attempts.iter().flatten().filter_map(|text| text.parse().ok()).max().unwrap_or(0),
        name: shown(name, job.name_bytes, "(no name)"),
        reason: shown(reason, job.reason_bytes, NOTHING),
    })
}

fn shown(text: Option<String>, bytes: u64, otherwise: &str) -> String {
    match text {
        _ if bytes > TEXT_BYTES => TOO_LONG.to_owned(),
        Some(text) if !text.trim().is_empty() => text,
        Some(_) | None => otherwise.to_owned(),
    }
}

/// Groups in the making. Jobs come newest first.
#[derive(Debug, Default)]
struct Grouping {
    examined: u64,
    groups: HashMap<(String, String), FailureGroup>,
    masks: Masks,
}

/// Masked reasons by the text they came from: the same few reasons come thousands of times.
#[derive(Debug, Default)]
pub(super) struct Masks(HashMap<String, String>);

impl Masks {
    fn reason(&mut self, reason: &str) -> String {
        let told = cut_bytes(reason, TOLD_BYTES + 1);
        if let Some(masked) = self.0.get(told) {
            return masked.clone();
        }
        let masked = if reason == TOO_LONG || reason == NOTHING { reason.to_owned() } else { mask(told) };
        self.0.insert(told.to_owned(), masked.clone());
        masked
    }
}

impl Grouping {
    fn add(&mut self, job: &Job, name: &str, reason: &str, attempts: u32) {
        self.examined += 1;
        let reason = self.masks.reason(reason);
        let name = clean(name, NAME_BYTES);
        let group = self.groups.entry((name.clone(), reason.clone())).or_insert_with(|| FailureGroup {
            job_name: name,
            reason,
            count: 0,
            newest_id: clean(&String::from_utf8_lossy(&job.id), NAME_BYTES),
            newest: job.failed_at,
            oldest: job.failed_at,
            max_attempts: 0,
        });
        group.count += 1;
        group.oldest = group.oldest.min(job.failed_at);
        group.max_attempts = group.max_attempts.max(attempts);
    }

    /// The largest groups, newest first among equals, as many as fit.
    fn finish(self, most_bytes: usize) -> Vec<FailureGroup> {
        let mut groups: Vec<FailureGroup> = self.groups.into_values().collect();
        groups.sort_by(|a, b| (b.count, b.newest, &a.reason).cmp(&(a.count, a.newest, &b.reason)));
        groups.truncate(GROUPS);
        let mut left = most_bytes;
        groups.retain(|group| {
            let bytes = group.job_name.len() + group.reason.len() + group.newest_id.len() + 200;
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        });
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u64) -> Job {
        Job { id: number.to_string().into_bytes(), failed_at: number, name_bytes: 1, reason_bytes: 1 }
    }

    #[test]
    fn jobs_that_look_alike_are_one_group_and_the_largest_comes_first() {
        let mut grouping = Grouping::default();
        grouping.add(&job(9), "welcome", "connect ECONNREFUSED 10.0.0.1:25", 1);
        grouping.add(&job(8), "bill", "550 <jane@example.com> unavailable", 3);
        grouping.add(&job(7), "bill", "554 <joe@example.org> unavailable", 5);
        grouping.add(&job(6), "welcome", "550 <joe@example.org> unavailable", 2);
        let groups = grouping.finish(1 << 20);
        let told: Vec<_> = groups.iter().map(|group| (group.job_name.as_str(), group.count)).collect();
        assert_eq!(told, [("bill", 2), ("welcome", 1), ("welcome", 1)]);
        let bill = &groups[0];
        assert_eq!(bill.reason, "<n> <<email>> unavailable");
        assert_eq!((bill.newest_id.as_str(), bill.newest, bill.oldest, bill.max_attempts), ("8", 8, 7, 5));
        assert_eq!(groups[1].newest, 9);
    }

    #[test]
    fn an_answer_has_no_more_groups_than_fit() {
        let fill = |many: u64| {
            let mut grouping = Grouping::default();
            (0..many).for_each(|number| {
                let letters: String = number.to_string().bytes().map(|digit| char::from(digit + 49)).collect();
                grouping.add(&job(number), &letters, "boom", 1);
            });
            grouping
        };
        assert_eq!(fill(500).finish(1 << 20).len(), GROUPS);
        assert_eq!(fill(500).finish(1_000).len(), 4);
    }

    #[test]
    fn chunks_are_bounded_by_number_and_bytes() {
        let many = chunks((0..1_200).map(job).collect());
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 200]);
        let heavy = (0..100).map(|number| Job { reason_bytes: TEXT_BYTES, ..job(number) }).collect();
        assert!(chunks(heavy).iter().all(|chunk| chunk.iter().map(Job::cost).sum::<u64>() <= CHUNK_BYTES));
        let unreadable = (0..100).map(|number| Job { reason_bytes: 1 << 40, ..job(number) }).collect();
        assert_eq!(chunks(unreadable).len(), 1);
    }
}
