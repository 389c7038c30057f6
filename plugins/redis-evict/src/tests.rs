use super::*;
use paramedic_sdk::redis::{EXPIRE_KEYS, REMOVE_KEYS};
use paramedic_sdk::testing::{Host, assert_well_described, conflict, denied, out_of_bounds, receipt, unchanged};
use paramedic_sdk::{Error, Status};
use serde_json::json;

fn freed(keys: u64, bytes: u64) -> Receipt {
    let summary = format!("free {keys} keys like cart:* of cache");
    Receipt { answer: Some(json!({ "keys": keys, "bytes": bytes }).to_string()), ..receipt(&summary) }
}

fn host() -> Host {
    Host::new().answers(EXPIRE_KEYS, "cache", Ok(freed(1200, 3 << 20))).answers(REMOVE_KEYS, "cache", Ok(freed(1, 512)))
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<RedisEvict>();
}

#[test]
fn there_is_no_pattern_unless_somebody_gives_one() {
    for params in [json!({}), json!({ "pattern": "" }), json!({ "pattern": "*", "mode": "flush" })] {
        let run = host().plan::<RedisEvict>(params.clone());
        assert!(matches!(run.failure(), Failure::BadParams(_)) && run.calls.is_empty(), "{params}");
    }
}

#[test]
fn keys_are_let_expire_unless_they_are_to_be_removed() {
    let table = [
        (
            json!({ "pattern": "cart:*" }),
            "redis-actions/expire-keys cache cart:* 10000 3600",
            "1200 keys like cart:* of cache will have expired within 1 h (3.0 MiB)",
        ),
        (
            json!({ "pattern": "cart:*", "ttl": 600, "min_idle": 60, "limit": 5 }),
            "redis-actions/expire-keys cache cart:* 60 5 600",
            "1200 keys like cart:* of cache will have expired within 10 min (3.0 MiB)",
        ),
        (
            json!({ "pattern": "cart:*", "mode": "remove", "min_idle": 3600 }),
            "redis-actions/remove-keys cache cart:* 3600 10000",
            "removed 1 key like cart:* of cache (512 B)",
        ),
    ];
    for (params, asked, words) in table {
        let planned = host().plan::<RedisEvict>(params.clone());
        assert_eq!(planned.changes(), [asked]);
        assert!(planned.outcome().summary().starts_with("would free "), "{}", planned.outcome().summary());
        let applied = planned.next().apply::<RedisEvict>(params);
        assert_eq!(applied.changes(), [asked]);
        assert_eq!((applied.outcome().summary().as_str(), applied.outcome().status()), (words, Status::Ok));
    }
}

#[test]
fn nothing_to_do_is_fine() {
    let host = || Host::new().answers(EXPIRE_KEYS, "cache", Ok(unchanged())).answers(REMOVE_KEYS, "", Ok(unchanged()));
    let run = host().apply::<RedisEvict>(json!({ "pattern": "cart:*" }));
    let words = "nothing to do: no key of cache that never expires is like cart:*";
    assert_eq!((run.outcome().summary().as_str(), run.outcome().status()), (words, Status::Ok));
    let run = host().plan::<RedisEvict>(json!({ "pattern": "a*", "mode": "remove", "min_idle": 60 }));
    assert_eq!(run.outcome().summary(), "nothing to do: no key of cache is like a* and was not used for 1 min");
}

#[test]
fn what_keeps_it_from_working_is_told() {
    let operation = "redis-actions/expire-keys";
    let table = [
        (conflict("the keys were removed"), Status::Warning, "nothing was done: the keys were removed"),
        (denied(operation, "redis/cache"), Status::Unknown, "the grant of this plugin lacks it"),
        (out_of_bounds(operation, "redis/cache", "the grant covers the keys session:*"), Status::Unknown, "session:*"),
        (Error::Exhausted("20000 keys an hour".into()), Status::Unknown, "20000 keys an hour"),
        (Error::Unavailable("refused".into()), Status::Critical, "nothing was done: unavailable: refused"),
    ];
    for (error, status, words) in table {
        let run = Host::new().answers(EXPIRE_KEYS, "cache", Err(error));
        let run = run.apply::<RedisEvict>(json!({ "pattern": "cart:*" }));
        let summary = run.outcome().summary();
        assert!(run.outcome().status() == status && summary.contains(words), "{summary}");
    }
}
