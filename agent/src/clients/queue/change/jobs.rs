//! Cleaning and retrying failed jobs: the oldest first, never more than were planned, and none that failed since.
//!
//! ```text
//! preview: count, oldest first ─► until when the last of them failed, how many
//! perform: page of ids ─► those that fit ─► one script ─► pause ─► next page, until as many as planned are done
//! ```
//!
//! Names and reasons are compared here, masked as [`super::super::failures`] shows them; the script compares again that
//! each job is still failed and did not fail since.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::super::super::resp::Command;
use super::super::failures::{Masks, chunks, measure, texts};
use super::super::overview::{ANSWER_BYTES, meta_questions, read_meta, to_millis};
use super::super::{JobSelection, Queue};
use super::{PAUSE, Right, Silence, as_conflict, library_fact, objection, run, script, stop};
use crate::domain::{CallError, CallLimits, ChangeCall, Difference, Done, Preview, Undo};
use crate::journal::{Change, Halt, Performed, Settled, canonical};
use crate::policy::{Permit, op};

/// Most failed jobs whose name and reason are read for one change.
const EXAMINED: u64 = 20_000;

pub(in super::super) fn clean(
    queue: &Arc<Queue>,
    permit: Permit<op::QueueCleanFailed>,
    selection: JobSelection,
) -> Result<Arc<dyn Change>, CallError> {
    let age = age_of(&selection)?;
    permit.admit_age(age)?;
    Ok(Arc::new(Jobs { queue: queue.clone(), right: Right::Clean(permit), verb: Verb::Clean, selection, age }))
}

pub(in super::super) fn retry(
    queue: &Arc<Queue>,
    permit: Permit<op::QueueRetryFailed>,
    selection: JobSelection,
) -> Result<Arc<dyn Change>, CallError> {
    let age = age_of(&selection)?;
    permit.admit_age(age)?;
    Ok(Arc::new(Jobs { queue: queue.clone(), right: Right::Retry(permit), verb: Verb::Retry, selection, age }))
}

fn age_of(selection: &JobSelection) -> Result<Duration, CallError> {
    if selection.limit == 0 {
        return Err(CallError::Invalid("the number of jobs must be at least 1".to_owned()));
    }
    Duration::try_from_secs_f64(selection.min_age)
        .map_err(|_| CallError::Invalid("the age of jobs must be a number of seconds, 0 or more".to_owned()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Clean,
    Retry,
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "remove",
            Self::Retry => "retry",
        }
    }

    fn undo(self) -> Undo {
        let why = match self {
            Self::Clean => "the jobs are gone with all that they carry",
            Self::Retry => "what the jobs do is done again, so that an e-mail may go out twice",
        };
        Undo::Impossible(why.to_owned())
    }
}

#[derive(Debug)]
struct Jobs {
    queue: Arc<Queue>,
    right: Right,
    verb: Verb,
    selection: JobSelection,
    age: Duration,
}

/// What a plan allows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    /// When the latest of the jobs failed, in milliseconds since 1970.
    until_ms: u64,
    /// How many of them there are.
    most: u64,
    /// How many jobs had failed until then, whatever their name and reason.
    held: u64,
}

impl Scope {
    fn parse(text: &str) -> Result<Self, CallError> {
        serde_json::from_str(text).map_err(|_| CallError::Invalid("the plan has no limits for failed jobs".to_owned()))
    }
}

/// What a count of the jobs tells.
#[derive(Debug)]
struct Count {
    jobs: u64,
    until: u64,
    is_cut: bool,
}

impl Jobs {
    /// How many jobs fit at the moment, `latest` being the last moment at which one may have failed.
    async fn count(&self, limits: &CallLimits, latest: u64) -> Result<Count, CallError> {
        let most = u64::from(self.selection.limit);
        if self.has_filter() {
            return self.count_by_text(limits, latest, most).await;
        }
        let jobs = held(&self.queue, limits, latest).await?.min(most);
        let last = self.failed(latest).arg("LIMIT").number(jobs.saturating_sub(1)).arg("1");
        let mut answers = self.queue.server.ask(limits, &[last], ANSWER_BYTES).await?;
        let last: Vec<(Vec<u8>, f64)> = answers.take()?;
        let until = last.first().map_or(latest, |(_, score)| to_millis(*score));
        Ok(Count { jobs, until, is_cut: false })
    }

    async fn count_by_text(&self, limits: &CallLimits, latest: u64, most: u64) -> Result<Count, CallError> {
        let mut walk = Walk::new(self, latest);
        let (mut jobs, mut until) = (0, latest);
        while jobs < most {
            let Some(page) = walk.next(limits, most - jobs).await? else { break };
            jobs += page.fitting.len() as u64;
            until = page.fitting.last().map_or(until, |(_, failed_at)| *failed_at);
            walk.pass(page.looked);
        }
        Ok(Count { jobs, until: if jobs == 0 { latest } else { until }, is_cut: walk.is_cut() })
    }

    fn has_filter(&self) -> bool {
        self.selection.job_name.is_some() || self.selection.reason.is_some()
    }

    /// The failed jobs until a moment with their times, oldest first; a `LIMIT` follows.
    fn failed(&self, until: u64) -> Command {
        let failed = self.queue.keys.key("failed");
        Command::new("ZRANGEBYSCORE").arg(failed).arg("-inf").number(until).arg("WITHSCORES")
    }

    fn notes(&self, is_paused: bool, is_cut: bool) -> Vec<String> {
        let mut notes = vec!["the oldest come first; jobs that fail from now on are not touched".to_owned()];
        if is_cut {
            notes.push(format!("only the oldest {EXAMINED} failed jobs were compared with the name and the reason"));
        }
        match self.verb {
            Verb::Clean if self.queue.library.is_bull() => {}
            Verb::Clean => notes.push("a job that is the last one a waiting parent counts on stays".to_owned()),
            Verb::Retry => {
                notes.push("attempts stay counted: a job that has none left fails again at its first error".to_owned());
            }
        }
        if is_paused && self.verb == Verb::Retry {
            notes.push("the queue is paused, so that they wait until it resumes".to_owned());
        }
        notes
    }

    /// Let the script have `ids`. The answer is how many of them it touched.
    async fn step(&self, limits: &CallLimits, ids: &[(Vec<u8>, u64)], until: u64) -> Result<u64, Silence> {
        let library = self.queue.library;
        let script = match self.verb {
            Verb::Clean => script::clean(library),
            Verb::Retry => script::retry(library),
        };
        let ids_only = ids.iter().map(|(id, _)| id);
        let call = script::call(&script, &self.queue.keys, library).number(until).args(ids_only);
        let (answer, touched, _kept): (String, u64, u64) = match run(&self.queue, limits, call).await {
            Ok(answer) => answer,
            Err(silence @ (Silence::Unrun(_) | Silence::Broken(_))) => return Err(silence),
            // Nobody but a clean or a retry takes jobs out of the set: with all of them gone the script ran.
            Err(Silence::InDoubt(error)) => match self.are_gone(limits, ids, until).await {
                Ok(true) => return Ok(ids.len() as u64),
                Ok(false) | Err(_) => return Err(Silence::InDoubt(error)),
            },
        };
        if answer == "done" { Ok(touched) } else { Err(Silence::Unrun(objection(&self.queue, &answer))) }
    }

    async fn are_gone(&self, limits: &CallLimits, ids: &[(Vec<u8>, u64)], until: u64) -> Result<bool, CallError> {
        let failed = self.queue.keys.key("failed");
        let questions: Vec<Command> = ids.iter().map(|(id, _)| Command::new("ZSCORE").arg(&failed).arg(id)).collect();
        let mut answers = self.queue.server.ask(limits, &questions, ANSWER_BYTES).await?;
        for _ in ids {
            let score: Option<f64> = answers.take()?;
            if score.is_some_and(|score| to_millis(score) <= until) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn done(scope: &Scope, done: u64, stopped: Option<String>) -> Done {
        let fewer = || {
            let most = scope.most;
            format!("{done} of {most} jobs could be touched; the others were not failed any more, or had to stay")
        };
        Done {
            objects: done,
            differences: vec![Difference {
                field: "failed".to_owned(),
                before: Some(scope.held.to_string()),
                after: Some(scope.held.saturating_sub(done).to_string()),
            }],
            answer: Some(format!("{{\"jobs\":{done}}}")),
            incomplete: stopped.or_else(|| (done < scope.most).then(fewer)),
            inverse: None,
        }
    }
}

/// How many jobs had failed until a moment.
async fn held(queue: &Queue, limits: &CallLimits, until: u64) -> Result<u64, CallError> {
    let count = Command::new("ZCOUNT").arg(queue.keys.key("failed")).arg("-inf").number(until);
    queue.server.ask(limits, &[count], ANSWER_BYTES).await?.take()
}

/// Goes over the failed jobs, oldest first.
struct Walk<'a> {
    jobs: &'a Jobs,
    until: u64,
    /// How many jobs at the beginning of the set were passed and are still there.
    passed: u64,
    examined: u64,
    masks: Masks,
    is_over: bool,
}

/// A piece of the failed jobs.
struct Page {
    looked: u64,
    /// Ids of those that fit, with the time at which they failed.
    fitting: Vec<(Vec<u8>, u64)>,
}

impl<'a> Walk<'a> {
    fn new(jobs: &'a Jobs, until: u64) -> Self {
        Self { jobs, until, passed: 0, examined: 0, masks: Masks::default(), is_over: false }
    }

    /// The next piece, with `most` jobs that fit at most. None at the end.
    async fn next(&mut self, limits: &CallLimits, most: u64) -> Result<Option<Page>, CallError> {
        if self.is_over || self.is_cut() {
            return Ok(None);
        }
        let size = if self.jobs.has_filter() { script::STEP as u64 } else { most.min(script::STEP as u64) };
        let command = self.jobs.failed(self.until).arg("LIMIT").number(self.passed).number(size);
        let mut answers = self.jobs.queue.server.ask(limits, &[command], ANSWER_BYTES).await?;
        let found: Vec<(Vec<u8>, f64)> = answers.take()?;
        let looked = found.len() as u64;
        self.is_over = looked < size;
        self.examined += looked;
        let times: Vec<(Vec<u8>, u64)> = found.iter().map(|(id, score)| (id.clone(), to_millis(*score))).collect();
        let mut fitting = self.fitting(limits, found, times).await?;
        fitting.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok((looked > 0).then_some(Page { looked, fitting }))
    }

    /// Leave so many jobs behind. Those that were touched are in the set no longer.
    fn pass(&mut self, still_there: u64) {
        self.passed += still_there;
    }

    fn is_cut(&self) -> bool {
        self.jobs.has_filter() && self.examined >= EXAMINED && !self.is_over
    }

    async fn fitting(
        &mut self,
        limits: &CallLimits,
        found: Vec<(Vec<u8>, f64)>,
        times: Vec<(Vec<u8>, u64)>,
    ) -> Result<Vec<(Vec<u8>, u64)>, CallError> {
        if !self.jobs.has_filter() {
            return Ok(times);
        }
        let mut fit = HashSet::new();
        for chunk in chunks(measure(&self.jobs.queue, limits, found).await?) {
            let told = texts(&self.jobs.queue, limits, &chunk).await?;
            for (job, texts) in chunk.into_iter().zip(told) {
                let JobSelection { job_name, reason, .. } = &self.jobs.selection;
                let fits = texts.is_some_and(|texts| {
                    job_name.as_ref().is_none_or(|name| texts.job_name() == *name)
                        && reason.as_ref().is_none_or(|reason| texts.reason(&mut self.masks) == *reason)
                });
                if fits {
                    fit.insert(job.id);
                }
            }
            // Masking takes a few milliseconds for each chunk, in which nobody else runs on this thread.
            tokio::task::yield_now().await;
        }
        Ok(times.into_iter().filter(|(id, _)| fit.contains(id)).collect())
    }
}

#[async_trait]
impl Change for Jobs {
    fn call(&self) -> ChangeCall {
        self.right.call(canonical(&self.selection))
    }

    async fn preview(&self, limits: &CallLimits) -> Result<Preview, CallError> {
        let mut questions = meta_questions(&self.queue.keys);
        questions.push(Command::new("TIME"));
        questions.push(Command::new("ZCARD").arg(self.queue.keys.key("failed")));
        let mut answers = self.queue.server.ask(limits, &questions, ANSWER_BYTES).await?;
        let meta = read_meta(&self.queue, &mut answers).map_err(as_conflict)?;
        let (s, us): (u64, u64) = answers.take()?;
        let total: u64 = answers.take()?;
        let now = s.saturating_mul(1_000).saturating_add(us / 1_000);
        let age = u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX);
        // A job could still fail within this millisecond.
        let latest = now.saturating_sub(1).saturating_sub(age);
        let count = self.count(limits, latest).await?;
        let jobs = count.jobs;
        let scope = Scope { until_ms: count.until, most: jobs, held: held(&self.queue, limits, count.until).await? };
        let (title, library) = (self.queue.keys.title(), self.queue.library);
        let difference = Difference {
            field: "failed".to_owned(),
            before: Some(total.to_string()),
            after: Some(total.saturating_sub(jobs).to_string()),
        };
        Ok(Preview {
            summary: format!("{} {jobs} failed jobs of {title} ({library})", self.verb.as_str()),
            objects: jobs,
            differences: if jobs == 0 { Vec::new() } else { vec![difference] },
            ground: vec![library_fact(&self.queue)],
            scope: canonical(&scope),
            undo: self.verb.undo(),
            doubt: None,
            notes: self.notes(meta.is_paused(), count.is_cut),
        })
    }

    async fn perform(&self, planned: &Preview, limits: &CallLimits, halt: &Halt) -> Performed {
        let scope = match Scope::parse(&planned.scope) {
            Ok(scope) => scope,
            Err(error) => return Performed::Nothing(error),
        };
        let mut walk = Walk::new(self, scope.until_ms);
        let mut done = 0;
        while done < scope.most {
            if let Some(reason) = stop(limits, halt) {
                return Performed::Done(Self::done(&scope, done, Some(reason)));
            }
            let stepped = match walk.next(limits, scope.most - done).await {
                Ok(Some(page)) if page.fitting.is_empty() => Ok((page.looked, 0)),
                Ok(Some(page)) => {
                    let touched = self.step(limits, &page.fitting, scope.until_ms).await;
                    touched.map(|touched| (page.looked, touched))
                }
                Ok(None) => break,
                Err(error) => Err(Silence::Unrun(error)),
            };
            match stepped {
                Ok((looked, touched)) => {
                    done += touched;
                    walk.pass(looked.saturating_sub(touched));
                }
                Err(Silence::Unrun(error)) if done == 0 => return Performed::Nothing(error),
                Err(Silence::Unrun(error)) => {
                    return Performed::Done(Self::done(&scope, done, Some(error.to_string())));
                }
                Err(Silence::InDoubt(error) | Silence::Broken(error)) => {
                    return Performed::Unknown(after(done, error));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Performed::Done(Self::done(&scope, done, None))
    }

    async fn settle(&self, planned: &Preview, limits: &CallLimits) -> Settled {
        let title = self.queue.keys.title();
        let looked = match Scope::parse(&planned.scope) {
            Ok(scope) => held(&self.queue, limits, scope.until_ms).await.map(|left| (scope, left)),
            Err(error) => Err(error),
        };
        match looked {
            Ok((scope, left)) if left >= scope.held => Settled::NotDone,
            // Who removed them makes no difference to what is there now.
            Ok((scope, left)) if self.verb == Verb::Clean && scope.held - left >= scope.most => {
                Settled::Done(Self::done(&scope, scope.most, None))
            }
            Ok((scope, left)) => Settled::Unknown(format!(
                "look at the failed jobs of {title}: {} of the {} that could be touched are still there",
                left, scope.held
            )),
            Err(error) => Settled::Unknown(format!("look at the failed jobs of {title}: {error}")),
        }
    }
}

/// The error with what was done before it.
fn after(done: u64, error: CallError) -> CallError {
    if done == 0 { error } else { CallError::TimedOut(format!("{error}; {done} jobs were done before")) }
}
