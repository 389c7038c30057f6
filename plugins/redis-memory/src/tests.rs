use super::*;
use paramedic_sdk::redis::{INFO, KeyPage, KeyUsage, SCAN, USAGE};
use paramedic_sdk::testing::{Call, Host, Run, assert_takes, assert_well_described, denied, remote};
use paramedic_sdk::{Error, Status};
use serde_json::json;

#[path = "../../redis-evict/src/params.rs"]
#[allow(dead_code, reason = "what a suggestion has to be is read by serde alone")]
mod evict;

const MIB: u64 = 1 << 20;

fn memory(used_mib: u64, max_mib: u64, policy: &str) -> Info {
    [
        ("used_memory", (used_mib * MIB).to_string().as_str()),
        ("used_memory_rss", ((used_mib + 2) * MIB).to_string().as_str()),
        ("maxmemory", (max_mib * MIB).to_string().as_str()),
        ("maxmemory_policy", policy),
        ("mem_fragmentation_ratio", "3.10"),
        ("mem_not_counted_for_evict", "0"),
        ("total_system_memory", (1000 * MIB).to_string().as_str()),
    ]
    .into()
}

fn keyspace(keys: u64, expires: u64) -> Info {
    [("db0", format!("keys={keys},expires={expires},avg_ttl=0").as_str())].into()
}

/// A key that expires if it says so.
fn measured(key: &str) -> KeyUsage {
    let ttl = key.starts_with("session:").then_some(60.0);
    KeyUsage { key: key.to_owned(), type_name: "string".to_owned(), bytes: 1000, ttl }
}

fn measure(call: &Call) -> Result<Vec<KeyUsage>, Error> {
    Ok(call.arguments[1..].iter().map(|key| measured(key)).collect())
}

/// A server whose keys come in pages.
fn host(memory: Info, keyspace: Info, pages: &[&[&str]]) -> Host {
    let pages: Vec<Vec<String>> = pages.iter().map(|page| page.iter().map(|key| (*key).to_owned()).collect()).collect();
    Host::new()
        .answers(INFO, "cache memory", Ok(memory))
        .answers(INFO, "cache keyspace", Ok(keyspace))
        .answers(INFO, "cache stats", Ok([("evicted_keys", "0")].into()))
        .answers(INFO, "cache errorstats", Ok(Info::default()))
        .answers_by(USAGE, "cache", measure)
        .answers_by(SCAN, "cache", move |call| {
            // Pattern, mark if there is one, count.
            let number: usize = if call.arguments.len() == 4 { call.arguments[2].parse().unwrap() } else { 0 };
            let next = (number + 1 < pages.len()).then(|| (number + 1).to_string());
            Ok(KeyPage { keys: pages.get(number).cloned().unwrap_or_default(), next })
        })
}

fn check(memory: Info, keyspace: Info, pages: &[&[&str]]) -> Run {
    host(memory, keyspace, pages).run::<RedisMemory>(json!({}))
}

/// What is suggested has to be what the suggested plugin takes.
#[track_caller]
fn assert_suggests_what_is_taken(run: &Run) {
    for suggestion in run.outcome().suggestions() {
        match suggestion.plugin.as_str() {
            "redis-evict" => assert_takes::<evict::Params>(suggestion),
            other => panic!("nothing is known of {other}"),
        }
    }
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    assert_suggests_what_is_taken(run);
    let outcome = run.outcome();
    assert_eq!(outcome.status(), status, "{}", outcome.summary());
    assert!(outcome.summary().contains(words), "{words} is not in: {}", outcome.summary());
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<RedisMemory>();
}

#[test]
fn a_server_with_room_is_fine_and_says_what_happens_at_the_limit() {
    let run = check(memory(50, 100, "noeviction"), keyspace(3, 3), &[&["session:1", "session:2", "session:3"]]);
    assert_says(&run, Status::Ok, "cache uses 50 MiB of 100 MiB (50 %); at the limit writes fail (noeviction)");
    assert!(run.outcome().suggestions().is_empty());
    assert_eq!(run.metric("memory_used_percent"), 50.0);
    assert_eq!(run.table("Key groups").rows, [["session:*", "3", "2.9 KiB", "0 %", ""]]);
}

#[test]
fn what_fills_a_full_server_is_named_with_its_cure() {
    let keys = ["cart:1", "cart:2", "cart:3", "session:1"];
    let run = check(memory(85, 100, "noeviction"), keyspace(4, 1), &[&keys]);
    assert_says(
        &run,
        Status::Warning,
        "; the largest group of keys is cart:* (2.9 KiB, 100 % of its keys never expire)",
    );
    let run = check(memory(93, 100, "volatile-lru"), keyspace(4, 1), &[&keys]);
    assert_says(
        &run,
        Status::Critical,
        "(93 %); at the limit it evicts keys that have an expiry; the largest group of keys is cart:*",
    );
    let cure = &run.outcome().suggestions()[0];
    assert_eq!(cure.plugin, "redis-evict");
    let expected = json!({ "target": "cache", "pattern": "cart:*", "mode": "expire", "ttl": 3600, "limit": 10000 });
    assert_eq!(cure.params, expected);
}

#[test]
fn keys_that_expire_are_offered_to_be_removed_by_age() {
    let run = check(memory(93, 100, "noeviction"), keyspace(2, 2), &[&["session:1", "session:2"]]);
    assert_eq!(run.outcome().suggestions()[0].params["mode"], "remove");
    assert_eq!(run.outcome().suggestions()[0].params["min_idle"], 3600);
}

#[test]
fn names_without_a_word_of_their_own_are_never_offered_to_be_removed() {
    let run = check(memory(93, 100, "noeviction"), keyspace(2, 2), &[&["123456789", "987654321"]]);
    assert_says(&run, Status::Critical, "the largest group of keys is *");
    assert!(run.outcome().suggestions().is_empty());
}

#[test]
fn a_cache_that_may_evict_anything_is_meant_to_be_full() {
    let run = check(memory(100, 100, "allkeys-lru"), keyspace(1, 1), &[&["session:1"]]);
    assert_says(&run, Status::Ok, "(100 %); at the limit it evicts any keys");
}

#[test]
fn without_maxmemory_the_containers_or_the_machines_memory_is_the_limit() {
    let run = check(memory(898, 0, "noeviction"), Info::default(), &[]);
    assert_says(
        &run,
        Status::Warning,
        "of the machine's 1000 MiB, without a limit of its own (90 %); at the limit the kernel ends it",
    );
    let params = json!({ "memory_limit_bytes": 950 * MIB });
    let run = host(memory(898, 0, "noeviction"), Info::default(), &[]).run::<RedisMemory>(params);
    assert_says(&run, Status::Critical, "900 MiB of the 950 MiB it may have (95 %)");
    let run = check([("used_memory", "1048576")].into(), Info::default(), &[]);
    assert_says(&run, Status::Ok, "cache uses 1.0 MiB and has no limit");
}

#[test]
fn buffers_that_do_not_count_against_the_limit_are_left_out() {
    let info = [
        ("used_memory", "95"),
        ("maxmemory", "100"),
        ("mem_not_counted_for_evict", "45"),
        ("maxmemory_policy", "noeviction"),
    ];
    assert_says(&check(info.into(), Info::default(), &[]), Status::Ok, "(50 %)");
}

#[test]
fn fragmentation_is_judged_only_where_it_means_something() {
    assert_says(&check(memory(50, 1000, "noeviction"), Info::default(), &[]), Status::Ok, "(5 %)");
    let run = check(memory(300, 1000, "noeviction"), Info::default(), &[]);
    assert_says(&run, Status::Warning, "cache takes 3.10 times the memory that it uses");
}

#[test]
fn many_keys_that_never_expire_are_a_warning_with_their_group() {
    let pages: &[&[&str]] = &[&["cart:1", "cart:2", "session:1"]];
    let run = check(memory(50, 100, "noeviction"), keyspace(10_000, 2_000), pages);
    assert_says(&run, Status::Warning, "8000 of 10000 keys of cache (80 %) never expire, most of them cart:*");
    assert_eq!(run.outcome().suggestions()[0].params["pattern"], "cart:*");
    let few = check(memory(50, 100, "noeviction"), keyspace(900, 0), pages);
    assert_says(&few, Status::Ok, "50 MiB");
}

#[test]
fn keys_of_queues_are_not_accused_and_their_eviction_is_reported() {
    let keys = ["bull:email:1", "bull:email:2", "bull:email:3", "cart:1"];
    let run = check(memory(93, 100, "noeviction"), keyspace(8_000, 0), &[&keys]);
    assert_says(&run, Status::Critical, "the largest group of keys is cart:*");
    assert_eq!(run.metric("keys_without_expiry"), 2000.0);
    let run = check(memory(50, 100, "allkeys-lru"), keyspace(4, 0), &[&keys]);
    assert_says(&run, Status::Warning, "cache holds a job queue (bull:email:*) and may evict its jobs (allkeys-lru)");
}

#[test]
fn refused_writes_are_critical_when_they_are_new() {
    let refused = |count: &str| Ok([("errorstat_OOM", format!("count={count}").as_str())].into());
    let base = || host(memory(50, 100, "noeviction"), Info::default(), &[]);
    let counted = |first, second| {
        let host = Host::new()
            .answers(INFO, "cache memory", Ok(memory(50, 100, "noeviction")))
            .answers(INFO, "cache errorstats", refused(first))
            .answers(INFO, "cache errorstats", refused(second))
            .answers(INFO, "cache", Ok(Info::default()))
            .answers(SCAN, "cache", Ok(KeyPage { keys: Vec::new(), next: None }));
        let run = host.run::<RedisMemory>(json!({}));
        (run.outcome().clone(), run.next().later(60.0).run::<RedisMemory>(json!({})))
    };
    let (first, second) = counted("7", "9");
    assert_eq!((first.status(), first.summary().contains("has refused 7 writes")), (Status::Warning, true));
    assert_says(&second, Status::Critical, "cache refused 2 writes for lack of memory in the last 1 min");
    assert_says(&counted("7", "7").1, Status::Ok, "50 MiB");
    // The server was restarted in between.
    assert_says(&counted("7", "3").1, Status::Critical, "refused 3 writes");
    assert_says(&base().run::<RedisMemory>(json!({})), Status::Ok, "50 MiB");
}

#[test]
fn evictions_are_counted_each_second_and_judged_if_the_operator_wants() {
    let stats = |count: &str| Ok([("evicted_keys", count)].into());
    let host = Host::new()
        .answers(INFO, "cache memory", Ok(memory(50, 100, "allkeys-lru")))
        .answers(INFO, "cache stats", stats("100"))
        .answers(INFO, "cache stats", stats("700"))
        .answers(INFO, "cache", Ok(Info::default()))
        .answers(SCAN, "cache", Ok(KeyPage { keys: Vec::new(), next: None }));
    let params = json!({ "evictions_warning_per_second": 5 });
    let next = host.run::<RedisMemory>(params.clone()).next().later(60.0).run::<RedisMemory>(params);
    assert_says(&next, Status::Warning, "cache evicts 10.0 keys each second");
    assert_eq!(next.metric("evictions_per_second"), 10.0);
}

#[test]
fn a_group_that_takes_half_of_the_memory_is_most_of_it() {
    let run = check(memory(1, 1, "noeviction"), keyspace(1000, 0), &[&["cart:1"]]);
    assert_says(&run, Status::Critical, "the largest group of keys is cart:* (1000 B, ");
    let keys: Vec<String> = (0..600).map(|n| format!("cart:{n}")).collect();
    let page: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_says(
        &check(memory(1, 1, "noeviction"), keyspace(600, 0), &[&page]),
        Status::Critical,
        "most of it is cart:* (586 KiB, ",
    );
}

#[test]
fn the_sample_is_bounded_and_scaled_to_all_keys() {
    let keys: Vec<String> = (0..40).map(|n| format!("cart:{n}")).collect();
    let page: Vec<&str> = keys.iter().map(String::as_str).collect();
    let pages = [&page[..20], &page[10..30], &page[30..]];
    let run =
        host(memory(93, 100, "noeviction"), keyspace(1000, 0), &pages).run::<RedisMemory>(json!({ "sample_keys": 25 }));
    assert_says(&run, Status::Critical, "cart:* (about 977 KiB");
    assert!(run.outcome().details().unwrap().contains("a sample of 25 keys"));
    let measured: usize =
        run.calls.iter().filter(|call| call.operation == "redis/usage").map(|call| call.arguments.len() - 1).sum();
    assert_eq!(measured, 25);
    let none =
        host(memory(93, 100, "noeviction"), keyspace(1000, 0), &pages).run::<RedisMemory>(json!({ "sample_keys": 0 }));
    assert!(none.calls.iter().all(|call| call.operation == "redis/info"));
}

#[test]
fn a_walk_that_finds_nothing_ends_too() {
    let endless = Host::new()
        .answers(INFO, "cache memory", Ok(memory(50, 100, "noeviction")))
        .answers(INFO, "cache", Ok(Info::default()))
        .answers(SCAN, "cache", Ok(KeyPage { keys: Vec::new(), next: Some("1".to_owned()) }));
    let run = endless.run::<RedisMemory>(json!({}));
    assert!(run.calls.len() < 200, "{} calls", run.calls.len());
}

#[test]
fn several_patterns_share_the_sample() {
    let run = host(memory(50, 100, "noeviction"), keyspace(3, 0), &[&["cart:1", "cart:2", "cart:3"]]);
    let run = run.run::<RedisMemory>(json!({ "patterns": ["cart:*", "page:*"], "sample_keys": 4 }));
    let patterns: Vec<_> =
        run.calls.iter().filter(|call| call.operation == "redis/scan").map(|call| call.arguments[1].as_str()).collect();
    assert_eq!(patterns, ["cart:*", "page:*"]);
}

#[test]
fn without_the_right_to_look_at_keys_the_memory_is_judged_all_the_same() {
    let denied_scan = Host::new()
        .answers(INFO, "cache memory", Ok(memory(93, 100, "noeviction")))
        .answers(INFO, "cache", Err(remote("redis", "ERR", "unknown section")))
        .answers(SCAN, "cache", Err(denied("redis/scan", "cache")));
    let run = denied_scan.run::<RedisMemory>(json!({}));
    assert_says(&run, Status::Critical, "cache uses 93 MiB of 100 MiB (93 %)");
    assert!(run.outcome().details().unwrap().contains("sampled in part only: redis/scan"));
    assert_eq!(run.log.len(), 4);
}

#[test]
fn errors_of_the_host_leave_the_verdict_open() {
    let errors = [
        denied("redis/info", "cache"),
        Error::Unavailable("refused".into()),
        Error::TimedOut("5 s".into()),
        Error::Exhausted("calls".into()),
        remote("redis", "LOADING", "loading"),
    ];
    for error in errors {
        let run = Host::new().answers(INFO, "cache memory", Err(error.clone())).run::<RedisMemory>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
}

#[test]
fn odd_numbers_do_not_confuse_it() {
    assert_says(&check(Info::default(), Info::default(), &[]), Status::Unknown, "does not tell how much memory");
    let odd = [("used_memory", "-5"), ("maxmemory", "nan"), ("mem_fragmentation_ratio", "inf")];
    assert_says(&check(odd.into(), [("db0", "keys=x")].into(), &[]), Status::Ok, "has no limit");
}

#[test]
fn one_huge_key_is_noted() {
    let huge = KeyUsage { key: "leaderboard".to_owned(), type_name: "zset".to_owned(), bytes: 40 * MIB, ttl: None };
    let run = Host::new()
        .answers(INFO, "cache memory", Ok(memory(93, 100, "noeviction")))
        .answers(INFO, "cache", Ok(Info::default()))
        .answers(SCAN, "cache", Ok(KeyPage { keys: vec!["leaderboard".to_owned()], next: None }))
        .answers(USAGE, "cache", Ok(vec![huge]))
        .run::<RedisMemory>(json!({}));
    assert_says(&run, Status::Critical, "the largest group of keys is leaderboard (40 MiB");
    assert!(run.outcome().details().unwrap().contains("`leaderboard`, takes 40 MiB by itself, 43 % of the memory"));
    assert_eq!(run.table("Biggest keys").rows, [["leaderboard", "zset", "40 MiB", "never"]]);
}
