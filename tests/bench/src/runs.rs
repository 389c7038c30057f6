//! Measures 1 to 3: one run of a guest that does nothing, without HTTP and records.
//!
//! The floor is the least that wasmtime needs: a store, an instance from the same pool, the call, and the end of both.
//! Nothing bounds that guest: no clock, no log, no memory limit, no deadline, and no thread of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use futures_util::future::try_join_all;
use paramedic::catalog::Catalog;
use paramedic::engine::{Allocation, pool};
use paramedic::host::Targets;
use paramedic::host::bindings::EverythingPre;
use paramedic::host::bindings::exports::paramedic::plugin::plugin::{Mode, RunContext};
use serde_json::json;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Store};

use crate::Bench;
use crate::plugins::{self, SLOTS, Subject};
use crate::report::{Report, Row, Unit};
use crate::samples::{Samples, micros};

const ROUNDS: usize = 12;
const RUNS: usize = 400;

/// Runs at a time where the machine is to be kept busy.
const BUSY: usize = 8;

const PERIOD: Duration = Duration::from_millis(150);

/// What `noop` concludes.
pub const NOTHING: &str = "nothing to do";

/// Measure and report.
pub fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let noop = paramedic_tests::components::guest("noop")?;
    let bare = Bare::new(&noop)?;
    let pooled = loaded(bench, &noop, Allocation::Pooled)?;
    let on_demand = loaded(bench, &noop, Allocation::OnDemand)?;
    let [pooled, on_demand] = [pooled, on_demand].map(|catalog| Subject::new(&catalog, "noop", "{}"));
    let (pooled, on_demand) = (pooled?, on_demand?);

    let (mut alone, mut busy) = (Alone::default(), Busy::default());
    for _ in 0..ROUNDS {
        alone.round(bench, &bare, &pooled, &on_demand)?;
        busy.round(bench, &bare, &pooled, &on_demand)?;
    }
    alone.report(report)?;
    busy.report(report)
}

fn loaded(bench: &Bench, noop: &Path, allocation: Allocation) -> anyhow::Result<Arc<Catalog>> {
    let entries = vec![plugins::entry("noop", noop.to_owned(), Vec::new())?];
    let io = bench.agent.handle().clone();
    bench.agent.block_on(plugins::catalog(&plugins::settings(allocation), io, Targets::default(), entries))
}

/// wasmtime and nothing around it.
#[derive(Clone)]
struct Bare {
    engine: wasmtime::Engine,
    pre: EverythingPre<()>,
    context: Arc<RunContext>,
    params: String,
}

impl Bare {
    fn new(noop: &Path) -> anyhow::Result<Self> {
        let mut config = Config::new();
        config.allocation_strategy(pool(SLOTS));
        let engine = wasmtime::Engine::new(&config).map_err(cause)?;
        let component = Component::from_file(&engine, noop).map_err(cause)?;
        let mut linker = Linker::new(&engine);
        // It is linked with WASI as every program of Rust is, and uses nothing of it.
        linker.define_unknown_imports_as_traps(&component).map_err(cause)?;
        let pre = linker.instantiate_pre(&component).and_then(EverythingPre::new).map_err(cause)?;
        let context = RunContext {
            run_id: "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b".to_owned(),
            incident_id: None,
            trigger: "manual".to_owned(),
            mode: Mode::Check,
            started: 0,
            time_limit: 30.0,
            labels: Vec::new(),
        };
        Ok(Self { engine, pre, context: Arc::new(context), params: "{}".to_owned() })
    }

    async fn run(&self) -> anyhow::Result<()> {
        let mut store = Store::new(&self.engine, ());
        let plugin = self.pre.instantiate_async(&mut store).await.map_err(cause)?;
        let guest = plugin.paramedic_plugin_plugin();
        let answer = guest.call_run(&mut store, &self.context, &self.params).await.map_err(cause)?;
        answer.map(drop).map_err(|failure| anyhow!("the bare guest failed: {failure:?}"))
    }
}

fn cause(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}

/// One run after the other: how long each takes.
#[derive(Default)]
struct Alone {
    bare: Vec<f64>,
    pooled: Vec<f64>,
    on_demand: Vec<f64>,
}

impl Alone {
    fn round(&mut self, bench: &Bench, bare: &Bare, pooled: &Subject, on_demand: &Subject) -> anyhow::Result<()> {
        bench.agent.block_on(async {
            timed(&mut self.bare, RUNS, async || bare.run().await).await?;
            timed(&mut self.pooled, RUNS, async || pooled.succeed(NOTHING).await).await?;
            timed(&mut self.on_demand, RUNS / 4, async || on_demand.succeed(NOTHING).await).await
        })
    }

    fn report(self, report: &mut Report) -> anyhow::Result<()> {
        let [bare, pooled, on_demand] =
            [Samples::of(self.bare)?, Samples::of(self.pooled)?, Samples::of(self.on_demand)?];
        let raw = json!({ "bare": bare.summary(), "pooled": pooled.summary(), "on demand": on_demand.summary() });
        let (floor, value) = (bare.median(), pooled.median());
        report.note(
            format!(
                "1: one run at a time takes {value:.1} us over {floor:.1} us bare; on demand {:.1} us",
                on_demand.median()
            ),
            raw,
        );
        Ok(())
    }
}

/// Times `count` runs, each by itself.
async fn timed(times: &mut Vec<f64>, count: usize, run: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    for _ in 0..count {
        let began = Instant::now();
        run().await?;
        times.push(micros(began.elapsed()));
    }
    Ok(())
}

/// Eight runs at a time: how many both cores get done, and one core alone.
#[derive(Default)]
struct Busy {
    bare: Vec<f64>,
    pooled: Vec<f64>,
    on_demand: Vec<f64>,
    one_core: Vec<f64>,
}

impl Busy {
    fn round(&mut self, bench: &Bench, bare: &Bare, pooled: &Subject, on_demand: &Subject) -> anyhow::Result<()> {
        let host = |subject: &Subject| {
            let subject = subject.clone();
            rate(bench, move || {
                let subject = subject.clone();
                async move { subject.succeed(NOTHING).await }
            })
        };
        let floor = bare.clone();
        self.bare.push(rate(bench, move || {
            let floor = floor.clone();
            async move { floor.run().await }
        })?);
        self.pooled.push(host(pooled)?);
        self.on_demand.push(host(on_demand)?);
        self.one_core.push(bench.cores.on_one(|| host(pooled))?);
        Ok(())
    }

    fn report(self, report: &mut Report) -> anyhow::Result<()> {
        let [bare, pooled] = [Samples::of(self.bare)?, Samples::of(self.pooled)?];
        let [on_demand, one_core] = [Samples::of(self.on_demand)?, Samples::of(self.one_core)?];
        // Both cores are busy, so this is what one run costs of them.
        let cost = |rate: &Samples| 2e6 / rate.median();
        let costs = (cost(&bare), cost(&pooled));
        report.add(
            Row::ratio(1, "noop in the host over a bare run, cost", Unit::Micros, costs)
                .at_most(1.5)
                .raw(json!({ "bare runs/s": bare.values(), "host runs/s": pooled.values() })),
        );
        report.add(
            Row::ratio(2, "on demand over pooled, cost of a noop", Unit::Micros, (cost(&pooled), cost(&on_demand)))
                .at_least(4.0)
                .raw(json!({ "pooled runs/s": pooled.values(), "on demand runs/s": on_demand.values() })),
        );
        report.add(
            Row::ratio(3, "noop on two cores over one", Unit::PerSecond, (one_core.median(), pooled.median()))
                .at_least(1.6)
                .raw(json!({ "one core runs/s": one_core.values(), "two cores runs/s": pooled.values() })),
        );
        Ok(())
    }
}

/// Runs in a second with a few of them always under way.
fn rate<F, R>(bench: &Bench, run: F) -> anyhow::Result<f64>
where
    F: Fn() -> R + Clone + Send + 'static,
    R: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let began = Instant::now();
    let worker = |_| {
        let run = run.clone();
        bench.agent.spawn(async move {
            let mut done = 0_u32;
            while began.elapsed() < PERIOD {
                run().await?;
                done += 1;
            }
            anyhow::Ok(done)
        })
    };
    let workers: Vec<_> = (0..BUSY).map(worker).collect();
    let done = bench.agent.block_on(try_join_all(workers)).context("a run panicked")?;
    let elapsed = began.elapsed().as_secs_f64();
    let total: u32 = done.into_iter().sum::<anyhow::Result<u32>>()?;
    Ok(f64::from(total) / elapsed)
}
