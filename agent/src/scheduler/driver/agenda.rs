//! When there is something to do for which sweep.

use std::collections::BTreeSet;

use crate::domain::Timestamp;

/// One time for each sweep, or none, in order.
#[derive(Default)]
pub(super) struct Agenda {
    times: Vec<Option<Timestamp>>,
    order: BTreeSet<(Timestamp, usize)>,
}

impl Agenda {
    /// From now on there is something to do for the sweep at `time`, or nothing.
    pub(super) fn set(&mut self, index: usize, time: Option<Timestamp>) {
        if self.times.len() <= index {
            self.times.resize(index + 1, None);
        }
        let place = self.times.get_mut(index);
        if let Some(old) = place.and_then(|place| std::mem::replace(place, time)) {
            self.order.remove(&(old, index));
        }
        self.order.extend(time.map(|time| (time, index)));
    }

    /// Take out the sweeps for which there is something to do at `now`, the most urgent first.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<usize> {
        let later = self.order.split_off(&(now.after(std::time::Duration::from_millis(1)), 0));
        let due = std::mem::replace(&mut self.order, later);
        let due: Vec<usize> = due.into_iter().map(|(_, index)| index).collect();
        for index in &due {
            if let Some(place) = self.times.get_mut(*index) {
                *place = None;
            }
        }
        due
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn what_is_due_comes_in_order_and_once() {
        let mut agenda = Agenda::default();
        assert_eq!(agenda.next(), None);
        for index in [2, 0, 1] {
            agenda.set(index, Some(at(5)));
        }
        assert_eq!(agenda.next(), Some(at(5)));
        agenda.set(0, Some(at(9)));
        agenda.set(2, Some(at(4)));
        assert_eq!(agenda.take_due(at(3)), [0_usize; 0]);
        assert_eq!(agenda.take_due(at(5)), [2, 1]);
        assert_eq!(agenda.take_due(at(5)), [0_usize; 0]);
        assert_eq!(agenda.next(), Some(at(9)));
        agenda.set(0, None);
        assert_eq!(agenda.next(), None);
        agenda.set(7, Some(at(1)));
        assert_eq!(agenda.take_due(at(1)), [7]);
    }
}
