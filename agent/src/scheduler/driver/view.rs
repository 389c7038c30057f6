//! What there is to see of a sweep.

use std::sync::Arc;

use super::{Inner, Watch};
use crate::domain::{Silence, Standing, SweepRun, Timestamp};
use crate::scheduler::Sweep;

/// A sweep as it is now.
#[derive(Clone, Debug)]
pub struct SweepView {
    /// What was configured.
    pub sweep: Arc<Sweep>,
    /// How it stands.
    pub standing: Standing,
    /// When it starts next by its schedule.
    pub next: Option<Timestamp>,
    /// The run that is under way.
    pub running: Option<SweepRun>,
    /// The last run with a verdict.
    pub last: Option<Arc<SweepRun>>,
    /// Silences that speak of it.
    pub silences: Vec<Silence>,
}

impl Inner {
    pub(super) fn view(&self, watch: &Watch) -> SweepView {
        let sweep = watch.sweep();
        let table = sweep.timetable.as_ref();
        let next = watch.timing().as_ref().zip(table).and_then(|(timing, table)| timing.wake(table));
        let running = watch.work().current().cloned();
        SweepView {
            standing: watch.ledger.standing(),
            next,
            running,
            last: watch.ledger.last(),
            silences: self.books.silences.of(&sweep.name),
            sweep,
        }
    }
}
