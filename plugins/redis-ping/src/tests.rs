use super::*;
use paramedic_sdk::redis::{INFO, PING, SLOW_LOG, SlowEntry};
use paramedic_sdk::testing::{Host, Run, assert_well_described, denied, remote};

fn master() -> Info {
    [("role", "master"), ("connected_slaves", "1")].into()
}

fn replica(link: &str, copying: &str) -> Info {
    [
        ("role", "slave"),
        ("master_link_status", link),
        ("master_sync_in_progress", copying),
        ("master_link_down_since_seconds", "90"),
        ("master_last_io_seconds_ago", "-1"),
    ]
    .into()
}

fn check(latency: Seconds, info: Result<Info, Error>, params: serde_json::Value) -> Run {
    Host::new()
        .answers(PING, "cache", Ok(latency))
        .answers(INFO, "cache replication", info)
        .answers(SLOW_LOG, "cache", Ok(vec![entry("GET", 0.02), entry("KEYS", 0.09)]))
        .run::<RedisPing>(params)
}

fn entry(command: &str, duration: f64) -> SlowEntry {
    SlowEntry { command: vec![command.to_owned(), "a".to_owned()], duration, age: 12.0 }
}

#[track_caller]
fn assert_says(run: &Run, status: Status, words: &str) {
    let outcome = run.outcome();
    assert_eq!(outcome.status(), status, "{}", outcome.summary());
    assert!(outcome.summary().contains(words), "{words} is not in: {}", outcome.summary());
}

#[test]
fn the_description_is_one_the_agent_accepts() {
    assert_well_described::<RedisPing>();
}

#[test]
fn a_server_that_answers_is_judged_by_latency_and_role() {
    use Status::{Critical, Ok, Warning};
    let table = [
        (0.0004, master(), json!({}), Ok, "cache answers in 0.4 ms (master with 1 replica)"),
        (0.001, replica("up", "0"), json!({ "role": "replica" }), Ok, "(replica)"),
        (
            0.051,
            master(),
            json!({}),
            Warning,
            "cache takes 51 ms to answer a ping; the slowest recent command, KEYS a, took 90 ms 12 s ago",
        ),
        (0.501, master(), json!({}), Critical, "cache takes 501 ms"),
        (0.051, master(), json!({ "latency_warning_ms": 60 }), Ok, "51 ms"),
        (0.001, replica("up", "0"), json!({ "role": "master" }), Critical, "where a master is expected"),
        (0.001, master(), json!({ "role": "replica" }), Critical, "where a replica is expected"),
        (0.001, replica("down", "0"), json!({}), Critical, "cache has lost its master since 1 min 30 s"),
        (0.001, replica("down", "1"), json!({}), Warning, "cache is copying its data"),
        (0.001, [].into(), json!({}), Ok, "master with 0 replicas"),
    ];
    for (latency, info, params, status, words) in table {
        assert_says(&check(latency, Result::Ok(info), params), status, words);
    }
}

#[test]
fn the_middle_round_trip_counts() {
    let host = [0.9, 0.001, 0.002].into_iter().fold(Host::new(), |host, time| host.answers(PING, "cache", Ok(time)));
    let run = host.answers(INFO, "cache replication", Ok(master())).run::<RedisPing>(json!({}));
    assert_says(&run, Status::Ok, "cache answers in 2.0 ms");
    assert_eq!(run.metric("ping_seconds"), 0.002);
}

#[test]
fn a_server_that_is_not_there_or_in_trouble_is_a_finding_and_each_is_told_apart() {
    let redis = |code, message| remote("redis", code, message);
    use Status::{Critical, Unknown};
    let table = [
        (Error::Unavailable("connection refused".into()), Critical, "cache cannot be reached: connection refused"),
        (Error::TimedOut("5 s".into()), Critical, "cache does not answer in time"),
        (redis("LOADING", "Redis is loading the dataset in memory"), Critical, "cache is loading its data"),
        (redis("BUSY", "Redis is busy running a script"), Critical, "cache is blocked by a script"),
        (redis("MASTERDOWN", "Link with MASTER is down"), Critical, "without its master"),
        (redis("MISCONF", "Errors writing to the AOF file"), Critical, "cannot persist"),
        (redis("ERR", "max number of clients reached"), Critical, "takes no more clients"),
        (redis("NOAUTH", "Authentication required."), Unknown, "wants a password"),
        (redis("WRONGPASS", "invalid username-password pair"), Unknown, "refuses the agent's name or password"),
        (redis("NOPERM", "this user has no permissions"), Unknown, "does not allow the agent's user"),
    ];
    for (error, status, words) in table {
        assert_says(&Host::new().answers(PING, "cache", Err(error)).run::<RedisPing>(json!({})), status, words);
    }
}

#[test]
fn what_stands_between_agent_and_server_is_no_verdict_on_the_server() {
    let errors = [
        denied("redis/ping", "cache"),
        Error::Invalid("x".into()),
        Error::Exhausted("x".into()),
        Error::Other("x".into()),
        remote("redis", "ERR", "something new"),
    ];
    for error in errors {
        let run = Host::new().answers(PING, "cache", Err(error.clone())).run::<RedisPing>(json!({}));
        assert_eq!(run.failure(), &Failure::Host(error));
    }
}

#[test]
fn without_the_right_to_more_it_still_answers() {
    let run = check(0.001, Err(denied("redis/info", "cache")), json!({}));
    assert_says(&run, Status::Ok, "cache answers in 1.0 ms (role not known)");
    assert!(run.outcome().details().unwrap().contains("redis/info"));
    let run = check(0.001, Err(denied("redis/info", "cache")), json!({ "role": "master" }));
    assert_says(&run, Status::Unknown, "the role of cache is not known");
    let slow = Host::new().answers(PING, "cache", Ok(0.9)).answers(INFO, "cache replication", Ok(master())).answers(
        SLOW_LOG,
        "cache",
        Err(denied("redis/slow-log", "cache")),
    );
    let run = slow.run::<RedisPing>(json!({}));
    assert_says(&run, Status::Critical, "cache takes 900 ms to answer a ping");
    assert_eq!(run.log.len(), 1);
}
