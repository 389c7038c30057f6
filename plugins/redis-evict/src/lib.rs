//! Free the memory of a Redis server: keys of one pattern are given an expiry, or removed.

mod params;

use paramedic_sdk::redis::{self, Selection};
use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, Receipt, Risk, human};
use params::{Mode, Params};

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct RedisEvict;

paramedic_sdk::export!(RedisEvict);

impl Plugin for RedisEvict {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Free Redis memory", Risk::High)
            .about(include_str!("about.md"))
            .runbook("#issue-redis-memory-full")
            .confirmed_by("redis-memory")
            .can_use("redis-actions/expire-keys", "{target}", "to let keys expire that never would")
            .can_use("redis-actions/remove-keys", "{target}", "to remove keys at once")
            .time_limit(120.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let selection = Selection { pattern: params.pattern.clone(), min_idle: params.min_idle, limit: params.limit };
        let change = match params.mode {
            Mode::Expire => redis::expire_keys(&params.target, &selection, params.ttl),
            Mode::Remove => redis::remove_keys(&params.target, &selection),
        };
        Ok(Outcome::of_change(change, |receipt| done(receipt, &params), &nothing(&params)))
    }
}

fn done(receipt: &Receipt, params: &Params) -> String {
    let (keys, target) = (receipt.count("keys", "key"), &params.target);
    let pattern = human::shorten(&params.pattern, 60);
    let size = receipt.number("bytes").map_or_else(String::new, |bytes| format!(" ({})", human::bytes(bytes as f64)));
    match params.mode {
        Mode::Remove => format!("removed {keys} like {pattern} of {target}{size}"),
        Mode::Expire => {
            let ttl = human::duration(params.ttl);
            format!("{keys} like {pattern} of {target} will have expired within {ttl}{size}")
        }
    }
}

fn nothing(params: &Params) -> String {
    let (target, pattern) = (&params.target, human::shorten(&params.pattern, 60));
    let idle =
        params.min_idle.map_or_else(String::new, |age| format!(" and was not used for {}", human::duration(age)));
    match params.mode {
        Mode::Remove => format!("nothing to do: no key of {target} is like {pattern}{idle}"),
        Mode::Expire => format!("nothing to do: no key of {target} that never expires is like {pattern}{idle}"),
    }
}
