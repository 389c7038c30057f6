//! The slow lane: guests that compute for long share all threads but one.
//!
//! Yielding at every tick alone is fair, and that is the trouble: with fifty guests that never end, a run of a tenth of
//! a millisecond waits for fifty slices. So a guest that has used up its first slice needs a permit for each further one,
//! and there are fewer permits than threads.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::UpdateDeadline;

use crate::journal::Stop;

/// The permits of the slow lane.
#[derive(Clone)]
pub(super) struct Lane(Arc<Semaphore>);

impl Lane {
    /// A lane for guests on that many threads; one of them stays free for short runs.
    pub(super) fn new(threads: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads.saturating_sub(1).max(1))))
    }

    /// The place of one run.
    pub(super) fn enter(&self, deadline: Instant) -> Place {
        Place(Arc::new(Inner {
            lane: self.0.clone(),
            deadline,
            slow: AtomicBool::new(false),
            permit: Mutex::new(None),
        }))
    }
}

/// What one run holds of the lane. Copies stand for the same run.
#[derive(Clone)]
pub(super) struct Place(Arc<Inner>);

struct Inner {
    lane: Arc<Semaphore>,
    deadline: Instant,
    slow: AtomicBool,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Place {
    /// Called at each tick in which the guest computes: end it, or let it wait for its next slice.
    pub(super) fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        self.leave();
        // Also here, not by a timer alone: timers fire late when all workers are busy.
        if Instant::now() >= self.0.deadline {
            return Err(Stop::Deadline.into());
        }
        if !self.0.slow.swap(true, Ordering::Relaxed) {
            return Ok(UpdateDeadline::Yield(1));
        }
        Ok(UpdateDeadline::YieldCustom(1, self.next_slice()))
    }

    /// Give the permit back, because the guest waits for the host or is over.
    pub(super) fn leave(&self) {
        self.hold(None);
    }

    fn hold(&self, permit: Option<OwnedSemaphorePermit>) {
        *self.0.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }

    fn next_slice(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let place = self.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            // Closed never: the semaphore has no other owner who would.
            let permit = place.0.lane.clone().acquire_owned().await.ok();
            place.hold(permit);
        })
    }
}
