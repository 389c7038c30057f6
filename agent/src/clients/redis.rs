//! Looking at a Redis server, and freeing its memory.
//!
//! Each verb of the `redis` interface is a method that asks for its own permit. Nothing here blocks the server or leaves a
//! state at a connection: the verbs but [`Redis::read`] send commands of their own making, and `read` sends what is on a
//! closed list (`commands`), after the server itself has said which keys it touches (`read`). What changes the server is
//! in `change`, and never touches a key of a configured queue.

mod change;
mod commands;
mod doctor;
mod info;
mod read;
mod reply;
mod scan;
mod slow_log;

use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;
use serde::{Deserialize, Serialize};

pub use super::resp::{InvalidUrl, Settings};
pub use reply::Reply;

use super::resp::{Command, Server};
use crate::domain::{CallError, CallLimits, ChangeCall, Diagnosis, System, TargetName};
use crate::journal::Change;
use crate::policy::{Permit, op};

/// Most keys of one `usage` call. Their sizes come from samples, so this many take the server a few milliseconds.
const USAGE_KEYS: usize = 1_000;

/// Most elements that are looked at to guess the size of a key. All of them (0) can block the server for long.
const USAGE_SAMPLES: u32 = 5;

/// For answers whose size is known to be small.
const SMALL_ANSWER_BYTES: usize = 256 << 10;

/// A field of `INFO`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value as the server writes it.
    pub value: String,
}

/// Part of the keys that match a pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyPage {
    /// The keys found. The same key can appear on more than one page.
    pub keys: Vec<String>,
    /// Mark for the next page, if there is more.
    pub next: Option<String>,
}

/// What a key takes up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyUsage {
    /// The key.
    pub key: String,
    /// Its type, such as `hash`.
    pub type_name: String,
    /// Bytes, estimated from samples.
    pub bytes: u64,
    /// Seconds until it expires, if it does.
    pub ttl: Option<f64>,
}

/// A slow command that the server remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlowEntry {
    /// The command, with its first key at most; what else it had is counted and not shown.
    pub command: Vec<String>,
    /// Seconds that it took.
    pub duration: f64,
    /// Seconds since it ran.
    pub age: f64,
}

/// Which keys to free.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeySelection {
    /// Glob pattern.
    pub pattern: String,
    /// Only keys that were not used for at least so many seconds.
    pub min_idle: Option<f64>,
    /// At most this many.
    pub limit: u32,
}

/// A Redis target.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    protected: Vec<String>,
}

impl Redis {
    /// The target `name`. Nothing connects yet.
    pub fn new(name: TargetName, settings: Settings) -> Result<Self, InvalidUrl> {
        Ok(Self { server: Server::new(System::Redis, name, settings)?, protected: Vec::new() })
    }

    /// The same, which changes no key that begins with one of `prefixes`, whatever a grant says: those of the queues on the
    /// server.
    #[must_use]
    pub fn protecting(self, prefixes: Vec<String>) -> Self {
        Self { protected: prefixes, ..self }
    }

    fn is_protected(&self, key: &[u8]) -> bool {
        self.protected.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
    }

    /// Seconds that a `PING` takes there and back, the time to connect left out.
    pub async fn ping(&self, _permit: &Permit<op::RedisPing>, limits: &CallLimits) -> Result<f64, CallError> {
        let mut answers = self.server.ask(limits, &[Command::new("PING")], SMALL_ANSWER_BYTES).await?;
        answers.take::<Value>()?;
        Ok(answers.round_trip().as_secs_f64())
    }

    /// Fields of one section of `INFO`, without those that tell where the server and its peers are.
    pub async fn info(
        &self,
        _permit: &Permit<op::RedisInfo>,
        limits: &CallLimits,
        section: &str,
    ) -> Result<Vec<Field>, CallError> {
        let section = info::Section::named(section)?;
        let command = Command::new("INFO").arg(section.name());
        let mut answers = self.server.ask(limits, &[command], limits.answer_bytes).await?;
        Ok(section.fields(&answers.take::<String>()?))
    }

    /// One page of the keys that match `pattern` and that the permit covers. Keys that are not UTF-8 are left out.
    pub async fn scan(
        &self,
        permit: &Permit<op::RedisScan>,
        limits: &CallLimits,
        pattern: &str,
        after: Option<&str>,
        count: u32,
    ) -> Result<KeyPage, CallError> {
        scan::page(&self.server, permit, limits, &scan::Request { pattern, after, count }).await
    }

    /// What `keys` take up, in one round trip; keys that do not exist are left out.
    pub async fn usage(
        &self,
        permit: &Permit<op::RedisUsage>,
        limits: &CallLimits,
        keys: &[String],
    ) -> Result<Vec<KeyUsage>, CallError> {
        if keys.len() > USAGE_KEYS {
            return Err(CallError::Invalid(format!("{} keys are more than the {USAGE_KEYS} of one call", keys.len())));
        }
        for key in keys {
            permit.admit_key(key.as_bytes())?;
        }
        let commands: Vec<Command> = keys.iter().flat_map(|key| measure(key)).collect();
        let mut answers = self.server.ask(limits, &commands, SMALL_ANSWER_BYTES).await?;
        let mut usages = Vec::with_capacity(keys.len());
        for key in keys {
            let (type_name, bytes, ttl) = (answers.take::<String>()?, answers.take::<Option<u64>>()?, answers.take()?);
            usages.extend(usage_of(key, type_name, bytes, ttl));
        }
        Ok(usages)
    }

    /// The most recent slow commands, newest first.
    pub async fn slow_log(
        &self,
        _permit: &Permit<op::RedisSlowLog>,
        limits: &CallLimits,
        limit: u32,
    ) -> Result<Vec<SlowEntry>, CallError> {
        slow_log::entries(&self.server, limits, limit).await
    }

    /// Run a command without side effects. The first element is the command.
    pub async fn read(
        &self,
        permit: &Permit<op::RedisRead>,
        limits: &CallLimits,
        command: &[String],
    ) -> Result<Reply, CallError> {
        read::run(&self.server, permit, limits, command).await
    }

    /// Remove keys for good, without blocking the server.
    pub fn remove_keys(
        self: &Arc<Self>,
        permit: Permit<op::RedisRemoveKeys>,
        selection: KeySelection,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::remove(self, permit, selection)
    }

    /// Let keys that do not expire yet expire after `ttl` seconds, spread over a tenth of that.
    pub fn expire_keys(
        self: &Arc<Self>,
        permit: Permit<op::RedisExpireKeys>,
        selection: KeySelection,
        ttl: f64,
    ) -> Result<Arc<dyn Change>, CallError> {
        change::expire(self, permit, selection, ttl)
    }

    /// A change that was recorded, or that gives a recorded one back.
    pub fn recorded(self: &Arc<Self>, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError> {
        change::recorded(self, call)
    }

    /// What is wrong with the target, for its operator.
    pub async fn diagnose(&self) -> Vec<Diagnosis> {
        doctor::examine(&self.server).await
    }
}

/// The commands that [`Redis::read`] may be asked for, subcommands included.
pub fn readable_commands() -> impl Iterator<Item = &'static str> {
    commands::list::LIST.iter().map(|spec| spec.name)
}

/// The `ACL SETUSER` line that makes a user with just the rights that all verbs need. Name, password and key pattern
/// are to be filled in.
pub fn user_rules() -> String {
    doctor::rules()
}

/// The same for a user who may also remove keys and let them expire.
pub fn acting_rules() -> String {
    doctor::acting_rules()
}

fn measure(key: &str) -> [Command; 3] {
    [
        Command::new("TYPE").arg(key),
        Command::new("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").number(USAGE_SAMPLES),
        Command::new("PTTL").arg(key),
    ]
}

/// None for a key that is gone, or went while we looked.
fn usage_of(key: &str, type_name: String, bytes: Option<u64>, ttl_ms: i64) -> Option<KeyUsage> {
    const GONE: i64 = -2;
    if type_name == "none" || ttl_ms == GONE {
        return None;
    }
    let ttl = u64::try_from(ttl_ms).ok().map(|ms| Duration::from_millis(ms).as_secs_f64());
    Some(KeyUsage { key: key.to_owned(), type_name, bytes: bytes?, ttl })
}
