//! How full is a Redis server, what happens when it is full, and which keys fill it?
//!
//! ```text
//!   memory   what is used of which limit, under which policy, how fragmented
//!   history  writes refused and keys evicted since the last run
//!   sample   a bounded look at the keys ──► groups, by the shape of their names
//!   keys     the culprit among the groups, keys that never expire, the biggest keys
//! ```

mod groups;
mod history;
mod keys;
mod memory;
mod sample;

use memory::Memory;
use paramedic_sdk::redis::{self, Info};
use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, Threshold, log};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Parameters of redis-memory.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Redis target.
    target: String,
    /// Memory in use before it is a warning, in percent of the limit.
    warning: Threshold,
    /// Memory in use before it is critical, in percent of the limit.
    critical: Threshold,
    /// The limit in bytes that holds for a server without `maxmemory`, such as that of its container; the machine's
    /// memory unless told.
    #[schemars(range(min = 1))]
    memory_limit_bytes: Option<u64>,
    /// Resident memory for each byte used before it is a warning.
    fragmentation_warning: Threshold,
    /// A server that uses less than this many bytes is not judged by its fragmentation, because the ratio means little
    /// there.
    fragmentation_floor_bytes: u64,
    /// Keys evicted each second before it is a warning; a cache may evict, so by default it never is.
    evictions_warning_per_second: Threshold,
    /// Keys that never expire before it is a warning, in percent of all keys.
    no_expiry_warning: Threshold,
    /// A server with fewer keys that never expire is not judged by them.
    no_expiry_min_keys: u64,
    /// Beginnings of the names of keys that belong to job queues.
    queue_prefixes: Vec<String>,
    /// Patterns of the keys to sample, such as the grant allows them.
    #[schemars(length(min = 1, max = 20))]
    patterns: Vec<String>,
    /// Most keys to sample; 0 for none.
    #[schemars(range(max = 50_000))]
    sample_keys: usize,
    /// Most rows of each table.
    #[schemars(range(min = 1, max = 100))]
    limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "cache".to_owned(),
            warning: Threshold::above(80.0),
            critical: Threshold::above(90.0),
            memory_limit_bytes: None,
            fragmentation_warning: Threshold::above(1.5),
            fragmentation_floor_bytes: 256 << 20,
            evictions_warning_per_second: Threshold::never(),
            no_expiry_warning: Threshold::above(50.0),
            no_expiry_min_keys: 1000,
            queue_prefixes: vec!["bull:".to_owned()],
            patterns: vec!["*".to_owned()],
            sample_keys: 5000,
            limit: 10,
        }
    }
}

/// The check.
pub struct RedisMemory;

paramedic_sdk::export!(RedisMemory);

impl Plugin for RedisMemory {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Redis memory")
            .about(include_str!("about.md"))
            .runbook("#issue-redis-memory-full")
            .needs("redis/info", "{target}", "to read how much memory is used, refused and evicted")
            .can_use("redis/scan", "{target}", "to draw a sample of keys, so that what fills the memory has a name")
            .can_use("redis/usage", "{target}", "to measure the keys of the sample")
            .time_limit(20.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let memory = Memory::read(&redis::info(&params.target, "memory")?, &params);
        let keyspace = section(&params.target, "keyspace");
        let sample = sample::draw(&params);
        let total = keys::total(&keyspace);
        let groups = groups::of(&sample, &params.queue_prefixes, total.keys);
        let mut outcome = Outcome::ok(memory.describe(&params.target));
        memory::judge(&mut outcome, &memory, groups.culprit(), &params);
        history::judge(
            &mut outcome,
            &section(&params.target, "stats"),
            &section(&params.target, "errorstats"),
            &params,
        );
        keys::judge(&mut outcome, &total, &groups, &memory, &params);
        sample.explain(&mut outcome);
        Ok(outcome)
    }
}

/// A section without which the verdict still holds.
fn section(target: &str, name: &str) -> Info {
    redis::info(target, name).unwrap_or_else(|error| {
        log::warn(&format!("the section {name} of {target} cannot be read: {error}"));
        Info::default()
    })
}
