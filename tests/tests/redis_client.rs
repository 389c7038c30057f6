//! The Redis client against real servers: what each verb gives, what it refuses, and what it leaves untouched.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests may fail as tests do")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use paramedic::clients::redis::{self, Field, Redis as Client, Reply, Settings};
use paramedic::domain::{
    CallError, CallLimits, ChangeBounds, DenialReason, Diagnosis, Grant, Operation, Secret, Severity, System, Target,
};
use paramedic::policy::{Grants, Op, Permit, decide};
use paramedic_tests::process::{Server, StopSignal, temporary_directory};
use paramedic_tests::redis::Redis;
use paramedic_tests::{ports, wait};

fn client(url: &str) -> Client {
    Client::new("cache".parse().unwrap(), Settings::new(Secret::new(url))).unwrap()
}

fn permit<O: Op>(keys: &[&str]) -> Permit<O> {
    let grant = Grant {
        target: Target { system: System::Redis, name: "cache".parse().unwrap() },
        operations: Operation::of_system(System::Redis).collect(),
        keys: keys.iter().map(|key| key.parse().unwrap()).collect(),
        paths: vec![],
        resources: vec![],
        changes: ChangeBounds::default(),
    };
    decide::<O>(&Grants::new("probe".parse().unwrap(), vec![grant]), "cache").unwrap()
}

fn limits() -> CallLimits {
    CallLimits { deadline: Instant::now() + Duration::from_secs(30), answer_bytes: 1 << 20 }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

async fn read(client: &Client, keys: &str, line: &str) -> Result<Reply, CallError> {
    client.read(&permit(&[keys]), &limits(), &words(line)).await
}

fn remote_code(error: &CallError) -> &str {
    let CallError::Remote(remote) = error else { panic!("{error:?}") };
    &remote.code
}

#[tokio::test]
async fn a_ping_takes_less_than_a_second_and_tells_refusals_apart() {
    let server = Redis::shared().unwrap();
    let reader = server.reader("*").unwrap();
    let trip = client(&reader).ping(&permit(&[]), &limits()).await.unwrap();
    assert!(trip > 0.0 && trip < 1.0, "{trip}");

    let wrong = format!("redis://nobody:guess@127.0.0.1:{}", server.port());
    let error = client(&wrong).ping(&permit(&[]), &limits()).await.unwrap_err();
    assert_eq!(remote_code(&error), "WRONGPASS");
    let nobody = format!("redis://127.0.0.1:{}", server.port());
    let error = client(&nobody).ping(&permit(&[]), &limits()).await.unwrap_err();
    assert_eq!(remote_code(&error), "NOAUTH");
    let free = format!("redis://127.0.0.1:{}", ports::free().unwrap());
    let error = client(&free).ping(&permit(&[]), &limits()).await.unwrap_err();
    assert_eq!(error, CallError::Unavailable("the server refuses connections".to_owned()));
}

#[tokio::test]
async fn a_server_stuck_in_a_script_is_busy_and_a_paused_one_times_out() {
    let server = Redis::start(&["--busy-reply-threshold", "50"]).unwrap();
    let client = client(&server.reader("*").unwrap());
    client.ping(&permit(&[]), &limits()).await.unwrap();

    let url = server.admin_url();
    let script = std::thread::spawn(move || {
        let mut connection = ::redis::Client::open(url).unwrap().get_connection().unwrap();
        ::redis::cmd("EVAL").arg("while true do end").arg(0).query::<()>(&mut connection).unwrap_err()
    });
    let error =
        wait::until_async("the server to be busy", async || Ok(client.ping(&permit(&[]), &limits()).await.err()))
            .await
            .unwrap();
    let CallError::Remote(remote) = &error else { panic!("{error:?}") };
    assert_eq!((remote.code.as_str(), remote.retryable), ("BUSY", true));
    server.command::<()>(&["SCRIPT", "KILL"]).unwrap();
    script.join().unwrap();

    server.command::<()>(&["CLIENT", "PAUSE", "60000", "ALL"]).unwrap();
    let started = Instant::now();
    let limits = CallLimits { deadline: Instant::now() + Duration::from_millis(300), answer_bytes: 1024 };
    let error = client.ping(&permit(&[]), &limits).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut(_)), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn each_section_of_info_has_figures_and_no_addresses() {
    let primary = Redis::start(&[]).unwrap();
    let port = primary.port().to_string();
    let url = primary.admin_url();
    let password = url.split(['@', ':']).nth(2).unwrap();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port, "--masteruser", "admin", "--masterauth", password]);
    let replica = replica.unwrap();
    let (at_primary, at_replica) = (client(&primary.reader("*").unwrap()), client(&replica.reader("*").unwrap()));
    let role = async |client: &Client, name: &str| -> Option<String> {
        let fields = client.info(&permit(&[]), &limits(), "replication").await.unwrap();
        fields.into_iter().find(|field| field.name == name).map(|field| field.value)
    };
    let state = wait::until_async("the replica to be online", async || {
        Ok(role(&at_primary, "slave0").await.filter(|state| state.contains("state=online")))
    })
    .await
    .unwrap();
    assert!(state.contains("lag=") && !state.contains("ip=") && !state.contains("port="), "{state}");
    assert_eq!(role(&at_replica, "role").await.as_deref(), Some("slave"));
    assert_eq!(role(&at_replica, "master_host").await, None);

    primary.command::<()>(&["SET", "a", "1"]).unwrap();
    // The replica has it a little later.
    wait::until_async("the key to reach the replica", async || {
        let keyspace = at_replica.info(&permit(&[]), &limits(), "keyspace").await.unwrap();
        Ok((!keyspace.is_empty()).then_some(()))
    })
    .await
    .unwrap();
    let directory = primary.command::<Vec<String>>(&["CONFIG", "GET", "dir"]).unwrap().remove(1);
    let sections = ["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "commandstats"];
    for section in sections.into_iter().chain(["latencystats", "errorstats", "cluster", "keyspace"]) {
        // An error that others made, so that its section is not empty.
        at_primary.read(&permit(&["*"]), &limits(), &words("LLEN a")).await.unwrap_err();
        for client in [&at_primary, &at_replica] {
            let fields: Vec<Field> = client.info(&permit(&[]), &limits(), section).await.unwrap();
            assert!(!fields.is_empty() || section == "errorstats", "{section}");
            for Field { name, value } in fields {
                for hidden in ["127.0.0.1", port.as_str(), directory.as_str(), "redis-server"] {
                    assert!(!value.contains(hidden), "{section}: {name} is {value}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_walk_finds_every_granted_key_and_no_other() {
    let server = Redis::start(&[]).unwrap();
    let mut connection = server.connect().unwrap();
    let mut pipeline = ::redis::pipe();
    for number in 0..3_000 {
        pipeline.set(format!("cache:{number}"), "x").set(format!("session:{number}"), "x");
    }
    pipeline.set(b"cache:\xff", "x");
    pipeline.exec(&mut connection).unwrap();
    let client = client(&server.reader("*").unwrap());
    let (mut found, mut mark, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let page = client.scan(&permit(&["cache:*"]), &limits(), "*", mark.as_deref(), 500).await.unwrap();
        found.extend(page.keys);
        pages += 1;
        mark = page.next;
        if mark.is_none() {
            break;
        }
    }
    assert!(pages > 1);
    assert_eq!(found, (0..3_000).map(|number| format!("cache:{number}")).collect());

    let page = client.scan(&permit(&["cache:*"]), &limits(), "session:*", None, 1_000).await.unwrap();
    assert!(page.keys.is_empty());
}

#[tokio::test]
async fn one_call_of_a_walk_does_bounded_work() {
    let server = Redis::start(&[]).unwrap();
    let fill = "for i = 1, 30000 do redis.call('SET', 'k:' .. i, 'x') end";
    server.command::<()>(&["EVAL", fill, "0"]).unwrap();
    server.command::<()>(&["CONFIG", "RESETSTAT"]).unwrap();
    let client = client(&server.reader("*").unwrap());
    let page = client.scan(&permit(&["*"]), &limits(), "nothing:*", None, u32::MAX).await.unwrap();
    assert!(page.keys.is_empty());
    let mark = page.next.expect("a walk over 30000 keys does not end in one call");
    let stats: String = server.command(&["INFO", "commandstats"]).unwrap();
    assert!(stats.contains("cmdstat_scan:calls=10,"), "{stats}");

    for (pattern, mark) in [("other:*", mark.as_str()), ("nothing:*", "17"), ("nothing:*", "17.000000000000")] {
        let error = client.scan(&permit(&["*"]), &limits(), pattern, Some(mark), 10).await.unwrap_err();
        assert!(matches!(error, CallError::Invalid(_)), "{error:?}");
    }
    let small = CallLimits { answer_bytes: 200, ..limits() };
    let error = client.scan(&permit(&["*"]), &small, "*", None, 1_000).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge(_)), "{error:?}");
    let page = client.scan(&permit(&["*"]), &small, "*", None, 10).await.unwrap();
    assert!(!page.keys.is_empty());
}

#[tokio::test]
async fn usage_measures_existing_granted_keys_in_one_round_trip() {
    let server = Redis::start(&[]).unwrap();
    server.command::<()>(&["SET", "cache:text", &"x".repeat(10_000), "EX", "600"]).unwrap();
    server.command::<()>(&["HSET", "cache:hash", "f", "v"]).unwrap();
    let client = client(&server.reader("cache:*").unwrap());
    let keys = ["cache:text", "cache:gone", "cache:hash"].map(str::to_owned);
    let usages = client.usage(&permit(&["cache:*"]), &limits(), &keys).await.unwrap();
    let [text, hash] = usages.as_slice() else { panic!("{usages:?}") };
    assert_eq!((text.key.as_str(), text.type_name.as_str()), ("cache:text", "string"));
    assert!(text.bytes > 10_000 && text.bytes < 20_000, "{text:?}");
    assert!(text.ttl.is_some_and(|ttl| ttl > 590.0 && ttl <= 600.0), "{text:?}");
    assert_eq!((hash.key.as_str(), hash.type_name.as_str(), hash.ttl), ("cache:hash", "hash", None));

    let error = client.usage(&permit(&["cache:*"]), &limits(), &["session:1".to_owned()]).await.unwrap_err();
    let CallError::Denied(denial) = error else { panic!("{error:?}") };
    assert_eq!((denial.operation.as_str(), denial.reason), ("redis/usage", DenialReason::OutOfBounds));
    let many = vec!["cache:text".to_owned(); 1_001];
    assert!(matches!(client.usage(&permit(&["*"]), &limits(), &many).await, Err(CallError::Invalid(_))));
    assert_eq!(client.usage(&permit(&["*"]), &limits(), &[]).await, Ok(vec![]));
    // The server's own fence stands when the grant is wider than the login's rights.
    let error = client.usage(&permit(&["*"]), &limits(), &["session:1".to_owned()]).await.unwrap_err();
    assert_eq!(remote_code(&error), "NOPERM");
}

#[tokio::test]
async fn the_slow_log_tells_commands_and_hides_what_they_carried() {
    let server = Redis::start(&["--slowlog-log-slower-than", "0"]).unwrap();
    let client = client(&server.reader("*").unwrap());
    for command in [
        &["SET", "session:9f86d081884c7d659a2feaa0c55ad015", "dear Jane"][..],
        &["CONFIG", "SET", "masterauth", "hunter2"],
        &["ACL", "SETUSER", "bob", ">hunter2"],
        &["EVAL", "return 'hunter2'", "0"],
        &["PUBLISH", "news", "hunter2"],
    ] {
        server.command::<::redis::Value>(command).unwrap();
    }
    let entries = client.slow_log(&permit(&[]), &limits(), 1_000).await.unwrap();
    let shown: Vec<String> = entries.iter().map(|entry| entry.command.join(" ")).collect();
    assert!(shown.contains(&"SET session:<hex> … 1 more".to_owned()), "{shown:?}");
    assert!(shown.iter().any(|line| line.starts_with("EVAL … ")), "{shown:?}");
    for hidden in ["hunter2", "Jane", "9f86", "127.0.0.1", "masterauth"] {
        assert!(!shown.iter().any(|line| line.contains(hidden)), "{hidden} in {shown:?}");
    }
    assert!(entries.iter().all(|entry| entry.duration < 1.0 && entry.age < 60.0));
    assert_eq!(client.slow_log(&permit(&[]), &limits(), 2).await.unwrap().len(), 2);
}

fn planted() -> Redis {
    let server = Redis::start(&[]).unwrap();
    for command in [
        "SET k:string hello",
        "SET k:number 9007199254740993",
        "HSET k:hash f v g w",
        "RPUSH k:list a b c",
        "SADD k:set a",
        "ZADD k:zset 1 a 2.5 b",
        "XADD k:stream 1-1 f v",
        "XADD k:stream 2-1 f w",
        "XGROUP CREATE k:stream group 0",
        "XGROUP CREATECONSUMER k:stream group consumer",
        "EXPIRE k:set 600",
    ] {
        let command: Vec<&str> = command.split(' ').collect();
        server.command::<::redis::Value>(&command).unwrap();
    }
    server
}

fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

fn nested(json: &str) -> Reply {
    Reply::Nested(json.to_owned())
}

#[tokio::test]
async fn every_listed_command_passes_the_servers_own_judgement() {
    let server = planted();
    let client = client(&server.reader("k:*").unwrap());
    let exact: Vec<(&str, Reply)> = vec![
        ("EXISTS k:string k:gone", Reply::Integer(1)),
        ("TYPE k:hash", text("hash")),
        ("TTL k:string", Reply::Integer(-1)),
        ("PTTL k:gone", Reply::Integer(-2)),
        ("EXPIRETIME k:string", Reply::Integer(-1)),
        ("PEXPIRETIME k:string", Reply::Integer(-1)),
        ("OBJECT ENCODING k:string", text("embstr")),
        ("OBJECT REFCOUNT k:string", Reply::Integer(1)),
        ("GET k:string", text("hello")),
        ("get k:gone", Reply::Nil),
        ("MGET k:string k:gone", nested(r#"["hello",null]"#)),
        ("GETRANGE k:string 1 3", text("ell")),
        ("STRLEN k:string", Reply::Integer(5)),
        ("GETBIT k:string 1", Reply::Integer(1)),
        ("BITCOUNT k:string", Reply::Integer(21)),
        ("BITCOUNT k:string 0 0", Reply::Integer(3)),
        ("HGET k:hash f", text("v")),
        ("HMGET k:hash f nope", nested(r#"["v",null]"#)),
        ("HGETALL k:hash", nested(r#"{"f":"v","g":"w"}"#)),
        ("HGETALL k:gone", nested("{}")),
        ("HKEYS k:hash", nested(r#"["f","g"]"#)),
        ("HVALS k:hash", nested(r#"["v","w"]"#)),
        ("HLEN k:hash", Reply::Integer(2)),
        ("HEXISTS k:hash f", Reply::Integer(1)),
        ("HSTRLEN k:hash f", Reply::Integer(1)),
        ("HSCAN k:hash 0 MATCH f COUNT 100", nested(r#"["0",["f","v"]]"#)),
        ("LLEN k:list", Reply::Integer(3)),
        ("LINDEX k:list -1", text("c")),
        ("LRANGE k:list 0 -1", nested(r#"["a","b","c"]"#)),
        ("SCARD k:set", Reply::Integer(1)),
        ("SISMEMBER k:set a", Reply::Integer(1)),
        ("SMISMEMBER k:set a b", nested("[1,0]")),
        ("SMEMBERS k:set", nested(r#"["a"]"#)),
        ("SSCAN k:set 0", nested(r#"["0",["a"]]"#)),
        ("SRANDMEMBER k:set", text("a")),
        ("SRANDMEMBER k:set -2", nested(r#"["a","a"]"#)),
        ("ZCARD k:zset", Reply::Integer(2)),
        ("ZCOUNT k:zset -inf (2", Reply::Integer(1)),
        ("ZLEXCOUNT k:zset - +", Reply::Integer(2)),
        ("ZSCORE k:zset b", text("2.5")),
        ("ZMSCORE k:zset a nope", nested("[1.0,null]")),
        ("ZRANK k:zset b", Reply::Integer(1)),
        ("ZREVRANK k:zset b", Reply::Integer(0)),
        ("ZRANGE k:zset 0 -1 WITHSCORES", nested(r#"[["a",1.0],["b",2.5]]"#)),
        ("ZRANGE k:zset 2 9 BYSCORE", nested(r#"["b"]"#)),
        ("ZREVRANGE k:zset 0 0", nested(r#"["b"]"#)),
        ("ZRANGEBYSCORE k:zset -inf +inf WITHSCORES", nested(r#"[["a",1.0],["b",2.5]]"#)),
        ("ZREVRANGEBYSCORE k:zset +inf -inf LIMIT 0 1", nested(r#"["b"]"#)),
        ("ZRANGEBYLEX k:zset - +", nested(r#"["a","b"]"#)),
        ("ZREVRANGEBYLEX k:zset + - LIMIT 1 5", nested(r#"["a"]"#)),
        ("ZSCAN k:zset 0", nested(r#"["0",["a","1","b","2.5"]]"#)),
        ("XLEN k:stream", Reply::Integer(2)),
        ("XRANGE k:stream - +", nested(r#"[["1-1",["f","v"]],["2-1",["f","w"]]]"#)),
        ("XREVRANGE k:stream + - COUNT 1", nested(r#"[["2-1",["f","w"]]]"#)),
        ("XPENDING k:stream group", nested("[0,null,null,null]")),
        ("GET k:number", text("9007199254740993")),
    ];
    let mut seen = BTreeSet::new();
    for (line, expected) in &exact {
        assert_eq!(read(&client, "k:*", line).await.as_ref(), Ok(expected), "{line}");
        seen.insert(listed_name(line));
    }
    let holding = [
        ("OBJECT IDLETIME k:string", Some("")),
        ("OBJECT FREQ k:string", None),
        ("MEMORY USAGE k:string SAMPLES 5", Some("")),
        ("HRANDFIELD k:hash 1 WITHVALUES", Some("[[")),
        ("HRANDFIELD k:hash", Some("")),
        ("ZRANDMEMBER k:zset 2 WITHSCORES", Some("2.5")),
        ("XINFO STREAM k:stream", Some("\"length\":2")),
        ("XINFO GROUPS k:stream", Some("\"name\":\"group\"")),
        ("XINFO CONSUMERS k:stream group", Some("\"name\":\"consumer\"")),
        ("DBSIZE", Some("")),
        ("TIME", Some("[")),
    ];
    for (line, part) in holding {
        match (read(&client, "k:*", line).await, part) {
            (Ok(reply), Some(part)) => {
                assert!(format!("{reply:?}").replace('\\', "").contains(part), "{line}: {reply:?}")
            }
            // The policy of this server keeps no frequencies, which it says in an error of its own.
            (Err(error), None) => assert_eq!(remote_code(&error), "ERR", "{line}"),
            (outcome, _) => panic!("{line}: {outcome:?}"),
        }
        seen.insert(listed_name(line));
    }
    let admin = self::client(&server.admin_url());
    for line in ["LASTSAVE", "MEMORY STATS"] {
        assert!(read(&admin, "k:*", line).await.is_ok(), "{line}");
        seen.insert(listed_name(line));
    }
    let listed: BTreeSet<&str> = redis::readable_commands().collect();
    assert_eq!(seen, listed);
}

fn listed_name(line: &str) -> &'static str {
    let line = line.to_uppercase() + " ";
    redis::readable_commands().find(|name| line.starts_with(&format!("{name} "))).unwrap()
}

#[tokio::test]
async fn what_is_not_a_read_is_refused_even_with_all_rights_and_changes_nothing() {
    let server = planted();
    let client = client(&server.admin_url());
    server.command::<()>(&["CONFIG", "RESETSTAT"]).unwrap();
    let hostile: &[&[&str]] = &[
        &["EVAL", "return redis.call('DEL', 'k:string')", "0"],
        &["EVAL_RO", "return 1", "0"],
        &["FCALL", "f", "0"],
        &["SORT", "k:list", "BY", "nosort", "GET", "secret:*"],
        &["SORT", "k:list", "STORE", "k:other"],
        &["SORT_RO", "k:list"],
        &["MIGRATE", "127.0.0.1", "6379", "k:string", "0", "100"],
        &["XREAD", "BLOCK", "0", "STREAMS", "k:stream", "$"],
        &["XREADGROUP", "GROUP", "group", "consumer", "STREAMS", "k:stream", ">"],
        &["OBJECT", "HELP"],
        &["object|encoding", "k:string"],
        &["MEMORY|USAGE", "k:string"],
        &["MEMORY", "DOCTOR"],
        &["MEMORY", "PURGE"],
        &["GET\0", "k:string"],
        &["GET\r\nFLUSHALL", "k:string"],
        &["GET", "k:string\r\nFLUSHALL", "x"],
        &["KEYS", "*"],
        &["DEBUG", "SLEEP", "5"],
        &["COMMAND", "GETKEYS", "GET", "k:string"],
        &["COMMAND", "GETKEYSANDFLAGS", "GET", "k:string"],
        &["LCS", "k:string", "k:number"],
        &["GETEX", "k:string", "PERSIST"],
        &["GETDEL", "k:string"],
        &["GETSET", "k:string", "x"],
        &["SUBSCRIBE", "channel"],
        &["CLIENT", "REPLY", "OFF"],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["CONFIG", "SET", "maxmemory", "1"],
        &["AUTH", "admin", "x"],
        &["HELLO", "2"],
        &["RESET"],
        &["QUIT"],
        &["SELECT", "1"],
        &["MULTI"],
        &["FLUSHALL"],
        &["PFCOUNT", "k:string"],
        &["TOUCH", "k:string"],
        &["ZRANGE", "k:zset", "0", "-1", "STORE", "k:other"],
        &["ZRANGESTORE", "k:other", "k:zset", "0", "-1"],
        &["SPOP", "k:set"],
        &["DUMP", "k:string"],
        &["SHUTDOWN", "NOSAVE"],
    ];
    for command in hostile {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let error = client.read(&permit(&["*"]), &limits(), &command).await.unwrap_err();
        assert!(matches!(error, CallError::Invalid(_)), "{command:?}: {error:?}");
    }
    // Nothing of it reached the server: only the administrator's look at the statistics did.
    let stats: String = server.command(&["INFO", "commandstats"]).unwrap();
    let ran: Vec<&str> = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next()).collect();
    assert!(ran.iter().all(|name| ["auth", "info", "config|resetstat", "client|setinfo"].contains(name)), "{ran:?}");
}

#[tokio::test]
async fn a_key_outside_the_grant_is_denied_before_the_server_hears_of_it() {
    let server = planted();
    let client = client(&server.admin_url());
    server.command::<()>(&["SET", "secret", "hunter2"]).unwrap();
    for line in ["GET secret", "MGET k:string secret", "EXISTS secret", "OBJECT ENCODING secret", "MEMORY USAGE secret"]
    {
        let error = read(&client, "k:*", line).await.unwrap_err();
        let CallError::Denied(denial) = &error else { panic!("{line}: {error:?}") };
        assert_eq!(denial.reason, DenialReason::OutOfBounds, "{line}");
        assert!(denial.message.contains("`k:*`") && denial.message.contains("`secret`"), "{}", denial.message);
    }
    // Patterns are not keys: a glob sign in a key stands for itself.
    assert_eq!(read(&client, "k:*", "GET k:strin[g]").await, Ok(Reply::Nil));
    let no_keys = client.read(&permit(&[]), &limits(), &words("GET k:string")).await;
    assert!(matches!(no_keys, Err(CallError::Denied(_))), "{no_keys:?}");
    let dbsize = client.read(&permit(&[]), &limits(), &words("DBSIZE")).await;
    assert!(matches!(dbsize, Ok(Reply::Integer(_))), "{dbsize:?}");
}

#[tokio::test]
async fn large_answers_are_refused_before_the_server_makes_them() {
    let server = Redis::start(&[]).unwrap();
    let fill = "
        redis.call('SET', 'string', string.rep('x', 8000000))
        redis.call('HSET', 'fat', 'field', string.rep('x', 8000000), 'slim', 'x')
        for i = 1, 20000 do
            redis.call('RPUSH', 'list', i) redis.call('HSET', 'hash', i, i) redis.call('SADD', 'set', 'm' .. i)
            redis.call('ZADD', 'zset', i, i) redis.call('XADD', 'stream', i .. '-1', 'f', i)
        end
        for i = 1, 100 do redis.call('RPUSH', 'heavy', string.rep('x', 100000)) end";
    server.command::<()>(&["EVAL", fill, "0"]).unwrap();
    server.command::<()>(&["CONFIG", "RESETSTAT"]).unwrap();
    let client = client(&server.reader("*").unwrap());
    for line in [
        "GET string",
        "MGET list string",
        "HGET fat field",
        "HMGET fat slim field",
        "HGETALL fat",
        "HGETALL hash",
        "HKEYS hash",
        "SMEMBERS set",
        "LRANGE list 0 -1",
        "LRANGE list 0 1000",
        "LRANGE heavy 0 99",
        "ZRANGE zset 0 -1",
        "XRANGE stream - +",
        "ZRANGEBYSCORE zset -inf +inf",
        "ZRANGE zset 0 30000 BYSCORE",
    ] {
        let error = read(&client, "*", line).await.unwrap_err();
        assert!(matches!(error, CallError::TooLarge(_)), "{line}: {error:?}");
    }
    for line in [
        "HGET fat slim",
        "LRANGE list 0 999",
        "LRANGE list -1000 -1",
        "LRANGE heavy 0 1",
        "XRANGE stream - + COUNT 1000",
        "ZRANGEBYSCORE zset 5 1004",
        "STRLEN string",
        "GETRANGE string 0 65535",
        "HSCAN hash 0 COUNT 1000",
    ] {
        read(&client, "*", line).await.unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let stats: String = server.command(&["INFO", "commandstats"]).unwrap();
    for never in ["cmdstat_hgetall", "cmdstat_smembers", "cmdstat_hkeys", "cmdstat_get:"] {
        assert!(!stats.contains(never), "{never} ran");
    }
    let traffic: String = server.command(&["INFO", "stats"]).unwrap();
    let sent: u64 =
        traffic.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:")).unwrap().parse().unwrap();
    assert!(sent < 1_000_000, "{sent} bytes for answers that were refused or small");

    let tiny = CallLimits { answer_bytes: 100, ..limits() };
    let error = client.read(&permit(&["*"]), &tiny, &words("LRANGE list 0 99")).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge(_)), "{error:?}");
}

#[tokio::test]
async fn errors_of_the_server_keep_their_code_and_lose_its_particulars() {
    let server = planted();
    let reader = server.reader("k:*").unwrap();
    let user = reader.strip_prefix("redis://").unwrap().split(':').next().unwrap();
    let client = client(&reader);
    for (line, code) in [
        ("LLEN k:string", "WRONGTYPE"),
        ("LRANGE k:hash 0 -1", "WRONGTYPE"),
        ("GET other", "NOPERM"),
        ("LASTSAVE", "NOPERM"),
        ("XINFO STREAM k:gone", "ERR"),
    ] {
        let error = read(&client, "*", line).await.unwrap_err();
        assert_eq!(remote_code(&error), code, "{line}: {error}");
        assert!(!error.to_string().contains(user) && !error.to_string().contains("127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_tell_keys_gets_no_command() {
    let server = planted();
    let rules = "~* +@read -command +ping";
    let client = client(&server.user(rules).unwrap());
    let error = read(&client, "*", "GET k:string").await.unwrap_err();
    assert_eq!(remote_code(&error), "NOPERM");
    assert!(error.to_string().contains("command|getkeysandflags"), "{error}");
}

/// A server at a fixed port that can be stopped and started again.
fn start_at(port: u16) -> Server {
    let directory = temporary_directory("redis").unwrap();
    let command = ["redis-server", "--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"];
    let mut command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    command.push(directory.path().display().to_string());
    Server::start(directory, &command, StopSignal::Terminate, is_ready).unwrap()
}

fn is_ready(directory: &Path) -> bool {
    std::fs::read_to_string(directory.join("log")).is_ok_and(|log| log.contains("Ready to accept connections"))
}

#[tokio::test]
async fn a_server_that_was_restarted_between_two_calls_is_found_again() {
    let port = ports::free().unwrap();
    let client = client(&format!("redis://127.0.0.1:{port}"));
    let first = start_at(port);
    client.ping(&permit(&[]), &limits()).await.unwrap();
    drop(first);
    let error = client.ping(&permit(&[]), &limits()).await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable(_)), "{error:?}");
    let second = start_at(port);
    client.ping(&permit(&[]), &limits()).await.unwrap();
    // Restarted while a connection is kept: the call after it does not notice.
    drop(second);
    let _third = start_at(port);
    client.ping(&permit(&[]), &limits()).await.unwrap();
}

#[tokio::test]
async fn calls_share_few_connections_and_do_not_mix_their_answers() {
    let server = planted();
    for number in 0..50 {
        server.command::<()>(&["SET", &format!("n:{number}"), &number.to_string()]).unwrap();
    }
    let client = std::sync::Arc::new(client(&server.reader("*").unwrap()));
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let client = std::sync::Arc::clone(&client);
            tokio::spawn(async move { read(&client, "*", &format!("GET n:{number}")).await })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), Ok(text(&number.to_string())));
    }
    let clients: String = server.command(&["CLIENT", "LIST"]).unwrap();
    let ours = clients.lines().filter(|line| line.contains(" name=paramedic ")).count();
    assert!((1..=4).contains(&ours), "{clients}");
}

fn find<'a>(lines: &'a [Diagnosis], severity: Severity, part: &str) -> &'a Diagnosis {
    let line = lines.iter().find(|line| line.severity == severity && line.message.contains(part));
    line.unwrap_or_else(|| panic!("no {severity:?} with {part:?} in {lines:#?}"))
}

#[tokio::test]
async fn a_login_made_by_the_documented_line_is_found_well() {
    let server = Redis::start(&[]).unwrap();
    let rules = redis::user_rules();
    let (_, rules) = rules.split_once(">PASSWORD ").unwrap();
    let url = server.user(&rules.replace("PREFIX", "cache")).unwrap();
    let lines = client(&url).diagnose().await;
    assert!(lines.iter().all(|line| line.severity == Severity::Ok && line.remedy.is_none()), "{lines:#?}");
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].subject, "redis/cache");
    find(&lines, Severity::Ok, "connected to Redis 7");
}

#[test]
fn the_page_for_operators_has_the_line_and_every_command() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/redis.md")).unwrap();
    assert!(page.contains(&redis::user_rules()), "the page lacks: {}", redis::user_rules());
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for name in redis::readable_commands() {
        assert!(page.contains(&format!("`{name}`")), "the page lacks {name}");
    }
}

#[tokio::test]
async fn the_doctor_names_what_is_missing_and_what_is_too_much() {
    let server = Redis::start(&[]).unwrap();
    let few = server.user("~* +@read -@dangerous +ping").unwrap();
    let lines = client(&few).diagnose().await;
    let line = find(&lines, Severity::Warning, "may not run");
    for name in ["info", "slowlog|get", "command|getkeysandflags"] {
        assert!(line.message.contains(name), "{line:?}");
        assert!(line.remedy.as_ref().unwrap().contains(&format!("+{name}")), "{line:?}");
    }

    let digest = |server: &Redis| server.command::<String>(&["INFO", "keyspace"]).unwrap();
    let before = digest(&server);
    let lines = client(&server.admin_url()).diagnose().await;
    let line = find(&lines, Severity::Warning, "the login may write and delete keys, run scripts");
    assert!(line.message.contains("see the configuration") && line.message.contains("administer users"));
    assert_eq!(digest(&server), before);
    let stats: String = server.command(&["INFO", "commandstats"]).unwrap();
    for never in ["unlink", "eval", "keys", "acl|users", "config|get"] {
        assert!(!stats.contains(&format!("cmdstat_{never}:calls")), "{never} ran: {stats}");
    }

    // A login with rights to change other keys than the probe's is caught as well.
    let writer = server.user("~cache:* +@all -@dangerous").unwrap();
    find(&client(&writer).diagnose().await, Severity::Warning, "write and delete keys");
}

#[tokio::test]
async fn the_doctor_says_why_there_is_no_connection() {
    let server = Redis::start(&[]).unwrap();
    let wrong = format!("redis://nobody:guess@127.0.0.1:{}", server.port());
    let lines = client(&wrong).diagnose().await;
    let line = find(&lines, Severity::Error, "WRONGPASS");
    assert!(line.remedy.as_ref().unwrap().contains("ACL SETUSER"), "{line:?}");
    let nobody = format!("redis://127.0.0.1:{}", server.port());
    find(&client(&nobody).diagnose().await, Severity::Error, "NOAUTH");
    let free = format!("redis://127.0.0.1:{}", ports::free().unwrap());
    let lines = client(&free).diagnose().await;
    let line = find(&lines, Severity::Error, "refuses connections");
    assert!(line.remedy.as_ref().unwrap().contains("host, port and scheme"), "{line:?}");
}

#[tokio::test]
async fn the_doctor_warns_of_an_open_default_user() {
    let port = ports::free().unwrap();
    let _server = start_at(port);
    let lines = client(&format!("redis://127.0.0.1:{port}")).diagnose().await;
    find(&lines, Severity::Warning, "the login is `default`");
    let line = find(&lines, Severity::Warning, "without a password");
    assert_eq!(line.remedy.as_deref(), Some("ACL SETUSER default off"));
}

/// Certificate, key and authority in one: enough for a server that a client trusts by name.
fn certificate(directory: &Path) -> String {
    let run = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    std::fs::read_to_string(directory.join("cert.pem")).unwrap()
}

#[tokio::test]
async fn tls_is_used_and_only_a_trusted_server_is_talked_to() {
    let port = ports::free().unwrap();
    let directory = temporary_directory("redis").unwrap();
    let authority = certificate(directory.path());
    let (files, tls) = (directory.path().to_owned(), port.to_string());
    let file = |name: &str| files.join(name).display().to_string();
    let command = ["redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", &tls, "--save", ""];
    let mut command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    command.extend(["--tls-auth-clients", "no", "--tls-cert-file"].map(str::to_owned));
    command.extend([file("cert.pem"), "--tls-key-file".to_owned(), file("key.pem")]);
    command.extend(["--tls-ca-cert-file".to_owned(), file("cert.pem")]);
    let _server = Server::start(directory, &command, StopSignal::Terminate, is_ready).unwrap();

    let url = format!("rediss://localhost:{port}");
    let trusting = Settings { authorities: Some(authority), ..Settings::new(Secret::new(url.as_str())) };
    let trusting = Client::new("cache".parse().unwrap(), trusting).unwrap();
    trusting.ping(&permit(&[]), &limits()).await.unwrap();
    let error = client(&url).ping(&permit(&[]), &limits()).await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable(_)), "{error:?}");
    // Without TLS the same port gives nothing.
    let plain = client(&format!("redis://localhost:{port}")).ping(&permit(&[]), &limits()).await.unwrap_err();
    assert!(matches!(plain, CallError::Unavailable(_) | CallError::TimedOut(_)), "{plain:?}");
}
