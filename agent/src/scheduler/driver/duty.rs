//! Several replicas have the same sweeps, and one of them runs their slots.

use std::sync::Arc;

use super::{Inner, Scheduler, Watch};
use crate::domain::Timestamp;
use crate::scheduler::timing::Timing;
use crate::store::SweepMemory;

/// Tells whether it is this replica's turn to run what is due.
pub trait Duty: Send + Sync + 'static {
    /// The number of its turn; none while another replica has it. What was known before a turn may be old.
    fn term(&self) -> Option<u64>;
}

impl Scheduler {
    /// From now on slots are run only while it is this replica's turn.
    pub fn take_turns(&self, duty: Arc<dyn Duty>) {
        let _ = self.inner.duty.set(duty);
    }
}

impl Inner {
    /// Whether slots are run now. `served` is the turn that was known of before; a new one begins with what others did meanwhile.
    pub(super) async fn is_on_duty(&self, served: &mut Option<u64>) -> bool {
        let Some(duty) = self.duty.get() else { return true };
        let term = duty.term();
        if term.is_some() && term != *served {
            self.catch_up().await;
        }
        *served = term;
        term.is_some()
    }

    /// Go on where other replicas ended.
    async fn catch_up(&self) {
        let now = self.books.clock.now();
        for (index, watch) in self.watched() {
            match self.books.store.sweep(&watch.name, now).await {
                Ok(memory) => watch.catch_up(&memory, now),
                Err(error) => {
                    tracing::error!(%error, sweep.name = %watch.name, "what is known of a sweep cannot be read; it goes on as it stood here");
                }
            }
            self.books.metrics.sweeps.stands(&watch.name, &watch.ledger.standing());
            self.agenda().set(index, Some(now));
        }
    }
}

impl Watch {
    fn catch_up(&self, memory: &SweepMemory, now: Timestamp) {
        let mut timing = self.timing();
        *timing = self.sweep().timetable.as_ref().map(|table| Timing::resume(table, memory.claimed, now));
        self.ledger.stand(memory.standing);
    }
}
