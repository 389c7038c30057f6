//! Measures 12 and 13: fifty guests that never end, and a healthy one beside them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use paramedic::catalog::Entry;
use paramedic::domain::{Ending, FailureKind, Limits};
use paramedic::engine::Allocation;
use paramedic::host::Targets;
use serde_json::json;

use crate::plugins::Subject;
use crate::report::{Report, Row, Unit};
use crate::samples::{Samples, millis};
use crate::server::{NoStore, Server};
use crate::{Bench, plugins};

const ROUNDS: usize = 5;
const SPINNERS: u32 = 50;

/// How long each of them may spin before it is stopped, and another one begins.
const DEADLINE: Duration = Duration::from_millis(250);

const PERIOD: Duration = Duration::from_millis(800);

/// Connections that ask for the healthy one.
const CONNECTIONS: usize = 4;

/// Measure and report.
pub fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let guest = |name| paramedic_tests::components::guest(name);
    let entries = vec![plugins::entry("noop", guest("noop")?, Vec::new())?, spinner(guest("trouble")?)?];
    let settings = plugins::settings(Allocation::Pooled);
    let io = bench.agent.handle().clone();
    let catalog = bench.agent.block_on(plugins::catalog(&settings, io, Targets::default(), entries))?;
    let spinner = Subject::new(&catalog, "trouble", json!({ "do": "spin" }))?;
    let server = Server::start(bench, catalog, Arc::new(NoStore))?;

    let (mut quiet, mut beside, mut late) = (Vec::new(), Vec::new(), Vec::new());
    let mut constant = Vec::new();
    for _ in 0..ROUNDS {
        quiet.extend(server.noop().for_time(&bench.generator, CONNECTIONS, PERIOD / 2)?.latencies);
        let spinning = Spinning::start(bench, &spinner);
        beside.extend(server.noop().for_time(&bench.generator, CONNECTIONS, PERIOD)?.latencies);
        constant.extend(server.constant().for_time(&bench.generator, CONNECTIONS, PERIOD / 4)?.latencies);
        late.extend(spinning.stop(bench)?);
    }
    let in_millis = |micros: Vec<f64>| Samples::of(micros.into_iter().map(|time| time / 1e3).collect());
    let (quiet, beside, constant) = (in_millis(quiet)?, in_millis(beside)?, in_millis(constant)?);
    let late = Samples::of(late)?;
    let row = Row::absolute(12, "spinning guest stopped after its deadline, p99", Unit::Millis, late.percentile(0.99));
    report.add(row.at_most(5.0).raw(late.summary()));
    let raw = json!({ "without": quiet.summary(), "with": beside.summary(), "constant with": constant.summary() });
    let medians = (quiet.median() * 1e3, beside.median() * 1e3);
    let row = Row::ratio(13, "HTTP noop, c=4, beside 50 spinners over without, p50", Unit::Micros, medians);
    report.add(row.at_most(3.0).raw(raw.clone()));
    let row = Row::absolute(13, "the same with spinners, p99", Unit::Millis, beside.percentile(0.99));
    report.add(row.at_most(10.0).raw(raw));
    Ok(())
}

fn spinner(file: PathBuf) -> anyhow::Result<Entry> {
    let entry = plugins::entry("trouble", file, Vec::new())?;
    Ok(Entry { limits: Limits { deadline: DEADLINE, ..entry.limits }, ..entry })
}

/// Guests that never end, each followed by the next when it was stopped.
struct Spinning {
    over: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<anyhow::Result<Vec<f64>>>>,
}

impl Spinning {
    fn start(bench: &Bench, spinner: &Subject) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let spin = |number: u32| {
            let (spinner, over) = (spinner.clone(), over.clone());
            bench.agent.spawn(async move {
                // So that they do not all end in the same millisecond, which nothing outside a benchmark does.
                tokio::time::sleep(DEADLINE * number / SPINNERS).await;
                let mut late = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    late.push(spin_once(&spinner).await?);
                }
                anyhow::Ok(late)
            })
        };
        let tasks = (0..SPINNERS).map(spin).collect();
        Self { over, tasks }
    }

    /// By how many milliseconds each was stopped after its deadline.
    fn stop(self, bench: &Bench) -> anyhow::Result<Vec<f64>> {
        self.over.store(true, Ordering::Relaxed);
        let late = bench.agent.block_on(try_join_all(self.tasks)).context("a spinner's run panicked")?;
        Ok(late.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

/// By how many milliseconds one was stopped after its deadline.
async fn spin_once(spinner: &Subject) -> anyhow::Result<f64> {
    let finished = spinner.run().await;
    let stopped = matches!(&finished.ending, Ending::Failed(failure) if failure.kind == FailureKind::Deadline);
    ensure!(stopped, "a spinner ended otherwise than by its deadline: {:?}", finished.ending);
    Ok(millis(finished.usage.duration) - millis(spinner.deadline()))
}
