//! The slow lane: guests that compute for long share all threads but one.
//!
//! Yielding at every tick alone is fair, and that is the trouble: with fifty guests that never end, a run of a tenth of
//! a millisecond waits for fifty slices. So a guest that has used up its first slice goes on only with a permit, and there
//! are fewer permits than threads.
//!
//! A permit is held for exactly as long as the guest is on a thread: it is taken before the guest's future is polled and
//! given back when that returns. So a guest that waits for the host holds none, and one that comes back from the host has
//! to get one first: calls to the host are no way around the lane.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::ready;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;
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
        Place(Arc::new(Inner { lane: self.0.clone(), deadline, slow: AtomicBool::new(false) }))
    }
}

/// What one run holds of the lane. Copies stand for the same run.
#[derive(Clone)]
pub(super) struct Place(Arc<Inner>);

struct Inner {
    lane: Arc<Semaphore>,
    deadline: Instant,
    slow: AtomicBool,
}

impl Place {
    /// Called at each tick in which the guest computes: end it, or let it wait for its next slice.
    pub(super) fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        // Also here, not by a timer alone: timers fire late when all workers are busy.
        if self.is_over() {
            return Err(Stop::Deadline.into());
        }
        self.0.slow.store(true, Ordering::Relaxed);
        Ok(UpdateDeadline::Yield(1))
    }

    /// Run the guest to its end, in the lane once it is slow.
    pub(super) async fn drive<F: Future>(&self, guest: F) -> F::Output {
        let mut guest = pin!(guest);
        let mut turns = PollSemaphore::new(self.0.lane.clone());
        poll_fn(|cx| {
            let _turn = if self.needs_turn() { ready!(turns.poll_acquire(cx)) } else { None };
            guest.as_mut().poll(cx)
        })
        .await
    }

    /// A run past its deadline is let through: all that it does is to end, and to record the call that it was in.
    fn needs_turn(&self) -> bool {
        self.0.slow.load(Ordering::Relaxed) && !self.is_over()
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.0.deadline
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;

    fn place(lane: &Lane, length: Duration) -> Place {
        lane.enter(Instant::now() + length)
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_guest_needs_a_permit_from_its_first_tick_on() {
        let lane = Lane::new(2);
        let taken = lane.0.clone().try_acquire_owned().unwrap();
        let (quick, slow) = (place(&lane, LONG), place(&lane, LONG));
        assert!(matches!(slow.tick(), Ok(UpdateDeadline::Yield(1))));
        assert!(poll(pin!(quick.drive(async {}))).is_ready());
        let mut waiting = pin!(slow.drive(async {}));
        assert!(poll(waiting.as_mut()).is_pending());
        drop(taken);
        assert!(poll(waiting).is_ready());
        assert_eq!(lane.0.available_permits(), 1);
    }

    #[test]
    fn a_guest_that_waits_for_the_host_holds_no_permit_and_needs_one_to_go_on() {
        let lane = Lane::new(2);
        let slow = place(&lane, LONG);
        slow.tick().unwrap();
        let (answer, host) = tokio::sync::oneshot::channel::<()>();
        let mut calling = pin!(slow.drive(async { host.await.unwrap() }));
        assert!(poll(calling.as_mut()).is_pending());
        let taken = lane.0.clone().try_acquire_owned().unwrap();
        answer.send(()).unwrap();
        assert!(poll(calling.as_mut()).is_pending(), "it went on without a permit");
        drop(taken);
        assert!(poll(calling).is_ready());
    }

    #[test]
    fn a_run_past_its_deadline_ends_without_waiting_for_a_permit() {
        let lane = Lane::new(2);
        let _taken = lane.0.clone().try_acquire_owned().unwrap();
        let late = place(&lane, Duration::ZERO);
        late.0.slow.store(true, Ordering::Relaxed);
        assert!(late.tick().is_err());
        assert!(poll(pin!(late.drive(async {}))).is_ready());
    }
}
