//! Changing queues, against the real libraries: pause, resume, clean and retry do what each version does itself, and no
//! more than was planned.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests may fail as tests do")]

#[path = "queue_changes/load.rs"]
mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use paramedic::clients::queue::{self, JobSelection, Library, Queue, Settings};
use paramedic::clients::redis;
use paramedic::domain::{
    CallError, CallLimits, ChangeBounds, ChangeCall, Done, Grant, Operation, Preview, Secret, System, Target, Undo,
};
use paramedic::journal::{Change, Halt, Performed, Settled};
use paramedic::policy::{Grants, Op, Permit, decide};
use paramedic_tests::bullmq::{Bullmq, Job, Version};
use paramedic_tests::proxy::{Fault, Proxy};
use paramedic_tests::redis::Redis;
use paramedic_tests::wait;

fn library(version: Version) -> Library {
    let major = u8::try_from(version.major()).unwrap();
    if version.is_bull() { Library::Bull(major) } else { Library::BullMq(major) }
}

fn client(url: &str, name: &str, library: Library) -> Arc<Queue> {
    let server = redis::Settings::new(Secret::new(url));
    let settings = Settings { server, prefix: "bull".to_owned(), name: name.to_owned(), library };
    Arc::new(Queue::new("email".parse().unwrap(), settings).unwrap())
}

fn permit<O: Op>() -> Permit<O> {
    aged_permit(Duration::ZERO)
}

fn aged_permit<O: Op>(min_age: Duration) -> Permit<O> {
    let grant = Grant {
        target: Target { system: System::Queue, name: "email".parse().unwrap() },
        operations: Operation::of_system(System::Queue).collect(),
        keys: vec![],
        paths: vec![],
        resources: vec![],
        changes: ChangeBounds { per_run: 100_000, per_hour: 100_000, min_age, ..ChangeBounds::default() },
    };
    decide::<O>(&Grants::new("probe".parse().unwrap(), vec![grant]), "email").unwrap()
}

fn limits() -> CallLimits {
    CallLimits { deadline: Instant::now() + Duration::from_secs(30), answer_bytes: 1 << 20 }
}

/// A login with only the rights that the documented line for changing gives.
fn login(server: &Redis, name: &str) -> String {
    let rules = queue::acting_rules();
    let (_, rules) = rules.split_once(">PASSWORD ").unwrap();
    server.user(&rules.replace("PREFIX:NAME", &format!("bull:{name}"))).unwrap()
}

fn open(server: &Redis, version: Version, name: &str) -> (Bullmq, Arc<Queue>) {
    let bullmq = Bullmq::start(version, &server.admin_url(), "bull", name).unwrap();
    (bullmq, client(&login(server, name), name, library(version)))
}

fn named(version: Version, what: &str) -> String {
    format!("{what}-{}{}", if version.is_bull() { "bull" } else { "v" }, version.major())
}

fn pause(queue: &Arc<Queue>) -> Arc<dyn Change> {
    queue.pause(permit()).unwrap()
}

fn resume(queue: &Arc<Queue>) -> Arc<dyn Change> {
    queue.resume(permit()).unwrap()
}

/// Preview and perform; the change must be needed and be done.
async fn apply(change: &Arc<dyn Change>) -> (Preview, Done) {
    let preview = change.preview(&limits()).await.unwrap();
    assert!(preview.is_needed(), "{preview:?}");
    let performed = change.perform(&preview, &limits(), &Halt::default()).await;
    let Performed::Done(done) = performed else { panic!("{performed:?}") };
    (preview, done)
}

/// All keys below a queue with their whole content. Of the events only their names and fields: times differ.
fn snapshot(server: &Redis, name: &str) -> BTreeMap<String, String> {
    let base = format!("bull:{name}:");
    let keys: Vec<String> = server.command(&["KEYS", &format!("{base}*")]).unwrap();
    let content = |key: &String| {
        let kind: String = server.command(&["TYPE", key]).unwrap();
        let read: Vec<&str> = match kind.as_str() {
            "string" => vec!["GET", key],
            "list" => vec!["LRANGE", key, "0", "-1"],
            "zset" => vec!["ZRANGE", key, "0", "-1", "WITHSCORES"],
            "set" => vec!["SMEMBERS", key],
            "hash" => vec!["HGETALL", key],
            "stream" => return events(server, key),
            other => panic!("{key} is a {other}"),
        };
        format!("{:?}", server.command::<::redis::Value>(&read).unwrap())
    };
    keys.iter().map(|key| (key.trim_start_matches(&base).to_owned(), content(key))).collect()
}

fn events(server: &Redis, key: &str) -> String {
    let entries: Vec<(String, Vec<String>)> = server.command(&["XRANGE", key, "-", "+"]).unwrap();
    format!("{:?}", entries.into_iter().map(|(_, fields)| fields).collect::<Vec<_>>())
}

/// The jobs that a library recorded as done.
fn completed(server: &Redis, name: &str) -> BTreeSet<String> {
    let ids: Vec<String> = server.command(&["ZRANGE", &format!("bull:{name}:completed"), "0", "-1"]).unwrap();
    ids.into_iter().collect()
}

#[tokio::test]
async fn pausing_stops_real_workers_and_resuming_wakes_them_in_every_version() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let name = named(version, "stop");
        let (bullmq, queue) = open(server, version, &name);
        let mut ids: BTreeSet<String> = bullmq.add(&[Job::named("a"), Job::named("b")]).unwrap().into_iter().collect();

        let (preview, done) = apply(&pause(&queue)).await;
        assert_eq!(preview.objects, 1, "{version:?}");
        assert!(matches!(preview.undo, Undo::Possible(_)));
        assert!(preview.summary.contains(&format!("bull:{name} ({})", library(version))), "{}", preview.summary);
        assert!(bullmq.is_paused().unwrap(), "{version:?}");
        // A worker that begins now finds nothing, and what is added meanwhile stays too.
        bullmq.work(2).unwrap();
        ids.extend(bullmq.add(&[Job::named("c"), Job::named("d")]).unwrap());
        let held = if version.moves_paused_jobs() { "paused" } else { "waiting" };
        bullmq.until(held, 4).unwrap();
        let other = Bullmq::start(version, &server.admin_url(), "bull", &named(version, "beside")).unwrap();
        other.work(1).unwrap();
        other.add(&[Job::named("x")]).unwrap();
        other.until("completed", 1).unwrap();
        assert_eq!(completed(server, &name), BTreeSet::new(), "{version:?} worked while paused");

        let inverse = done.inverse.unwrap();
        let back = queue.recorded(&inverse.call).unwrap();
        let (preview, _) = apply(&back).await;
        assert!(inverse.ground.iter().all(|fact| preview.ground.contains(fact)), "{:?}", preview.ground);
        bullmq.until("completed", 4).unwrap();
        assert!(!bullmq.is_paused().unwrap());
        assert_eq!(completed(server, &name), ids, "{version:?}");
        if !version.is_bull() {
            let begun = events(server, &format!("bull:{name}:events")).matches("\"event\", \"active\"").count();
            assert_eq!(begun, ids.len(), "{version:?}: each job begins once");
        }
    }
}

#[tokio::test]
async fn pausing_and_resuming_mix_with_the_librarys_own() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let name = named(version, "mix");
        let (bullmq, queue) = open(server, version, &name);
        let mut ids: BTreeSet<String> = BTreeSet::new();
        let mut add = |count: usize| ids.extend(bullmq.add(&vec![Job::named("a"); count]).unwrap());
        add(3);
        apply(&pause(&queue)).await;
        add(2);
        bullmq.resume().unwrap();
        add(1);
        bullmq.pause().unwrap();
        add(2);
        apply(&resume(&queue)).await;
        add(1);
        bullmq.work(2).unwrap();
        bullmq.until("completed", 9).unwrap();
        assert_eq!(completed(server, &name), ids, "{version:?}");
    }
}

#[tokio::test]
async fn each_key_is_as_the_library_leaves_it() {
    let server = Redis::shared().unwrap();
    let fill = |bullmq: &Bullmq, version: Version| {
        let jobs = ["j1", "j2", "j3"].map(|id| Job::named("a").aged(Duration::ZERO).option("jobId", id.into()));
        bullmq.add(&jobs).unwrap();
        if version.has_prioritized() {
            bullmq.add(&[Job::named("p").prioritized(3).option("jobId", "j4".into())]).unwrap();
        }
    };
    for version in Version::ALL {
        for waiting in [true, false] {
            let names = ["theirs", "ours"].map(|who| named(version, &format!("{who}-{waiting}")));
            let (theirs, _) = open(server, version, &names[0]);
            let (ours, queue) = open(server, version, &names[1]);
            if waiting {
                fill(&theirs, version);
                fill(&ours, version);
            } else {
                // A delayed job alone: what is due next is what a resumed worker has to be told.
                let later = [Job::named("l").delayed(Duration::from_secs(3_600)).option("jobId", "j1".into())];
                theirs.add(&later).unwrap();
                ours.add(&later).unwrap();
            }
            theirs.pause().unwrap();
            apply(&pause(&queue)).await;
            assert_same(server, &names, version);
            theirs.resume().unwrap();
            apply(&resume(&queue)).await;
            assert_same(server, &names, version);
        }
    }
}

/// Both queues alike but for the times at which jobs were made.
fn assert_same(server: &Redis, names: &[String; 2], version: Version) {
    let timeless = |name: &String| -> BTreeMap<String, String> {
        let digits = |text: &str| {
            let mut out = String::new();
            for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
                let number = part.trim_end_matches(|c: char| !c.is_ascii_digit());
                let rest = part.get(number.len()..).unwrap_or_default();
                out.push_str(if number.len() >= 12 { "<time>" } else { number });
                out.push_str(rest);
            }
            out.replace(name.as_str(), "<queue>")
        };
        snapshot(server, name).into_iter().map(|(key, content)| (key, digits(&content))).collect()
    };
    assert_eq!(timeless(&names[0]), timeless(&names[1]), "{version:?}");
}

#[tokio::test]
async fn a_queue_that_is_already_so_needs_nothing_and_a_moved_ground_is_a_conflict() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let (bullmq, queue) = open(server, version, &named(version, "already"));
        bullmq.add(&[Job::named("a")]).unwrap();
        let preview = resume(&queue).preview(&limits()).await.unwrap();
        assert_eq!((preview.objects, preview.differences.len()), (0, 0), "{version:?}");

        let planned = pause(&queue).preview(&limits()).await.unwrap();
        assert_eq!(planned.differences[0].before.as_deref(), Some("false"));
        bullmq.pause().unwrap();
        let before = snapshot(server, &named(version, "already"));
        let performed = pause(&queue).perform(&planned, &limits(), &Halt::default()).await;
        let Performed::Nothing(CallError::Conflict(text)) = performed else { panic!("{version:?}: {performed:?}") };
        assert_eq!(text, "paused was false, is true");
        assert_eq!(snapshot(server, &named(version, "already")), before, "{version:?}");
        assert!(matches!(pause(&queue).settle(&planned, &limits()).await, Settled::Done(_)));
        assert_eq!(resume(&queue).settle(&planned, &limits()).await, Settled::NotDone);
    }
}

#[tokio::test]
async fn jobs_in_two_lists_are_merged_and_none_is_lost() {
    let server = Redis::shared().unwrap();
    for version in [Version::Bull4, Version::V3, Version::V4, Version::V5] {
        let name = named(version, "merge");
        let (bullmq, queue) = open(server, version, &name);
        bullmq.add(&[Job::named("a")]).unwrap();
        let [list, held] = ["wait", "paused"].map(|part| format!("bull:{name}:{part}"));
        let ids = |key: &str| server.command::<Vec<String>>(&["LRANGE", key, "0", "-1"]).unwrap();
        let fill = |key: &str, from: usize| {
            let numbers: Vec<String> = (from..from + 1_200).map(|number| format!("j{number}")).collect();
            let command: Vec<&str> = ["RPUSH", key].into_iter().chain(numbers.iter().map(String::as_str)).collect();
            server.command::<i64>(&command).unwrap();
            numbers
        };
        // What a mix of versions leaves behind: both lists at once.
        let first = ids(&list);
        let newer = fill(&list, 0);
        let older = fill(&held, 5_000);
        let all: Vec<String> = [first, newer, older].concat();
        apply(&pause(&queue)).await;
        assert_eq!((ids(&list).len(), ids(&held)), (0, all.clone()), "{version:?}");
        server.command::<i64>(&["RPUSH", &list, "last"]).unwrap();
        apply(&resume(&queue)).await;
        let expected: Vec<String> = ["last".to_owned()].into_iter().chain(all).collect();
        assert_eq!((ids(&list), ids(&held).len()), (expected, 0), "{version:?}");
    }
}

#[tokio::test]
async fn pausing_works_at_the_memory_limit() {
    for version in Version::ALL {
        let server = Redis::start(&[]).unwrap();
        let (bullmq, queue) = open(&server, version, "full");
        bullmq.add(&[Job::named("a"), Job::named("b")]).unwrap();
        server.command::<()>(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
        let refused = server.command::<()>(&["SET", "x", "1"]).unwrap_err();
        assert!(format!("{refused:#}").contains("OOM") || format!("{refused:?}").contains("OOM"), "{refused:?}");
        // Asking Bull itself takes a transaction, which the server refuses now.
        let is_paused = async || queue.inspect(&permit(), &limits()).await.unwrap().paused;
        apply(&pause(&queue)).await;
        assert!(is_paused().await, "{version:?}");
        apply(&resume(&queue)).await;
        assert!(!is_paused().await, "{version:?}");
        server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
        bullmq.work(1).unwrap();
        bullmq.until("completed", 2).unwrap();
    }
}

#[tokio::test]
async fn a_queue_of_another_version_is_refused_and_not_touched() {
    let server = Redis::shared().unwrap();
    for (opened, says) in [
        (Version::V5, Library::BullMq(6)),
        (Version::V6, Library::BullMq(5)),
        (Version::V3, Library::BullMq(4)),
        (Version::V4, Library::Bull(4)),
    ] {
        let name = named(opened, "foreign");
        let (bullmq, right) = open(server, opened, &name);
        bullmq.add(&[Job::named("a")]).unwrap();
        let queue = client(&login(server, &name), &name, says);
        let planned = pause(&right).preview(&limits()).await.unwrap();
        let before = snapshot(server, &name);
        for change in [pause(&queue), resume(&queue)] {
            let error = change.preview(&limits()).await.unwrap_err();
            let CallError::Conflict(text) = error else { panic!("{error:?}") };
            assert!(text.contains(&says.to_string()), "{text}");
        }
        // A dashboard that came in between is seen in the step itself.
        let performed = pause(&queue).perform(&planned, &limits(), &Halt::default()).await;
        assert!(matches!(performed, Performed::Nothing(CallError::Conflict(_))), "{performed:?}");
        assert_eq!(snapshot(server, &name), before, "{opened:?}");
    }
}

#[tokio::test]
async fn a_mistyped_name_leaves_no_key() {
    let server = Redis::start(&[]).unwrap();
    for library in [Library::Bull(4), Library::BullMq(3), Library::BullMq(5), Library::BullMq(6)] {
        let queue = client(&login(&server, "emial"), "emial", library);
        let planned = Preview {
            summary: String::new(),
            objects: 1,
            differences: vec![],
            ground: vec![],
            scope: r#"{"held":9,"most":9,"until_ms":9999999999999}"#.to_owned(),
            undo: Undo::Impossible(String::new()),
            doubt: None,
            notes: vec![],
        };
        for change in [pause(&queue), resume(&queue)] {
            assert!(matches!(change.preview(&limits()).await, Err(CallError::NotFound(_))));
            let performed = change.perform(&planned, &limits(), &Halt::default()).await;
            assert!(matches!(performed, Performed::Nothing(CallError::NotFound(_))), "{performed:?}");
        }
        assert_eq!(server.command::<u64>(&["DBSIZE"]).unwrap(), 0, "{library}");
    }
}

fn all() -> JobSelection {
    JobSelection { min_age: 0.0, job_name: None, reason: None, limit: 10_000 }
}

fn clean(queue: &Arc<Queue>, selection: JobSelection) -> Arc<dyn Change> {
    queue.clean_failed(permit(), selection).unwrap()
}

fn retry(queue: &Arc<Queue>, selection: JobSelection) -> Arc<dyn Change> {
    queue.retry_failed(permit(), selection).unwrap()
}

fn failed(server: &Redis, name: &str) -> Vec<String> {
    server.command(&["ZRANGE", &format!("bull:{name}:failed"), "0", "-1"]).unwrap()
}

/// Fails so many jobs, one after the other, and answers their ids in the order in which they failed.
fn fail(bullmq: &Bullmq, jobs: &[Job]) -> Vec<String> {
    let before = bullmq.counts().unwrap().get("failed").copied().unwrap_or_default();
    let ids = bullmq.add(jobs).unwrap();
    bullmq.until("failed", before + u64::try_from(jobs.len()).unwrap()).unwrap();
    ids
}

fn bill(to: &str) -> Job {
    Job::named("bill").failing(&format!("550 <{to}> mailbox unavailable"))
}

/// The jobs of a list or set with their times moved to the past, so that the order is known.
fn set_failed_at(server: &Redis, name: &str, id: &str, millis: u64) {
    server.command::<i64>(&["ZADD", &format!("bull:{name}:failed"), &millis.to_string(), id]).unwrap();
}

#[tokio::test]
async fn cleaning_removes_exactly_what_was_selected() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let name = named(version, "clean");
        let (bullmq, queue) = open(server, version, &name);
        bullmq.work(1).unwrap();
        let welcome = Job::named("welcome").failing("connect ECONNREFUSED 10.1.2.3:25");
        let ids = fail(
            &bullmq,
            &[
                bill("a@example.com"),
                welcome.clone(),
                bill("b@example.com"),
                Job::named("bill").failing("boom"),
                welcome,
            ],
        );
        bullmq.add(&[Job::named("fine")]).unwrap();
        bullmq.until("completed", 1).unwrap();
        for (position, id) in ids.iter().enumerate() {
            set_failed_at(server, &name, id, 1_700_000_000_000 + u64::try_from(position).unwrap());
        }

        let old = JobSelection { min_age: 3.0e9, ..all() };
        assert_eq!(clean(&queue, old).preview(&limits()).await.unwrap().objects, 0, "{version:?}");
        let bills = JobSelection {
            job_name: Some("bill".to_owned()),
            reason: Some("<n> <<email>> mailbox unavailable".to_owned()),
            ..all()
        };
        let (preview, done) = apply(&clean(&queue, JobSelection { limit: 1, ..bills.clone() })).await;
        assert_eq!((preview.objects, done.objects, done.incomplete), (1, 1, None), "{version:?}");
        assert_eq!(done.answer.as_deref(), Some("{\"jobs\":1}"));
        assert_eq!(preview.differences[0].after.as_deref(), Some("4"));
        assert!(matches!(preview.undo, Undo::Impossible(_)) && done.inverse.is_none());
        assert_eq!(failed(server, &name), ids[1..], "{version:?}");
        let (_, done) = apply(&clean(&queue, bills)).await;
        assert_eq!(done.objects, 1);
        let left = [ids[1].clone(), ids[3].clone(), ids[4].clone()];
        assert_eq!(failed(server, &name), left, "{version:?}");

        // A plan holds: what fails after it stays, also where it would fit.
        let change = clean(&queue, all());
        let planned = change.preview(&limits()).await.unwrap();
        let later = fail(&bullmq, &[Job::named("welcome").failing("late")]);
        let performed = change.perform(&planned, &limits(), &Halt::default()).await;
        let Performed::Done(done) = performed else { panic!("{performed:?}") };
        assert_eq!((done.objects, done.incomplete), (3, None), "{version:?}");
        assert_eq!(failed(server, &name), later, "{version:?}");
        assert!(matches!(change.settle(&planned, &limits()).await, Settled::Done(done) if done.objects == 3));
        let counts = bullmq.counts().unwrap();
        assert_eq!((counts["failed"], counts["completed"]), (1, 1), "{version:?}");
        let gone: u64 =
            ids.iter().map(|id| server.command::<u64>(&["EXISTS", &format!("bull:{name}:{id}")]).unwrap()).sum();
        assert_eq!(gone, 0);

        let again = queue.recorded(&change.call()).unwrap();
        assert_eq!(again.call(), change.call());
    }
}

#[tokio::test]
async fn retried_jobs_are_worked_and_a_paused_queue_holds_them() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let name = named(version, "retry");
        let (bullmq, queue) = open(server, version, &name);
        bullmq.work(1).unwrap();
        let mut jobs = vec![bill("a@example.com"), bill("b@example.com"), Job::named("other").failing("boom")];
        if version.has_prioritized() {
            jobs.push(bill("c@example.com").prioritized(2));
        }
        let ids = fail(&bullmq, &jobs);
        for id in &ids {
            let job = format!("bull:{name}:{id}");
            server.command::<i64>(&["HSET", &job, "data", r#"{"then":"succeed"}"#]).unwrap();
        }
        bullmq.pause().unwrap();
        let selection = JobSelection { job_name: Some("bill".to_owned()), ..all() };
        let bills = u64::try_from(ids.len() - 1).unwrap();
        let (preview, done) = apply(&retry(&queue, selection)).await;
        assert_eq!((preview.objects, done.objects), (bills, bills), "{version:?}");
        assert!(preview.notes.iter().any(|note| note.contains("paused")), "{:?}", preview.notes);
        assert_eq!(failed(server, &name), [ids[2].clone()], "{version:?}");
        assert_eq!(completed(server, &name), BTreeSet::new());
        bullmq.resume().unwrap();
        bullmq.until("completed", bills).unwrap();
        // Running, a worker is woken at once.
        let (_, done) = apply(&retry(&queue, all())).await;
        assert_eq!(done.objects, 1);
        bullmq.until("completed", bills + 1).unwrap();
        assert_eq!(completed(server, &name), ids.into_iter().collect(), "{version:?}");
    }
}

#[tokio::test]
async fn cleaning_and_retrying_leave_each_key_as_the_library_does() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let names = ["theirs", "ours"].map(|who| named(version, &format!("{who}-jobs")));
        let (theirs, _) = open(server, version, &names[0]);
        let (ours, queue) = open(server, version, &names[1]);
        for bullmq in [&theirs, &ours] {
            // A process of its own works, and is gone before anything is retried.
            let name = if std::ptr::eq(bullmq, &theirs) { &names[0] } else { &names[1] };
            let worker = Bullmq::start(version, &server.admin_url(), "bull", name).unwrap();
            worker.work(1).unwrap();
            for id in ["f1", "f2", "f3", "f4"] {
                let job = Job::named("a").failing("boom").option("jobId", id.into()).option("attempts", 2.into());
                let job = if id == "f4" && version.has_prioritized() { job.prioritized(7) } else { job };
                let job = if id == "f3" { job.option("lifo", true.into()) } else { job };
                fail(bullmq, &[job]);
            }
        }
        // As old as possible, so that both retry in the same order.
        for (name, id) in names.iter().flat_map(|name| ["f1", "f2", "f3", "f4"].map(|id| (name, id))) {
            let at = 1_700_000_000_000 + id.bytes().map(u64::from).sum::<u64>();
            set_failed_at(server, name, id, at);
        }
        theirs.clean_failed(1).unwrap();
        apply(&clean(&queue, JobSelection { limit: 1, ..all() })).await;
        assert_same(server, &names, version);
        for id in ["f2", "f3", "f4"] {
            theirs.retry(id).unwrap();
        }
        apply(&retry(&queue, all())).await;
        assert_same(server, &names, version);
    }
}

/// Many failed jobs, made without a library.
fn flood(server: &Redis, name: &str, jobs: u32) {
    let fill = "
        for i = 1, tonumber(ARGV[2]) do
            redis.call('HSET', ARGV[1] .. i, 'name', 'send', 'timestamp', 1, 'opts', '{}', 'failedReason', 'boom ' .. i)
            redis.call('ZADD', ARGV[1] .. 'failed', 1700000000000 + i, i)
        end";
    server.command::<()>(&["EVAL", fill, "0", &format!("bull:{name}:"), &jobs.to_string()]).unwrap();
}

#[tokio::test]
async fn a_halt_and_a_deadline_stop_between_two_steps_and_say_how_far_it_came() {
    let server = Redis::shared().unwrap();
    let (_bullmq, queue) = open(server, Version::V5, "halt");
    flood(server, "halt", 5_000);
    let change = clean(&queue, all());
    let planned = change.preview(&limits()).await.unwrap();
    assert_eq!(planned.objects, 5_000);
    let halt = Halt::default();
    let task = tokio::spawn({
        let (change, planned, halt) = (change.clone(), planned.clone(), halt.clone());
        async move { change.perform(&planned, &limits(), &halt).await }
    });
    wait::until_async("the first step", async || Ok((failed(server, "halt").len() < 5_000).then_some(())))
        .await
        .unwrap();
    halt.ask();
    let Performed::Done(done) = task.await.unwrap() else { panic!("not done") };
    let left = u64::try_from(failed(server, "halt").len()).unwrap();
    assert_eq!(done.objects + left, 5_000);
    assert_eq!(done.incomplete.is_some(), done.objects < 5_000);
    assert_eq!(done.answer, Some(format!("{{\"jobs\":{}}}", done.objects)));

    // With no time left nothing begins.
    flood(server, "halt", 5_000);
    let planned = change.preview(&limits()).await.unwrap();
    let over = CallLimits { deadline: Instant::now() + Duration::from_millis(50), answer_bytes: 1 << 20 };
    let Performed::Done(done) = change.perform(&planned, &over, &Halt::default()).await else { panic!("not done") };
    assert_eq!(done.objects, 0);
    assert!(done.incomplete.unwrap().contains("time"));
    assert_eq!(failed(server, "halt").len(), 5_000);
    assert_eq!(change.settle(&planned, &limits()).await, Settled::NotDone);
}

#[tokio::test]
async fn a_connection_lost_under_a_script_leaves_it_in_doubt_until_somebody_looked() {
    let server = Redis::start(&[]).unwrap();
    let (bullmq, queue) = open(&server, Version::V6, "lost");
    bullmq.add(&[Job::named("a")]).unwrap();
    flood(&server, "lost", 10);
    for change in [pause(&queue), clean(&queue, all()), retry(&queue, all())] {
        let planned = change.preview(&limits()).await.unwrap();
        let before = snapshot(&server, "lost");
        server.command::<()>(&["CLIENT", "PAUSE", "60000", "WRITE"]).unwrap();
        let task = tokio::spawn({
            let (change, planned) = (change.clone(), planned.clone());
            async move { change.perform(&planned, &limits(), &Halt::default()).await }
        });
        wait::until_async("the script to be held", async || {
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
        assert_eq!(change.settle(&planned, &limits()).await, Settled::NotDone);
        assert_eq!(snapshot(&server, "lost"), before);
    }
}

#[tokio::test]
async fn an_answer_that_never_came_is_found_out_where_the_queue_tells() {
    let server = Redis::shared().unwrap();
    let (bullmq, direct) = open(server, Version::V6, "found");
    bullmq.add(&[Job::named("a")]).unwrap();
    flood(server, "found", 1_200);
    for which in ["pause", "clean"] {
        // A way of its own for each: the fault comes once.
        let proxy = Proxy::start(server.port(), "EVAL", Fault::Swallow).unwrap();
        let url = proxy.url(&login(server, "found"), server.port());
        let queue = client(&url, "found", Library::BullMq(6));
        let change = if which == "pause" { pause(&queue) } else { clean(&queue, all()) };
        let (preview, done) = apply(&change).await;
        assert_eq!((done.objects, done.incomplete), (preview.objects, None), "{which}");
    }
    assert!(bullmq.is_paused().unwrap());
    assert_eq!(failed(server, "found"), Vec::<String>::new());
    // Repeated by nobody: each step went out once.
    let events = snapshot(server, "found").remove("events").unwrap();
    assert_eq!(events.matches("paused").count(), 1, "{events}");
    assert_eq!(events.matches("cleaned").count(), 3, "{events}");
    assert_eq!(direct.inspect(&permit(), &limits()).await.unwrap().counts.len(), 7);
}

#[tokio::test]
async fn a_login_that_lacks_a_right_never_passes_for_success() {
    let server = Redis::shared().unwrap();
    let name = "lacking";
    let bullmq = Bullmq::start(Version::V5, &server.admin_url(), "bull", name).unwrap();
    bullmq.add(&[Job::named("a")]).unwrap();
    let rules = queue::acting_rules();
    let rules = rules.split_once(">PASSWORD ").unwrap().1.replace("PREFIX:NAME", &format!("bull:{name}"));
    let before = snapshot(server, name);
    for (missing, is_begun) in [(" +eval ", false), (" +rename ", true)] {
        let queue = client(&server.user(&rules.replace(missing, " ")).unwrap(), name, Library::BullMq(5));
        let change = pause(&queue);
        let planned = change.preview(&limits()).await.unwrap();
        let performed = change.perform(&planned, &limits(), &Halt::default()).await;
        match performed {
            Performed::Nothing(CallError::Remote(error)) if !is_begun => {
                assert_eq!(error.code, "NOPERM");
                assert_eq!(snapshot(server, name), before);
            }
            Performed::Unknown(CallError::Remote(_)) if is_begun => {
                let settled = change.settle(&planned, &limits()).await;
                assert!(matches!(&settled, Settled::Unknown(text) if text.contains("1 jobs")), "{settled:?}");
            }
            other => panic!("{missing}: {other:?}"),
        }
    }
    // A half pause is undone by a resume with all rights, and loses nothing.
    apply(&resume(&client(&login(server, name), name, Library::BullMq(5)))).await;
    bullmq.work(1).unwrap();
    bullmq.until("completed", 1).unwrap();
}

#[tokio::test]
async fn jobs_that_a_pause_of_another_version_left_behind_are_taken_up() {
    let server = Redis::shared().unwrap();
    for version in Version::ALL {
        let name = named(version, "behind");
        let (bullmq, queue) = open(server, version, &name);
        let ids: BTreeSet<String> = bullmq.add(&vec![Job::named("a"); 3]).unwrap().into_iter().collect();
        let [list, held] = ["wait", "paused"].map(|part| format!("bull:{name}:{part}"));
        server.command::<()>(&["RENAME", &list, &held]).unwrap();
        bullmq.add(&[Job::named("b")]).unwrap();
        let change = resume(&queue);
        let planned = change.preview(&limits()).await.unwrap();
        assert_eq!(planned.ground[0].value, "false", "{version:?}");
        assert_eq!(planned.differences[0].before.as_deref(), Some("3"), "{version:?}");
        assert!(matches!(planned.undo, Undo::Impossible(_)));
        let (_, done) = apply(&change).await;
        assert!(done.inverse.is_none() && !bullmq.is_paused().unwrap(), "{version:?}");
        assert_eq!(change.preview(&limits()).await.unwrap().objects, 0);
        assert!(matches!(change.settle(&planned, &limits()).await, Settled::Done(_)));
        bullmq.work(1).unwrap();
        bullmq.until("completed", 4).unwrap();
        assert!(completed(server, &name).is_superset(&ids), "{version:?}");
    }
}

#[tokio::test]
async fn a_job_on_which_a_parent_waits_alone_stays_and_names_of_keys_are_no_jobs() {
    let server = Redis::shared().unwrap();
    for version in [Version::V3, Version::V5, Version::V6] {
        let name = named(version, "family");
        let (bullmq, queue) = open(server, version, &name);
        bullmq.add(&[Job::named("a")]).unwrap();
        flood(server, &name, 3);
        let base = format!("bull:{name}:");
        let parent = format!("{base}mother");
        server.command::<i64>(&["HSET", &parent, "name", "m", "timestamp", "1"]).unwrap();
        for id in ["1", "2"] {
            server.command::<i64>(&["HSET", &format!("{base}{id}"), "parentKey", &parent]).unwrap();
            let child = format!("{base}{id}");
            server.command::<i64>(&["SADD", &format!("{parent}:dependencies"), &child]).unwrap();
        }
        server.command::<i64>(&["ZADD", &format!("{base}failed"), "1", "meta", "2", "wait"]).unwrap();
        let (preview, done) = apply(&clean(&queue, all())).await;
        assert_eq!((preview.objects, done.objects), (5, 2), "{version:?}");
        assert!(done.incomplete.unwrap().contains("2 of 5"));
        assert_eq!(failed(server, &name), ["meta", "wait", "2"]);
        for part in ["mother", "mother:dependencies", "meta", "wait", "2"] {
            assert!(server.command::<bool>(&["EXISTS", &format!("{base}{part}")]).unwrap(), "{version:?} {part}");
        }
    }
}

#[tokio::test]
async fn a_selection_outside_the_grant_or_without_sense_is_refused() {
    let server = Redis::shared().unwrap();
    let (_bullmq, queue) = open(server, Version::V6, "refused");
    let day = Duration::from_secs(86_400);
    let young = JobSelection { min_age: 60.0, ..all() };
    let error = queue.clean_failed(aged_permit(day), young.clone()).err().unwrap();
    assert!(matches!(error, CallError::Denied(_)), "{error:?}");
    let error = queue.retry_failed(aged_permit(day), young).err().unwrap();
    assert!(matches!(error, CallError::Denied(_)), "{error:?}");
    assert!(queue.clean_failed(aged_permit(day), JobSelection { min_age: 86_400.0, ..all() }).is_ok());
    for selection in [
        JobSelection { limit: 0, ..all() },
        JobSelection { min_age: -1.0, ..all() },
        JobSelection { min_age: f64::NAN, ..all() },
    ] {
        assert!(matches!(queue.clean_failed(permit(), selection).err(), Some(CallError::Invalid(_))));
    }
    let call = |operation, arguments: &str| ChangeCall {
        operation,
        target: "email".parse().unwrap(),
        arguments: arguments.to_owned(),
    };
    for (operation, arguments) in [
        (Operation::QueuePause, r#"{"x":1}"#),
        (Operation::QueueCleanFailed, "{}"),
        (Operation::QueueRetryFailed, "nonsense"),
        (Operation::QueueInspect, "{}"),
        (Operation::HttpSend, "{}"),
    ] {
        assert!(
            matches!(queue.recorded(&call(operation, arguments)).err(), Some(CallError::Invalid(_))),
            "{operation}"
        );
    }
}

#[test]
fn the_page_for_operators_has_the_line() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/queues.md")).unwrap();
    assert!(page.contains(&queue::acting_rules()), "the page lacks: {}", queue::acting_rules());
}
