//! Job queues in the libraries themselves: each major version of BullMQ that the agent knows, and Bull.
//!
//! `tests/bullmq/driver.js` runs the library; this side speaks to it in lines of JSON. `npm ci` in that folder installs
//! the libraries (`just test` does it).

mod driver;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::wait;
use driver::Driver;

/// A library with its major version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Bull 4, the predecessor.
    Bull4,
    /// BullMQ 3.
    V3,
    /// BullMQ 4.
    V4,
    /// BullMQ 5.
    V5,
    /// BullMQ 6.
    V6,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Version; 5] = [Version::Bull4, Version::V3, Version::V4, Version::V5, Version::V6];

    /// The major version number.
    #[must_use]
    pub fn major(self) -> u32 {
        match self {
            Version::V3 => 3,
            Version::Bull4 | Version::V4 => 4,
            Version::V5 => 5,
            Version::V6 => 6,
        }
    }

    /// Whether it is Bull, not BullMQ.
    #[must_use]
    pub fn is_bull(self) -> bool {
        self == Version::Bull4
    }

    /// Whether jobs with a priority wait in a set of their own.
    #[must_use]
    pub fn has_prioritized(self) -> bool {
        matches!(self, Version::V4 | Version::V5 | Version::V6)
    }

    /// Whether a paused queue keeps its waiting jobs in another list.
    #[must_use]
    pub fn moves_paused_jobs(self) -> bool {
        self != Version::V6
    }

    fn package(self) -> String {
        format!("{}-v{}", if self.is_bull() { "bull" } else { "bullmq" }, self.major())
    }
}

/// A job to be added, and what becomes of it when a worker takes it.
#[derive(Clone, Debug)]
pub struct Job {
    name: String,
    data: Value,
    options: serde_json::Map<String, Value>,
    age: Duration,
}

impl Job {
    /// A job that succeeds.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let data = json!({ "then": "succeed" });
        Job { name: name.to_owned(), data, options: serde_json::Map::new(), age: Duration::ZERO }
    }

    /// It fails with this message.
    #[must_use]
    pub fn failing(mut self, reason: &str) -> Self {
        self.data = json!({ "then": "fail", "reason": reason });
        self
    }

    /// It never ends.
    #[must_use]
    pub fn hanging(mut self) -> Self {
        self.data = json!({ "then": "hang" });
        self
    }

    /// It is due later.
    #[must_use]
    pub fn delayed(self, by: Duration) -> Self {
        self.option("delay", json!(by.as_millis()))
    }

    /// It has a priority; 1 is the highest.
    #[must_use]
    pub fn prioritized(self, priority: u32) -> Self {
        self.option("priority", json!(priority))
    }

    /// It was created this long ago.
    #[must_use]
    pub fn aged(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// Any other option that the library knows, such as `attempts`.
    #[must_use]
    pub fn option(mut self, name: &str, value: Value) -> Self {
        self.options.insert(name.to_owned(), value);
        self
    }

    /// It carries this as well.
    #[must_use]
    pub fn with_data(mut self, name: &str, value: Value) -> Self {
        if let Some(data) = self.data.as_object_mut() {
            data.insert(name.to_owned(), value);
        }
        self
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "data": self.data,
            "options": self.options,
            "age": self.age.as_millis(),
        })
    }
}

/// What a worker has begun to work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
pub struct Handled {
    /// How many jobs.
    pub jobs: u64,
    /// How often it began one; the same number where it began each of them once.
    pub times: u64,
}

/// One queue, opened by its library in a process of its own.
#[derive(Debug)]
pub struct Bullmq {
    version: Version,
    driver: Driver,
}

impl Bullmq {
    /// How many jobs [`populate_every_state`](Self::populate_every_state) leaves in each state that the library has,
    /// by the library's name of the state. All differ, so that no two can be confused.
    pub const POPULATED: [(&str, u64); 7] = [
        ("active", 2),
        ("completed", 3),
        ("failed", 4),
        ("delayed", 5),
        ("waiting", 6),
        ("waiting-children", 7),
        ("prioritized", 8),
    ];

    /// Opens a queue as an application does, which also writes its `meta` key.
    pub fn start(version: Version, redis_url: &str, prefix: &str, queue: &str) -> anyhow::Result<Self> {
        let driver = Driver::start(&[&version.package(), redis_url, prefix, queue])?;
        Ok(Bullmq { version, driver })
    }

    /// The library's version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Adds jobs. The answer is their identifiers, in the same order.
    pub fn add(&self, jobs: &[Job]) -> anyhow::Result<Vec<String>> {
        let jobs: Vec<Value> = jobs.iter().map(Job::to_json).collect();
        let ids = self.driver.ask("add", json!({ "jobs": jobs }))?;
        serde_json::from_value(ids).context("the driver did not answer with identifiers")
    }

    /// Adds a job that waits for a child in the queue `<name>-children`, which nobody works on. BullMQ only.
    pub fn add_parent(&self, name: &str) -> anyhow::Result<String> {
        let id = self.driver.ask("add-parent", json!({ "name": name }))?;
        Ok(id.as_str().context("the driver did not answer with an identifier")?.to_owned())
    }

    /// Starts a worker that takes up to this many jobs at a time, for as long as this handle lives. Once only.
    pub fn work(&self, concurrency: u32) -> anyhow::Result<()> {
        self.driver.ask("work", json!({ "concurrency": concurrency })).map(drop)
    }

    /// Pauses the whole queue, the library's way.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.driver.ask("pause", json!({})).map(drop)
    }

    /// Resumes the whole queue, the library's way.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.driver.ask("resume", json!({})).map(drop)
    }

    /// Puts one failed job back to work, the library's way.
    pub fn retry(&self, id: &str) -> anyhow::Result<()> {
        self.driver.ask("retry", json!({ "id": id })).map(drop)
    }

    /// Removes failed jobs, the library's way.
    pub fn clean_failed(&self, limit: u32) -> anyhow::Result<()> {
        self.driver.ask("clean", json!({ "limit": limit })).map(drop)
    }

    /// Whether the library takes the queue for paused.
    pub fn is_paused(&self) -> anyhow::Result<bool> {
        self.driver.ask("is-paused", json!({}))?.as_bool().context("the driver did not answer with a boolean")
    }

    /// The library's own `getJobCounts`, by its own names of the states.
    pub fn counts(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let counts = self.driver.ask("counts", json!({}))?;
        serde_json::from_value(counts).context("the driver did not answer with counts")
    }

    /// What the worker of this handle has begun to work on so far.
    pub fn handled(&self) -> anyhow::Result<Handled> {
        let handled = self.driver.ask("handled", json!({}))?;
        serde_json::from_value(handled).context("the driver did not answer with what it handled")
    }

    /// Waits until so many jobs are in a state.
    pub fn until(&self, state: &str, count: u64) -> anyhow::Result<()> {
        wait::until(&format!("{count} {state} jobs"), || {
            let found = self.counts()?.get(state).copied();
            Ok((found == Some(count)).then_some(()))
        })
    }

    /// Removes the queue with all its jobs.
    pub fn obliterate(&self) -> anyhow::Result<()> {
        self.driver.ask("obliterate", json!({})).map(drop)
    }

    /// Puts jobs into every state that the library has, as many as [`POPULATED`](Self::POPULATED) says, and checks
    /// that its own counts agree. A worker stays busy with the active ones. The queue must be new.
    pub fn populate_every_state(&self) -> anyhow::Result<()> {
        let [active, completed, failed, delayed, waiting, parents, prioritized] =
            Self::POPULATED.map(|(_, count)| count);
        self.work(u32::try_from(active)?)?;
        self.add(&jobs(completed, Job::named))?;
        self.add(&jobs(failed, |name| Job::named(name).failing("550 mailbox unavailable")))?;
        self.until("completed", completed)?;
        self.until("failed", failed)?;
        self.add(&jobs(active, |name| Job::named(name).hanging()))?;
        self.until("active", active)?;
        // The worker has its hands full now, so these stay where they are.
        self.add(&jobs(waiting, Job::named))?;
        self.add(&jobs(delayed, |name| Job::named(name).delayed(Duration::from_secs(3600))))?;
        if self.version.has_prioritized() {
            self.add(&jobs(prioritized, |name| Job::named(name).prioritized(5)))?;
        }
        if !self.version.is_bull() {
            (0..parents).try_for_each(|_| self.add_parent("parent").map(drop))?;
        }
        self.check_populated()
    }

    fn check_populated(&self) -> anyhow::Result<()> {
        let counts = self.counts()?;
        for (state, wanted) in Self::POPULATED {
            // A library does not list the states that it does not have.
            match counts.get(state) {
                Some(found) if *found != wanted => bail!("{found} {state} jobs instead of {wanted}"),
                _ => {}
            }
        }
        Ok(())
    }
}

fn jobs(count: u64, job: impl Fn(&str) -> Job) -> Vec<Job> {
    (0..count).map(|number| job(&format!("job-{number}"))).collect()
}
