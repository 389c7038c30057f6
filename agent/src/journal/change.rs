//! A change as a value: what it asks for, what it would do, doing it, and finding out whether it was done.
//!
//! Plan, apply, record, undo and bounds are written once against [`Change`], so that no interface can forget one of them.
//! The clients implement it beside the calls that read. One can be made only with the permit for its operation, which it
//! keeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use crate::domain::{CallError, CallLimits, ChangeCall, Done, Preview};

/// Something that would change a target.
#[async_trait]
pub trait Change: Send + Sync {
    /// What it asks for. A plan lists it, and an apply compares it with the plan.
    fn call(&self) -> ChangeCall;

    /// What it would do at the moment. Changes nothing on the target.
    async fn preview(&self, limits: &CallLimits) -> Result<Preview, CallError>;

    /// Do what `planned` says and never more: within its scope, and only where the ground is as it says. The caller compared
    /// the ground a moment ago; what can be compared again in the same step as the effect is compared again.
    ///
    /// Not cut off by the end of the run, so that what was done is known. One that takes long looks at `halt` between its
    /// steps, and at the deadline in `limits`, and then says what was done until then.
    async fn perform(&self, planned: &Preview, limits: &CallLimits, halt: &Halt) -> Performed;

    /// Find out whether a `perform` whose answer never came was done, by looking at the target.
    async fn settle(&self, planned: &Preview, limits: &CallLimits) -> Settled;
}

/// How [`Change::perform`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Performed {
    /// It was done, all of it or the part that `incomplete` in it explains.
    Done(Done),
    /// Nothing was done: `Conflict` when the ground had moved, otherwise why it failed.
    Nothing(CallError),
    /// It went out, and no answer came: it may have been done or not.
    Unknown(CallError),
}

/// What looking at the target tells about a change of which no answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was done.
    Done(Done),
    /// It was not.
    NotDone,
    /// The target cannot tell; one sentence says where somebody should look.
    Unknown(String),
}

/// Tells a change under way that nobody wants more of it.
#[derive(Clone, Debug, Default)]
pub struct Halt(Arc<AtomicBool>);

impl Halt {
    /// Ask for the end.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True when the change should do no further step.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The arguments of a change in the canonical form of RFC 8785, in which equal ones are equal texts.
pub fn canonical(arguments: &impl serde::Serialize) -> String {
    // Arguments are plain data with names for keys, which always have a form in JSON. One that has none equals nothing that
    // a plan can list.
    crate::canonical::to_string(arguments).unwrap_or_default()
}
