//! Uses what every plugin has without a grant, and tells what it got as JSON in the details.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use paramedic_sdk::{Context, Description, Error, Failure, Label, Outcome, Plugin, clock, config, log, state};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Parameters of locals.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The key of the memory that is used.
    key: String,
}

/// The check.
pub struct Locals;

paramedic_sdk::export!(Locals);

impl Plugin for Locals {
    type Params = Params;

    fn describe() -> Description {
        Description::check("locals", env!("CARGO_PKG_VERSION"), "What every plugin has")
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        log::emit(log::Level::Warn, "hello", &[Label { name: "key".to_owned(), value: params.key.clone() }]);
        log::progress(1, 2, "half way");
        println!("to standard output");
        eprint!("to standard error, without a line end");
        let mut outcome = Outcome::ok("done");
        let found = json!({
            "memory": memory(&params.key)?,
            "settings": config::get_all().iter().map(|setting| [&setting.name, &setting.value]).collect::<Vec<_>>(),
            "setting": config::get("team"),
            "absent": config::get("no such setting"),
            "now": clock::now(),
            "standard_now": milliseconds(),
            "remaining": clock::remaining(),
            "slept": clock::sleep(0.001).is_ok(),
            "slept_too_long": clock::sleep(1e6).map_err(|error| error.to_string()),
            "slept_backwards": clock::sleep(-1.0).map_err(|error| error.to_string()),
            "random": RandomState::new().hash_one(0).to_string(),
        });
        outcome.note(found.to_string());
        Ok(outcome)
    }
}

/// Every function of the memory once.
fn memory(key: &str) -> Result<Value, Error> {
    let before = state::get(key)?.map(|entry| entry.value);
    let first = state::put(key, "first", None)?;
    let second = state::swap(key, "second", first, Some(3600.0))?;
    let late = state::swap(key, "late", first, None).map_err(|error| error.to_string());
    let kept = state::get(key)?.map(|entry| entry.value);
    let keys = state::keys("")?;
    let removed = (state::remove("other")?, state::put("other", "", None).is_ok(), state::remove("other")?);
    let unusable = state::put("", "x", None).map_err(|error| error.to_string());
    Ok(json!({
        "before": before, "grew": second > first, "late": late, "kept": kept, "keys": keys, "removed": removed,
        "unusable": unusable,
    }))
}

fn milliseconds() -> u64 {
    // The host's clock never stands before 1970, and a guest may only ask through the standard library.
    #[expect(clippy::disallowed_methods, reason = "what the standard library answers is what is looked at here")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
