//! `just bench`: what the agent costs beside what it is built on.
//!
//! Every measure is taken twice in the same minute: once of the agent, once of the least that the machine needs for the same
//! work. What counts is the ratio; the absolute figures change with the machine and from minute to minute.
//!
//! ```text
//! runs       1-3    a run of a guest that does nothing, in this process
//! api        4-8    the same over HTTP, with and without its record
//! start      9-11   the real program with twenty plugins: start, memory
//! spinners   12,13  guests that never end, and a healthy one beside them
//! database   14-16  a guest's query, and many that wait
//! schedule   17-19  checks by schedule: how many, how late, and after a restart
//! ship       20     a new version of a plugin, from its push to its first result
//! changes    26-28  a change that is planned and recorded, and what others feel of a large one
//! sweeps     21-25  a hundred sweeps beside a person while a target hangs; minutes long, so only when asked for
//! ```

mod api;
mod changes;
mod cores;
mod database;
mod load;
mod plugins;
mod program;
mod report;
mod runs;
mod samples;
mod schedule;
mod server;
mod ship;
mod spinners;
mod start;
mod sweeps;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::Context;
use cores::Cores;
use paramedic::clock::{Clock, SystemClock};
use paramedic_tests::components;
use report::Report;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// What all measures share.
pub struct Bench {
    /// The cores that everything shares.
    cores: Cores,
    /// The agent's threads.
    agent: Runtime,
    /// The load generator's threads.
    generator: Runtime,
    /// A directory on a real disk, which goes with this.
    scratch: TempDir,
    /// How long `sweeps` watches.
    minutes: u32,
}

/// A group of measures: its name, and what takes them.
type Group = (&'static str, fn(&Bench, &mut Report) -> anyhow::Result<()>);

const GROUPS: [Group; 9] = [
    ("runs", runs::measure),
    ("api", api::measure),
    ("start", start::measure),
    ("spinners", spinners::measure),
    ("database", database::measure),
    ("schedule", schedule::measure),
    ("ship", ship::measure),
    ("changes", changes::measure),
    LONG,
];

/// Longer than all others together, so nobody gets it unasked.
const LONG: Group = ("sweeps", sweeps::measure);

/// How long it watches unless told.
const MINUTES: u32 = 10;

fn main() -> anyhow::Result<()> {
    let (minutes, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.parse::<u32>().is_ok());
    let minutes = minutes.first().and_then(|minutes| minutes.parse().ok()).unwrap_or(MINUTES);
    let groups = chosen(names)?;
    let cores = Cores::take()?;
    let folder = components::target_directory()?.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    log_to(&folder.join("agent.log"))?;
    let scratch = TempDir::new_in(&folder).context("cannot make a directory for the measures")?;
    let bench = Bench { cores, agent: runtime("agent")?, generator: runtime("generator")?, scratch, minutes };

    let mut report = Report::default();
    for (name, measure) in groups {
        let began = Instant::now();
        measure(&bench, &mut report).with_context(|| format!("the measures of `{name}` failed"))?;
        eprintln!("bench: {name} took {:.0} s", began.elapsed().as_secs_f64());
    }
    tell(&bench, &report, &folder)
}

/// Groups by name; all of them but the long one unless told.
fn chosen(names: Vec<String>) -> anyhow::Result<Vec<Group>> {
    if names.is_empty() {
        return Ok(GROUPS.into_iter().filter(|(name, _)| *name != LONG.0).collect());
    }
    let find = |name: String| {
        let known =
            || format!("no measures are called `{name}`; there are {}", GROUPS.map(|(name, _)| name).join(", "));
        GROUPS.into_iter().find(|(group, _)| *group == name).with_context(known)
    };
    names.into_iter().map(find).collect()
}

/// The agent logs every run, and that is part of what a run costs.
fn log_to(path: &Path) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let subscriber =
        tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_env_filter("info");
    subscriber.with_writer(Mutex::new(file)).try_init().map_err(|error| anyhow::anyhow!(error))
}

fn runtime(name: &str) -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build().context("cannot start threads")
}

fn tell(bench: &Bench, report: &Report, folder: &Path) -> anyhow::Result<()> {
    let setup = setup(bench);
    let path = folder.join(format!("{}.json", SystemClock.now().as_millis()));
    report.write(&path, &setup)?;
    println!("{}", description(&setup));
    print!("\n{}", report.table());
    match report.short() {
        0 => println!("\nevery goal is met"),
        short => println!("\n{short} short of their goals"),
    }
    println!("raw figures: {}", shown(path));
    Ok(())
}

/// Relative to where we are, if that is shorter.
fn shown(path: PathBuf) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    relative.unwrap_or(path).display().to_string()
}

fn setup(bench: &Bench) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let model =
        processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    json!({
        "processor": model.unwrap_or("unknown"),
        "cores": bench.cores.numbers(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load before": read("/proc/loadavg").trim(),
        "agent threads": 2,
        "guest threads": 2,
        "generator threads": 2,
    })
}

fn description(setup: &Value) -> String {
    let text = |name: &str| setup.get(name).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
    format!(
        "{}, cores {}, Linux {}\n\
         agent (2 threads), guests (2), load generator (2), Postgres and disk share these two cores; medians, taken in turns",
        text("processor"),
        text("cores"),
        text("kernel"),
    )
}
