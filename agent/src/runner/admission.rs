//! Who gets a slot for a run, and when: people at once or not at all, sweeps in their turn.
//!
//! A person who asks finds a free slot or is told that there is none; nobody waits. The checks of sweeps wait in queues, one
//! for each sweep, and take turns: a sweep of a hundred checks does not hold up one of two. Sweeps leave a quarter of all
//! slots free for people. As people take more, sweeps take less, down to one slot: an agent that people keep busy still
//! watches.
//!
//! Knows nothing of runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::domain::SweepName;

/// Checks of sweeps that may wait. A sweep has a bounded number of checks and runs once at a time, so this is never met in
/// earnest; it bounds what a defect could pile up.
const MAX_WAITING: usize = 16 << 10;

/// All slots.
pub(super) struct Admission {
    total: usize,
    /// Most slots that sweeps use together.
    most_for_sweeps: usize,
    state: Mutex<State>,
    released: Notify,
}

#[derive(Default)]
struct State {
    people: usize,
    sweeps: usize,
    queues: BTreeMap<SweepName, VecDeque<oneshot::Sender<Slot>>>,
    /// Sweeps with a queue, the next one first.
    turns: VecDeque<SweepName>,
    waiting: usize,
    closed: bool,
}

#[derive(Clone, Copy)]
enum Holder {
    Person,
    Sweep,
}

/// The right to run one plugin. It goes back when it is dropped.
pub(super) struct Slot {
    admission: Arc<Admission>,
    holder: Holder,
}

/// There is no slot, and no use in waiting for one.
#[derive(Debug)]
pub(super) struct NoSlot;

impl Admission {
    /// Slots for `total` runs at the same time, of which sweeps use `most_for_sweeps` at most.
    pub(super) fn new(total: usize, most_for_sweeps: usize) -> Arc<Self> {
        let most_for_sweeps = most_for_sweeps.clamp(1, total.saturating_sub(total.div_ceil(4)).max(1));
        Arc::new(Self { total, most_for_sweeps, state: Mutex::default(), released: Notify::new() })
    }

    /// How many slots there are.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        let state = self.lock();
        state.people + state.sweeps
    }

    /// A slot for somebody who asks now.
    pub(super) fn for_a_person(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.lock();
        if state.closed || state.people + state.sweeps >= self.total {
            return None;
        }
        state.people += 1;
        Some(self.slot(Holder::Person))
    }

    /// A slot for a check of `sweep`, when its turn has come. Whoever stops waiting gives up the place.
    pub(super) async fn for_a_sweep(self: &Arc<Self>, sweep: &SweepName) -> Result<Slot, NoSlot> {
        let waiting = self.enqueue(sweep)?;
        self.serve();
        // The sender goes away unheard when the agent ends.
        waiting.await.map_err(|_| NoSlot)
    }

    /// Give out no more slots, and send everybody away who waits.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.turns.clear();
        let queues = std::mem::take(&mut state.queues);
        state.waiting = 0;
        drop(state);
        drop(queues);
    }

    /// Wait until every slot is back.
    pub(super) async fn emptied(&self) {
        loop {
            // Before it is looked: a slot that comes back in between is not overheard.
            let released = self.released.notified();
            if self.taken() == 0 {
                return;
            }
            released.await;
        }
    }

    fn enqueue(&self, sweep: &SweepName) -> Result<oneshot::Receiver<Slot>, NoSlot> {
        let mut state = self.lock();
        if state.closed || state.waiting >= MAX_WAITING {
            return Err(NoSlot);
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting += 1;
        if !state.queues.contains_key(sweep) {
            state.turns.push_back(sweep.clone());
        }
        state.queues.entry(sweep.clone()).or_default().push_back(sender);
        Ok(receiver)
    }

    /// Give slots to those who wait, for as long as there are both.
    fn serve(self: &Arc<Self>) {
        while let Some(waiting) = self.next() {
            // One that gave up meanwhile gives the slot back, which serves the next.
            let _ = waiting.send(self.slot(Holder::Sweep));
        }
    }

    /// The next who waits, if there is a slot for them; it counts as taken.
    fn next(&self) -> Option<oneshot::Sender<Slot>> {
        let mut state = self.lock();
        loop {
            if !self.sweeps_may(&state) {
                return None;
            }
            let waiting = state.take_turn()?;
            if !waiting.is_closed() {
                state.sweeps += 1;
                return Some(waiting);
            }
        }
    }

    fn sweeps_may(&self, state: &State) -> bool {
        let free = self.total.saturating_sub(state.people + state.sweeps);
        if state.sweeps == 0 {
            return free > 0;
        }
        state.sweeps < self.most_for_sweeps && free > self.total.div_ceil(4)
    }

    fn slot(self: &Arc<Self>, holder: Holder) -> Slot {
        Slot { admission: Arc::clone(self), holder }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first of the sweep whose turn it is; then it is the next sweep's turn.
    fn take_turn(&mut self) -> Option<oneshot::Sender<Slot>> {
        let sweep = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&sweep)?;
        let first = queue.pop_front();
        self.waiting = self.waiting.saturating_sub(1);
        if queue.is_empty() {
            self.queues.remove(&sweep);
        } else {
            self.turns.push_back(sweep);
        }
        first
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        match self.holder {
            Holder::Person => state.people = state.people.saturating_sub(1),
            Holder::Sweep => state.sweeps = state.sweeps.saturating_sub(1),
        }
        drop(state);
        self.admission.released.notify_waiters();
        self.admission.serve();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    fn sweep(name: &str) -> SweepName {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn a_person_gets_a_slot_at_once_or_never() {
        let admission = Admission::new(2, 2);
        let first = admission.for_a_person().unwrap();
        let second = admission.for_a_person().unwrap();
        assert!(admission.for_a_person().is_none());
        assert_eq!(admission.taken(), 2);
        drop(first);
        assert!(admission.for_a_person().is_some());
        drop(second);
        admission.emptied().await;
    }

    #[tokio::test]
    async fn sweeps_leave_a_quarter_of_the_slots_to_people() {
        let admission = Admission::new(8, 8);
        let health = sweep("health");
        let mut slots = Vec::new();
        while let Some(slot) = admission.for_a_sweep(&health).now_or_never() {
            slots.push(slot.unwrap());
        }
        assert_eq!(slots.len(), 6);
        let people: Vec<_> = std::iter::from_fn(|| admission.for_a_person()).collect();
        assert_eq!(people.len(), 2);
        // What a sweep gives back goes to people first, while they are so many.
        slots.pop();
        assert!(admission.for_a_sweep(&health).now_or_never().is_none());
        assert!(admission.for_a_person().is_some());
    }

    #[tokio::test]
    async fn people_alone_may_take_everything_and_sweeps_keep_one_slot_after_that() {
        let admission = Admission::new(4, 4);
        let mut people: Vec<_> = std::iter::from_fn(|| admission.for_a_person()).collect();
        assert_eq!(people.len(), 4);
        let health = sweep("health");
        let mut waiting = Box::pin(admission.for_a_sweep(&health));
        assert!(waiting.as_mut().now_or_never().is_none());
        people.pop();
        let _one = waiting.await.unwrap();
        assert!(admission.for_a_sweep(&health).now_or_never().is_none());
    }

    #[tokio::test]
    async fn sweeps_take_turns() {
        let admission = Admission::new(1, 1);
        let held = admission.for_a_sweep(&sweep("first")).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for name in ["large", "large", "large", "small", "other", "small"] {
            let (admission, order) = (admission.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let slot = admission.for_a_sweep(&sweep(name)).await.unwrap();
                order.lock().unwrap().push(name);
                drop(slot);
            }));
            tokio::task::yield_now().await;
        }
        drop(held);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["large", "small", "other", "large", "small", "large"]);
        assert_eq!(admission.taken(), 0);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_holds_nobody_up() {
        let admission = Admission::new(1, 1);
        let held = admission.for_a_person().unwrap();
        let (health, other) = (sweep("health"), sweep("other"));
        let mut gone = Box::pin(admission.for_a_sweep(&health));
        assert!(gone.as_mut().now_or_never().is_none());
        let mut waits = Box::pin(admission.for_a_sweep(&other));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(gone);
        drop(held);
        assert!(waits.now_or_never().unwrap().is_ok());
        assert_eq!(admission.taken(), 0);
    }

    #[tokio::test]
    async fn a_slot_given_to_somebody_who_just_left_comes_back() {
        let admission = Admission::new(1, 1);
        let held = admission.for_a_person().unwrap();
        let health = sweep("health");
        let mut given = Box::pin(admission.for_a_sweep(&health));
        assert!(given.as_mut().now_or_never().is_none());
        drop(held);
        assert_eq!(admission.taken(), 1);
        drop(given);
        assert_eq!(admission.taken(), 0);
    }

    #[tokio::test]
    async fn the_end_sends_everybody_away_and_waits_for_those_within() {
        let admission = Admission::new(1, 1);
        let held = admission.for_a_person().unwrap();
        let health = sweep("health");
        let mut waiting = Box::pin(admission.for_a_sweep(&health));
        assert!(waiting.as_mut().now_or_never().is_none());
        admission.close();
        assert!(waiting.await.is_err());
        assert!(admission.for_a_person().is_none() && admission.for_a_sweep(&health).await.is_err());
        let emptied = tokio::spawn({
            let admission = admission.clone();
            async move { admission.emptied().await }
        });
        tokio::task::yield_now().await;
        assert!(!emptied.is_finished());
        drop(held);
        tokio::time::timeout(Duration::from_secs(10), emptied).await.unwrap().unwrap();
    }
}
