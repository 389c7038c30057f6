//! The single path of a call that changes something: in a plan it is previewed and listed, and with a plan it is compared,
//! recorded and carried out.
//!
//! ```text
//! change(target, arguments, make) ─► budget ─► policy::decide ─► make(permit) ─► in the plan?
//!
//!     plan    preview ─► needed? ─► per run ─► list it                                    ─► receipt `planned`
//!     apply   per run ─► step: preview ─► needed? ─► ground as planned? ─► intent, durable
//!                              ─► perform                                                 ─► receipt `applied`
//!                                └► result, durable before the next intent and before the end of the run
//! ```
//!
//! What is not needed any more is `unchanged`; what rests on moved ground is a `conflict` and not done; what the plan does
//! not list, and would have listed had it been asked for, ends the run. A change under way is not cut off with its run: it is
//! asked to halt, and what it did is recorded. See `step`.

mod step;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::{Arguments, Change, Halt, Journal, Opening, Stop};
use crate::domain::{
    CallError, CallLimits, ChangeCall, Decision, Denial, DenialReason, Difference, Fact, Fate, Operation, Plan,
    PlannedChange, Preview, TargetName, Undo,
};
use crate::policy::{ChangeOp, Count, Permit, decide};
use step::{Answer, Came, Page, Step, UnderWay};

/// How long a change under way is waited for after the run has to be over. It was asked to halt, and clients keep the
/// deadline by themselves; this is for one that hangs all the same.
const GRACE: Duration = Duration::from_secs(10);

/// How a run treats changes.
pub enum Changes {
    /// There can be none.
    Refuse,
    /// They become a plan.
    Plan(Planning),
    /// They are carried out as far as a plan lists them.
    Follow(Following),
}

/// A plan that is being made.
pub struct Planning {
    io: Handle,
    changes: Vec<PlannedChange>,
}

/// A plan that is being carried out.
pub struct Following {
    io: Handle,
    plan: Arc<Plan>,
    ledger: Arc<dyn Ledger>,
    /// How many changes of the plan were asked for or passed over.
    next: usize,
    /// How many changes were recorded.
    recorded: u32,
    halt: Halt,
    /// The last change that was begun. The guest may have been told what became of it.
    under_way: Option<UnderWay>,
    page: Page,
}

/// Where intents and results are made durable.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Record that a change is about to be done, unless that would pass what an hour allows. Durable when it answers.
    async fn intend(&self, intent: Intent) -> Result<(), IntentError>;

    /// Record what became of the change at `position`. Tries for as long as it makes sense, and is durable when it answers.
    async fn settle(&self, position: u32, fate: &Fate);

    /// Count and log what became of the change at `position`, after it was settled. Nobody waits for that.
    fn note(&self, position: u32, fate: &Fate);

    /// Record a change that was asked for and not begun: nothing needed to change, or its ground had moved.
    async fn pass_over(&self, intent: Intent, fate: &Fate);
}

/// A change that is about to be done.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Its place among the changes of the run, from 1.
    pub position: u32,
    /// The call of the run that asked for it.
    pub sequence: u32,
    /// What the plan says of it.
    pub planned: PlannedChange,
    /// Most things that all runs of the plugin may touch with this operation on this target within an hour.
    pub per_hour: u64,
}

/// Why an intent was not recorded. Nothing is done then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// An hour's bound would be passed.
    #[error("{0}")]
    Exhausted(String),
    /// Somebody has frozen changes since the run began.
    #[error("{0}")]
    Frozen(String),
    /// The store does not take it.
    #[error("the change cannot be recorded before it is done, and so is not done")]
    Unrecorded,
}

/// What a change tells the plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The number of the call in the record of the run.
    pub sequence: u32,
    /// What became of it.
    pub disposition: Disposition,
    /// The change in one line.
    pub summary: String,
    /// What it made different, or would.
    #[serde(with = "super::differences")]
    pub differences: Vec<Difference>,
    /// Whether it can be given back.
    pub reversible: bool,
    /// What the system answered, a JSON document.
    pub answer: Option<String>,
}

/// Whether a change happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// It was carried out.
    Applied,
    /// It stands in the plan.
    Planned,
    /// Nothing needed to change.
    Unchanged,
}

impl Receipt {
    /// Of a change that was not carried out.
    fn of(sequence: u32, disposition: Disposition, preview: &Preview) -> Self {
        Self {
            sequence,
            disposition,
            summary: preview.summary.clone(),
            differences: preview.differences.clone(),
            reversible: matches!(preview.undo, Undo::Possible(_)),
            answer: None,
        }
    }
}

impl Changes {
    /// Make a plan. Clients work on `io`.
    pub fn plan(io: Handle) -> Self {
        Self::Plan(Planning { io, changes: Vec::new() })
    }

    /// Carry out `plan`. Clients work on `io`.
    pub fn follow(plan: Arc<Plan>, ledger: Arc<dyn Ledger>, io: Handle) -> Self {
        let (halt, page) = (Halt::default(), Page::default());
        Self::Follow(Following { io, plan, ledger, next: 0, recorded: 0, halt, under_way: None, page })
    }
}

impl Following {
    /// The next change of the plan that asks for the same. What stands before it was not asked for, and is passed over.
    fn listed(&mut self, call: &ChangeCall) -> Option<Box<PlannedChange>> {
        let rest = self.plan.changes.get(self.next..)?;
        let ahead = rest.iter().position(|planned| planned.call == *call)?;
        self.next += ahead + 1;
        rest.get(ahead).cloned().map(Box::new)
    }

    /// Begin with a change. What became of it comes through the answer.
    fn begin(
        &mut self,
        change: Arc<dyn Change>,
        sequence: u32,
        planned: PlannedChange,
        per_hour: u64,
        limits: CallLimits,
    ) -> Answer {
        let intent = Intent { position: self.recorded.saturating_add(1), sequence, planned, per_hour };
        let (ledger, halt, page) = (self.ledger.clone(), self.halt.clone(), self.page.clone());
        let (under_way, answer) = Step { change, intent, limits, ledger, halt, page }.begin(&self.io);
        self.under_way = Some(under_way);
        answer
    }
}

/// Nobody wants more of what is under way when its run is gone.
impl Drop for Following {
    fn drop(&mut self) {
        self.halt.ask();
    }
}

/// The change that is given back.
struct Back<'a> {
    left: &'a [Fact],
    position: u32,
}

/// What one run has touched so far, by operation and target.
#[derive(Default)]
pub(super) struct Touched(HashMap<(Operation, TargetName), u64>);

impl Touched {
    /// Count what `preview` would touch, unless that is more than a run may.
    fn add(&mut self, call: &ChangeCall, preview: &Preview, count: Count) -> Result<(), Denial> {
        let touched = self.0.entry((call.operation, call.target.clone())).or_default();
        let total = touched.saturating_add(preview.objects);
        if total > count.per_run {
            let most = count.per_run;
            let message = format!("it would touch {total} with this run, and the grant says `per_run: {most}`");
            return Err(denial(call, DenialReason::OutOfBounds, message));
        }
        *touched = total;
        Ok(())
    }
}

impl Journal {
    /// Carry out a call that changes something, as the run's mode lets it. The outer error ends the run; the inner one goes
    /// to the guest. `make` gives the change for the permit, and refuses arguments that make no sense or lie outside it.
    pub async fn change<O, M>(
        &mut self,
        target: &str,
        arguments: Arguments,
        make: M,
    ) -> Result<Result<Receipt, CallError>, Stop>
    where
        O: ChangeOp,
        M: FnOnce(Permit<O>) -> Result<Arc<dyn Change>, CallError>,
    {
        let opening = self.open(O::OPERATION, target, arguments);
        if let Err(spent) = self.budget.take_call() {
            if spent.told_before {
                return Err(Stop::Calls);
            }
            return Ok(Err(self.close(opening, Decision::Exhausted, CallError::Exhausted(spent.message))));
        }
        let made = decide::<O>(&self.grants, target).map_err(CallError::from);
        if made.is_ok() && self.is_replayed() {
            return self.replay_change(opening);
        }
        let made = made.and_then(|permit| {
            let count = permit.count();
            Ok((make(permit)?, count))
        });
        match made {
            Ok((change, count)) => self.carry_out(opening, change, count, None).await,
            Err(error) => Ok(Err(self.refuse(opening, error))),
        }
    }

    /// Carry out a change that gives another one back. Its permit rests on the record of that one, so that no grant is asked.
    /// `left` is how that one left things; what is different now is somebody else's, and a conflict.
    pub async fn give_back(
        &mut self,
        change: Arc<dyn Change>,
        left: &[Fact],
        position: u32,
    ) -> Result<Result<Receipt, CallError>, Stop> {
        let call = change.call();
        let opening = Opening {
            operation: call.operation.to_string(),
            target: call.target().map_or_else(String::new, |target| target.to_string()),
            arguments: Arguments::none(),
            whole: serde_json::Value::Null,
            started: self.clock.now(),
            instant: Instant::now(),
        };
        let back = Back { left, position };
        self.carry_out(opening, change, Count { per_run: u64::MAX, per_hour: u64::MAX }, Some(back)).await
    }

    /// True when changes are listed and not carried out.
    pub const fn makes_a_plan(&self) -> bool {
        matches!(self.changes, Changes::Plan(_))
    }

    /// The changes that were listed, in order. Empty unless the run makes a plan.
    pub fn take_planned(&mut self) -> Vec<PlannedChange> {
        match &mut self.changes {
            Changes::Plan(planning) => std::mem::take(&mut planning.changes),
            Changes::Refuse | Changes::Follow(_) => Vec::new(),
        }
    }

    /// Wait for the change that was under way when the run ended, and for the record of the one before it, so that the record
    /// of the run is complete. A change whose target was only looked at is given up.
    pub async fn conclude(&mut self) {
        let Changes::Follow(following) = &mut self.changes else { return };
        following.halt.ask();
        let under_way = following.under_way.take();
        let over = async {
            if let Some(under_way) = under_way {
                under_way.over().await;
            }
            let _page = following.page.lock().await;
        };
        // Its fate is recorded by the task itself; one that hangs stays an intent without a result.
        let _ = tokio::time::timeout(GRACE, over).await;
    }

    async fn carry_out(
        &mut self,
        opening: Opening,
        change: Arc<dyn Change>,
        count: Count,
        back: Option<Back<'_>>,
    ) -> Result<Result<Receipt, CallError>, Stop> {
        let call = change.call();
        let (makes_plan, io) = match &mut self.changes {
            Changes::Refuse => {
                let error = CallError::Denied(not_in_plan(&call, "a run that neither makes a plan nor follows one"));
                return Ok(Err(self.refuse(opening, error)));
            }
            Changes::Plan(planning) => (true, planning.io.clone()),
            Changes::Follow(following) => match following.listed(&call) {
                Some(planned) => return self.follow(opening, change, *planned, count).await,
                None => (false, following.io.clone()),
            },
        };
        self.under_way = Some(opening);
        let previewed = preview(io, change.clone(), self.limits()).await;
        let opening = self.under_way.take().expect("it was put there above, and a guest makes one call at a time");
        let preview = match previewed {
            Some(Ok(preview)) => preview,
            Some(Err(error)) => return Ok(Err(self.refuse(opening, error))),
            None => return Err(self.end_at_deadline(opening)),
        };
        if makes_plan {
            return Ok(self.list(opening, call, preview, count, back));
        }
        self.turn_away(opening, &call, &preview, count)
    }

    /// What the plan does not list, and why: it was not needed or not allowed when the plan was made, and is answered as it was
    /// then. Everything else is something that nobody has looked at, and ends the run.
    fn turn_away(
        &mut self,
        opening: Opening,
        call: &ChangeCall,
        preview: &Preview,
        count: Count,
    ) -> Result<Result<Receipt, CallError>, Stop> {
        if !preview.is_needed() {
            let receipt = self.receipt(Disposition::Unchanged, preview);
            return Ok(self.answer(opening, receipt));
        }
        if let Err(denial) = self.touched.add(call, preview, count) {
            return Ok(Err(self.refuse(opening, denial.into())));
        }
        self.end_in(opening, not_in_plan(call, "the plan that this run follows").into());
        Err(Stop::NotInPlan)
    }

    /// Put a change into the plan that is being made.
    fn list(
        &mut self,
        opening: Opening,
        call: ChangeCall,
        preview: Preview,
        count: Count,
        back: Option<Back<'_>>,
    ) -> Result<Receipt, CallError> {
        let moved = back.as_ref().filter(|_| preview.is_needed()).and_then(|back| moved(back.left, &preview.ground));
        if let Some(moved) = moved {
            return Err(self.refuse(opening, CallError::Conflict(moved)));
        }
        if let Err(denial) = self.touched.add(&call, &preview, count) {
            return Err(self.refuse(opening, denial.into()));
        }
        let disposition = if preview.is_needed() { Disposition::Planned } else { Disposition::Unchanged };
        let receipt = self.receipt(disposition, &preview);
        if let (Changes::Plan(planning), Disposition::Planned) = (&mut self.changes, disposition) {
            let position = u32::try_from(planning.changes.len()).unwrap_or(u32::MAX).saturating_add(1);
            planning.changes.push(PlannedChange {
                position,
                gives_back: back.map(|back| back.position),
                call,
                preview,
            });
        }
        self.answer(opening, receipt)
    }

    /// Do what the plan lists, if it is still needed and its ground is still there.
    async fn follow(
        &mut self,
        opening: Opening,
        change: Arc<dyn Change>,
        planned: PlannedChange,
        count: Count,
    ) -> Result<Result<Receipt, CallError>, Stop> {
        if let Err(denial) = self.touched.add(&planned.call, &planned.preview, count) {
            return Ok(Err(self.refuse(opening, denial.into())));
        }
        let (sequence, limits) = (self.next_sequence(), self.limits());
        let Changes::Follow(following) = &mut self.changes else { return Err(Stop::NotInPlan) };
        let answer = following.begin(change, sequence, planned, count.per_hour, limits);
        self.under_way = Some(opening);
        let came = self.came(answer).await;
        let opening = self.under_way.take().expect("it was put there above, and a guest makes one call at a time");
        self.report(opening, came)
    }

    /// Wait for what comes of a change. The look at its target is given up at the run's deadline; one that has begun goes on
    /// until it halts.
    async fn came(&mut self, mut answer: Answer) -> Came {
        match tokio::time::timeout_at(self.deadline.into(), &mut answer).await {
            Ok(Ok(came)) => came,
            Ok(Err(_)) if self.has_given_up() => {
                Came::Unseen(Some(CallError::Unavailable("the look at the target broke off".to_owned())))
            }
            Err(_) if self.has_given_up() => Came::Unseen(None),
            Ok(Err(_)) => Came::BrokeOff,
            Err(_) => {
                let late = tokio::time::timeout_at((self.deadline + GRACE).into(), answer).await;
                late.ok().and_then(Result::ok).unwrap_or(Came::BrokeOff)
            }
        }
    }

    /// Give up the step under way, if it has not begun.
    fn has_given_up(&self) -> bool {
        match &self.changes {
            Changes::Follow(following) => following.under_way.as_ref().is_some_and(UnderWay::give_up),
            Changes::Refuse | Changes::Plan(_) => false,
        }
    }

    /// Tell the guest what came of a change.
    fn report(&mut self, opening: Opening, came: Came) -> Result<Result<Receipt, CallError>, Stop> {
        let told = match came {
            Came::Unseen(None) => return Err(self.end_at_deadline(opening)),
            Came::Unseen(Some(error)) => return Ok(Err(self.refuse(opening, error))),
            Came::BrokeOff => {
                let error = CallError::TimedOut("the run ended before the change was over".to_owned());
                self.end_in(opening, error);
                return Err(Stop::Deadline);
            }
            Came::Exhausted(text) => Err(text),
            Came::Told(told) => Ok(told),
        };
        if let Changes::Follow(following) = &mut self.changes {
            following.recorded += 1;
        }
        match told {
            Ok(Ok(receipt)) => Ok(self.answer(opening, receipt)),
            Ok(Err(error)) => Ok(Err(self.refuse(opening, error))),
            Err(text) => Ok(Err(self.close(opening, Decision::Exhausted, CallError::Exhausted(text)))),
        }
    }

    fn limits(&self) -> CallLimits {
        CallLimits { deadline: self.deadline, answer_bytes: self.answer_bytes }
    }

    fn end_at_deadline(&mut self, opening: Opening) -> Stop {
        self.end_in(opening, CallError::TimedOut("the run reached its deadline".to_owned()));
        Stop::Deadline
    }

    fn receipt(&self, disposition: Disposition, preview: &Preview) -> Receipt {
        Receipt::of(self.next_sequence(), disposition, preview)
    }

    /// Count and record a receipt like any other answer. The change stands even where the run has no budget left for it.
    fn answer(&mut self, opening: Opening, receipt: Receipt) -> Result<Receipt, CallError> {
        self.settle(opening, Ok(receipt)).unwrap_or_else(|stop| Err(CallError::Exhausted(stop.to_string())))
    }

    fn refuse(&mut self, opening: Opening, error: CallError) -> CallError {
        let decision = Decision::of(&error);
        self.close(opening, decision, error)
    }
}

/// None when the deadline passes first. The look at the target is given up then.
async fn preview(io: Handle, change: Arc<dyn Change>, limits: CallLimits) -> Option<Result<Preview, CallError>> {
    let mut looking = Looking(io.spawn(async move { change.preview(&limits).await }));
    let looked = tokio::time::timeout_at(limits.deadline.into(), &mut looking.0).await.ok()?;
    Some(looked.unwrap_or_else(|_| Err(CallError::Unavailable("the look at the target broke off".to_owned()))))
}

/// Ends with whoever waits for it.
struct Looking(JoinHandle<Result<Preview, CallError>>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is not as it was, in words.
pub fn moved(planned: &[Fact], now: &[Fact]) -> Option<String> {
    let is = |name: &str| now.iter().find(|fact| fact.name == name).map(|fact| fact.value.as_str());
    let mut moved = Vec::new();
    for was in planned {
        let found = is(&was.name);
        if found != Some(was.value.as_str()) {
            moved.push(format!("{} was {}, is {}", was.name, was.value, found.unwrap_or("gone")));
        }
    }
    (!moved.is_empty()).then(|| moved.join("; "))
}

fn not_in_plan(call: &ChangeCall, whom: &str) -> Denial {
    let arguments = super::arguments::cut(&call.arguments, 300);
    let message = format!("{whom} does not list it with these arguments: {arguments}");
    denial(call, DenialReason::NotInPlan, message)
}

fn denial(call: &ChangeCall, reason: DenialReason, message: String) -> Denial {
    let target = call.target().map_or_else(String::new, |target| target.to_string());
    Denial { operation: call.operation.to_string(), target, reason, message }
}

#[cfg(test)]
mod tests;
