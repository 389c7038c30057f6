//! Measures 9 to 11: twenty plugins, from the start to ten thousand runs.
//!
//! How much compiled components on disk save is measured in this process; how long the agent takes until it is ready, and what
//! memory it holds, on the real program.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use paramedic::catalog::Entry;
use paramedic::engine::{Allocation, Settings};
use paramedic::host::Targets;
use paramedic_tests::{access, ports};
use serde_json::json;

use crate::load::Question;
use crate::program::Program;
use crate::report::{Report, Row, Unit};
use crate::runs::NOTHING;
use crate::samples::{Samples, millis};
use crate::{Bench, plugins};

const PLUGINS: usize = 20;
const TOKEN: &str = "what is measured has to know who asks";

/// Starts with everything compiled before, for each start that compiles.
const WARM_STARTS: usize = 6;
const COLD_STARTS: usize = 2;

/// Starts of the real program.
const PROGRAM_STARTS: usize = 8;

/// Runs after which its memory is looked at.
const FIRST_RUNS: u32 = 1_000;
const ALL_RUNS: u32 = 10_000;

/// Measure and report.
pub fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let files = write_plugins(&bench.scratch.path().join("plugins"))?;
    load(bench, &files, report)?;
    let home = bench.scratch.path().join("agent");
    fs::create_dir(&home)?;
    let address = format!("127.0.0.1:{}", ports::free()?).parse()?;
    fs::write(home.join("token-key"), access::key())?;
    fs::write(home.join("paramedic.yaml"), configuration(address, &files))?;
    drop(Program::start(&home, address)?);
    start(&home, address, report)?;
    memory(bench, &home, address, report)
}

fn write_plugins(folder: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    fs::create_dir(folder)?;
    let noop = fs::read(paramedic_tests::components::guest("noop")?)?;
    let write = |(name, bytes): (String, Vec<u8>)| {
        let file = folder.join(format!("{name}.wasm"));
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        Ok((name, file))
    };
    plugins::variants(&noop, PLUGINS)?.into_iter().map(write).collect()
}

/// Engine and plugins alone.
fn load(bench: &Bench, files: &[(String, PathBuf)], report: &mut Report) -> anyhow::Result<()> {
    let uncached = plugins::settings(Allocation::Pooled);
    let cached = Settings { cache: Some(bench.scratch.path().join("cache")), ..uncached.clone() };
    load_once(bench, files, &cached)?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..COLD_STARTS {
        cold.push(load_once(bench, files, &uncached)?);
        for _ in 0..WARM_STARTS {
            warm.push(load_once(bench, files, &cached)?);
        }
    }
    let (cold, warm) = (Samples::of(cold)?, Samples::of(warm)?);
    let row =
        Row::ratio(9, "start with 20 compiled plugins over compiling", Unit::Millis, (cold.median(), warm.median()));
    report.add(row.shown_as_share().at_most(0.01).raw(json!({ "cold ms": cold.values(), "warm ms": warm.values() })));
    Ok(())
}

fn load_once(bench: &Bench, files: &[(String, PathBuf)], settings: &Settings) -> anyhow::Result<f64> {
    let entry = |(name, file): &(String, PathBuf)| plugins::entry(name, file.clone(), Vec::new());
    let entries = files.iter().map(entry).collect::<anyhow::Result<Vec<Entry>>>()?;
    let io = bench.agent.handle().clone();
    let began = Instant::now();
    let catalog = bench.agent.block_on(plugins::catalog(settings, io, Targets::default(), entries))?;
    let took = millis(began.elapsed());
    drop(catalog);
    Ok(took)
}

fn configuration(address: SocketAddr, files: &[(String, PathBuf)]) -> String {
    let auth = access::section("token-key", &[("bench", "responder", TOKEN)]);
    let head = format!("server: {{ listen: {address} }}\nauth: {auth}\nplugins:\n");
    let plugin = |(name, file): &(String, PathBuf)| format!("  {name}: {{ source: {{ file: {} }} }}\n", file.display());
    files.iter().map(plugin).fold(head, |text, line| text + &line)
}

/// The real program, from its start to the first time that it says it is ready.
fn start(home: &Path, address: SocketAddr, report: &mut Report) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..PROGRAM_STARTS {
        let began = Instant::now();
        let program = Program::start(home, address)?;
        times.push(millis(began.elapsed()));
        drop(program);
    }
    let times = Samples::of(times)?;
    let row = Row::absolute(9, "the program ready with 20 compiled plugins", Unit::Millis, times.median());
    report.add(row.at_most(30.0).raw(json!({ "ms": times.values() })));
    Ok(())
}

/// What the real program holds when it has nothing to do, and after many runs.
fn memory(bench: &Bench, home: &Path, address: SocketAddr, report: &mut Report) -> anyhow::Result<()> {
    let program = Program::start(home, address)?;
    let idle = program.resident_mebibytes()?;
    let row = Row::absolute(10, "memory with 20 plugins, idle", Unit::Mebibytes, idle);
    report.add(row.at_most(40.0));

    let question = Question::run(address, "n007", TOKEN, NOTHING);
    question.times(&bench.generator, FIRST_RUNS)?;
    let early = program.resident_mebibytes()?;
    question.times(&bench.generator, ALL_RUNS - FIRST_RUNS)?;
    let late = program.resident_mebibytes()?;
    let row = Row::absolute(11, "memory gained from run 1,000 to 10,000, c=1", Unit::Mebibytes, late - early);
    report.add(row.at_most(1.0).raw(json!({ "idle": idle, "after 1,000": early, "after 10,000": late })));
    Ok(())
}
