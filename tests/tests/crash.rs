//! The agent is killed under load, again and again, always with the same store. What it had answered holds afterwards:
//! nothing that was acknowledged is lost, nothing is there twice, and what was under way is shown as what it is.
//!
//! The load is mixed: runs of which fifty are under way at each kill, versions of plugins that come and go, sweeps by their
//! schedules and by hand, silences, and a configuration that changes. Its callers ask without pause until the agent is gone; each says in its own file what it
//! holds the next agent to. The kill comes after a random number of requests and answers of one of these kinds, so that it hits
//! the beginnings, ends and commits of all.
//!
//! `PARAMEDIC_CRASH_ROUNDS` says how often, `PARAMEDIC_CRASH_SEED` gives the random numbers of an earlier run again.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of tests may fail as tests do"
)]

#[path = "crash/callers.rs"]
mod callers;
#[path = "crash/ledger.rs"]
mod ledger;
#[path = "crash/mortal.rs"]
mod mortal;
#[path = "crash/reloads.rs"]
mod reloads;
#[path = "crash/runs.rs"]
mod runs;
#[path = "crash/silences.rs"]
mod silences;
#[path = "crash/store.rs"]
mod store;
#[path = "crash/sweeps.rs"]
mod sweeps;
#[path = "crash/uploads.rs"]
mod uploads;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver};

use anyhow::Context;
use callers::{Caller, Subject, Successor, Told};
use ledger::Totals;
use mortal::Mortal;
use paramedic::clock::{Clock, SystemClock};
use paramedic_tests::process::temporary_directory;
use paramedic_tests::wait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reloads::Editor;
use runs::Runner;
use silences::Silencer;
use sweeps::Watch;
use uploads::Shipper;

/// Gives the seed of an earlier run again.
const SEED: &str = "PARAMEDIC_CRASH_SEED";

/// How often the agent is killed.
const ROUNDS: &str = "PARAMEDIC_CRASH_ROUNDS";

/// As often as the usual tests have time for.
const FEW_ROUNDS: usize = 10;

/// When the kill comes: after so many requests and answers about one subject, and not before all endless runs are under way.
struct Moment {
    subject: Subject,
    steps: usize,
}

impl Moment {
    fn any(rng: &mut StdRng) -> Self {
        let (subject, most) = match rng.random_range(0..6) {
            0..=1 => (Subject::Runs, 400),
            2 => (Subject::Uploads, 16),
            3 => (Subject::Sweeps, 40),
            4 => (Subject::Silences, 40),
            _ => (Subject::Reloads, 20),
        };
        Moment { subject, steps: rng.random_range(0..=most) }
    }

    /// Listens to the callers until it has come.
    fn wait(&self, told: &Receiver<Told>) -> anyhow::Result<()> {
        let (mut endless, mut steps) = (0, 0);
        while endless < runs::ENDLESS_RUNS || steps < self.steps {
            match told.recv_timeout(wait::PATIENCE).context("the callers fell silent")? {
                Told::Step(subject) => steps += usize::from(subject == self.subject),
                Told::Endless => endless += 1,
                Told::Lost(error) => return Err(error.context("the agent was gone before it was killed")),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killed after {} steps of {:?}", self.steps, self.subject)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a seed that failed has to come in from outside, and so has a number of rounds"
)]
fn given<T: FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn everybody() -> anyhow::Result<Vec<Box<dyn Caller>>> {
    let mut callers: Vec<Box<dyn Caller>> = Vec::new();
    callers.extend((0..runs::CALLERS).map(|number| Box::new(Runner::new(number)) as Box<dyn Caller>));
    for plugin in uploads::PLUGINS {
        callers.push(Box::new(Shipper::new(plugin)?));
    }
    callers.extend(sweeps::CALLERS.map(|name| Box::new(Watch::new(name)) as Box<dyn Caller>));
    callers.push(Box::new(Editor::default()));
    callers.extend(silences::CALLERS.map(|name| Box::new(Silencer::new(name)) as Box<dyn Caller>));
    Ok(callers)
}

/// Lets everybody ask until that moment, then kills the agent.
fn ask_until_killed(
    agent: Mortal,
    callers: &mut [Box<dyn Caller>],
    rng: &mut StdRng,
    moment: &Moment,
) -> anyhow::Result<()> {
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for caller in callers {
            let asker = agent.asker(&**caller, StdRng::from_rng(rng), tell.clone());
            scope.spawn(move || asker.ask_until_nobody_answers(&mut **caller));
        }
        let came = moment.wait(&told);
        // Also when something went wrong, because the callers end with the agent.
        drop(agent);
        came
    })
}

/// Lets everybody hold the agent to what they were told, all at the same time.
fn judge(
    agent: &Mortal,
    callers: &mut [Box<dyn Caller>],
    judge: impl Fn(&mut dyn Caller, &Mortal) -> anyhow::Result<()> + Sync,
) {
    std::thread::scope(|scope| {
        for caller in callers {
            let judge = &judge;
            scope.spawn(move || judge(&mut **caller, agent).unwrap());
        }
    });
}

fn totals(callers: &[Box<dyn Caller>]) -> Totals {
    callers.iter().fold(Totals::default(), |totals, caller| totals.and(caller.totals()))
}

/// Starts the agent that follows one that was killed, and judges it.
fn succeed(folder: &Path, callers: &mut [Box<dyn Caller>]) -> anyhow::Result<Mortal> {
    let born = SystemClock.now().to_string();
    let agent = Mortal::start(folder, callers)?;
    judge(&agent, callers, |caller, agent| caller.judge(&Successor { api: agent.api(caller), born: born.clone() }));
    Ok(agent)
}

#[test]
fn after_kill_9_nothing_acknowledged_is_lost_and_nothing_is_there_twice() {
    let (seed, rounds) = (given(SEED).unwrap_or_else(rand::random), given(ROUNDS).unwrap_or(FEW_ROUNDS));
    eprintln!("{SEED}={seed} {ROUNDS}={rounds}");
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = temporary_directory("crash").unwrap();
    let mut callers = everybody().unwrap();
    let mut agent = Mortal::start(folder.path(), &callers).unwrap();
    for round in 1..=rounds {
        let moment = Moment::any(&mut rng);
        eprintln!("round {round}: {moment}");
        ask_until_killed(agent, &mut callers, &mut rng, &moment).unwrap();
        agent = succeed(folder.path(), &mut callers).unwrap();
    }
    judge(&agent, &mut callers, |caller, agent| caller.judge_all(&agent.api(caller)));
    drop(agent);
    store::assert_sound(&folder.path().join("paramedic.db"));
    let totals = totals(&callers);
    eprintln!("{SEED}={seed}: {rounds} kills; {totals}");
    assert!(totals.of("ends of runs read") > 0, "no end was read before a kill");
}
