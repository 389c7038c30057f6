//! Which slot of one sweep is to start, pure: what is due, what is late, what was missed.
//!
//! Slots are dealt with in their order. Of several that are due only the latest is started; those before it were missed. One
//! that comes late, after a restart, a leap of the clock or a machine that slept, does not start at once but spread over a
//! while that belongs to the sweep's name: many sweeps that were kept from working at the same time do not all begin at the same
//! time.

use std::time::Duration;

use super::schedule::{Schedule, spread};
use crate::domain::{Missed, SweepName, Timestamp};

/// A slot that is started no later than this is in time. More than a busy machine's timer needs, less than anybody notices.
const GRACE: Duration = Duration::from_secs(1);

/// Longest time over which late starts are spread.
const LONGEST_SPREAD: Duration = Duration::from_secs(5 * 60);

/// What a sweep's slots are, and what becomes of those that pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable {
    /// The slots.
    pub schedule: Schedule,
    /// What becomes of slots that passed while the agent was not there.
    pub missed: Missed,
    /// A slot that is later than this is not started any more.
    pub starting_deadline: Duration,
}

/// How far a sweep has come in its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// The last slot that was dealt with.
    cursor: Timestamp,
    /// A late slot that starts soon.
    late: Option<Late>,
    stage: Stage,
}

/// What slots that passed before a step mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing: the sweep was never looked at.
    New,
    /// They passed while the agent was not there.
    Resumed,
    /// The agent was busy, or the clock leapt.
    Watching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Late {
    slot: Timestamp,
    at: Timestamp,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Start this slot.
    pub(super) start: Option<Timestamp>,
    /// So many slots were missed.
    pub(super) missed: u64,
}

impl Timing {
    /// Go on behind the slot that was dealt with last; a sweep without one begins with the next slot to come.
    pub(super) fn resume(table: &Timetable, claimed: Option<Timestamp>, now: Timestamp) -> Self {
        match claimed {
            Some(cursor) => Self { cursor, late: None, stage: Stage::Resumed },
            None => Self { cursor: beginning(table, now), late: None, stage: Stage::New },
        }
    }

    /// What is to be done at `now`.
    pub(super) fn step(&mut self, table: &Timetable, name: &SweepName, now: Timestamp) -> Step {
        let mut step = Step::default();
        let stage = std::mem::replace(&mut self.stage, Stage::Watching);
        if stage == Stage::New {
            self.cursor = beginning(table, now);
        }
        let fresh = stage == Stage::Resumed;
        if let Some(latest) = table.schedule.last_due(now).filter(|latest| *latest > self.cursor) {
            // A late slot that has not started yet gives way to the next one.
            step.missed += u64::from(self.late.take().is_some());
            step.missed += table.schedule.count(self.cursor, latest).saturating_sub(1);
            self.cursor = latest;
            let lateness = now.since(table.schedule.due(latest));
            let wanted = lateness <= table.starting_deadline && !(fresh && table.missed == Missed::Skip);
            match wanted {
                false => step.missed += 1,
                true if !fresh && lateness <= GRACE => step.start = Some(latest),
                true => self.late = Some(Late { slot: latest, at: now.after(delay(table, name, latest)) }),
            }
        }
        if let Some(late) = self.late.take_if(|late| late.at <= now) {
            step.start = Some(late.slot);
        }
        step
    }

    /// The clock was set back to `now`. Slots that come again were dealt with, unless they had been missed; the store knows.
    pub(super) fn set_back(&mut self, table: &Timetable, now: Timestamp) {
        self.late = None;
        if let Some(last) = table.schedule.last_due(now) {
            self.cursor = self.cursor.min(last);
        }
    }

    /// When there is something to be done next.
    pub(super) fn wake(&self, table: &Timetable) -> Option<Timestamp> {
        let late = self.late.map(|late| late.at);
        let next = table.schedule.next(self.cursor).map(|slot| table.schedule.due(slot));
        [late, next].into_iter().flatten().min()
    }
}

/// The last slot that is due already: the next one is the first that matters.
fn beginning(table: &Timetable, now: Timestamp) -> Timestamp {
    table.schedule.last_due(now).unwrap_or(Timestamp::from_millis(0))
}

/// Twice as long as a sweep has until its next slot, at most: then late starts add half of what starts anyway, and half of
/// them give way to the next slot.
fn delay(table: &Timetable, name: &SweepName, slot: Timestamp) -> Duration {
    let within = table.schedule.period(slot).saturating_mul(2).min(LONGEST_SPREAD);
    spread(&format!("{name} late"), within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::Cadence;

    const MINUTE: Duration = Duration::from_secs(60);

    fn name() -> SweepName {
        "health".parse().unwrap()
    }

    /// 12:00 and so many seconds.
    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_772_366_400_000).after(Duration::from_secs(seconds))
    }

    fn table(missed: Missed) -> Timetable {
        let schedule = Schedule::new(Cadence::Every(MINUTE), Duration::ZERO, &name());
        Timetable { schedule, missed, starting_deadline: 60 * MINUTE }
    }

    fn started(slot: Timestamp) -> Step {
        Step { start: Some(slot), missed: 0 }
    }

    fn missed(count: u64) -> Step {
        Step { start: None, missed: count }
    }

    #[test]
    fn each_slot_starts_when_it_is_due_and_once() {
        let table = table(Missed::Skip);
        let mut timing = Timing::resume(&table, None, at(30));
        assert_eq!(timing.step(&table, &name(), at(30)), Step::default());
        assert_eq!(timing.wake(&table), Some(at(60)));
        assert_eq!(timing.step(&table, &name(), at(60)), started(at(60)));
        assert_eq!(timing.step(&table, &name(), at(60)), Step::default());
        assert_eq!(timing.step(&table, &name(), at(119)), Step::default());
        assert_eq!(timing.step(&table, &name(), at(121)), started(at(120)));
    }

    #[test]
    fn the_splay_moves_the_start_and_not_the_slot() {
        let schedule = Schedule::new(Cadence::Every(MINUTE), MINUTE, &name());
        let offset = schedule.offset();
        let table = Timetable { schedule, ..table(Missed::Skip) };
        // Configured between a slot and its start: that start is still to come.
        let mut timing = Timing::resume(&table, None, at(0));
        assert_eq!(timing.wake(&table), Some(at(0).after(offset)));
        assert_eq!(timing.step(&table, &name(), at(0)), Step::default());
        assert_eq!(timing.step(&table, &name(), at(0).after(offset)), started(at(0)));
    }

    #[test]
    fn a_sweep_that_is_new_has_missed_nothing() {
        let table = table(Missed::Once);
        let mut timing = Timing::resume(&table, None, at(0));
        // Plugins were being loaded for five minutes.
        assert_eq!(timing.step(&table, &name(), at(300)), Step::default());
        assert_eq!(timing.step(&table, &name(), at(360)), started(at(360)));
    }

    #[test]
    fn after_a_restart_missed_slots_are_left_out() {
        let table = table(Missed::Skip);
        let mut timing = Timing::resume(&table, Some(at(0)), at(610));
        assert_eq!(timing.step(&table, &name(), at(610)), missed(10));
        assert_eq!(timing.step(&table, &name(), at(660)), started(at(660)));
    }

    #[test]
    fn after_a_restart_the_latest_is_made_up_for_where_that_is_wanted() {
        let table = table(Missed::Once);
        let mut timing = Timing::resume(&table, Some(at(0)), at(600));
        assert_eq!(timing.step(&table, &name(), at(600)), missed(9));
        let wake = timing.wake(&table).unwrap();
        let late = at(600).after(delay(&table, &name(), at(600)));
        assert!(late >= at(600) && late < at(720));
        if late < at(660) {
            assert_eq!(wake, late);
            assert_eq!(timing.step(&table, &name(), late), started(at(600)));
        } else {
            // It gave way to the next slot.
            assert_eq!(timing.step(&table, &name(), at(660)), Step { start: Some(at(660)), missed: 1 });
        }
    }

    #[test]
    fn what_is_older_than_the_starting_deadline_is_not_made_up_for() {
        let schedule = Schedule::new(Cadence::Every(60 * MINUTE), Duration::ZERO, &name());
        let table = Timetable { schedule, missed: Missed::Once, starting_deadline: 2 * MINUTE };
        let mut timing = Timing::resume(&table, Some(at(0)), at(7200 + 121));
        assert_eq!(timing.step(&table, &name(), at(7200 + 121)), missed(2));
        let mut timing = Timing::resume(&table, Some(at(0)), at(7200 + 120));
        assert_eq!(timing.step(&table, &name(), at(7200 + 120)), missed(1));
        let late = timing.wake(&table).unwrap();
        assert_eq!(timing.step(&table, &name(), late), started(at(7200)));
    }

    #[test]
    fn a_leap_of_the_clock_starts_the_latest_slot_and_not_at_once() {
        let table = table(Missed::Skip);
        let mut timing = Timing::resume(&table, None, at(0));
        timing.step(&table, &name(), at(0));
        timing.step(&table, &name(), at(60));
        // An hour is gone; the slot of the last minute is 30 s late.
        assert_eq!(timing.step(&table, &name(), at(3690)), missed(59));
        assert!(timing.wake(&table).unwrap() > at(3690));
        let next = timing.step(&table, &name(), at(3720));
        assert!(next == started(at(3660)) || next == Step { start: Some(at(3720)), missed: 1 }, "{next:?}");
    }

    #[test]
    fn a_clock_that_is_set_back_asks_for_the_slots_again() {
        let table = table(Missed::Skip);
        let mut timing = Timing::resume(&table, None, at(0));
        timing.step(&table, &name(), at(0));
        assert_eq!(timing.step(&table, &name(), at(3600)).missed, 59);
        timing.set_back(&table, at(1800));
        assert_eq!(timing.wake(&table), Some(at(1860)));
        assert_eq!(timing.step(&table, &name(), at(1860)), started(at(1860)));
    }

    #[test]
    fn late_starts_add_at_most_half_of_what_starts_anyway() {
        let table = table(Missed::Once);
        let mut a_second = [0_u32; 60];
        for n in 0..6000 {
            let name: SweepName = format!("sweep-{n}").parse().unwrap();
            let schedule = Schedule::new(Cadence::Every(MINUTE), MINUTE, &name);
            let table = Timetable { schedule, ..table.clone() };
            let mut timing = Timing::resume(&table, Some(at(0)), at(600));
            for second in 0..60 {
                let step = timing.step(&table, &name, at(600 + second));
                a_second[usize::try_from(second).unwrap()] += u32::from(step.start.is_some());
            }
        }
        // A hundred a second in the long run.
        assert!(a_second.iter().all(|count| *count < 200), "{a_second:?}");
        let all: u32 = a_second.iter().sum();
        assert!((7000..=9000).contains(&all), "{all}: {a_second:?}");
    }
}
