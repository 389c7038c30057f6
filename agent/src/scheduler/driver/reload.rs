//! Other sweeps, while some are at work.
//!
//! A sweep that stays keeps how it stands, and its slots too unless its timetable is another one: then it begins with the next
//! slot to come, as nothing was missed of a timetable that did not hold. What is under way comes to its end as it began.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::{Inner, Scheduler, Watch};
use crate::domain::Timestamp;
use crate::scheduler::Sweep;
use crate::scheduler::timing::Timing;
use crate::store::StoreError;

/// Sweeps that can be put in force.
pub struct Prepared {
    /// Those that are watched already, or were.
    known: Vec<Sweep>,
    new: Vec<Watch>,
}

impl Scheduler {
    /// Read what the store knows of those among `sweeps` that are new. Nothing is changed yet.
    pub async fn prepare(&self, sweeps: Vec<Sweep>) -> Result<Prepared, StoreError> {
        let books = &self.inner.books;
        let (known, unknown): (Vec<_>, Vec<_>) =
            sweeps.into_iter().partition(|sweep| self.inner.place(&sweep.name).is_some());
        let mut new = Vec::with_capacity(unknown.len());
        for sweep in unknown {
            new.push(Watch::resume(sweep, &*books.store, books.clock.now(), &books.metrics).await?);
        }
        Ok(Prepared { known, new })
    }

    /// Let these sweeps hold from now on, and no other ones.
    pub fn adopt(&self, Prepared { known, new }: Prepared) {
        let now = self.inner.books.clock.now();
        self.inner.retire_all_but(&known);
        for sweep in known {
            let Some(index) = self.inner.place(&sweep.name) else { continue };
            self.inner.change(index, sweep, now);
        }
        for watch in new {
            *watch.timing() = anew(&watch.sweep(), now);
            let index = self.inner.watches.write().unwrap_or_else(PoisonError::into_inner).add(watch);
            self.inner.agenda().set(index, Some(now));
        }
        self.inner.wake.notify_one();
    }
}

impl Inner {
    fn retire_all_but(&self, known: &[Sweep]) {
        for (index, watch) in self.watched() {
            if known.iter().any(|sweep| sweep.name == watch.name) {
                continue;
            }
            tracing::info!(sweep.name = %watch.name, "sweep is configured no more");
            watch.is_configured.store(false, Ordering::SeqCst);
            self.books.metrics.sweeps.forget(&watch.name);
            self.plan(index);
        }
    }

    fn change(&self, index: usize, sweep: Sweep, now: Timestamp) {
        let watch = self.watch(index);
        if watch.is_configured() && *watch.sweep() == sweep {
            return;
        }
        watch.change(sweep, now);
        self.books.metrics.sweeps.stands(&watch.name, &watch.ledger.standing());
        // With the next turn, which sees from where on slots count.
        self.agenda().set(index, Some(now));
    }
}

impl Watch {
    fn change(&self, sweep: Sweep, now: Timestamp) {
        // Held until the timetable is there too: a turn must not see one without the other.
        let mut timing = self.timing();
        let was_configured = self.is_configured.swap(true, Ordering::SeqCst);
        if !was_configured || self.sweep().timetable != sweep.timetable {
            *timing = anew(&sweep, now);
        }
        self.ledger.follow(sweep.rules);
        *self.sweep.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sweep);
    }
}

/// The timing of a sweep whose first slot is yet to come.
fn anew(sweep: &Sweep, now: Timestamp) -> Option<Timing> {
    sweep.timetable.as_ref().map(|table| Timing::resume(table, None, now))
}
