//! One change of a plan that is carried out: all of it is one task on the agent's runtime, because to come from there back to
//! the thread of the guest, and from that to the store's and back, costs as much as what is done in between.
//!
//! ```text
//! preview ─► page ─► turn ─► needed? ─► ground as planned? ─► intent, durable ─► halted? ─► perform ─► told ─► result, durable ─► noted
//! └─ given up with the run ─┘└────────────── goes on without it, and leaves a whole record ──────────────────────────────────────────┘
//! ```
//!
//! The guest goes on while the result is being recorded, and with it the look of the next step. That one begins when the page
//! is free, which is when the result is durable: whenever the agent dies, there is one change at most of which a run does not
//! know what became of it.
//!
//! There is one turn. Where the step takes it, it begins; where whoever waits takes it first, because the run is over, the step
//! ends in its look, in which nothing was done. So a run can be cut off at any moment: until then there is no intent, and from
//! then on there is one with its result.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use super::{Intent, IntentError, Ledger, Receipt, denial, moved};
use crate::domain::{CallError, CallLimits, DenialReason, Fate, PlannedChange};
use crate::journal::{Change, Disposition, Halt, Performed};

/// A change that a plan lists and that was asked for.
pub(super) struct Step {
    pub(super) change: Arc<dyn Change>,
    pub(super) intent: Intent,
    pub(super) limits: CallLimits,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) halt: Halt,
    pub(super) page: Page,
}

/// Where the changes of one run are recorded, one after the other: held by a step from before its intent until what became
/// of it is durable.
pub(super) type Page = Arc<Mutex<()>>;

/// What comes of a step.
pub(super) enum Came {
    /// Its target was not seen, for that reason or because the time was over; nothing is recorded.
    Unseen(Option<CallError>),
    /// It would pass what an hour allows.
    Exhausted(String),
    /// What the guest is told.
    Told(Result<Receipt, CallError>),
    /// Nobody knows: it panicked, or goes on for longer than anybody waits.
    BrokeOff,
}

/// Where it is told.
pub(super) type Answer = oneshot::Receiver<Came>;

/// A step under way. It is given up together with this as long as it has not begun.
pub(super) struct UnderWay {
    task: JoinHandle<()>,
    turn: Arc<Turn>,
}

/// What only one of two gets.
#[derive(Default)]
struct Turn(AtomicBool);

impl Turn {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl UnderWay {
    /// End it, unless it has begun. True when nothing comes of it.
    pub(super) fn give_up(&self) -> bool {
        let is_ours = self.turn.take();
        if is_ours {
            self.task.abort();
        }
        is_ours
    }

    /// Wait until it is over, its notes included. One that has not begun is given up.
    pub(super) async fn over(mut self) {
        if !self.give_up() {
            // One that panicked has recorded what it could.
            let _ = Pin::new(&mut self.task).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// A change that was begun and is over: what is recorded of it, and what the guest is told.
struct Ended {
    fate: Fate,
    told: Result<Receipt, CallError>,
}

impl Step {
    /// Let it go on `io`.
    pub(super) fn begin(self, io: &Handle) -> (UnderWay, Answer) {
        let (tell, answer) = oneshot::channel();
        let turn = Arc::new(Turn::default());
        let task = io.spawn(self.go(turn.clone(), tell));
        (UnderWay { task, turn }, answer)
    }

    async fn go(self, turn: Arc<Turn>, tell: oneshot::Sender<Came>) {
        // Whoever went away has no use for an answer; that is so with each of them.
        let now = match self.change.preview(&self.limits).await {
            Ok(now) => now,
            Err(error) => return drop(tell.send(Came::Unseen(Some(error)))),
        };
        let Self { change, intent, limits, ledger, halt, page } = self;
        let _page = page.lock().await;
        if !turn.take() {
            return;
        }
        let Intent { position, sequence, .. } = intent;
        if !now.is_needed() {
            let receipt = Receipt::of(sequence, Disposition::Unchanged, &now);
            let _ = tell.send(Came::Told(Ok(receipt)));
            return ledger.pass_over(intent, &Fate::Unchanged).await;
        }
        if let Some(moved) = moved(&intent.planned.preview.ground, &now.ground) {
            let _ = tell.send(Came::Told(Err(CallError::Conflict(moved.clone()))));
            return ledger.pass_over(intent, &Fate::Conflict(moved)).await;
        }
        let planned = intent.planned.clone();
        if let Err(error) = ledger.intend(intent).await {
            return drop(tell.send(not_intended(error, &planned)));
        }
        // The run may have ended while that was written. What was not sent need not be.
        let performed = if halt.is_asked() {
            Performed::Nothing(CallError::TimedOut("the run ended before the change was begun".to_owned()))
        } else {
            change.perform(&planned.preview, &limits, &halt).await
        };
        let Ended { fate, told } = Ended::of(performed, sequence, &planned);
        let _ = tell.send(Came::Told(told));
        ledger.settle(position, &fate).await;
        ledger.note(position, &fate);
    }
}

fn not_intended(error: IntentError, planned: &PlannedChange) -> Came {
    let text = error.to_string();
    match error {
        IntentError::Exhausted(_) => Came::Exhausted(text),
        IntentError::Frozen(_) => Came::Told(Err(denial(&planned.call, DenialReason::Frozen, text).into())),
        IntentError::Unrecorded => Came::Told(Err(CallError::Unavailable(text))),
    }
}

impl Ended {
    fn of(performed: Performed, sequence: u32, planned: &PlannedChange) -> Self {
        let preview = &planned.preview;
        match performed {
            Performed::Done(done) if done.objects == 0 && done.incomplete.is_none() => {
                Self { fate: Fate::Unchanged, told: Ok(Receipt::of(sequence, Disposition::Unchanged, preview)) }
            }
            Performed::Done(mut done) => {
                let told = Receipt {
                    sequence,
                    disposition: Disposition::Applied,
                    summary: preview.summary.clone(),
                    differences: done.differences.clone(),
                    reversible: done.inverse.is_some(),
                    // It is for the guest alone.
                    answer: done.answer.take(),
                };
                Self { fate: Fate::Applied(done), told: Ok(told) }
            }
            Performed::Nothing(error) => {
                let fate = match &error {
                    CallError::Conflict(moved) => Fate::Conflict(moved.clone()),
                    other => Fate::Failed(other.to_string()),
                };
                Self { fate, told: Err(error) }
            }
            Performed::Unknown(error) => Self { fate: Fate::Unknown(error.to_string()), told: Err(error) },
        }
    }
}
