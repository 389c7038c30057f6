//! What another client of the same Redis feels while very many failed jobs are removed, and while very many keys are.
//!
//! A real worker goes through jobs that are added all the time. Beside it a client sends, one after the other, commands as a
//! worker does, and takes the time of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use paramedic_tests::bullmq::Job;
use paramedic_tests::redis::Redis;
use paramedic_tests::wait;
use serde_json::{Value, json};

use super::ward::{QUEUE, Ward};
use crate::report::{Report, Row, Unit};
use crate::samples::{Samples, millis};

const FAILED_JOBS: u32 = 200_000;
const KEYS: u32 = 1_000_000;

/// Keys that nobody may touch.
const OTHERS: u32 = 5_000;

/// Most jobs of one run of the plugin.
const JOBS_OF_A_RUN: u32 = 100_000;

/// Keys of one run, so that its answer comes while the caller still waits.
const KEYS_OF_A_RUN: u32 = 200_000;

/// How long the client beside is watched while nothing else happens.
const QUIET: Duration = Duration::from_secs(3);

/// What the others may feel of it, in milliseconds.
const GOAL: f64 = 10.0;

/// Measure and report.
pub fn measure(ward: &Ward, report: &mut Report) -> anyhow::Result<()> {
    ward.fail_jobs(FAILED_JOBS)?;
    ward.set_keys("other:", OTHERS)?;
    let others = digest(&ward.redis)?;
    ward.bullmq.work(4)?;

    let quiet = beside(ward, || {
        std::thread::sleep(QUIET);
        Ok(())
    })?;
    let jobs = beside(ward, || {
        for _ in 0..FAILED_JOBS / JOBS_OF_A_RUN {
            let asked = json!({ "target": "email", "min_age": 0.0, "limit": JOBS_OF_A_RUN });
            clear(ward, "queue-clean", &asked, JOBS_OF_A_RUN)?;
        }
        Ok(())
    })?;
    let left: u64 = ward.redis.command(&["ZCARD", &format!("bull:{QUEUE}:failed")])?;
    ensure!(left == 0, "{left} failed jobs are left");
    let hashes: Vec<String> = ward.redis.command(&["KEYS", &format!("bull:{QUEUE}:f*")])?;
    ensure!(hashes.is_empty(), "{} jobs were left behind", hashes.len());
    report.add(row(27, "failed jobs", FAILED_JOBS, &quiet, &jobs));

    ward.set_keys("tmp:", KEYS)?;
    let keys = beside(ward, || {
        for _ in 0..KEYS / KEYS_OF_A_RUN {
            let asked = json!({ "target": "cache", "pattern": "tmp:*", "mode": "remove", "limit": KEYS_OF_A_RUN });
            clear(ward, "redis-evict", &asked, KEYS_OF_A_RUN)?;
        }
        Ok(())
    })?;
    let left: Vec<String> = ward.redis.command(&["KEYS", "tmp:*"])?;
    ensure!(left.is_empty(), "{} keys are left", left.len());
    report.add(row(28, "keys", KEYS, &quiet, &keys));
    ensure!(digest(&ward.redis)? == others, "keys that nobody named are not what they were");
    Ok(())
}

/// What was felt while something was done.
struct Felt {
    took: Duration,
    latencies: Samples,
    worked: u64,
}

fn row(number: u8, things: &str, count: u32, quiet: &Felt, felt: &Felt) -> Row {
    let raw = |felt: &Felt| json!({ "seconds": felt.took.as_secs_f64(), "ms": felt.latencies.summary(), "jobs": felt.worked });
    let measure = format!("a command of another client while {count} {things} are removed, p99");
    let row = Row::absolute(number, &measure, Unit::Millis, felt.latencies.percentile(0.99));
    row.at_most(GOAL).raw(json!({ "quiet": raw(quiet), "clearing": raw(felt) }))
}

/// Plans and applies, and holds that all of it was done.
fn clear(ward: &Ward, plugin: &str, params: &Value, objects: u32) -> anyhow::Result<()> {
    let plan = ward.plan(plugin, params)?;
    let run = ward.apply(&plan)?;
    let change = run.pointer("/changes/0").with_context(|| format!("nothing was changed: {run}"))?;
    let done = (change.get("fate"), change.get("objects"));
    ensure!(done == (Some(&json!("applied")), Some(&json!(objects))), "not all was removed: {change}");
    Ok(())
}

/// Does something while the worker has work and the client beside it is watched. All jobs that were added are worked, once.
fn beside(ward: &Ward, something: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Felt> {
    let is_over = Arc::new(AtomicBool::new(false));
    let client = watch(&ward.redis, is_over.clone())?;
    let completed = || anyhow::Ok(ward.bullmq.counts()?.get("completed").copied().unwrap_or(0));
    let before = completed()?;
    let began = Instant::now();
    let (done, added) = std::thread::scope(|scope| {
        let adding = scope.spawn(|| add_jobs(ward, &is_over));
        let done = something();
        is_over.store(true, Ordering::Relaxed);
        (done, adding.join())
    });
    let took = began.elapsed();
    done?;
    let added = added.map_err(|_| anyhow!("the jobs could not be added"))??;
    let latencies = client.join().map_err(|_| anyhow!("the client beside broke off"))??;
    wait::until("the jobs that were added to be worked", || Ok((completed()? == before + added).then_some(())))?;
    Ok(Felt { took, latencies: Samples::of(latencies)?, worked: added })
}

fn add_jobs(ward: &Ward, is_over: &AtomicBool) -> anyhow::Result<u64> {
    let mut added = 0;
    while !is_over.load(Ordering::Relaxed) {
        let jobs: Vec<Job> = (0..10).map(|_| Job::named("send")).collect();
        added += ward.bullmq.add(&jobs)?.len() as u64;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(added)
}

/// The time of each command in milliseconds.
fn watch(redis: &Redis, is_over: Arc<AtomicBool>) -> anyhow::Result<JoinHandle<anyhow::Result<Vec<f64>>>> {
    let mut connection = redis.connect()?;
    Ok(std::thread::spawn(move || {
        let mut times = Vec::new();
        let commands: [&[&str]; 4] = [
            &["LPUSH", "watch:list", "1"],
            &["LMOVE", "watch:list", "watch:active", "RIGHT", "LEFT"],
            &["HSET", "watch:job", "state", "active"],
            &["LTRIM", "watch:active", "0", "10"],
        ];
        while !is_over.load(Ordering::Relaxed) {
            for command in commands {
                let Some((name, arguments)) = command.split_first() else { continue };
                let began = Instant::now();
                ::redis::cmd(name).arg(arguments).query::<()>(&mut connection).context("Redis refused the client")?;
                times.push(millis(began.elapsed()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(times)
    }))
}

/// The keys that nobody may touch, with what they hold.
fn digest(redis: &Redis) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut connection = redis.connect()?;
    let keys: Vec<String> = ::redis::cmd("KEYS").arg("other:*").query(&mut connection)?;
    let mut pipeline = ::redis::pipe();
    for key in &keys {
        pipeline.cmd("DUMP").arg(key);
    }
    let values: Vec<Vec<u8>> = pipeline.query(&mut connection)?;
    Ok(keys.into_iter().zip(values).collect())
}
