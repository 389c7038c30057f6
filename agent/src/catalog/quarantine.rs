//! Holds back a plugin that keeps failing by its own fault, and lets it try again.
//!
//! ```text
//!            faults in a row            until is over
//!  healthy ────────────────► held back ───────────────► on trial ──► good: healthy
//!     ▲                          ▲                          │
//!     └── by hand, another ──────┴──── fault: twice as long ┘
//!         component
//! ```
//!
//! A fault is what a guest does by itself: it traps, loops, takes more than its limits. That a target is down is no
//! fault of the plugin, also not when waiting for it takes the time that the run had.
//!
//! Pure: who asks brings the time.

use std::time::Duration;

use crate::domain::{Ending, Failure, FailureKind, Run, Timestamp, cut_bytes};

/// Longest reason, in bytes. It stands in lists and in every refusal.
const MAX_REASON: usize = 200;

/// When a plugin is held back, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Faults in a row.
    pub faults: u32,
    /// How long the first time; each further time is twice as long.
    pub first: Duration,
    /// How long at most.
    pub longest: Duration,
}

impl Policy {
    /// What holds where the operator says nothing.
    pub const DEFAULT: Self = Self { faults: 5, first: Duration::from_secs(60), longest: Duration::from_secs(60 * 60) };

    fn length(&self, round: u32) -> Duration {
        let doublings = round.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

/// A plugin that is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// When it began.
    pub since: Timestamp,
    /// When a run is tried again.
    pub until: Timestamp,
    /// How many times in a row, counted from 1.
    pub round: u32,
    /// What the last of the runs did.
    pub reason: String,
}

impl Hold {
    /// True while no run may be tried. A clock that was set back behind the beginning must not make it longer.
    pub fn is_closed(&self, now: Timestamp) -> bool {
        now < self.until && now >= self.since
    }
}

/// How a run ended, as far as its plugin is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// It came to a verdict, whatever that is.
    Good,
    /// It failed by its own fault.
    Fault(String),
    /// It says nothing about the plugin.
    Neutral,
}

impl Conduct {
    /// How the plugin of `run` behaved.
    pub fn of(run: &Run) -> Self {
        let failure = match &run.ending {
            Some(Ending::Concluded(_)) => return Self::Good,
            Some(Ending::Failed(failure)) => failure,
            None => return Self::Neutral,
        };
        match failure.kind {
            FailureKind::Deadline if waited_for_targets(run) => Self::Neutral,
            FailureKind::Deadline
            | FailureKind::Memory
            | FailureKind::Tables
            | FailureKind::Stack
            | FailureKind::Calls
            | FailureKind::Log
            | FailureKind::Data
            | FailureKind::InvalidOutcome
            | FailureKind::Exit
            | FailureKind::Trap => Self::Fault(reason(failure)),
            FailureKind::BadParams
            | FailureKind::NotInPlan
            | FailureKind::HostCall
            | FailureKind::Plugin
            | FailureKind::Capacity
            | FailureKind::Interrupted
            | FailureKind::Cancelled
            | FailureKind::Internal => Self::Neutral,
        }
    }
}

/// The kind and the beginning of the first line: a panic comes with a page of advice.
fn reason(failure: &Failure) -> String {
    let message = failure.message.lines().next().unwrap_or_default();
    format!("{}: {}", failure.kind.as_str(), cut_bytes(message, MAX_REASON))
}

/// True when most of the time went to calls: then it was a target that was slow.
fn waited_for_targets(run: &Run) -> bool {
    let waited: Duration = run.calls.iter().map(|call| call.duration).sum();
    waited.saturating_mul(2) >= run.usage.duration
}

/// The right to run, which has to be given back with how it went.
#[derive(Debug, PartialEq, Eq)]
pub struct Pass {
    epoch: u64,
    is_trial: bool,
}

/// What changed when a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The plugin is held back from now on.
    Held(Hold),
    /// It is held back no more.
    Released,
}

/// Why a run was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The hold.
    pub hold: Hold,
    /// True when a trial is under way, whose end decides.
    pub on_trial: bool,
}

/// How one plugin stands.
#[derive(Debug)]
pub struct Quarantine {
    policy: Policy,
    phase: Phase,
    /// Grows whenever what ran before must not count any more.
    epoch: u64,
}

#[derive(Debug)]
enum Phase {
    Healthy { faults: u32 },
    Held(Hold),
    OnTrial(Hold),
}

impl Quarantine {
    /// A plugin that did nothing wrong yet.
    pub const fn new(policy: Policy) -> Self {
        Self { policy, phase: Phase::Healthy { faults: 0 }, epoch: 0 }
    }

    /// Ask whether a run may begin at `now`.
    pub fn admit(&mut self, now: Timestamp) -> Result<Pass, Refusal> {
        match &self.phase {
            Phase::Healthy { .. } => Ok(Pass { epoch: self.epoch, is_trial: false }),
            Phase::Held(hold) if hold.is_closed(now) => Err(Refusal { hold: hold.clone(), on_trial: false }),
            Phase::Held(hold) => {
                self.phase = Phase::OnTrial(hold.clone());
                Ok(Pass { epoch: self.epoch, is_trial: true })
            }
            Phase::OnTrial(hold) => Err(Refusal { hold: hold.clone(), on_trial: true }),
        }
    }

    /// Tell how a run that was admitted went.
    pub fn settle(&mut self, pass: Pass, conduct: Conduct, now: Timestamp) -> Option<Change> {
        if pass.epoch != self.epoch {
            return None;
        }
        match (&mut self.phase, conduct) {
            (Phase::Healthy { faults }, Conduct::Good) => {
                *faults = 0;
                None
            }
            (Phase::Healthy { faults }, Conduct::Fault(reason)) => {
                *faults = faults.saturating_add(1);
                if *faults < self.policy.faults { None } else { Some(self.hold(now, 1, reason)) }
            }
            (Phase::OnTrial(_), Conduct::Good) if pass.is_trial => {
                self.forgive();
                Some(Change::Released)
            }
            (Phase::OnTrial(hold), Conduct::Fault(reason)) if pass.is_trial => {
                let round = hold.round.saturating_add(1);
                Some(self.hold(now, round, reason))
            }
            // It told nothing, so the next run is the trial.
            (Phase::OnTrial(hold), Conduct::Neutral) if pass.is_trial => {
                self.phase = Phase::Held(hold.clone());
                None
            }
            // Runs that began before the hold.
            (Phase::Healthy { .. } | Phase::Held(_) | Phase::OnTrial(_), _) => None,
        }
    }

    fn hold(&mut self, now: Timestamp, round: u32, reason: String) -> Change {
        let hold = Hold { since: now, until: now.after(self.policy.length(round)), round, reason };
        self.phase = Phase::Held(hold.clone());
        Change::Held(hold)
    }

    /// Forget everything: by hand, or because another component runs now. Runs under way count no more. Tells whether
    /// the plugin was held back.
    pub fn forgive(&mut self) -> bool {
        let was_held = self.current().is_some();
        self.phase = Phase::Healthy { faults: 0 };
        self.epoch += 1;
        was_held
    }

    /// Go on where a former agent stopped.
    pub fn restore(&mut self, hold: Hold) {
        self.phase = Phase::Held(hold);
        self.epoch += 1;
    }

    /// The hold, if there is one.
    pub const fn current(&self) -> Option<&Hold> {
        match &self.phase {
            Phase::Healthy { .. } => None,
            Phase::Held(hold) | Phase::OnTrial(hold) => Some(hold),
        }
    }
}

#[cfg(test)]
mod tests;
