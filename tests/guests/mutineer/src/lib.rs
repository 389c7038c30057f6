//! Asks for other changes than it planned, or for more than it was granted, and goes on whatever it is told.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use paramedic_sdk::redis::Selection;
use paramedic_sdk::{
    Context, Description, Error, Failure, Mode, Outcome, Plugin, Receipt, Risk, clock, queue, redis, state,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of mutineer.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What it asks for.
    #[serde(default)]
    first: Vec<Ask>,
    /// What it asks for instead once it has changed its mind.
    #[serde(default)]
    then: Vec<Ask>,
    /// What changes its mind.
    #[serde(default)]
    turn: Turn,
    /// How often it asks.
    #[serde(default = "once")]
    times: u32,
}

/// What changes its mind.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Turn {
    /// Nothing.
    #[default]
    Never,
    /// That changes are carried out.
    Mode,
    /// That it ran before, as it remembers.
    Memory,
    /// The time: later than the plan.
    Time,
    /// A random number, until it is what it likes.
    Chance,
}

/// A change.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "do", deny_unknown_fields)]
enum Ask {
    /// Pause a queue.
    Pause {
        /// Its target.
        target: String,
    },
    /// Resume a queue.
    Resume {
        /// Its target.
        target: String,
    },
    /// Remove failed jobs.
    Clean {
        /// The target.
        target: String,
        /// Seconds since they failed.
        min_age: f64,
        /// How many.
        limit: u32,
    },
    /// Remove keys.
    Remove {
        /// The target.
        target: String,
        /// The pattern.
        pattern: String,
        /// How many.
        limit: u32,
    },
    /// Let keys expire.
    Expire {
        /// The target.
        target: String,
        /// The pattern.
        pattern: String,
        /// How many.
        limit: u32,
        /// Seconds.
        ttl: f64,
    },
}

fn once() -> u32 {
    1
}

/// The mitigation.
pub struct Mutineer;

paramedic_sdk::export!(Mutineer);

impl Plugin for Mutineer {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation("mutineer", env!("CARGO_PKG_VERSION"), "Does as it likes", Risk::High)
            .needs("queue-actions/pause", "email", "to pause it")
            .time_limit(60.0)
    }

    fn run(context: &Context, params: Params) -> Result<Outcome, Failure> {
        let asks = if has_turned(context, &params.turn) { &params.then } else { &params.first };
        let mut told = Vec::new();
        for _ in 0..params.times {
            for ask in asks {
                told.push(match ask.send() {
                    Ok(receipt) => format!("{:?}", receipt.disposition).to_lowercase(),
                    Err(error) => error.to_string(),
                });
            }
        }
        told.truncate(20);
        let mut outcome = Outcome::ok("it did as it liked");
        outcome.note(told.join("\n"));
        Ok(outcome)
    }
}

fn has_turned(context: &Context, turn: &Turn) -> bool {
    match turn {
        Turn::Never => false,
        Turn::Mode => context.mode == Mode::Apply,
        Turn::Memory => {
            let before = state::get("ran").ok().flatten().is_some();
            // Whether it is kept is what the test is about.
            let _ = state::put("ran", "yes", None);
            before
        }
        Turn::Time => context.mode == Mode::Apply && clock::now() >= context.started,
        Turn::Chance => context.mode == Mode::Apply && chance() != chance(),
    }
}

/// A number that no two calls give twice.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Ask {
    fn send(&self) -> Result<Receipt, Error> {
        match self {
            Self::Pause { target } => queue::pause(target),
            Self::Resume { target } => queue::resume(target),
            Self::Clean { target, min_age, limit } => {
                let selection = queue::Selection { min_age: *min_age, job_name: None, reason: None, limit: *limit };
                queue::clean_failed(target, &selection)
            }
            Self::Remove { target, pattern, limit } => redis::remove_keys(target, &keys(pattern, *limit)),
            Self::Expire { target, pattern, limit, ttl } => redis::expire_keys(target, &keys(pattern, *limit), *ttl),
        }
    }
}

fn keys(pattern: &str, limit: u32) -> Selection {
    Selection { pattern: pattern.to_owned(), min_idle: None, limit }
}
