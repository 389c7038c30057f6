//! Measures 4 to 8: a run of `noop` over HTTP, with and without its two records.
//!
//! Two servers: one with a store that keeps nothing, one with the real store on a real disk. Each has the constant endpoint
//! beside it, so that both sides of a ratio come from the same server.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use paramedic::clock::SystemClock;
use paramedic::engine::Allocation;
use paramedic::host::Targets;
use paramedic::store::{Health, SqliteStore, Store, StoreOptions};
use serde_json::json;

use crate::load::{Load, Question};
use crate::report::{Report, Row, Unit};
use crate::samples::{Samples, micros};
use crate::server::{NoStore, Server};
use crate::{Bench, plugins};

const ROUNDS: usize = 8;
const PERIOD: Duration = Duration::from_millis(400);

/// Appends in each round: what one commit needs at least.
const APPENDS: usize = 50;

/// A page of SQLite with its head, as the write-ahead log has it.
const PAGE: [u8; 4096 + 24] = [0x55; 4096 + 24];

/// Measure and report.
pub fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    ensure_disk(bench.scratch.path())?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(
        &bench.scratch.path().join("runs.db"),
        Arc::new(SystemClock),
        StoreOptions::default(),
    )?);
    let entries = vec![plugins::entry("noop", paramedic_tests::components::guest("noop")?, Vec::new())?];
    let settings = plugins::settings(Allocation::Pooled);
    let io = bench.agent.handle().clone();
    let catalog = bench.agent.block_on(plugins::catalog(&settings, io, Targets::default(), entries))?;
    let unrecorded = Server::start(bench, catalog.clone(), Arc::new(NoStore))?;
    let recorded = Server::start(bench, catalog, store.clone())?;
    let mut appended = Appended::new(&bench.scratch.path().join("appended"))?;

    let mut figures = Figures::default();
    for _ in 0..ROUNDS {
        figures.without_record(bench, &unrecorded)?;
        figures.one_at_a_time(bench, &recorded, &mut appended)?;
        figures.many_at_a_time(bench, &recorded, &*store)?;
    }
    figures.report(report)?;
    bench.agent.block_on(store.close())?;
    Ok(())
}

/// Where files are in memory, nothing would be durable and every figure a lie.
fn ensure_disk(path: &Path) -> anyhow::Result<()> {
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    let kind = rustix::fs::statfs(path).context("cannot ask for the file system")?.f_type;
    #[expect(clippy::useless_conversion, reason = "its type depends on the architecture")]
    let kind = i64::from(kind);
    ensure!(kind != TMPFS && kind != RAMFS, "{} is in memory; the store needs a disk", path.display());
    Ok(())
}

/// A file that grows by a page at a time, each of which has to be on the disk.
pub struct Appended(File);

impl Appended {
    /// One that is empty.
    pub fn new(path: &Path) -> anyhow::Result<Self> {
        Ok(Self(OpenOptions::new().create_new(true).append(true).open(path)?))
    }

    /// One page more. The answer is how long that took, in microseconds.
    pub fn one(&mut self) -> anyhow::Result<f64> {
        let began = Instant::now();
        self.0.write_all(&PAGE)?;
        self.0.sync_data()?;
        Ok(micros(began.elapsed()))
    }
}

/// A question and the constant beside it under the same load.
#[derive(Default)]
struct Pair {
    constant_rates: Vec<f64>,
    rates: Vec<f64>,
    constant_latencies: Vec<f64>,
    latencies: Vec<f64>,
}

impl Pair {
    fn round(&mut self, bench: &Bench, server: &Server, connections: usize) -> anyhow::Result<()> {
        let ask = |question: Question| question.for_time(&bench.generator, connections, PERIOD);
        let Load { rate, latencies } = ask(server.constant())?;
        self.constant_rates.push(rate);
        self.constant_latencies.extend(latencies);
        let Load { rate, latencies } = ask(server.noop())?;
        self.rates.push(rate);
        self.latencies.extend(latencies);
        Ok(())
    }

    fn rates(&self) -> anyhow::Result<(f64, f64)> {
        Ok((Samples::of(self.constant_rates.clone())?.median(), Samples::of(self.rates.clone())?.median()))
    }

    fn row(&self, number: u8, measure: &str) -> anyhow::Result<Row> {
        let raw = json!({
            "constant rates": self.constant_rates,
            "rates": self.rates,
            "constant latencies": Samples::of(self.constant_latencies.clone())?.summary(),
            "latencies": Samples::of(self.latencies.clone())?.summary(),
        });
        Ok(Row::ratio(number, measure, Unit::PerSecond, self.rates()?).shown_as_share().raw(raw))
    }
}

#[derive(Default)]
struct Figures {
    unrecorded: Pair,
    alone: Pair,
    at_32: Pair,
    at_128: Pair,
    appends: Vec<f64>,
    commits: u64,
    records: u64,
}

impl Figures {
    fn without_record(&mut self, bench: &Bench, server: &Server) -> anyhow::Result<()> {
        self.unrecorded.round(bench, server, 32)
    }

    fn one_at_a_time(&mut self, bench: &Bench, server: &Server, appended: &mut Appended) -> anyhow::Result<()> {
        for _ in 0..APPENDS {
            self.appends.push(appended.one()?);
        }
        self.alone.round(bench, server, 1)
    }

    fn many_at_a_time(&mut self, bench: &Bench, server: &Server, store: &dyn Store) -> anyhow::Result<()> {
        let health = || -> Health { bench.agent.block_on(store.health()) };
        let before = health();
        self.at_32.round(bench, server, 32)?;
        let after = health();
        self.commits += after.commits - before.commits;
        self.records += after.records - before.records;
        self.at_128.round(bench, server, 128)
    }

    fn report(self, report: &mut Report) -> anyhow::Result<()> {
        report.add(self.unrecorded.row(4, "HTTP run without record over constant, c=32")?.at_least(0.4));
        report.add(self.at_32.row(5, "HTTP run with two records over constant, c=32")?.at_least(0.2));
        report.add(self.at_128.row(5, "the same, c=128")?.at_least(0.28));

        let [append, constant, run] = [
            Samples::of(self.appends)?,
            Samples::of(self.alone.constant_latencies)?,
            Samples::of(self.alone.latencies)?,
        ];
        let floor = 2.0 * append.median() + constant.median();
        let raw = json!({ "append": append.summary(), "constant": constant.summary(), "run": run.summary() });
        let row = Row::ratio(6, "the same, c=1, p50 over 2 appends and constant", Unit::Micros, (floor, run.median()));
        report.add(row.at_most(2.0).raw(raw));

        let latency = Samples::of(self.at_32.latencies)?;
        let quantiles = (latency.median(), latency.percentile(0.99));
        let row = Row::ratio(7, "the same, c=32, p99 over p50", Unit::Micros, quantiles);
        report.add(row.at_most(4.0).raw(latency.summary()));

        #[expect(clippy::cast_precision_loss, reason = "a few hundred thousand")]
        let per_commit = self.records as f64 / self.commits as f64;
        let raw = json!({ "records": self.records, "commits": self.commits });
        report.add(Row::absolute(8, "records in a commit, c=32", Unit::Records, per_commit).at_least(8.0).raw(raw));
        Ok(())
    }
}
