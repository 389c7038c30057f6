//! Which guest goes where: quick ones stay with their caller, slow ones share all guest threads but one.
//!
//! Yielding at every tick alone is fair, and that is the trouble: with fifty guests that never end, a run of a tenth of
//! a millisecond waits for fifty slices. So a guest that has used up its first slice goes on only with a permit, and there
//! are fewer permits than threads.
//!
//! What counts is the time that a guest was on a thread, less a small part of the time that it waited: one that waits for a
//! database stays quick, and so does one that makes one change after the other; one that loops over calls which answer at
//! once does not.
//!
//! A permit is held for exactly as long as the guest is on a thread: it is taken before the guest's future is polled and
//! given back when that returns. So a guest that waits for the host holds none, and one that comes back from the host has
//! to get one first: calls to the host are no way around the lane.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::sleep_until;
use tokio_util::sync::PollSemaphore;
use wasmtime::UpdateDeadline;

use crate::journal::Stop;

/// How long a guest may be on threads before it is slow.
const FIRST_SLICE: Duration = super::ticker::TICK;

/// One part in so many of the time that a guest waits is forgiven of its time on threads. To pass from thread to thread at
/// each call costs a guest that mostly waits more than all that it computes. If each of the usual 64 slots had one that
/// computes exactly as much as it is forgiven, they would take two threads.
const FORGIVEN: u64 = 32;

/// The permits of the slow lane.
#[derive(Clone)]
pub(super) struct Lane(Arc<Semaphore>);

impl Lane {
    /// A lane for guests on that many threads; one of them stays free for those that have just become slow.
    pub(super) fn new(threads: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads.saturating_sub(1).max(1))))
    }

    /// The place of one run.
    pub(super) fn enter(&self, deadline: Instant) -> Place {
        Place(Arc::new(Inner {
            lane: self.0.clone(),
            deadline,
            began: Instant::now(),
            entered: AtomicU64::new(0),
            left: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            slow: AtomicBool::new(false),
            between_slices: AtomicBool::new(false),
        }))
    }
}

/// What one run holds of the lane. Copies stand for the same run.
#[derive(Clone)]
pub(super) struct Place(Arc<Inner>);

struct Inner {
    lane: Arc<Semaphore>,
    deadline: Instant,
    began: Instant,
    /// When the guest was put on the thread that it is on, in nanoseconds since `began`.
    entered: AtomicU64,
    /// The same of when it was taken off the last one.
    left: AtomicU64,
    /// How long it was on threads before, in nanoseconds, less what is forgiven.
    busy: AtomicU64,
    slow: AtomicBool,
    /// True when the guest was taken off its thread by a tick, and not because it waits for something.
    between_slices: AtomicBool,
}

impl Place {
    /// When the time of the run is over.
    pub(super) fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// Called at each tick in which the guest computes: end it, let it go on, or let it wait for its next slice.
    pub(super) fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        // Also here, not by a timer alone: timers fire late when all workers are busy.
        if self.is_over() {
            return Err(Stop::Deadline.into());
        }
        if !self.is_slow() && self.0.on_threads() < FIRST_SLICE {
            return Ok(UpdateDeadline::Continue(1));
        }
        self.0.slow.store(true, Ordering::Relaxed);
        self.0.between_slices.store(true, Ordering::Relaxed);
        Ok(UpdateDeadline::Yield(1))
    }

    /// True once the guest has used up its first slice.
    pub(super) fn is_slow(&self) -> bool {
        self.0.slow.load(Ordering::Relaxed)
    }

    /// Run the guest to its end, in the lane once it is slow. One whose time is over between two slices is not put on a thread
    /// again, because it would compute until the next tick; it gets no further.
    pub(super) async fn drive<T>(&self, guest: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
        let mut guest = pin!(guest);
        let mut turns = PollSemaphore::new(self.0.lane.clone());
        let mut over = None;
        poll_fn(|cx| {
            let _turn = match self.needs_turn().then(|| turns.poll_acquire(cx)) {
                Some(Poll::Ready(turn)) => turn,
                // Woken when its time is over, it goes on without a permit, and only to its end.
                Some(Poll::Pending) => {
                    let over = over.get_or_insert_with(|| Box::pin(sleep_until(super::until(self.0.deadline))));
                    ready!(over.as_mut().poll(cx));
                    None
                }
                None => None,
            };
            if self.0.between_slices.swap(false, Ordering::Relaxed) && self.is_over() {
                return Poll::Ready(Err(Stop::Deadline.into()));
            }
            let _stay = Stay::begin(&self.0);
            guest.as_mut().poll(cx)
        })
        .await
    }

    /// A run past its deadline is let through: all that it does is to end, and to record the call that it was in.
    fn needs_turn(&self) -> bool {
        self.is_slow() && !self.is_over()
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.0.deadline
    }
}

impl Inner {
    /// Nanoseconds since the run began; enough for centuries.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// How long the guest, which is on a thread now, was on threads altogether, less what is forgiven.
    fn on_threads(&self) -> Duration {
        let this_time = self.now().saturating_sub(self.entered.load(Ordering::Relaxed));
        Duration::from_nanos(self.busy.load(Ordering::Relaxed).saturating_add(this_time))
    }
}

/// The guest is on a thread, from here until this is dropped.
struct Stay<'a>(&'a Inner);

impl<'a> Stay<'a> {
    fn begin(place: &'a Inner) -> Self {
        let now = place.now();
        let forgiven = now.saturating_sub(place.left.load(Ordering::Relaxed)) / FORGIVEN;
        place.busy.store(place.busy.load(Ordering::Relaxed).saturating_sub(forgiven), Ordering::Relaxed);
        place.entered.store(now, Ordering::Relaxed);
        Self(place)
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        let busy = u64::try_from(self.0.on_threads().as_nanos()).unwrap_or(u64::MAX);
        self.0.busy.store(busy, Ordering::Relaxed);
        self.0.left.store(self.0.now(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn place(lane: &Lane, length: Duration) -> Place {
        lane.enter(Instant::now() + length)
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    const LONG: Duration = Duration::from_secs(3600);

    /// A place whose guest has been on threads for longer than a slice.
    fn slow_place(lane: &Lane) -> Place {
        let slow = place(lane, LONG);
        slow.0.busy.store(nanos(FIRST_SLICE), Ordering::Relaxed);
        assert!(matches!(slow.tick(), Ok(UpdateDeadline::Yield(1))));
        slow
    }

    fn nanos(duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos()).unwrap()
    }

    #[test]
    fn a_guest_that_only_waited_is_not_slow() {
        let lane = Lane::new(2);
        let mut waiting = place(&lane, LONG);
        // It began an hour ago and was put on a thread just now.
        let inner = Arc::get_mut(&mut waiting.0).unwrap();
        inner.began = Instant::now().checked_sub(LONG / 2).unwrap();
        inner.entered = AtomicU64::new(u64::MAX);
        assert!(matches!(waiting.tick(), Ok(UpdateDeadline::Continue(1))));
        assert!(!waiting.is_slow());
    }

    #[test]
    fn a_guest_that_waits_for_long_between_short_stays_is_not_slow() {
        let lane = Lane::new(2);
        let mut calling = place(&lane, LONG);
        let inner = Arc::get_mut(&mut calling.0).unwrap();
        inner.began = Instant::now().checked_sub(LONG / 2).unwrap();
        for waited in [FIRST_SLICE * 32, FIRST_SLICE * 16] {
            calling.0.busy.store(nanos(FIRST_SLICE), Ordering::Relaxed);
            calling.0.left.store(calling.0.now() - nanos(waited), Ordering::Relaxed);
            assert!(poll(pin!(calling.drive(async { calling.tick().map(drop) }))).is_ready());
            assert!(!calling.is_slow(), "it waited for {waited:?}");
        }
        // All that it can get is its first slice.
        assert!(calling.0.busy.load(Ordering::Relaxed) < nanos(FIRST_SLICE));
        let slow = slow_place(&lane);
        slow.0.left.store(0, Ordering::Relaxed);
        assert!(poll(pin!(slow.drive(async { Ok(()) }))).is_ready());
        assert!(slow.is_slow(), "once is enough");
    }

    #[test]
    fn short_stays_add_up() {
        let lane = Lane::new(2);
        let calling = place(&lane, LONG);
        while calling.0.busy.load(Ordering::Relaxed) < nanos(FIRST_SLICE) {
            assert!(poll(pin!(calling.drive(async { Ok(()) }))).is_ready());
        }
        assert!(matches!(calling.tick(), Ok(UpdateDeadline::Yield(1))));
    }

    #[tokio::test]
    async fn a_guest_needs_a_permit_once_its_first_slice_is_used_up() {
        let lane = Lane::new(2);
        let taken = lane.0.clone().try_acquire_owned().unwrap();
        let (quick, slow) = (place(&lane, LONG), slow_place(&lane));
        assert!(poll(pin!(quick.drive(async { Ok(()) }))).is_ready());
        let mut waiting = pin!(slow.drive(async { Ok(()) }));
        assert!(poll(waiting.as_mut()).is_pending());
        drop(taken);
        assert!(poll(waiting).is_ready());
        assert_eq!(lane.0.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_guest_that_waits_for_the_host_holds_no_permit_and_needs_one_to_go_on() {
        let lane = Lane::new(2);
        let slow = slow_place(&lane);
        let (answer, host) = tokio::sync::oneshot::channel::<()>();
        let mut calling = pin!(slow.drive(async { Ok(host.await?) }));
        assert!(poll(calling.as_mut()).is_pending());
        let taken = lane.0.clone().try_acquire_owned().unwrap();
        answer.send(()).unwrap();
        assert!(poll(calling.as_mut()).is_pending(), "it went on without a permit");
        drop(taken);
        assert!(poll(calling).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_waits_for_a_permit_is_let_through_when_its_time_is_over() {
        let lane = Lane::new(2);
        let _taken = lane.0.clone().try_acquire_owned().unwrap();
        let slow = place(&lane, Duration::from_millis(1));
        slow.0.slow.store(true, Ordering::Relaxed);
        tokio::time::timeout(LONG, slow.drive(async { Ok(()) })).await.unwrap().unwrap();
    }

    #[test]
    fn a_run_past_its_deadline_ends_without_waiting_for_a_permit() {
        let lane = Lane::new(2);
        let _taken = lane.0.clone().try_acquire_owned().unwrap();
        let late = place(&lane, Duration::ZERO);
        late.0.slow.store(true, Ordering::Relaxed);
        assert!(late.tick().is_err());
        assert!(poll(pin!(late.drive(async { Ok(()) }))).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_whose_time_is_over_between_two_slices_computes_no_further() {
        let lane = Lane::new(2);
        let spinning = place(&lane, Duration::from_millis(1));
        spinning.0.busy.store(nanos(FIRST_SLICE), Ordering::Relaxed);
        let mut slices = 0;
        let ended = spinning.drive(poll_fn(|cx| -> Poll<wasmtime::Result<()>> {
            slices += 1;
            assert!(matches!(spinning.tick(), Ok(UpdateDeadline::Yield(1))));
            while !spinning.is_over() {}
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        assert_eq!(ended.await.unwrap_err().downcast_ref(), Some(&Stop::Deadline));
        assert_eq!(slices, 1);
    }
}
