use super::*;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn sent(line: &str) -> String {
    let request = parse(&words(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
    let sent = request.command.words().iter().map(|word| String::from_utf8_lossy(word).into_owned());
    sent.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_list_is_in_the_servers_spelling_and_without_doubles() {
    let mut names: Vec<&str> = LIST.iter().map(|spec| spec.name).collect();
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ')));
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    // A command with subcommands must not also be on the list by itself.
    for name in &names {
        let container = name.split(' ').next().unwrap();
        assert!(!name.contains(' ') || !names.contains(&container), "{name}");
    }
}

#[test]
fn listed_commands_pass_with_their_keys() {
    let table: &[(&str, &[&str])] = &[
        ("GET a", &["a"]),
        ("get a", &["a"]),
        ("MGET a b c", &["a", "b", "c"]),
        ("EXISTS a a", &["a", "a"]),
        ("object Encoding a", &["a"]),
        ("MEMORY USAGE a SAMPLES 5", &["a"]),
        ("HMGET a f g", &["a"]),
        ("ZRANGE a 0 -1 WITHSCORES", &["a"]),
        ("XINFO CONSUMERS a g", &["a"]),
        ("DBSIZE", &[]),
        ("MEMORY STATS", &[]),
    ];
    for (line, keys) in table {
        assert_eq!(parse(&words(line)).unwrap().keys, *keys, "{line}");
    }
}

#[test]
fn what_is_not_listed_is_refused_whatever_its_spelling() {
    for line in [
        "SET a b",
        "DEL a",
        "EVAL return 0",
        "EVAL_RO return 0",
        "EVALSHA x 0",
        "FCALL f 0",
        "FCALL_RO f 0",
        "SORT a",
        "SORT_RO a",
        "MIGRATE h 1 a 0 1",
        "RESTORE a 0 x",
        "DUMP a",
        "XREAD BLOCK 0 STREAMS a $",
        "XREADGROUP GROUP g c STREAMS a >",
        "OBJECT HELP",
        "OBJECT",
        "OBJECT|ENCODING a",
        "object|help",
        "MEMORY|USAGE a",
        "MEMORY DOCTOR",
        "MEMORY PURGE",
        "MEMORY MALLOC-STATS",
        "KEYS *",
        "SCAN 0",
        "RANDOMKEY",
        "DEBUG OBJECT a",
        "COMMAND GETKEYS GET a",
        "COMMAND",
        "COMMAND COUNT",
        "LCS a b",
        "GETEX a",
        "GETEX a PERSIST",
        "GETDEL a",
        "GETSET a b",
        "PFCOUNT a",
        "TOUCH a",
        "SUBSCRIBE c",
        "PSUBSCRIBE c",
        "SSUBSCRIBE c",
        "CLIENT LIST",
        "CLIENT NO-TOUCH ON",
        "CLIENT REPLY OFF",
        "CONFIG GET *",
        "ACL LIST",
        "AUTH a b",
        "HELLO 3",
        "RESET",
        "QUIT",
        "SELECT 1",
        "MULTI",
        "EXEC",
        "WATCH a",
        "FLUSHDB",
        "FLUSHALL",
        "SWAPDB 0 1",
        "SHUTDOWN",
        "MONITOR",
        "PSYNC ? -1",
        "REPLICAOF NO ONE",
        "CLUSTER NODES",
        "ROLE",
        "WAIT 0 0",
        "BLPOP a 0",
        "SPOP a",
        "SINTER a b",
        "SUNION a b",
        "ZINTER 1 a",
        "ZUNION 1 a",
        "GEORADIUS_RO a 0 0 1 m",
        "GEOSEARCH a",
        "INFO",
        "PING",
        "ECHO a",
        "MODULE LIST",
        "FUNCTION LIST",
        "SCRIPT EXISTS x",
        "LATENCY DOCTOR",
        "BITFIELD a GET u8 0",
        "BITFIELD_RO a GET u8 0",
        "LPOS a b",
        "PUBSUB CHANNELS",
        "XAUTOCLAIM a g c 0 0",
        "",
    ] {
        let error = parse(&words(line)).unwrap_err();
        assert!(
            matches!(&error, CallError::Invalid(text) if text.contains("whatever the grant says")),
            "{line}: {error}"
        );
    }
    assert!(parse(&[]).is_err());
}

#[test]
fn hostile_spellings_do_not_pass_for_a_listed_command() {
    let table: &[&[&str]] = &[
        &["GET\0", "a"],
        &["GET\r\nFLUSHALL\r\n", "a"],
        &["GET a"],
        &[" GET", "a"],
        &["GET ", "a"],
        &["", "GET", "a"],
        &["ＧＥＴ", "a"],
        &["OBJECT ENCODING", "a"],
        &["OBJECT", "ENCODING a"],
        &["OBJECT", "ENCODING\0", "a"],
        &["MEMORY", "", "USAGE", "a"],
        &["GE\u{200b}T", "a"],
    ];
    for command in table {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        assert!(matches!(parse(&command), Err(CallError::Invalid(_))), "{command:?}");
    }
}

#[test]
fn wrong_numbers_of_arguments_and_unknown_options_are_refused() {
    for line in [
        "GET",
        "GET a b",
        "MGET",
        "TTL a b",
        "DBSIZE a",
        "TIME now",
        "STRLEN",
        "HGET a",
        "HGET a b c",
        "HMGET a",
        "HGETALL a b",
        "LINDEX a",
        "LINDEX a x",
        "LRANGE a 0",
        "LRANGE a 0 -1 2",
        "LRANGE a 0 1.5",
        "LRANGE a 0x1 2",
        "LRANGE a +1 2",
        "GETRANGE a 0",
        "GETRANGE a 0 -1",
        "GETRANGE a 0 65536",
        "GETRANGE a -5 -1",
        "MEMORY USAGE a SAMPLES 0",
        "MEMORY USAGE a SAMPLES 1000",
        "MEMORY USAGE a SAMPLES",
        "MEMORY USAGE",
        "MEMORY STATS a",
        "BITCOUNT a 0",
        "BITCOUNT a 0 1 2",
        "HSCAN a",
        "HSCAN a x",
        "HSCAN a -1",
        "HSCAN a 0 COUNT 1001",
        "HSCAN a 0 COUNT 0x10",
        "HSCAN a 0 COUNT 5 COUNT 5",
        "HSCAN a 0 MATCH",
        "HSCAN a 0 MATCH *a*b*c*d*",
        "HSCAN a 0 NOVALUES",
        "SRANDMEMBER a 1001",
        "SRANDMEMBER a -1001",
        "SRANDMEMBER a 1 2",
        "SRANDMEMBER a -9223372036854775808",
        "ZRANGE a 0 -1 LIMIT 0 5",
        "ZRANGE a x y",
        "ZRANGE a 0 1 BYSCORE LIMIT 0 -1",
        "ZRANGE a 0 1 BYSCORE LIMIT 0",
        "ZRANGE a 0 1 WITHSCORES WITHSCORES",
        "ZRANGE a 0 1 STORE b",
        "ZRANGEBYSCORE a 0 1 LIMIT 100001 1",
        "ZRANGEBYSCORE a 0 1 LIMIT 0 1001",
        "XRANGE a - + COUNT 1001",
        "XRANGE a - + COUNT -1",
        "XRANGE a - + BLOCK 0",
        "XINFO STREAM a FULL",
        "XINFO STREAM",
        "XINFO GROUPS a b",
        "XPENDING a g - + 10",
        "OBJECT ENCODING",
        "OBJECT ENCODING a b",
        "TYPE",
    ] {
        let error = parse(&words(line)).unwrap_err();
        assert!(matches!(&error, CallError::Invalid(text) if !text.contains("whatever")), "{line}: {error}");
    }
}

#[test]
fn an_absent_limit_is_added_and_one_more_than_allowed_shows_the_excess() {
    let table = [
        ("XRANGE a - +", "XRANGE a - + COUNT 1001", true),
        ("XREVRANGE a + - COUNT 5", "XREVRANGE a + - COUNT 5", false),
        ("ZRANGEBYSCORE a -inf +inf WITHSCORES", "ZRANGEBYSCORE a -inf +inf WITHSCORES LIMIT 0 1001", true),
        ("ZRANGEBYLEX a - + LIMIT 5 10", "ZRANGEBYLEX a - + LIMIT 5 10", false),
        ("ZRANGE a 0 5 BYSCORE", "ZRANGE a 0 5 BYSCORE LIMIT 0 1001", true),
        ("zrange a 5 0 byscore rev limit 0 9", "ZRANGE a 5 0 byscore rev limit 0 9", false),
        ("ZRANGE a 0 5", "ZRANGE a 0 5", false),
        ("HSCAN a 0", "HSCAN a 0", false),
    ];
    for (line, expected, capped) in table {
        assert_eq!(sent(line), expected);
        assert_eq!(parse(&words(line)).unwrap().is_capped, capped, "{line}");
    }
}

#[test]
fn what_could_be_large_is_measured_first() {
    let size = |line: &str| parse(&words(line)).unwrap().size;
    assert_eq!(size("GET a"), Estimate::Whole);
    assert_eq!(size("HGETALL a"), Estimate::WholeOf("HLEN"));
    assert_eq!(size("HMGET a f g"), Estimate::Fields(vec!["f".to_owned(), "g".to_owned()]));
    assert_eq!(size("LRANGE a -5 -1"), Estimate::Part("LLEN", Span::Indexes(-5, -1)));
    assert_eq!(size("ZRANGE a 0 5 BYSCORE"), Estimate::Part("ZCARD", Span::AtMost(ELEMENTS)));
    assert_eq!(size("SRANDMEMBER a -20"), Estimate::Part("SCARD", Span::AtMost(20)));
    assert_eq!(size("SRANDMEMBER a"), Estimate::Part("SCARD", Span::AtMost(1)));
    assert_eq!(size("SSCAN a 0"), Estimate::Part("SCARD", Span::AtMost(10)));
    assert_eq!(size("BITCOUNT a"), Estimate::Work);
    assert_eq!(size("LLEN a"), Estimate::Small);
}

#[test]
fn a_span_counts_as_the_server_does() {
    let table = [
        (0, -1, 10, 10),
        (0, 0, 10, 1),
        (-3, -1, 10, 3),
        (5, 2, 10, 0),
        (-100, 100, 10, 10),
        (20, 30, 10, 0),
        (0, -11, 10, 0),
        (0, -1, 0, 0),
        (i64::MIN, i64::MAX, 10, 10),
    ];
    for (first, last, length, expected) in table {
        assert_eq!(Span::Indexes(first, last).of(length), expected, "{first} {last} of {length}");
    }
}

#[test]
fn a_huge_command_is_refused_unread() {
    let many: Vec<String> = std::iter::once("MGET").chain(std::iter::repeat_n("k", 128)).map(str::to_owned).collect();
    assert!(parse(&many).is_err());
    assert!(parse(&["GET".to_owned(), "k".repeat(BYTES)]).is_err());
}

proptest::proptest! {
    #[test]
    fn no_command_that_passes_begins_with_an_unlisted_word(words in proptest::collection::vec("[A-Za-z0-9|\\x00\\r\\n ]{0,10}", 0..5)) {
        if let Ok(request) = parse(&words) {
            let first = String::from_utf8(request.command.words()[0].clone()).unwrap();
            proptest::prop_assert!(LIST.iter().any(|spec| spec.name.split(' ').next() == Some(first.as_str())));
        }
    }
}
