//! Several replicas have the same sweeps, and one of them runs their slots.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Inner, Scheduler, Watch};
use crate::domain::Timestamp;
use crate::scheduler::silences::Silences;
use crate::scheduler::timing::Timing;
use crate::store::SweepMemory;

/// How often silences of other replicas are looked for.
const LOOK: Duration = Duration::from_secs(5);

/// Tells whose turn it is to run what is due.
pub trait Duty: Send + Sync + 'static {
    /// Whose it is now.
    fn turn(&self) -> Turn;
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This replica's. Each turn has a number of its own: what was known before it may be old.
    Ours(u64),
    /// Another one's.
    Theirs,
    /// Nobody's, as far as this replica can tell. It runs its sweeps for itself and takes no slot: others may do the same.
    Nobodys,
}

impl Scheduler {
    /// From now on slots are run only while it is this replica's turn.
    pub fn take_turns(&self, duty: Arc<dyn Duty>) {
        let _ = self.inner.duty.set(duty);
    }
}

/// What was known when slots were last looked at.
#[derive(Default)]
pub(super) struct Served {
    turn: Option<Turn>,
    looked: Option<Instant>,
}

impl Served {
    /// Somebody may have asked another replica to be silent.
    async fn look_at_silences(&mut self, silences: &Silences) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        if let Err(error) = silences.look_again().await {
            tracing::warn!(%error, "the silences cannot be read");
        }
    }
}

impl Inner {
    /// Whether slots are run now. A turn that `served` does not know yet begins with what others did meanwhile.
    pub(super) async fn is_on_duty(&self, served: &mut Served) -> bool {
        let Some(duty) = self.duty.get() else { return true };
        served.look_at_silences(&self.books.silences).await;
        let turn = duty.turn();
        self.is_alone.store(turn == Turn::Nobodys, Ordering::SeqCst);
        if served.turn.replace(turn) != Some(turn) {
            match turn {
                Turn::Ours(_) => self.catch_up().await,
                Turn::Nobodys => {
                    tracing::warn!(
                        "nobody may be leading: sweeps run here for themselves until the API server answers"
                    );
                    self.begin_anew();
                }
                Turn::Theirs => {}
            }
        }
        turn != Turn::Theirs
    }

    /// Go on with the next slots to come, whatever passed.
    fn begin_anew(&self) {
        let now = self.books.clock.now();
        for (index, watch) in self.watched() {
            *watch.timing() = watch.sweep().timetable.as_ref().map(|table| Timing::resume(table, None, now));
            self.agenda().set(index, Some(now));
        }
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
