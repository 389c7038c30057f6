//! The runs under way: whoever has the id of one can wait for its end, or ask for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Started;
use crate::domain::{Actor, Run, RunId};
use crate::engine::{Cancellation, Canceller, cancellation};

/// The end of a run that is awaited. None once the run is gone without one.
pub(super) type Awaited = watch::Receiver<Option<Arc<Run>>>;

/// The runs under way.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<HashMap<RunId, Handle>>);

/// What is known about one of them.
struct Handle {
    /// As it was recorded, without an end.
    begun: Arc<Run>,
    canceller: Canceller,
    ended: Awaited,
}

/// A run's place among those under way. It is taken out when this is dropped, however the run ends.
pub(super) struct Place {
    all: Arc<UnderWay>,
    id: RunId,
    tell: watch::Sender<Option<Arc<Run>>>,
    /// Whether somebody wants the run to end.
    pub(super) cancellation: Cancellation,
}

impl UnderWay {
    /// Add a run.
    pub(super) fn enter(self: &Arc<Self>, begun: Arc<Run>) -> Place {
        let (canceller, cancellation) = cancellation();
        let (tell, ended) = watch::channel(None);
        let id = begun.id;
        self.lock().insert(id, Handle { begun, canceller, ended });
        Place { all: self.clone(), id, tell, cancellation }
    }

    /// Follow a run to its end. None when it is not under way.
    pub(super) fn follow(&self, id: RunId) -> Option<Started> {
        self.lock().get(&id).map(Handle::follow)
    }

    /// Ask a run to end, and follow it there. None when it is not under way.
    pub(super) fn cancel(&self, id: RunId, by: Actor) -> Option<Started> {
        let runs = self.lock();
        let handle = runs.get(&id)?;
        tracing::info!(run.id = %id, by = by.0, "a run is cancelled");
        handle.canceller.cancel(by);
        Some(handle.follow())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Handle>> {
        // Every change is a single insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    fn follow(&self) -> Started {
        Started { run: self.begun.clone(), ended: self.ended.clone() }
    }
}

impl Place {
    /// Whoever follows the run hears of its end through this.
    pub(super) fn ended(&self) -> Awaited {
        self.tell.subscribe()
    }

    /// The end is recorded: tell everybody who waits for it.
    pub(super) fn tell(&self, run: Run) {
        self.tell.send_replace(Some(Arc::new(run)));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}
