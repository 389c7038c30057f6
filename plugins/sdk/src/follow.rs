//! Following a rollout to its end, after a change that replaces the pods of a workload.
//!
//! ```text
//! change ─► applied? ─no─► told as it is: in a plan nothing is waited for
//!              │yes
//!              ▼
//!        look at the rollout ◄── pause ──┐
//!              │ complete ─► ready       │
//!              │ stuck, or the time over ─► not ready, and given back if that is wanted
//!              └─────────────────────────┘
//! ```
//!
//! It changes nothing by itself: what is to be given back is a label of the outcome, and the agent does it.

use crate::kubernetes::{self, Rollout};
use crate::{
    Context, Error, Failure, Instant, Outcome, Receipt, Seconds, Status, Suggestion, Workload, clock, human, log,
};

/// Between the first two looks; later ones are further apart.
const SHORTEST_PAUSE: Seconds = 1.0;
const LONGEST_PAUSE: Seconds = 5.0;
/// What is left of a run for its outcome, and for the change before.
const REST: Seconds = 10.0;
/// With less than this left the next look might not come back.
const LEAST_TIME: Seconds = 3.0;
/// How often in a row a rollout has to be seen stuck. Right after a change its conditions may still be those of the one before.
const STUCK_LOOKS: u32 = 3;
/// How the agent's messages begin about a rollout that goes on only when somebody does something.
const STUCK: [&str; 2] = ["it is stuck", "it is paused"];

/// A rollout that is followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Follow<'a> {
    /// The workload whose pods are replaced.
    pub workload: &'a Workload,
    /// Seconds within which the rollout has to be complete.
    pub ready_within: Seconds,
    /// What is to be done when it is not.
    pub not_ready: NotReady,
}

/// What is to be done about a workload that did not become ready in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// Say so, and leave it as it is.
    Keep,
    /// Ask the agent to give back what the run did.
    GiveBack,
}

impl From<bool> for NotReady {
    /// A parameter `give_back_if_not_ready`.
    fn from(gives_back: bool) -> Self {
        if gives_back { Self::GiveBack } else { Self::Keep }
    }
}

/// How it ended.
enum End {
    Ready,
    /// With the reason that the cluster gives.
    NotReady(String),
    /// It could not be looked at.
    Unseen(Error),
}

impl Follow<'_> {
    /// Refuse parameters that ask for more time than a run has, before anything is done.
    pub fn check_time(&self, context: &Context) -> Result<(), Failure> {
        check_time(context, "ready_within", self.ready_within)
    }

    /// Tell what became of a change, as [`Outcome::of_change`] does; if it was done, follow the rollout to its end.
    pub fn after(
        &self,
        change: Result<Receipt, Error>,
        done: impl FnOnce(&Receipt) -> String,
        nothing: &str,
    ) -> Outcome {
        let is_applied = change.as_ref().is_ok_and(Receipt::is_applied);
        let outcome = Outcome::of_change(change, done, nothing);
        if is_applied { self.to_its_end(outcome) } else { outcome }
    }

    /// Follow the rollout that was begun by what `outcome` tells, and tell how it ended.
    pub fn to_its_end(&self, mut outcome: Outcome) -> Outcome {
        let began = clock::now();
        let end = self.watch(began);
        let (workload, took) = (self.workload, human::duration(clock::age(began)));
        match end {
            End::Ready => outcome.go_on(Status::Ok, &format!(", and {workload} is ready after {took}")),
            End::Unseen(error) => {
                let words = format!(", and how the rollout of {workload} goes is not known: {error}");
                outcome.go_on(Status::Unknown, &words);
            }
            End::NotReady(why) => {
                let reason = format!("{workload} is not ready after {took}: {}", human::shorten(&why, 200));
                outcome.go_on(Status::Critical, &format!(", but {reason}"));
                outcome.suggest(events(workload));
                if self.not_ready == NotReady::GiveBack {
                    return outcome.giving_back(&reason);
                }
            }
        }
        outcome
    }

    fn watch(&self, began: Instant) -> End {
        let (mut told, mut stuck) = (None, 0);
        loop {
            match kubernetes::get_rollout(self.workload) {
                Ok(rollout) => {
                    let why = tell(&rollout, &mut told);
                    if rollout.complete {
                        return End::Ready;
                    }
                    stuck = if STUCK.iter().any(|begin| why.starts_with(begin)) { stuck + 1 } else { 0 };
                    if stuck >= STUCK_LOOKS || self.is_over(began) {
                        return End::NotReady(why);
                    }
                }
                Err(error) if error.is_ours() || matches!(error, Error::NotFound(_)) || self.is_over(began) => {
                    return End::Unseen(error);
                }
                // A cluster that does not answer for a moment does not end its rollouts.
                Err(error) => log::warn(&format!("cannot look at the rollout of {}: {error}", self.workload)),
            }
            if let Err(error) = clock::sleep(self.pause(began)) {
                return End::Unseen(error);
            }
        }
    }

    /// Long rollouts are looked at less often, so that even the longest stays within the calls of a run.
    fn pause(&self, began: Instant) -> Seconds {
        let age = clock::age(began);
        let left = (self.ready_within - age).max(0.1);
        (age / 20.0).clamp(SHORTEST_PAUSE, LONGEST_PAUSE).min(left)
    }

    fn is_over(&self, began: Instant) -> bool {
        clock::age(began) >= self.ready_within || clock::remaining() < LEAST_TIME + self.pause(began)
    }
}

/// Refuse to wait for longer than a run may take. `parameter` is the name of the one that says how long.
pub fn check_time(context: &Context, parameter: &str, seconds: Seconds) -> Result<(), Failure> {
    let needed = seconds + REST;
    if needed <= context.time_limit {
        return Ok(());
    }
    Err(Failure::BadParams(format!(
        "`{parameter}` is {seconds} s, and a run of this plugin ends after {} s: set its `limits.deadline` to {} s or more, or \
         `{parameter}` lower",
        context.time_limit,
        needed.ceil(),
    )))
}

/// Tell how far a rollout has come if that is not what was told before, and return what it waits for.
fn tell(rollout: &Rollout, told: &mut Option<(u32, u32, String)>) -> String {
    let complete = if rollout.complete { "complete" } else { "not complete" };
    let message = rollout.message.clone().unwrap_or_else(|| complete.to_owned());
    // Available ones may be old, and updated ones not available.
    let done = rollout.updated.min(rollout.available);
    let now = (done, rollout.desired, message.clone());
    if told.as_ref() != Some(&now) {
        log::progress(done, rollout.desired, &message);
        *told = Some(now);
    }
    message
}

fn events(workload: &Workload) -> Suggestion {
    let why = format!("The cluster's events tell what the pods of {workload} wait for.");
    Suggestion::new("k8s-events", serde_json::json!({ "target": workload.target }), why).confidence(0.6)
}
