//! Freeing memory: removing keys and letting them expire, in small batches that watch the server's latency.
//!
//! ```text
//! SCAN step ─► granted? no queue's? ─► idle, expiry, size ─► UNLINK, PEXPIREAT NX or PERSIST ─► how fast is the server? ─► …
//! ```
//!
//! Each key is looked at right before it is touched, and each command is about one key, so that nothing else can be met.
//! The expiry of a key follows from the key and two numbers that are kept. To give it back is to find the keys whose
//! expiry is exactly that one.

mod act;
mod pace;
mod walk;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::resp::{Command, Lost};
use super::{KeySelection, Redis, SMALL_ANSWER_BYTES, scan};
use crate::domain::{CallError, CallLimits, ChangeCall, Done, Inverse, Operation, Preview, System};
use crate::journal::{Change, Halt, Performed, Settled, canonical};
use crate::policy::{Permit, op, permit_undo};
use act::{Act, Deed, Given};
use pace::Pace;
use walk::Walk;

/// Most keys of one batch.
const BATCH: usize = 200;

/// Most keys of one change: their hashes are kept while they are counted, because a walk can meet a key twice.
const MOST_KEYS: u32 = 1_000_000;

/// Most keys that are measured one by one for a preview. The others are taken to be like them.
const MEASURED: u64 = 2_000;

/// What a batch needs at most. With less time left none is begun, so that its answer is heard.
const BATCH_TIME: Duration = Duration::from_millis(200);

/// First version that can leave an existing expiry alone, and tell an expiry to the millisecond.
const EXPIRE_NEEDS: u32 = 7;

pub(super) fn remove(
    redis: &Arc<Redis>,
    permit: Permit<op::RedisRemoveKeys>,
    selection: KeySelection,
) -> Result<Arc<dyn Change>, CallError> {
    let min_idle = check(&selection)?;
    permit.admit_idle(min_idle.unwrap_or_default())?;
    let (pattern, limit) = (selection.pattern.clone(), u64::from(selection.limit));
    let act = Act::Remove { selection, min_idle };
    Ok(Arc::new(Freeing { redis: redis.clone(), right: Right::Remove(permit), pattern, limit, act }))
}

pub(super) fn expire(
    redis: &Arc<Redis>,
    permit: Permit<op::RedisExpireKeys>,
    selection: KeySelection,
    ttl: f64,
) -> Result<Arc<dyn Change>, CallError> {
    let min_idle = check(&selection)?;
    let seconds = Duration::try_from_secs_f64(ttl).ok().filter(|ttl| *ttl >= Duration::from_secs(1));
    let lives = seconds.ok_or_else(|| CallError::Invalid("a time to live is at least one second".to_owned()))?;
    permit.admit_idle(min_idle.unwrap_or_default())?;
    permit.admit_ttl(lives)?;
    let (pattern, limit) = (selection.pattern.clone(), u64::from(selection.limit));
    let act = Act::Expire { asked: Expiry { selection, ttl }, min_idle, lives };
    Ok(Arc::new(Freeing { redis: redis.clone(), right: Right::Expire(permit), pattern, limit, act }))
}

/// The change that `call` asks for, by the right to give back what the host did.
pub(super) fn recorded(redis: &Arc<Redis>, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError> {
    let expire_right = || permit_undo::<op::RedisExpireKeys>(&call.target);
    match call.operation {
        Operation::RedisRemoveKeys => remove(redis, permit_undo::<op::RedisRemoveKeys>(&call.target), arguments(call)?),
        Operation::RedisExpireKeys if call.arguments.starts_with(GIVE_BACK) => {
            let GiveBack { given } = arguments(call)?;
            scan::check_pattern(&given.pattern)?;
            let (pattern, limit) = (given.pattern.clone(), u64::from(MOST_KEYS));
            let right = Right::Expire(expire_right());
            Ok(Arc::new(Freeing { redis: redis.clone(), right, pattern, limit, act: Act::GiveBack(given) }))
        }
        Operation::RedisExpireKeys => {
            let Expiry { selection, ttl } = arguments(call)?;
            expire(redis, expire_right(), selection, ttl)
        }
        Operation::PostgresInspect
        | Operation::PostgresSessions
        | Operation::PostgresStatements
        | Operation::PostgresReplication
        | Operation::PostgresQuery
        | Operation::PostgresCancelQuery
        | Operation::PostgresTerminateSession
        | Operation::RedisPing
        | Operation::RedisInfo
        | Operation::RedisScan
        | Operation::RedisUsage
        | Operation::RedisSlowLog
        | Operation::RedisRead
        | Operation::QueueInspect
        | Operation::QueueListFailures
        | Operation::QueuePause
        | Operation::QueueResume
        | Operation::QueueCleanFailed
        | Operation::QueueRetryFailed
        | Operation::HttpGet
        | Operation::HttpHead
        | Operation::KubernetesGetObject
        | Operation::KubernetesListObjects
        | Operation::KubernetesListPods
        | Operation::KubernetesGetRollout
        | Operation::KubernetesListEvents
        | Operation::KubernetesListUsage
        | Operation::KubernetesReadLogs
        | Operation::KubernetesReadLog
        | Operation::KubernetesScale
        | Operation::KubernetesRestart
        | Operation::KubernetesRollback
        | Operation::KubernetesSetEnv
        | Operation::KubernetesUnsetEnv
        | Operation::KubernetesSetImage
        | Operation::KubernetesSetResources
        | Operation::KubernetesEvictPod
        | Operation::KubernetesRunJob
        | Operation::KubernetesDetachService
        | Operation::HttpSend => Err(CallError::Invalid(format!("{} changes no keys", call.operation))),
    }
}

fn arguments<T: DeserializeOwned>(call: &ChangeCall) -> Result<T, CallError> {
    let invalid = |_| CallError::Invalid(format!("the recorded arguments are not those of {}", call.operation));
    serde_json::from_str(&call.arguments).map_err(invalid)
}

/// Refuse a selection that makes no sense; the answer is its least idle time.
fn check(selection: &KeySelection) -> Result<Option<Duration>, CallError> {
    scan::check_pattern(&selection.pattern)?;
    if selection.limit == 0 || selection.limit > MOST_KEYS {
        return Err(CallError::Invalid(format!("the number of keys must be from 1 to {MOST_KEYS}")));
    }
    let idle = selection.min_idle.map(Duration::try_from_secs_f64).transpose();
    let idle = idle.map_err(|_| CallError::Invalid("an idle time is a number of seconds, 0 or more".to_owned()))?;
    Ok(idle.filter(|idle| !idle.is_zero()))
}

/// What `expire-keys` was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expiry {
    selection: KeySelection,
    ttl: f64,
}

/// How the arguments begin that ask to give an expiry back; they have this one name.
const GIVE_BACK: &str = "{\"give-back\"";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GiveBack {
    #[serde(rename = "give-back")]
    given: Given,
}

/// A permit for one of the operations. A change keeps the one that it was made with.
#[derive(Debug)]
enum Right {
    Remove(Permit<op::RedisRemoveKeys>),
    Expire(Permit<op::RedisExpireKeys>),
}

impl Right {
    fn covers(&self, key: &[u8]) -> bool {
        match self {
            Self::Remove(permit) => permit.covers_key(key),
            Self::Expire(permit) => permit.covers_key(key),
        }
    }

    fn call(&self, arguments: String) -> ChangeCall {
        let (operation, target) = match self {
            Self::Remove(permit) => (Operation::RedisRemoveKeys, permit.target()),
            Self::Expire(permit) => (Operation::RedisExpireKeys, permit.target()),
        };
        ChangeCall { operation, target: target.clone(), arguments }
    }
}

/// What a plan allows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    /// How many keys it counted.
    most: u64,
}

/// A change of the keys that fit a selection.
#[derive(Debug)]
struct Freeing {
    redis: Arc<Redis>,
    right: Right,
    pattern: String,
    limit: u64,
    act: Act,
}

/// Keys with what they take up.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    keys: u64,
    bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: u64) {
        self.keys += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// How a batch ended that was not simply done.
enum Trouble {
    /// Nothing more happened.
    Stopped(CallError),
    /// The batch went out, and nobody knows what became of it.
    InDoubt(CallError),
}

impl Freeing {
    /// Of `keys`, those that may be touched, before the server is asked anything.
    fn admitted(&self, keys: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let is_admitted = |key: &Vec<u8>| self.right.covers(key) && !self.redis.is_protected(key);
        keys.into_iter().filter(is_admitted).collect()
    }

    /// Of `keys`, those that fit at the moment, with their sizes if they are measured.
    async fn fitting(
        &self,
        limits: &CallLimits,
        keys: &[Vec<u8>],
        is_measured: bool,
    ) -> Result<Vec<(Vec<u8>, u64)>, CallError> {
        let questions: Vec<Command> = keys.iter().flat_map(|key| self.act.questions(key, is_measured)).collect();
        let mut answers = self.redis.server.ask(limits, &questions, walk::ANSWER_BYTES).await?;
        let mut fitting = Vec::new();
        for key in keys {
            if let Some(bytes) = self.act.judge(key, is_measured, &mut answers)? {
                fitting.push((key.clone(), bytes));
            }
        }
        Ok(fitting)
    }

    /// All that fits at the moment, up to the limit. The second number is how many keys were measured.
    async fn count(&self, limits: &CallLimits) -> Result<(Tally, u64), CallError> {
        let mut walk = Walk::new(&self.redis.server, &self.pattern);
        let (mut tally, mut measured) = (Tally::default(), 0);
        while let Some(found) = walk.next_new(limits).await? {
            for batch in self.admitted(found).chunks(BATCH) {
                let is_measured = measured < MEASURED;
                let fitting = self.fitting(limits, batch, is_measured).await?;
                for (_, bytes) in fitting {
                    measured += u64::from(is_measured);
                    tally.add(bytes);
                    if tally.keys >= self.limit {
                        return Ok((tally, measured));
                    }
                }
            }
        }
        Ok((tally, measured))
    }

    /// Do the batch, and count the keys that it touched.
    async fn touch(
        &self,
        limits: &CallLimits,
        batch: &[(Vec<u8>, u64)],
        deed: &Deed,
        tally: &mut Tally,
    ) -> Result<(), Trouble> {
        let commands: Vec<Command> = batch.iter().map(|(key, _)| deed.command(key)).collect();
        let mut answers = match self.redis.server.tell(limits, &commands, SMALL_ANSWER_BYTES).await {
            Ok(answers) => answers,
            Err(Lost::Unsent(error)) => return Err(Trouble::Stopped(error)),
            Err(Lost::Unanswered(error)) => {
                self.count_touched(limits, batch, deed, tally).await;
                return Err(Trouble::InDoubt(error));
            }
        };
        let mut refused = None;
        for (_, bytes) in batch {
            match answers.try_take::<u64>() {
                Ok(Ok(0)) => {}
                Ok(Ok(_)) => tally.add(*bytes),
                Ok(Err(error)) => refused = Some(error.to_call_error(System::Redis)),
                Err(error) => return Err(Trouble::InDoubt(error)),
            }
        }
        refused.map_or(Ok(()), |error| Err(Trouble::Stopped(error)))
    }

    /// Count the keys of a batch without an answer that show that it arrived: an expiry to the millisecond is ours. A key
    /// that is gone or does not expire shows nothing.
    async fn count_touched(&self, limits: &CallLimits, batch: &[(Vec<u8>, u64)], deed: &Deed, tally: &mut Tally) {
        let Deed::ExpireAt(given) = deed else { return };
        let questions: Vec<Command> = batch.iter().map(|(key, _)| Command::new("PEXPIRETIME").arg(key)).collect();
        let Ok(mut answers) = self.redis.server.ask(limits, &questions, SMALL_ANSWER_BYTES).await else { return };
        for (key, bytes) in batch {
            if answers.take().is_ok_and(|expires| given.is_expiry(key, expires)) {
                tally.add(*bytes);
            }
        }
    }

    /// Walk and touch until `most` keys are done. The answer is why it stopped before, if it did.
    async fn work(
        &self,
        limits: &CallLimits,
        halt: &Halt,
        most: u64,
        deed: &Deed,
        tally: &mut Tally,
    ) -> Result<Option<String>, Trouble> {
        let mut pace = Pace::measure(&self.redis.server, limits).await.map_err(Trouble::Stopped)?;
        let mut walk = Walk::new(&self.redis.server, &self.pattern);
        while let Some(found) = walk.next(limits).await.map_err(Trouble::Stopped)? {
            if let Some(reason) = stop(limits, halt) {
                return Ok(Some(reason));
            }
            for batch in self.admitted(found).chunks(BATCH) {
                if let Some(reason) = stop(limits, halt) {
                    return Ok(Some(reason));
                }
                let mut fitting = self.fitting(limits, batch, true).await.map_err(Trouble::Stopped)?;
                fitting.truncate(usize::try_from(most - tally.keys).unwrap_or(usize::MAX));
                if fitting.is_empty() {
                    continue;
                }
                self.touch(limits, &fitting, deed, tally).await?;
                if tally.keys >= most {
                    return Ok(None);
                }
                if let Some(reason) = pace.rest(&self.redis.server, limits).await.map_err(Trouble::Stopped)? {
                    return Ok(Some(reason));
                }
            }
        }
        Ok(None)
    }

    fn done(&self, most: u64, tally: Tally, deed: Option<Deed>, stopped: Option<String>) -> Done {
        let Tally { keys, bytes } = tally;
        let inverse = match deed {
            Some(Deed::ExpireAt(given)) if keys > 0 => {
                Some(Inverse { call: self.right.call(canonical(&GiveBack { given })), ground: Vec::new() })
            }
            Some(Deed::ExpireAt(_) | Deed::Unlink | Deed::Persist) | None => None,
        };
        Done {
            objects: keys,
            differences: if keys > 0 { vec![self.act.difference(keys, bytes)] } else { Vec::new() },
            answer: Some(format!("{{\"bytes\":{bytes},\"keys\":{keys}}}")),
            incomplete: stopped
                .or_else(|| (keys < most).then(|| format!("only {keys} of {most} keys were still there and fit"))),
            inverse,
        }
    }

    async fn check_version(&self, limits: &CallLimits) -> Result<(), CallError> {
        match self.act {
            Act::Remove { .. } => Ok(()),
            Act::Expire { .. } | Act::GiveBack(_) => {
                let question = [Command::new("INFO").arg("server")];
                let info: String = self.redis.server.ask(limits, &question, SMALL_ANSWER_BYTES).await?.take()?;
                require(&info)
            }
        }
    }
}

fn require(info: &str) -> Result<(), CallError> {
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown").trim();
    let major: u32 = version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    if major >= EXPIRE_NEEDS {
        return Ok(());
    }
    let version: String = version.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(20).collect();
    Err(CallError::Invalid(format!(
        "an expiry that leaves others alone and can be given back needs Redis {EXPIRE_NEEDS}; the server is {version}"
    )))
}

/// Why no further batch should begin.
fn stop(limits: &CallLimits, halt: &Halt) -> Option<String> {
    if halt.is_asked() {
        return Some("it was asked to halt".to_owned());
    }
    let is_over = Instant::now() + BATCH_TIME >= limits.deadline;
    is_over.then(|| "the time for it was over".to_owned())
}

#[async_trait]
impl Change for Freeing {
    fn call(&self) -> ChangeCall {
        self.right.call(self.act.arguments())
    }

    async fn preview(&self, limits: &CallLimits) -> Result<Preview, CallError> {
        self.check_version(limits).await?;
        let (mut tally, measured) = self.count(limits).await?;
        let mut notes = Vec::new();
        if tally.keys > measured && measured > 0 {
            let bytes = u128::from(tally.bytes) * u128::from(tally.keys) / u128::from(measured);
            tally.bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            notes.push(format!("the size is estimated from {measured} of the {} keys", tally.keys));
        }
        if tally.keys >= self.limit {
            notes.push(format!("there may be more keys than the {} that were asked for", self.limit));
        }
        notes.extend(self.act.notes());
        let Tally { keys, bytes } = tally;
        Ok(Preview {
            summary: self.act.summary(keys, bytes, &self.pattern),
            objects: keys,
            differences: if keys > 0 { vec![self.act.difference(keys, bytes)] } else { Vec::new() },
            ground: Vec::new(),
            scope: canonical(&Scope { most: keys }),
            undo: self.act.undo(),
            doubt: None,
            notes,
        })
    }

    async fn perform(&self, planned: &Preview, limits: &CallLimits, halt: &Halt) -> Performed {
        let scope: Scope = match serde_json::from_str(&planned.scope) {
            Ok(scope) => scope,
            Err(_) => return Performed::Nothing(CallError::Invalid("the plan has no limit for keys".to_owned())),
        };
        let deed = match self.begin(limits).await {
            Ok(deed) => deed,
            Err(error) => return Performed::Nothing(error),
        };
        let most = scope.most.min(self.limit);
        let mut tally = Tally::default();
        match self.work(limits, halt, most, &deed, &mut tally).await {
            Ok(stopped) => Performed::Done(self.done(most, tally, Some(deed), stopped)),
            Err(Trouble::Stopped(error)) if tally.keys == 0 => Performed::Nothing(error),
            Err(Trouble::Stopped(error)) => {
                Performed::Done(self.done(most, tally, Some(deed), Some(error.to_string())))
            }
            Err(Trouble::InDoubt(error)) if tally.keys == 0 => Performed::Unknown(error),
            // What is known to be done can be given back, and the batch in doubt with it: it has the same expiry.
            Err(Trouble::InDoubt(error)) if matches!(deed, Deed::ExpireAt(_)) => {
                let stopped = format!("{error}; up to {BATCH} further keys may have got their expiry");
                Performed::Done(self.done(most, tally, Some(deed), Some(stopped)))
            }
            Err(Trouble::InDoubt(error)) => {
                Performed::Unknown(CallError::TimedOut(format!("{error}; {} keys were done before", tally.keys)))
            }
        }
    }

    async fn settle(&self, planned: &Preview, limits: &CallLimits) -> Settled {
        let most = serde_json::from_str::<Scope>(&planned.scope).map_or(planned.objects, |scope| scope.most);
        match self.count(limits).await {
            Ok((left, _)) if left.keys == 0 && !matches!(self.act, Act::Expire { .. }) => {
                Settled::Done(self.done(most, Tally { keys: most, bytes: 0 }, None, None))
            }
            // An expiry to the millisecond is ours, and none is given anew.
            Ok((left, _)) if left.keys >= most && matches!(self.act, Act::GiveBack(_)) => Settled::NotDone,
            Ok((left, _)) => Settled::Unknown(format!(
                "look at the keys {}: {} still fit, where {most} were planned",
                self.pattern, left.keys
            )),
            Err(error) => Settled::Unknown(format!("look at the keys {}: {error}", self.pattern)),
        }
    }
}

impl Freeing {
    /// What is sent for each key; when the keys shall expire is chosen here.
    async fn begin(&self, limits: &CallLimits) -> Result<Deed, CallError> {
        self.check_version(limits).await?;
        match &self.act {
            Act::Remove { .. } => Ok(Deed::Unlink),
            Act::GiveBack(_) => Ok(Deed::Persist),
            Act::Expire { lives, .. } => {
                let mut answers = self.redis.server.ask(limits, &[Command::new("TIME")], SMALL_ANSWER_BYTES).await?;
                let (s, us): (u64, u64) = answers.take()?;
                let now = s.saturating_mul(1_000).saturating_add(us / 1_000);
                Ok(Deed::ExpireAt(Given::new(&self.pattern, now, *lives)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_that_leave_other_expiries_alone_are_good_enough() {
        assert_eq!(require("# Server\r\nredis_version:7.0.15\r\nos:x\r\n"), Ok(()));
        assert_eq!(require("redis_version:10.0.0"), Ok(()));
        for old in ["redis_version:6.2.14\r\n", "", "redis_version:x"] {
            assert!(matches!(require(old), Err(CallError::Invalid(_))), "{old}");
        }
    }

    #[test]
    fn selections_without_sense_are_refused() {
        let selection = KeySelection { pattern: "cache:*".to_owned(), min_idle: None, limit: 10 };
        assert_eq!(check(&selection), Ok(None));
        assert_eq!(check(&KeySelection { min_idle: Some(2.0), ..selection.clone() }), Ok(Some(Duration::from_secs(2))));
        for bad in [
            KeySelection { limit: 0, ..selection.clone() },
            KeySelection { limit: MOST_KEYS + 1, ..selection.clone() },
            KeySelection { min_idle: Some(-1.0), ..selection.clone() },
            KeySelection { min_idle: Some(f64::NAN), ..selection.clone() },
            KeySelection { pattern: "*****".to_owned(), ..selection },
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }
}
