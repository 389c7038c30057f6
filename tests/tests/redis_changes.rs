//! Freeing memory on real servers: just the keys that were planned, nothing of a queue, and an expiry that can be taken
//! back.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests may fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use paramedic::clients::redis::{self, KeySelection, Redis as Client, Settings};
use paramedic::domain::{
    CallError, CallLimits, ChangeBounds, ChangeCall, Done, Grant, Operation, Preview, Secret, System, Target, Undo,
};
use paramedic::journal::{Change, Halt, Performed, Settled};
use paramedic::policy::{Grants, Op, Permit, decide};
use paramedic_tests::proxy::{Fault, Proxy};
use paramedic_tests::redis::Redis;
use paramedic_tests::wait;

fn client(url: &str) -> Arc<Client> {
    let client = Client::new("cache".parse().unwrap(), Settings::new(Secret::new(url))).unwrap();
    Arc::new(client.protecting(vec!["bull:email:".to_owned()]))
}

/// A login with only the rights that the documented line for changing gives, on all keys.
fn login(server: &Redis) -> String {
    let rules = redis::acting_rules();
    let (_, rules) = rules.split_once(">PASSWORD ").unwrap();
    server.user(&rules.replace("PREFIX:*", "*")).unwrap()
}

fn start(arguments: &[&str]) -> (Redis, Arc<Client>) {
    let server = Redis::start(arguments).unwrap();
    let client = client(&login(&server));
    (server, client)
}

fn permit<O: Op>(keys: &str) -> Permit<O> {
    let hour = Duration::from_secs(3_600);
    let bounds = ChangeBounds { ttl: Some((Duration::from_secs(60), hour * 24)), ..ChangeBounds::default() };
    bounded::<O>(keys, bounds)
}

fn bounded<O: Op>(keys: &str, bounds: ChangeBounds) -> Permit<O> {
    let grant = Grant {
        target: Target { system: System::Redis, name: "cache".parse().unwrap() },
        operations: Operation::of_system(System::Redis).collect(),
        keys: vec![keys.parse().unwrap()],
        paths: vec![],
        resources: vec![],
        changes: ChangeBounds { per_run: 100_000, per_hour: 100_000, ..bounds },
    };
    decide::<O>(&Grants::new("probe".parse().unwrap(), vec![grant]), "cache").unwrap()
}

fn limits() -> CallLimits {
    CallLimits { deadline: Instant::now() + Duration::from_secs(30), answer_bytes: 1 << 20 }
}

fn matching(pattern: &str) -> KeySelection {
    KeySelection { pattern: pattern.to_owned(), min_idle: None, limit: 100_000 }
}

fn remove(client: &Arc<Client>, keys: &str, selection: KeySelection) -> Arc<dyn Change> {
    client.remove_keys(permit(keys), selection).unwrap()
}

fn expire(client: &Arc<Client>, keys: &str, selection: KeySelection) -> Arc<dyn Change> {
    client.expire_keys(permit(keys), selection, 600.0).unwrap()
}

async fn apply(change: &Arc<dyn Change>) -> (Preview, Done) {
    let preview = change.preview(&limits()).await.unwrap();
    assert!(preview.is_needed(), "{preview:?}");
    let performed = change.perform(&preview, &limits(), &Halt::default()).await;
    let Performed::Done(done) = performed else { panic!("{performed:?}") };
    (preview, done)
}

/// Every key with its value and the moment at which it expires.
fn digest(server: &Redis) -> BTreeMap<Vec<u8>, (Vec<u8>, i64)> {
    let mut connection = server.connect().unwrap();
    let keys: Vec<Vec<u8>> = ::redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    let mut pipeline = ::redis::pipe();
    for key in &keys {
        pipeline.cmd("DUMP").arg(key).cmd("PEXPIRETIME").arg(key);
    }
    let answers: Vec<::redis::Value> = pipeline.query(&mut connection).unwrap();
    let read = |pair: &[::redis::Value]| match pair {
        [::redis::Value::BulkString(value), ::redis::Value::Int(expires)] => (value.clone(), *expires),
        other => panic!("{other:?}"),
    };
    keys.into_iter().zip(answers.chunks(2).map(read)).collect()
}

fn names(digest: &BTreeMap<Vec<u8>, (Vec<u8>, i64)>) -> BTreeSet<String> {
    digest.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
}

/// So many keys `<prefix><number>`.
fn fill(server: &Redis, prefix: &str, keys: u32) {
    let script = "for i = 1, tonumber(ARGV[2]) do redis.call('SET', ARGV[1] .. i, 'value ' .. i) end";
    server.command::<()>(&["EVAL", script, "0", prefix, &keys.to_string()]).unwrap();
}

fn set(server: &Redis, keys: &[&str]) {
    for key in keys {
        server.command::<()>(&["SET", key, "x"]).unwrap();
    }
}

#[tokio::test]
async fn only_keys_that_match_and_are_granted_are_removed() {
    let (server, client) = start(&[]);
    let all =
        ["cache:a1", "cache:b1", "cache:c1", "cache:a22", "cache:[x", "cache:?", "session:a1", "ca", "bull:email:1"];
    set(&server, &all);
    server.command::<i64>(&["RPUSH", "bull:email:wait", "1"]).unwrap();
    set(&server, &["bull:email", "bull:emails:1"]);
    let table: [(&str, &str, &[&str]); 6] = [
        ("cache:*", "cache:[ab]1", &["cache:a1", "cache:b1"]),
        ("cache:*", "cache:\\?", &["cache:?"]),
        ("cache:*", "*[[]x", &["cache:[x"]),
        ("cache:*", "cache:?", &[]),
        ("cache:*", "*", &["cache:c1", "cache:a22"]),
        ("*", "*", &["session:a1", "ca", "bull:email", "bull:emails:1"]),
    ];
    for (granted, pattern, gone) in table {
        let before = digest(&server);
        let change = remove(&client, granted, matching(pattern));
        let preview = change.preview(&limits()).await.unwrap();
        assert_eq!(preview.objects, gone.len() as u64, "{granted} {pattern}");
        if gone.is_empty() {
            continue;
        }
        let (_, done) = apply(&change).await;
        assert_eq!((done.objects, &done.incomplete), (gone.len() as u64, &None));
        assert!(matches!(preview.undo, Undo::Impossible(_)) && done.inverse.is_none());
        let answer = done.answer.unwrap();
        assert!(
            answer.starts_with("{\"bytes\":") && answer.ends_with(&format!("\"keys\":{}}}", gone.len())),
            "{answer}"
        );
        let mut expected = before;
        expected.retain(|key, _| !gone.iter().any(|gone| gone.as_bytes() == key.as_slice()));
        assert_eq!(digest(&server), expected, "{granted} {pattern}");
        assert!(matches!(change.settle(&preview, &limits()).await, Settled::Done(_)));
    }
    assert_eq!(names(&digest(&server)), ["bull:email:1", "bull:email:wait"].map(str::to_owned).into());
}

#[tokio::test]
async fn an_expiry_is_spread_leaves_others_alone_and_is_given_back_exactly() {
    let (server, client) = start(&[]);
    fill(&server, "cache:", 700);
    set(&server, &["other:1", "bull:email:7"]);
    server.command::<()>(&["SET", "cache:mine", "x", "EX", "9000"]).unwrap();
    let before = digest(&server);

    let change = expire(&client, "cache:*", matching("*"));
    let (preview, done) = apply(&change).await;
    assert_eq!((preview.objects, done.objects, &done.incomplete), (700, 700, &None));
    assert!(matches!(preview.undo, Undo::Possible(_)));
    let now: (i64, i64) = server.command(&["TIME"]).unwrap();
    let given = digest(&server);
    let ours: Vec<i64> = given
        .iter()
        .filter(|(key, _)| key.starts_with(b"cache:") && key.as_slice() != b"cache:mine")
        .map(|(_, (_, expires))| *expires)
        .collect();
    let earliest = (now.0 - 60 + 600) * 1_000;
    assert!(ours.iter().all(|time| (earliest..(now.0 + 661) * 1_000).contains(time)), "{ours:?}");
    assert!(ours.iter().collect::<BTreeSet<_>>().len() > 600, "hardly spread: {ours:?}");
    for untouched in ["cache:mine", "other:1", "bull:email:7"] {
        assert_eq!(given[untouched.as_bytes()], before[untouched.as_bytes()]);
    }
    assert_eq!(change.preview(&limits()).await.unwrap().objects, 0, "it is so already");

    // Somebody has other plans with two of them meanwhile, and one is gone.
    server.command::<i64>(&["EXPIRE", "cache:1", "5000"]).unwrap();
    server.command::<i64>(&["PERSIST", "cache:2"]).unwrap();
    server.command::<i64>(&["DEL", "cache:3"]).unwrap();
    let changed = digest(&server);
    let back = client.recorded(&done.inverse.unwrap().call).unwrap();
    assert_eq!(client.recorded(&back.call()).unwrap().call(), back.call());
    let (_, done) = apply(&back).await;
    assert_eq!(done.objects, 697);
    let mut expected = before;
    expected.remove(b"cache:3".as_slice());
    expected.insert(b"cache:1".to_vec(), changed[b"cache:1".as_slice()].clone());
    assert_eq!(digest(&server), expected);
    assert_eq!(back.preview(&limits()).await.unwrap().objects, 0);
}

#[tokio::test]
async fn keys_that_were_used_lately_stay() {
    let (server, client) = start(&["--maxmemory-policy", "allkeys-lru"]);
    set(&server, &["cache:new"]);
    let mut connection = server.connect().unwrap();
    let dump: Vec<u8> = ::redis::cmd("DUMP").arg("cache:new").query(&mut connection).unwrap();
    for (key, idle) in [("cache:old", 9_000), ("cache:older", 90_000)] {
        let mut restore = ::redis::cmd("RESTORE");
        restore.arg(key).arg(0).arg(dump.as_slice()).arg("IDLETIME").arg(idle).query::<()>(&mut connection).unwrap();
    }
    let idle = |seconds: f64| KeySelection { min_idle: Some(seconds), ..matching("*") };
    for (seconds, keys) in [(100_000.0, 0), (10_000.0, 1), (3_600.0, 2), (0.0, 3)] {
        let preview = remove(&client, "cache:*", idle(seconds)).preview(&limits()).await.unwrap();
        assert_eq!(preview.objects, keys, "{seconds}");
    }
    let (_, done) = apply(&remove(&client, "cache:*", idle(3_600.0))).await;
    assert_eq!((done.objects, names(&digest(&server))), (2, ["cache:new".to_owned()].into()));

    let granted = ChangeBounds { min_age: Duration::from_secs(600), ..ChangeBounds::default() };
    let refused = client.remove_keys(bounded("cache:*", granted.clone()), matching("*")).err().unwrap();
    assert!(matches!(refused, CallError::Denied(_)), "{refused:?}");
    assert!(client.remove_keys(bounded("cache:*", granted), idle(600.0)).is_ok());

    let (server, client) = start(&["--maxmemory-policy", "allkeys-lfu"]);
    set(&server, &["cache:1"]);
    let error = remove(&client, "cache:*", idle(1.0)).preview(&limits()).await.unwrap_err();
    let CallError::Invalid(text) = error else { panic!("{error:?}") };
    assert!(text.contains("LFU"), "{text}");
}

#[tokio::test]
async fn no_more_than_the_plan_counted_is_touched() {
    let (server, client) = start(&[]);
    fill(&server, "cache:", 300);
    let few = KeySelection { limit: 50, ..matching("cache:*") };
    let (preview, done) = apply(&remove(&client, "cache:*", few)).await;
    assert_eq!((preview.objects, done.objects, digest(&server).len()), (50, 50, 250));
    assert!(preview.notes.iter().any(|note| note.contains("more keys than the 50")), "{:?}", preview.notes);

    let change = remove(&client, "cache:*", matching("cache:*"));
    let planned = change.preview(&limits()).await.unwrap();
    fill(&server, "cache:later:", 100);
    let Performed::Done(done) = change.perform(&planned, &limits(), &Halt::default()).await else { panic!() };
    assert_eq!((done.objects, digest(&server).len()), (250, 100));
    let left = change.settle(&planned, &limits()).await;
    assert!(matches!(&left, Settled::Unknown(text) if text.contains("100")), "{left:?}");
}

#[tokio::test]
async fn thousands_of_keys_are_estimated_and_removed_in_small_batches() {
    let (server, client) = start(&["--slowlog-log-slower-than", "10000"]);
    fill(&server, "cache:", 5_000);
    fill(&server, "other:", 1_000);
    let others: BTreeMap<_, _> = digest(&server).into_iter().filter(|(key, _)| key.starts_with(b"other:")).collect();
    let (preview, done) = apply(&remove(&client, "cache:*", matching("cache:*"))).await;
    assert_eq!((preview.objects, done.objects), (5_000, 5_000));
    assert!(preview.notes.iter().any(|note| note.contains("estimated from")), "{:?}", preview.notes);
    assert_eq!(digest(&server), others);
}

#[tokio::test]
async fn a_halt_and_a_deadline_stop_between_two_batches() {
    let (server, client) = start(&[]);
    fill(&server, "cache:", 5_000);
    let change = expire(&client, "cache:*", matching("cache:*"));
    let planned = change.preview(&limits()).await.unwrap();
    let halt = Halt::default();
    let task = tokio::spawn({
        let (change, planned, halt) = (change.clone(), planned.clone(), halt.clone());
        async move { change.perform(&planned, &limits(), &halt).await }
    });
    let expiring = || -> u64 {
        let info: String = server.command(&["INFO", "keyspace"]).unwrap();
        let expires = info.split("expires=").nth(1).and_then(|rest| rest.split(',').next());
        expires.map_or(0, |expires| expires.parse().unwrap())
    };
    wait::until_async("the first batch", async || Ok((expiring() > 0).then_some(()))).await.unwrap();
    halt.ask();
    let Performed::Done(done) = task.await.unwrap() else { panic!("not done") };
    assert_eq!(done.objects, expiring());
    assert_eq!(done.incomplete.is_some(), done.objects < 5_000);
    // What was done until then can be given back all the same.
    let (_, back) = apply(&client.recorded(&done.inverse.unwrap().call).unwrap()).await;
    assert_eq!((back.objects, expiring()), (done.objects, 0));

    let over = CallLimits { deadline: Instant::now() + Duration::from_millis(100), answer_bytes: 1 << 20 };
    match change.perform(&planned, &over, &Halt::default()).await {
        Performed::Done(done) => assert!(done.objects == 0 && done.incomplete.unwrap().contains("time")),
        Performed::Nothing(CallError::TimedOut(_)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(expiring(), 0);
}

#[tokio::test]
async fn a_connection_lost_under_a_batch_leaves_it_in_doubt() {
    let (server, client) = start(&[]);
    fill(&server, "cache:", 10);
    let before = digest(&server);
    for change in [remove(&client, "*", matching("cache:*")), expire(&client, "*", matching("cache:*"))] {
        let planned = change.preview(&limits()).await.unwrap();
        server.command::<()>(&["CLIENT", "PAUSE", "60000", "WRITE"]).unwrap();
        let task = tokio::spawn({
            let (change, planned) = (change.clone(), planned.clone());
            async move { change.perform(&planned, &limits(), &Halt::default()).await }
        });
        wait::until_async("the batch to be held", async || {
            let clients: String = server.command(&["CLIENT", "LIST"])?;
            let held = clients.lines().find(|line| line.contains("name=paramedic") && line.contains("flags=b"));
            let Some(id) = held.and_then(|line| line.split([' ', '=']).nth(1)) else { return Ok(None) };
            Ok(Some(server.command::<()>(&["CLIENT", "KILL", "ID", id])?))
        })
        .await
        .unwrap();
        let performed = task.await.unwrap();
        assert!(matches!(performed, Performed::Unknown(_)), "{performed:?}");
        server.command::<()>(&["CLIENT", "UNPAUSE"]).unwrap();
        assert!(matches!(change.settle(&planned, &limits()).await, Settled::Unknown(_)));
        assert_eq!(digest(&server), before);
    }
}

#[tokio::test]
async fn an_expiry_whose_answer_never_came_can_be_given_back() {
    let (server, _) = start(&[]);
    fill(&server, "cache:", 500);
    let before = digest(&server);
    let proxy = Proxy::start(server.port(), "PEXPIREAT", Fault::Swallow).unwrap();
    let client = client(&proxy.url(&login(&server), server.port()));
    let change = expire(&client, "*", matching("cache:*"));
    let (_, done) = apply(&change).await;
    let given = digest(&server).values().filter(|(_, expires)| *expires > 0).count();
    assert!(given > 0 && given < 500 && done.incomplete.is_some(), "{given}: {done:?}");
    assert_eq!(done.objects, given as u64);
    let (_, back) = apply(&client.recorded(&done.inverse.unwrap().call).unwrap()).await;
    assert_eq!((back.objects, digest(&server)), (given as u64, before));
}

#[tokio::test]
async fn a_server_that_gets_slow_and_stays_so_is_left_alone() {
    let (server, _) = start(&[]);
    fill(&server, "cache:", 2_000);
    let proxy = Proxy::start(server.port(), "UNLINK", Fault::Slow(Duration::from_millis(50))).unwrap();
    let client = client(&proxy.url(&login(&server), server.port()));
    let change = remove(&client, "*", matching("cache:*"));
    let (_, done) = apply(&change).await;
    assert!(done.incomplete.as_ref().unwrap().contains("slow"), "{done:?}");
    assert_eq!(done.objects + digest(&server).len() as u64, 2_000);
    assert!(done.objects <= 200, "{done:?}");
}

#[tokio::test]
async fn a_login_without_the_right_changes_nothing() {
    let server = Redis::start(&[]).unwrap();
    fill(&server, "cache:", 10);
    let client = client(&server.reader("*").unwrap());
    let change = remove(&client, "*", matching("cache:*"));
    let planned = change.preview(&limits()).await.unwrap();
    let performed = change.perform(&planned, &limits(), &Halt::default()).await;
    let Performed::Nothing(CallError::Remote(error)) = performed else { panic!("{performed:?}") };
    assert_eq!(error.code, "NOPERM");
    assert_eq!(digest(&server).len(), 10);
}

#[test]
fn selections_and_records_without_sense_are_refused() {
    let client = client("redis://127.0.0.1:1");
    for ttl in [0.0, -1.0, f64::NAN, 0.5] {
        let made = client.expire_keys(permit("*"), matching("*"), ttl);
        assert!(matches!(made.err(), Some(CallError::Invalid(_))), "{ttl}");
    }
    for ttl in [59.0, 86_401.0] {
        let made = client.expire_keys(permit("*"), matching("*"), ttl);
        assert!(matches!(made.err(), Some(CallError::Denied(_))), "{ttl}");
    }
    let call = |operation, arguments: &str| ChangeCall {
        operation,
        target: "cache".parse().unwrap(),
        arguments: arguments.to_owned(),
    };
    for (operation, arguments) in [
        (Operation::RedisRemoveKeys, "{}"),
        (Operation::RedisRemoveKeys, r#"{"limit":1,"min-idle":null,"pattern":"a","x":1}"#),
        (Operation::RedisExpireKeys, r#"{"give-back":{"base_ms":1,"pattern":"*","seed":1}}"#),
        (Operation::RedisExpireKeys, r#"{"give-back":{"base_ms":1,"pattern":"*****","seed":1,"spread_ms":1}}"#),
        (Operation::RedisRead, "{}"),
    ] {
        assert!(
            matches!(client.recorded(&call(operation, arguments)).err(), Some(CallError::Invalid(_))),
            "{arguments}"
        );
    }
    for change in [remove(&client, "*", matching("a*")), expire(&client, "*", matching("a*"))] {
        assert_eq!(client.recorded(&change.call()).unwrap().call(), change.call());
    }
}

#[test]
fn the_page_for_operators_has_the_line() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/redis.md")).unwrap();
    let rules = redis::acting_rules();
    let added = rules.strip_prefix(&redis::user_rules()).unwrap().trim();
    assert!(page.contains(added), "the page lacks: {added}");
}
