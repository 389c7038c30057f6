//! Measures 21 to 25: a hundred sweeps of ten checks, each every minute, with a person beside them who runs a plugin ten times
//! a second; one of the targets accepts connections and never answers.
//!
//! It is the real program with real plugins, a Postgres, a Redis and a web server. Each sweep has a check on the target that
//! hangs, so a tenth of all checks takes the time of its deadline. What is asked is what this does to everything else: when the
//! other checks start, what a person notices, and whether memory grows.

mod history;
mod surroundings;

use std::time::{Duration, Instant};

use anyhow::Context;
use history::History;
use serde_json::{Value, json};
use surroundings::Surroundings;

use crate::Bench;
use crate::load::Question;
use crate::report::{Report, Row, Unit};
use crate::runs::NOTHING;
use crate::samples::{Samples, millis};

const SWEEPS: usize = 100;
const TOKEN: &str = "what is measured has to know who asks";

/// How often the person asks, and for how long of an agent that has nothing else to do.
const PACE: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(60);

/// How often memory is looked at. After the first minute every sweep has run once, and every pool is filled.
const LOOK: Duration = Duration::from_secs(10);
const FIRST_LOOKS: usize = 6;

/// Measure and report.
pub fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let surroundings = Surroundings::start(bench)?;
    let idle = {
        let agent = surroundings.agent("idle", 0)?;
        Watched::during(bench, &agent, IDLE)?
    };
    let agent = surroundings.agent("busy", SWEEPS)?;
    let busy = Watched::during(bench, &agent, Duration::from_secs(60) * bench.minutes)?;
    let history = History::read(&agent.api(), SWEEPS)?;
    tell_of_sweeps(report, &history)?;
    report.note(format!("a bare timer beside them late: {}", late(&busy.timer)), busy.timer.summary());
    tell_of_memory(report, bench.minutes, &busy.memory)?;
    tell_of_person(report, &idle.person, &busy.person);
    Ok(())
}

/// What was seen of an agent while a person asked it.
struct Watched {
    /// What the person waited, in microseconds.
    person: Samples,
    /// How late a timer rang that had nothing to do with the agent, in milliseconds: what the machine itself makes late.
    timer: Samples,
    /// The agent's memory in MiB, every ten seconds.
    memory: Vec<f64>,
}

impl Watched {
    fn during(bench: &Bench, agent: &surroundings::Agent, time: Duration) -> anyhow::Result<Self> {
        let question = Question::run(agent.address(), "noop", TOKEN, NOTHING);
        let end = Instant::now() + time;
        let person = bench.generator.spawn(question.at_a_pace(PACE, end));
        let timer = bench.generator.spawn(ring(end));
        let mut memory = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            std::thread::sleep(left.min(LOOK));
            memory.push(agent.resident_mebibytes()?);
        }
        let (person, timer) = bench.generator.block_on(async { (person.await, timer.await) });
        let person = person.context("the person panicked")??;
        Ok(Self { person: Samples::of(person)?, timer: Samples::of(timer.context("the timer panicked")?)?, memory })
    }
}

/// How late a timer rings, once in each pace until `end`, in milliseconds.
async fn ring(end: Instant) -> Vec<f64> {
    let mut late = Vec::new();
    let mut due = Instant::now() + PACE;
    while due < end {
        tokio::time::sleep_until(due.into()).await;
        late.push(millis(due.elapsed()));
        due = Instant::now() + PACE;
    }
    late
}

fn late(late: &Samples) -> String {
    let (p50, p99, max) = (late.median(), late.percentile(0.99), late.percentile(1.0));
    format!("p50 {p50:.0} ms, p99 {p99:.0} ms, max {max:.0} ms")
}

fn tell_of_sweeps(report: &mut Report, history: &History) -> anyhow::Result<()> {
    let (sweeps, checks, hanging) = (
        Samples::of(history.sweeps.clone())?,
        Samples::of(history.checks.clone())?,
        Samples::of(history.hanging.clone())?,
    );
    let row = |number, measure: &str, late: &Samples| {
        Row::absolute(number, measure, Unit::Millis, late.percentile(0.99)).at_most(50.0).raw(late.summary())
    };
    report.add(row(21, "one of 100 sweeps starts late while a target hangs, p99", &sweeps));
    report.add(row(22, "a check of a target that answers starts late, p99", &checks));
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let left_out = history.left_out() as f64;
    let measure = "slots that were missed, skipped or overlapped";
    report.add(Row::absolute(23, measure, Unit::Count, left_out).at_most(0.0).raw(history.json()));
    report.note(format!("sweeps late: {}; {} starts", late(&sweeps), sweeps.values().len()), Value::Null);
    report.note(format!("checks late: {}; {} checks", late(&checks), checks.values().len()), Value::Null);
    let ended = format!("{} ended by their deadline", history.ended_by_deadline);
    report.note(
        format!("checks of what hangs late: {}; {} checks, {ended}", late(&hanging), hanging.values().len()),
        hanging.summary(),
    );
    report.note(format!("verdicts of the others: {}", history.verdicts()), Value::Null);
    Ok(())
}

fn tell_of_memory(report: &mut Report, minutes: u32, memory: &[f64]) -> anyhow::Result<()> {
    let early = *memory.get(FIRST_LOOKS - 1).context("the sweeps were watched for less than a minute")?;
    let late = *memory.last().context("memory was not looked at")?;
    let measure = format!("memory gained from minute 1 to minute {minutes}");
    let raw = json!({ "MiB every ten seconds": memory });
    report.add(Row::absolute(24, &measure, Unit::Mebibytes, late - early).at_most(4.0).raw(raw));
    report.note(format!("memory: {early:.1} MiB after a minute, {late:.1} MiB at the end"), Value::Null);
    Ok(())
}

fn tell_of_person(report: &mut Report, idle: &Samples, busy: &Samples) {
    let measure = "a person's run beside the sweeps over an idle agent, p99";
    let p99 = (idle.percentile(0.99) / 1e3, busy.percentile(0.99) / 1e3);
    let raw = json!({ "idle us": idle.summary(), "busy us": busy.summary() });
    report.add(Row::ratio(25, measure, Unit::Millis, p99).at_most(2.0).raw(raw));
    let waits = |who: &str, waits: &Samples| {
        format!(
            "a person {who}: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms; {} runs",
            waits.median() / 1e3,
            waits.percentile(0.99) / 1e3,
            waits.percentile(1.0) / 1e3,
            waits.values().len()
        )
    };
    report.note(waits("alone", idle), Value::Null);
    report.note(waits("beside the sweeps", busy), Value::Null);
}
