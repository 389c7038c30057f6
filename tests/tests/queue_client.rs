//! The queue client against the real libraries: the same figures as theirs, read without leaving a trace.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests may fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use paramedic::clients::queue::{self, JobState, Library, Overview, Queue, Settings};
use paramedic::clients::redis;
use paramedic::domain::{
    CallError, CallLimits, ChangeBounds, Diagnosis, Grant, Operation, Secret, Severity, System, Target,
};
use paramedic::policy::{Grants, Op, Permit, decide};
use paramedic_tests::bullmq::{Bullmq, Job, Version};
use paramedic_tests::redis::Redis;

fn library(version: Version) -> Library {
    let major = u8::try_from(version.major()).unwrap();
    if version.is_bull() { Library::Bull(major) } else { Library::BullMq(major) }
}

fn client(url: &str, name: &str, library: Library) -> Queue {
    let server = redis::Settings::new(Secret::new(url));
    let settings = Settings { server, prefix: "bull".to_owned(), name: name.to_owned(), library };
    Queue::new("email".parse().unwrap(), settings).unwrap()
}

fn permit<O: Op>() -> Permit<O> {
    let grant = Grant {
        target: Target { system: System::Queue, name: "email".parse().unwrap() },
        operations: Operation::of_system(System::Queue).collect(),
        keys: vec![],
        paths: vec![],
        resources: vec![],
        changes: ChangeBounds::default(),
    };
    decide::<O>(&Grants::new("probe".parse().unwrap(), vec![grant]), "email").unwrap()
}

fn limits() -> CallLimits {
    CallLimits { deadline: Instant::now() + Duration::from_secs(30), answer_bytes: 1 << 20 }
}

/// A login with only the rights that the documented line gives.
fn login(server: &Redis, name: &str) -> String {
    let rules = queue::user_rules();
    let (_, rules) = rules.split_once(">PASSWORD ").unwrap();
    server.user(&rules.replace("PREFIX:NAME", &format!("bull:{name}"))).unwrap()
}

/// A queue opened by its library, and the client that looks at it with least rights.
fn open(server: &Redis, version: Version, name: &str) -> (Bullmq, Queue) {
    let bullmq = Bullmq::start(version, &server.admin_url(), "bull", name).unwrap();
    (bullmq, client(&login(server, name), name, library(version)))
}

fn named(version: Version, what: &str) -> String {
    format!("{what}-{}{}", if version.is_bull() { "bull" } else { "v" }, version.major())
}

async fn inspect(queue: &Queue) -> Overview {
    queue.inspect(&permit(), &limits()).await.unwrap()
}

/// Our counts by the libraries' names of the states.
fn counts(overview: &Overview) -> BTreeMap<String, u64> {
    let name = |state: JobState| match state {
        JobState::Waiting => "waiting",
        JobState::Prioritized => "prioritized",
        JobState::Active => "active",
        JobState::Delayed => "delayed",
        JobState::Failed => "failed",
        JobState::Completed => "completed",
        JobState::WaitingChildren => "waiting-children",
        JobState::Paused => "paused",
    };
    overview.counts.iter().map(|count| (name(count.state).to_owned(), count.count)).collect()
}

async fn assert_agreement(bullmq: &Bullmq, queue: &Queue, when: &str) -> BTreeMap<String, u64> {
    // Ours first: counting changes the queue in some versions of the library.
    let ours = inspect(queue).await;
    let theirs = bullmq.counts().unwrap();
    assert_eq!(counts(&ours), theirs, "{:?} {when}", bullmq.version());
    assert_eq!(ours.paused, bullmq.is_paused().unwrap(), "{:?} {when}", bullmq.version());
    assert_eq!((ours.version, ours.bull), (bullmq.version().major(), bullmq.version().is_bull()));
    theirs
}

#[tokio::test]
async fn counts_are_those_of_each_library_with_every_state_filled_paused_and_not() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let (bullmq, queue) = open(server, version, &named(version, "counts"));
        assert_agreement_of_nothing(&bullmq, &queue).await;
        bullmq.populate_every_state().unwrap();
        let running = assert_agreement(&bullmq, &queue, "running").await;
        for (state, count) in Bullmq::POPULATED {
            assert!(!running.contains_key(state) || running[state] == count, "{version:?} {state}: {running:?}");
        }

        bullmq.pause().unwrap();
        bullmq.add(&[Job::named("late"), Job::named("later")]).unwrap();
        let paused = assert_agreement(&bullmq, &queue, "paused").await;
        let (full, empty) = if version.moves_paused_jobs() { ("paused", "waiting") } else { ("waiting", "paused") };
        assert_eq!((paused[full], paused.get(empty).copied().unwrap_or(0)), (8, 0), "{version:?}");
        let filled = paused.iter().filter(|(state, count)| **count == 0 && *state != empty).count();
        assert_eq!(filled, 0, "{version:?}: {paused:?}");

        bullmq.resume().unwrap();
        assert_agreement(&bullmq, &queue, "resumed").await;
        bullmq.obliterate().unwrap();
    }
}

/// Bull writes nothing when it opens a queue, so for Bull the queue is not there yet.
async fn assert_agreement_of_nothing(bullmq: &Bullmq, queue: &Queue) {
    if bullmq.version().is_bull() {
        let error = queue.inspect(&permit(), &limits()).await.unwrap_err();
        assert!(matches!(error, CallError::NotFound(_)), "{error:?}");
    } else {
        assert_agreement(bullmq, queue, "empty").await;
    }
}

#[tokio::test]
async fn a_marker_in_a_list_is_counted_as_its_library_counts_it() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let name = named(version, "marker");
        let (bullmq, queue) = open(server, version, &name);
        // Versions 3 and 4 leave a marker for their workers when the first delayed job comes to an idle queue.
        bullmq.add(&[Job::named("later").delayed(Duration::from_secs(3600))]).unwrap();
        let length: u64 = server.command(&["LLEN", &format!("bull:{name}:wait")]).unwrap();
        assert_eq!(length, u64::from(matches!(version, Version::V3 | Version::V4)), "{version:?}");
        assert_agreement(&bullmq, &queue, "marker alone").await;
        assert_eq!(inspect(&queue).await.oldest_waiting, None, "{version:?}");
        // And one behind jobs, as in a queue that was upgraded.
        bullmq.add(&[Job::named("now").aged(Duration::from_secs(60))]).unwrap();
        server.command::<()>(&["RPUSH", &format!("bull:{name}:wait"), "0:1700000000000"]).unwrap();
        let age = inspect(&queue).await.oldest_waiting;
        if !version.is_bull() {
            assert!(age.is_some_and(|age| (60.0..90.0).contains(&age)), "{version:?}: {age:?}");
        }
        assert_agreement(&bullmq, &queue, "marker behind a job").await;
    }
}

#[tokio::test]
async fn looking_leaves_no_trace_and_reads_no_payload() {
    let settings = ["--enable-debug-command", "yes", "--slowlog-log-slower-than", "0", "--slowlog-max-len", "10000"];
    for version in Version::ALL {
        let server = Redis::start(&settings).unwrap();
        let (bullmq, queue) = open(&server, version, "email");
        bullmq.work(1).unwrap();
        bullmq.add(&[Job::named("bill").failing("550 mailbox unavailable")]).unwrap();
        bullmq.until("failed", 1).unwrap();
        bullmq.pause().unwrap();
        bullmq.add(&[Job::named("bill"), Job::named("later").delayed(Duration::from_secs(3600))]).unwrap();
        drop(bullmq);
        server.command::<i64>(&["DEL", "bull:email:stalled-check"]).unwrap();
        let digest = || server.command::<String>(&["DEBUG", "DIGEST"]).unwrap();
        let before = digest();
        server.command::<()>(&["SLOWLOG", "RESET"]).unwrap();

        inspect(&queue).await;
        queue.list_failures(&permit(), &limits(), 100).await.unwrap();

        let log: Vec<(u64, u64, u64, Vec<String>, String, String)> = server.command(&["SLOWLOG", "GET", "-1"]).unwrap();
        let ours = log.iter().filter(|entry| entry.5 == "paramedic").map(|entry| &entry.3);
        let words: BTreeSet<&str> = ours.flatten().map(String::as_str).collect();
        assert!(words.contains("HMGET") && words.contains("failedReason"), "{words:?}");
        for never in ["data", "HGETALL", "EVAL", "EVALSHA", "stacktrace", "returnvalue"] {
            assert!(!words.contains(never), "{version:?} asked for {never}");
        }
        assert_eq!(digest(), before, "{version:?}");
    }
}

#[tokio::test]
async fn the_age_of_the_next_job_is_told_wherever_it_waits() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let (bullmq, queue) = open(server, version, &named(version, "age"));
        let about = |age: Option<f64>, expected: f64| age.is_some_and(|age| (expected..expected + 30.0).contains(&age));
        if version.has_prioritized() {
            bullmq.add(&[Job::named("slow").prioritized(9).aged(Duration::from_secs(9_000))]).unwrap();
            bullmq.add(&[Job::named("fast").prioritized(1).aged(Duration::from_secs(1_000))]).unwrap();
            let age = inspect(&queue).await.oldest_waiting;
            assert!(about(age, 1_000.0), "{version:?}: {age:?}");
        }
        bullmq.add(&[Job::named("first").aged(Duration::from_secs(3_600)), Job::named("second")]).unwrap();
        let age = inspect(&queue).await.oldest_waiting;
        assert!(about(age, 3_600.0), "{version:?}: {age:?}");
        bullmq.pause().unwrap();
        let overview = inspect(&queue).await;
        assert!(overview.paused && about(overview.oldest_waiting, 3_600.0), "{version:?}: {overview:?}");
    }
}

#[tokio::test]
async fn a_delayed_job_that_nobody_promotes_is_overdue() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let (bullmq, queue) = open(server, version, &named(version, "overdue"));
        let minute = Duration::from_secs(60);
        bullmq.add(&[Job::named("later").delayed(60 * minute)]).unwrap();
        assert_eq!(inspect(&queue).await.overdue, None, "{version:?}");
        bullmq.add(&[Job::named("late").aged(11 * minute).delayed(minute)]).unwrap();
        let overdue = inspect(&queue).await.overdue;
        assert!(overdue.is_some_and(|overdue| (600.0..630.0).contains(&overdue)), "{version:?}: {overdue:?}");
    }
}

#[tokio::test]
async fn workers_are_counted_and_jobs_without_a_lock_are_stalled() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let name = named(version, "workers");
        let (bullmq, queue) = open(server, version, &name);
        let ids = bullmq.add(&[Job::named("a").hanging(), Job::named("b").hanging()]).unwrap();
        assert_eq!(inspect(&queue).await.workers, Some(0), "{version:?}");
        bullmq.work(2).unwrap();
        bullmq.until("active", 2).unwrap();
        let overview = inspect(&queue).await;
        assert_eq!((overview.workers, overview.stalled), (Some(1), 0), "{version:?}");
        server.command::<i64>(&["DEL", &format!("bull:{name}:{}:lock", ids[0])]).unwrap();
        assert_eq!(inspect(&queue).await.stalled, 1, "{version:?}");
    }
}

#[tokio::test]
async fn a_login_that_may_not_list_clients_leaves_the_workers_open() {
    let server = Redis::shared().unwrap();
    let bullmq = Bullmq::start(Version::V5, &server.admin_url(), "bull", "blind").unwrap();
    bullmq.add(&[Job::named("a")]).unwrap();
    let rules = queue::user_rules();
    let rules = rules.split_once(">PASSWORD ").unwrap().1.replace("PREFIX:NAME", "bull:blind");
    let url = server.user(&rules.replace("+client|list", "")).unwrap();
    let overview = inspect(&client(&url, "blind", Library::BullMq(5))).await;
    assert_eq!((overview.workers, counts(&overview)["waiting"]), (None, 1));
}

#[tokio::test]
async fn a_rate_limit_shows_when_it_is_reached() {
    let server = Redis::shared().unwrap();
    let (_bullmq, queue) = open(server, Version::V5, "limited");
    let set = |value: &str| server.command::<()>(&["SET", "bull:limited:limiter", value, "PX", "60000"]).unwrap();
    set("5");
    assert_eq!(inspect(&queue).await.rate_limited, None);
    server.command::<i64>(&["HSET", "bull:limited:meta", "max", "5", "duration", "60000"]).unwrap();
    let wait = inspect(&queue).await.rate_limited;
    assert!(wait.is_some_and(|wait| wait > 50.0 && wait <= 60.0), "{wait:?}");
    set("4");
    assert_eq!(inspect(&queue).await.rate_limited, None);
    server.command::<i64>(&["HDEL", "bull:limited:meta", "max"]).unwrap();
    set("9007199254740991");
    assert!(inspect(&queue).await.rate_limited.is_some());
}

#[tokio::test]
async fn a_queue_of_another_version_is_an_error_that_names_both() {
    let server = Redis::shared().unwrap();
    for (opened, says) in [
        (Version::V5, Library::BullMq(6)),
        (Version::V6, Library::BullMq(5)),
        (Version::V3, Library::BullMq(4)),
        (Version::V4, Library::Bull(4)),
    ] {
        let name = named(opened, "mismatch");
        let _bullmq = Bullmq::start(opened, &server.admin_url(), "bull", &name).unwrap();
        let queue = client(&login(server, &name), &name, says);
        for error in [
            queue.inspect(&permit(), &limits()).await.unwrap_err(),
            queue.list_failures(&permit(), &limits(), 10).await.unwrap_err(),
        ] {
            let CallError::Remote(error) = error else { panic!("{error:?}") };
            assert_eq!((error.system, error.code.as_str()), ("queue", "VERSION_MISMATCH"));
            let opened = format!("BullMQ {}.", opened.major());
            assert!(error.message.contains(&opened) && error.message.contains(&says.to_string()), "{}", error.message);
        }
    }
    let bull = Bullmq::start(Version::Bull4, &server.admin_url(), "bull", "mismatch-bull").unwrap();
    bull.add(&[Job::named("a")]).unwrap();
    bull.pause().unwrap();
    let queue = client(&login(server, "mismatch-bull"), "mismatch-bull", Library::BullMq(5));
    let error = queue.inspect(&permit(), &limits()).await.unwrap_err();
    assert!(error.to_string().contains("paused by Bull 4"), "{error}");
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_not_an_empty_queue() {
    let server = Redis::start(&[]).unwrap();
    let queue = client(&login(&server, "emial"), "emial", Library::BullMq(6));
    for error in [
        queue.inspect(&permit(), &limits()).await.unwrap_err(),
        queue.list_failures(&permit(), &limits(), 10).await.unwrap_err(),
    ] {
        let CallError::NotFound(text) = error else { panic!("{error:?}") };
        for explanation in ["bull:emial", "mistyped", "another prefix", "Postgres"] {
            assert!(text.contains(explanation), "{text}");
        }
    }
    assert_eq!(server.command::<u64>(&["DBSIZE"]).unwrap(), 0);
}

#[tokio::test]
async fn failed_jobs_are_grouped_by_name_and_masked_reason() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let (bullmq, queue) = open(server, version, &named(version, "failures"));
        bullmq.work(1).unwrap();
        let bill = |to: &str| Job::named("bill").failing(&format!("550 5.1.1 <{to}> mailbox unavailable"));
        bullmq
            .add(&[
                bill("jane@example.com"),
                bill("joe@example.org").option("attempts", serde_json::json!(3)),
                Job::named("welcome").failing("connect ECONNREFUSED 10.1.2.3:25"),
                bill("mary@example.net"),
                Job::named("welcome").failing("\u{1b}[2J\u{202e}password=hunter2 rejected"),
            ])
            .unwrap();
        bullmq.until("failed", 5).unwrap();
        let failures = queue.list_failures(&permit(), &limits(), 1_000).await.unwrap();
        assert_eq!((failures.examined, failures.total), (5, 5), "{version:?}");
        let told: BTreeMap<_, _> = failures
            .groups
            .iter()
            .map(|group| (group.reason.as_str(), (group.job_name.as_str(), group.count)))
            .collect();
        let expected = BTreeMap::from([
            ("<n> <n> <<email>> mailbox unavailable", ("bill", 3)),
            ("connect ECONNREFUSED <ip>", ("welcome", 1)),
            ("password=<secret> rejected", ("welcome", 1)),
        ]);
        assert_eq!(told, expected, "{version:?}");
        let bills = &failures.groups[0];
        assert_eq!(bills.max_attempts, 3, "{version:?}: {bills:?}");
        assert!(bills.oldest <= bills.newest && bills.newest > 1_600_000_000_000, "{bills:?}");
        let shown = format!("{failures:?}");
        for hidden in ["jane", "example", "10.1.2.3", "hunter2", "\\u{1b}", "\\u{202e}"] {
            assert!(!shown.contains(hidden), "{version:?}: {hidden} in {shown}");
        }

        let newest = queue.list_failures(&permit(), &limits(), 1).await.unwrap();
        assert_eq!((newest.examined, newest.total, newest.groups.len()), (1, 5, 1), "{version:?}");
    }
}

#[tokio::test]
async fn thousands_of_failures_and_megabytes_of_reasons_stay_within_bounds() {
    let server = Redis::start(&["--slowlog-log-slower-than", "20000"]).unwrap();
    let bullmq = Bullmq::start(Version::V6, &server.admin_url(), "bull", "flood").unwrap();
    let fill = "
        local long = string.rep('<p>x</p>', 131072)
        for i = 1, 6000 do
            local reason = 'job ' .. i .. ' could not reach 10.0.0.' .. (i % 256)
            if i % 100 == 0 then reason = long end
            redis.call('HSET', 'bull:flood:' .. i, 'name', 'send', 'failedReason', reason, 'atm', i % 7)
            redis.call('ZADD', 'bull:flood:failed', 1700000000000 + i, i)
        end
        redis.call('DEL', 'bull:flood:5999')";
    server.command::<()>(&["EVAL", fill, "0"]).unwrap();
    let queue = client(&login(&server, "flood"), "flood", Library::BullMq(6));
    let failures = queue.list_failures(&permit(), &limits(), u32::MAX).await.unwrap();
    assert_eq!((failures.examined, failures.total), (4_999, 6_000));
    let [short, long] = failures.groups.as_slice() else { panic!("{:?}", failures.groups) };
    assert_eq!((short.reason.as_str(), short.count), ("job <n> could not reach <ip>", 4_949));
    assert_eq!((long.reason.as_str(), long.count, long.newest_id.as_str()), ("(too long to be read)", 50, "6000"));
    assert_eq!((short.newest, long.newest, short.max_attempts), (1_700_000_005_998, 1_700_000_006_000, 6));

    let nobody = queue.list_failures(&permit(), &limits(), 0).await;
    assert!(matches!(nobody, Err(CallError::Invalid(_))), "{nobody:?}");
    let tiny = CallLimits { answer_bytes: 300, ..limits() };
    assert_eq!(queue.list_failures(&permit(), &tiny, 5_000).await.unwrap().groups.len(), 1);
    drop(bullmq);
}

#[tokio::test]
async fn identifiers_and_names_from_outside_are_made_presentable() {
    let server = Redis::shared().unwrap();
    let (bullmq, queue) = open(server, Version::V5, "hostile");
    bullmq.work(1).unwrap();
    let id = serde_json::json!("evil\u{1b}[31m\u{202e}id");
    bullmq.add(&[Job::named("na\u{7}me\r\n\u{1b}]0;title\u{7}").failing("boom").option("jobId", id)]).unwrap();
    bullmq.until("failed", 1).unwrap();
    let failures = queue.list_failures(&permit(), &limits(), 10).await.unwrap();
    let group = &failures.groups[0];
    assert_eq!((group.job_name.as_str(), group.newest_id.as_str(), group.reason.as_str()), ("na me", "evilid", "boom"));
}

fn find<'a>(lines: &'a [Diagnosis], severity: Severity, part: &str) -> &'a Diagnosis {
    let line = lines.iter().find(|line| line.severity == severity && line.message.contains(part));
    line.unwrap_or_else(|| panic!("no {severity:?} with {part:?} in {lines:#?}"))
}

#[tokio::test]
async fn the_doctor_finds_a_good_queue_well() {
    let server = Redis::shared().unwrap();
    let (bullmq, queue) = open(server, Version::V5, "well");
    bullmq.add(&[Job::named("a"), Job::named("b")]).unwrap();
    let lines = queue.diagnose().await;
    assert!(lines.iter().all(|line| line.severity == Severity::Ok), "{lines:#?}");
    find(&lines, Severity::Ok, "bull:well of BullMQ 5 has 2 jobs");
    assert_eq!(lines[0].subject, "queue/email");
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong_with_a_queue_and_its_cure() {
    let server = Redis::start(&["--maxmemory-policy", "allkeys-lru"]).unwrap();
    let (bullmq, _) = open(&server, Version::V6, "email");
    bullmq.add(&[Job::named("a")]).unwrap();
    server.command::<i64>(&["LPUSH", "bull:email:paused", "7", "8"]).unwrap();
    let admin = server.admin_url();
    let lines = client(&admin, "email", Library::BullMq(6)).diagnose().await;
    find(&lines, Severity::Warning, "its policy is allkeys-lru");
    find(&lines, Severity::Warning, "2 jobs are in the list of an older version's pause");
    find(&lines, Severity::Warning, "the login may list all keys at once");

    find(&client(&admin, "email", Library::BullMq(5)).diagnose().await, Severity::Error, "BullMQ 6.");
    find(&client(&admin, "emial", Library::BullMq(6)).diagnose().await, Severity::Error, "mistyped");

    let few = server.user("~bull:email:* +@read -hstrlen +time").unwrap();
    let lines = client(&few, "email", Library::BullMq(6)).diagnose().await;
    let line = find(&lines, Severity::Warning, "may not run");
    assert!(line.message.contains("client|list") && line.remedy.as_ref().unwrap().contains("+hstrlen"), "{line:?}");
    let elsewhere = login(&server, "other");
    let lines = client(&elsewhere, "email", Library::BullMq(6)).diagnose().await;
    let line = find(&lines, Severity::Error, "may not access that key");
    assert!(line.remedy.as_ref().unwrap().contains("~bull:email:*"), "{line:?}");
}

#[test]
fn the_page_for_operators_has_the_line() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/queues.md")).unwrap();
    assert!(page.contains(&queue::user_rules()), "the page lacks: {}", queue::user_rules());
}

#[test]
fn settings_that_cannot_be_right_are_refused() {
    let with = |url: &str, prefix: &str, name: &str, library: Library| {
        let server = redis::Settings::new(Secret::new(url));
        let settings = Settings { server, prefix: prefix.to_owned(), name: name.to_owned(), library };
        Queue::new("email".parse().unwrap(), settings)
    };
    assert!(with("redis://h", "bull", "email", Library::BullMq(6)).is_ok());
    for (url, prefix, name, library) in [
        ("http://h", "bull", "email", Library::BullMq(6)),
        ("redis://h", "", "email", Library::BullMq(6)),
        ("redis://h", "bull", "", Library::BullMq(6)),
        ("redis://h", "bull", "email", Library::BullMq(7)),
        ("redis://h", "bull", "email", Library::Bull(3)),
    ] {
        assert!(with(url, prefix, name, library).is_err(), "{url} {prefix} {name} {library}");
    }
}
