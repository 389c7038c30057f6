//! Calls one target again and again and counts what it is answered. Told to heed, it stops at the first word that its budget
//! is used up; otherwise it goes on regardless.

use std::collections::BTreeMap;

use paramedic_sdk::{Context, Description, Error, Failure, Outcome, Plugin, postgres};
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of caller.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    target: String,
    /// How often to call it.
    times: u32,
    /// Whether to stop when the budget is used up.
    heed: bool,
}

/// The check.
pub struct Caller;

paramedic_sdk::export!(Caller);

impl Plugin for Caller {
    type Params = Params;

    fn describe() -> Description {
        Description::check("caller", env!("CARGO_PKG_VERSION"), "Calls again and again")
            .needs("postgres/inspect", "{target}", "to call it")
            .time_limit(120.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let mut answers: BTreeMap<&str, u32> = BTreeMap::new();
        for _ in 0..params.times {
            let word = postgres::inspect(&params.target).map_or_else(|error| word(&error), |_| "answered");
            *answers.entry(word).or_default() += 1;
            if params.heed && word == "exhausted" {
                break;
            }
        }
        let mut outcome = Outcome::ok(format!("called {} times", answers.values().sum::<u32>()));
        outcome.note(serde_json::json!(answers).to_string());
        Ok(outcome)
    }
}

fn word(error: &Error) -> &'static str {
    match error {
        Error::Denied(_) => "denied",
        Error::Exhausted(_) => "exhausted",
        Error::NotFound(_) => "not-found",
        Error::Unavailable(_) => "unavailable",
        _ => "other",
    }
}
