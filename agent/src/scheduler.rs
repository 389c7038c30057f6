//! Sweeps: when they run, what their checks come to together, and how they stand over time.
//!
//! ```text
//!  schedule   slots: intervals and cron patterns in a time zone              pure
//!  timing     which slot is to start now, which is late, which were missed   pure
//!  standing   from verdicts to a confirmed state                             pure
//!      ▼
//!  driver     wakes when something is due ─► claims the slot in the store ─► execution ─► ledger
//!                                              at most once, whatever             │          │
//!                                              happens afterwards                 │          standing, events and
//!                                                                  checks side by side,      silences, durable
//!                                                                  bounded per target
//! ```
//!
//! Knows the clock, the store and a [`CheckRunner`]; never how a plugin runs, the API or a target's client.

mod driver;
mod execution;
mod ledger;
mod places;
mod retry;
mod schedule;
mod silences;
mod standing;
mod timing;

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

pub use driver::{Duty, Prepared, Refusal, Scheduler, SweepView, Turn, UnderWay};
pub use ledger::SCHEDULE;
pub use schedule::{Cadence, Schedule};
pub use silences::NewSilence;
pub use standing::Rules;
pub use timing::Timetable;

use crate::domain::{Actor, CheckResult, Overlap, PluginName, SweepName, SweepRunId, Target, Trigger};

/// A named set of checks that run together.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Its name.
    pub name: SweepName,
    /// When it runs by itself; none for only when asked.
    pub timetable: Option<Timetable>,
    /// What becomes of a slot that comes while it is still at work.
    pub overlap: Overlap,
    /// Its checks.
    pub checks: Vec<Check>,
    /// What it takes to believe a verdict.
    pub rules: Rules,
    /// Most of its checks at the same time.
    pub max_parallel: usize,
    /// Most of its checks at the same time on one target.
    pub max_parallel_per_target: usize,
}

/// A plugin with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The plugin.
    pub plugin: PluginName,
    /// Its parameters.
    pub params: Map<String, Value>,
}

/// A check that is to run now.
#[derive(Clone, Debug)]
pub struct Order {
    /// The sweep that it is part of.
    pub sweep: SweepName,
    /// The run of that sweep.
    pub sweep_run: SweepRunId,
    /// The check.
    pub check: Check,
    /// Who asked.
    pub actor: Actor,
    /// What made them ask.
    pub trigger: Trigger,
    /// How long it may wait for its turn.
    pub patience: Duration,
}

/// Runs checks.
#[async_trait]
pub trait CheckRunner: Send + Sync + 'static {
    /// The targets that a check is about, as far as is known, each once and in a fixed order.
    fn targets(&self, check: &Check) -> Vec<Target>;

    /// Run a check and tell what it came to; none when the agent is ending and it did not run. Nobody wants to know any more
    /// when this is dropped.
    async fn run(&self, order: Order) -> Option<CheckResult>;
}

/// What holds for all sweeps together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most checks of all sweeps at the same time on one target.
    pub max_parallel_per_target: usize,
    /// How long a check waits for a place before it is given up.
    pub patience: Duration,
}
