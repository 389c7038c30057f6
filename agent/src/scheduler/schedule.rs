//! When a sweep is due: slots, pure.
//!
//! A slot is a point in time that the configuration names: a multiple of an interval since 1970, or a minute that a cron
//! pattern fits on the clock of a time zone. It is the same for every agent and after every restart, so it can be claimed.
//! A sweep starts a little after its slot: the splay, taken from its name, keeps sweeps from starting all at once.
//!
//! When clocks are set forward, the minutes that are left out have no slot. When they are set back, the minutes that come
//! twice have two: each is a point in time of its own. This is what Kubernetes does.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::{CronPattern, Digest, SweepName, Timestamp};

/// Stretches of unchanged offset that are looked at for a slot: two a year for as long as a pattern looks ahead.
const STRETCHES: usize = 90;

/// Most missed slots that are counted one by one.
const COUNTED: u64 = 10_000;

/// What the slots are.
#[derive(Clone, Debug, PartialEq)]
pub enum Cadence {
    /// Multiples of this since 1970-01-01T00:00:00Z.
    Every(Duration),
    /// Minutes that the pattern fits on the clock of the zone.
    Cron {
        /// The pattern.
        pattern: CronPattern,
        /// The zone.
        zone: TimeZone,
    },
}

/// The slots of one sweep, and how long after each it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    cadence: Cadence,
    offset: Duration,
}

impl Schedule {
    /// The slots of `cadence`, started within `splay` after each.
    pub fn new(cadence: Cadence, splay: Duration, name: &SweepName) -> Self {
        Self { cadence, offset: spread(name.as_str(), splay) }
    }

    /// The first slot after `time`.
    pub fn next(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.cadence {
            Cadence::Every(period) => {
                let period = whole(*period);
                let next = (time.as_millis() / period).checked_add(1)?.checked_mul(period)?;
                Some(Timestamp::from_millis(next))
            }
            Cadence::Cron { pattern, zone } => next_on_the_wall(pattern, zone, time),
        }
    }

    /// The last slot at or before `time`.
    pub fn last(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.cadence {
            Cadence::Every(period) => {
                let period = whole(*period);
                Some(Timestamp::from_millis(time.as_millis() / period * period))
            }
            Cadence::Cron { pattern, zone } => last_on_the_wall(pattern, zone, time),
        }
    }

    /// When the sweep starts for `slot`.
    pub fn due(&self, slot: Timestamp) -> Timestamp {
        slot.after(self.offset)
    }

    /// The last slot that is due at `now`.
    pub fn last_due(&self, now: Timestamp) -> Option<Timestamp> {
        // Times end at 1970: what lies before is cut off there, and was not due.
        self.last(now.before(self.offset)).filter(|slot| self.due(*slot) <= now)
    }

    /// How many slots there are after `after` and up to `until`, both slots. What is too many is not counted to its end.
    pub fn count(&self, after: Timestamp, until: Timestamp) -> u64 {
        if let Cadence::Every(period) = &self.cadence {
            return (until.as_millis() / whole(*period)).saturating_sub(after.as_millis() / whole(*period));
        }
        let mut count = 0;
        let mut slot = after;
        while count < COUNTED {
            match self.next(slot) {
                Some(next) if next <= until => (slot, count) = (next, count + 1),
                Some(_) | None => break,
            }
        }
        count
    }

    /// The time from `slot` to the one after it.
    pub fn period(&self, slot: Timestamp) -> Duration {
        match &self.cadence {
            Cadence::Every(period) => *period,
            Cadence::Cron { .. } => self.next(slot).map_or(Duration::MAX, |next| next.since(slot)),
        }
    }

    /// What the slots are.
    pub fn cadence(&self) -> &Cadence {
        &self.cadence
    }

    /// How long after a slot the sweep starts.
    pub fn offset(&self) -> Duration {
        self.offset
    }
}

/// A length below `within` that belongs to `key`: always the same, and evenly spread over many keys.
pub fn spread(key: &str, within: Duration) -> Duration {
    let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let bytes = *Digest::of(key.as_bytes()).as_bytes();
    let hash = bytes.iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
    Duration::from_millis(hash.checked_rem(millis).unwrap_or(0))
}

/// Whole milliseconds, at least one: nothing divides by zero.
fn whole(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn instant(time: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(i64::try_from(time.as_millis()).ok()?).ok()
}

fn recorded(instant: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(instant.as_millisecond()).ok().map(Timestamp::from_millis)
}

/// Within a stretch of unchanged offset the wall and the world agree on what comes next, so each is searched by itself.
fn next_on_the_wall(pattern: &CronPattern, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = instant(after)?.checked_add(jiff::SignedDuration::from_millis(1)).ok()?;
    for _ in 0..STRETCHES {
        let offset = zone.to_offset(from);
        let end = zone.following(from).next().map(|transition| transition.timestamp());
        let found = pattern.next_from(offset.to_datetime(from))?;
        let found = offset.to_timestamp(found).ok()?;
        match end {
            Some(end) if found >= end => from = end,
            Some(_) | None => return recorded(found),
        }
    }
    None
}

fn last_on_the_wall(pattern: &CronPattern, zone: &TimeZone, until: Timestamp) -> Option<Timestamp> {
    let moment = jiff::SignedDuration::from_nanos(1);
    let mut until = instant(until)?;
    for _ in 0..STRETCHES {
        let offset = zone.to_offset(until);
        let just_after = until.checked_add(moment).ok()?;
        let start = zone.preceding(just_after).next().map(|transition| transition.timestamp());
        let found = pattern.last_until(offset.to_datetime(until))?;
        let found = offset.to_timestamp(found).ok()?;
        match start {
            Some(start) if found < start => until = start.checked_sub(moment).ok()?,
            Some(_) | None => return recorded(found),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> SweepName {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        recorded(text.parse().unwrap()).unwrap()
    }

    fn cron(pattern: &str, zone: &str) -> Schedule {
        let zone = TimeZone::get(zone).unwrap();
        Schedule::new(Cadence::Cron { pattern: pattern.parse().unwrap(), zone }, Duration::ZERO, &name("health"))
    }

    fn every(seconds: u64) -> Schedule {
        Schedule::new(Cadence::Every(Duration::from_secs(seconds)), Duration::ZERO, &name("health"))
    }

    /// The slots after `from` and before `until`.
    fn slots(schedule: &Schedule, from: &str, until: &str) -> Vec<String> {
        let until = at(until);
        let slots = std::iter::successors(schedule.next(at(from)), |slot| schedule.next(*slot));
        slots.take_while(|slot| *slot < until).map(|slot| slot.to_string()).collect()
    }

    #[test]
    fn intervals_lie_on_absolute_slots() {
        let schedule = every(300);
        assert_eq!(schedule.next(at("2026-03-01T03:14:15Z")), Some(at("2026-03-01T03:15:00Z")));
        assert_eq!(schedule.next(at("2026-03-01T03:15:00Z")), Some(at("2026-03-01T03:20:00Z")));
        assert_eq!(schedule.last(at("2026-03-01T03:15:00Z")), Some(at("2026-03-01T03:15:00Z")));
        assert_eq!(schedule.last(at("2026-03-01T03:14:59.999Z")), Some(at("2026-03-01T03:10:00Z")));
        assert_eq!(schedule.count(at("2026-03-01T03:00:00Z"), at("2026-03-01T04:00:00Z")), 12);
        assert_eq!(schedule.next(Timestamp::from_millis(u64::MAX)), None);
    }

    #[test]
    fn minutes_that_the_clock_leaves_out_have_no_slot() {
        // In Berlin 01:59:59 was followed by 03:00 on 29 March 2026.
        let berlin = cron("30 2 * * *", "Europe/Berlin");
        let expected = ["2026-03-28T01:30:00.000Z", "2026-03-30T00:30:00.000Z"];
        assert_eq!(slots(&berlin, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z"), expected);
        let hourly = cron("0 * * * *", "Europe/Berlin");
        let expected = ["2026-03-29T00:00:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-29T02:00:00.000Z"];
        assert_eq!(slots(&hourly, "2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z"), expected);
        assert_eq!(berlin.last(at("2026-03-29T12:00:00Z")), Some(at("2026-03-28T01:30:00Z")));
        // In New York 01:59:59 was followed by 03:00 on 8 March 2026.
        let new_york = cron("15 2 * * *", "America/New_York");
        let expected = ["2026-03-07T07:15:00.000Z", "2026-03-09T06:15:00.000Z"];
        assert_eq!(slots(&new_york, "2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z"), expected);
    }

    #[test]
    fn minutes_that_come_twice_have_two_slots() {
        // In Berlin 02:59:59 was followed by 02:00 on 25 October 2026.
        let berlin = cron("30 2 * * *", "Europe/Berlin");
        let expected = ["2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z", "2026-10-26T01:30:00.000Z"];
        assert_eq!(slots(&berlin, "2026-10-25T00:00:00Z", "2026-10-27T00:00:00Z"), expected);
        assert_eq!(berlin.last(at("2026-10-25T01:00:00Z")), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(berlin.last(at("2026-10-25T01:30:00Z")), Some(at("2026-10-25T01:30:00Z")));
        let every_minute = cron("* * * * *", "Europe/Berlin");
        assert_eq!(slots(&every_minute, "2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z").len(), 6 * 60 - 1);
        // At the very minute when the clock is set back, 02:00 comes for the second time.
        let at_two = cron("0 2 * * *", "Europe/Berlin");
        assert_eq!(
            slots(&at_two, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"),
            ["2026-10-25T00:00:00.000Z", "2026-10-25T01:00:00.000Z"]
        );
    }

    #[test]
    fn a_zone_may_shift_by_half_an_hour_or_not_at_all() {
        // Lord Howe Island sets its clocks back from 02:00 to 01:30 on 5 April 2026.
        let lord_howe = cron("45 1 * * *", "Australia/Lord_Howe");
        let expected = ["2026-04-04T14:45:00.000Z", "2026-04-04T15:15:00.000Z"];
        assert_eq!(slots(&lord_howe, "2026-04-04T00:00:00Z", "2026-04-05T00:00:00Z"), expected);
        let kolkata = cron("30 5 * * *", "Asia/Kolkata");
        assert_eq!(slots(&kolkata, "2026-10-24T23:00:00Z", "2026-10-25T23:00:00Z"), ["2026-10-25T00:00:00.000Z"]);
        let leap = cron("0 0 29 2 *", "Europe/Berlin");
        assert_eq!(leap.next(at("2026-01-01T00:00:00Z")), Some(at("2028-02-28T23:00:00Z")));
        assert_eq!(leap.last(at("2026-01-01T00:00:00Z")), Some(at("2024-02-28T23:00:00Z")));
    }

    #[test]
    fn missed_slots_are_counted_up_to_a_bound() {
        let schedule = cron("*/10 * * * *", "UTC");
        assert_eq!(schedule.count(at("2026-03-01T00:00:00Z"), at("2026-03-01T02:00:00Z")), 12);
        assert_eq!(schedule.count(at("2026-03-01T02:00:00Z"), at("2026-03-01T02:00:00Z")), 0);
        assert_eq!(schedule.count(at("1990-01-01T00:00:00Z"), at("2026-03-01T02:00:00Z")), COUNTED);
    }

    #[test]
    fn the_splay_belongs_to_the_name_and_spreads_many_of_them() {
        let minute = Duration::from_secs(60);
        let offset = |n: u32| Schedule::new(Cadence::Every(minute), minute, &name(&format!("sweep-{n}"))).offset();
        assert_eq!(offset(7), offset(7));
        let mut seconds = [0_u32; 60];
        for n in 0..6000 {
            seconds[usize::try_from(offset(n).as_secs()).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|count| (60..=140).contains(count)), "{seconds:?}");
        assert_eq!(spread("x", Duration::ZERO), Duration::ZERO);
        let schedule = Schedule::new(Cadence::Every(minute), minute, &name("sweep-1"));
        let slot = at("2026-03-01T03:15:00Z");
        assert_eq!(schedule.last_due(schedule.due(slot)), Some(slot));
        assert_eq!(schedule.last_due(schedule.due(slot).before(Duration::from_millis(1))), Some(slot.before(minute)));
    }

    /// Any zone that the database knows.
    fn any_zone() -> impl Strategy<Value = String> {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
        prop::sample::select(names)
    }

    /// A pattern of numbers, stars and steps. Days beyond the 28th are in it; those that never come are not slots.
    fn any_pattern() -> impl Strategy<Value = String> {
        let field = |most: u32, least: u32| {
            let number = (least..=most).prop_map(|number| number.to_string());
            let step = (1..=most).prop_map(|step| format!("*/{step}"));
            prop_oneof![3 => Just("*".to_owned()), 2 => number, 1 => step]
        };
        (field(59, 0), field(23, 0), field(31, 1), field(12, 1), field(6, 0))
            .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
            .prop_filter("never comes", |text| text.parse::<CronPattern>().is_ok())
    }

    /// Any time until the year 9000, most of them in ours.
    fn any_moment() -> impl Strategy<Value = Timestamp> {
        let near = 1_700_000_000_000_u64..1_900_000_000_000;
        prop_oneof![3 => near, 1 => 0_u64..220_000_000_000_000].prop_map(Timestamp::from_millis)
    }

    proptest! {
        /// In every zone: the next slot of the last one is the first beyond, and nothing lies between them.
        #[test]
        fn any_pattern_has_a_next_and_a_last_slot_that_agree(
            zone in any_zone(), pattern in any_pattern(), now in any_moment(),
        ) {
            let schedule = cron(&pattern, &zone);
            let next = schedule.next(now);
            prop_assert!(next.is_some_and(|next| next > now), "next: {:?}", next);
            let next = next.unwrap();
            prop_assert_eq!(schedule.last(next), Some(next));
            let last = schedule.last(now);
            prop_assert_eq!(schedule.last(next.before(Duration::from_millis(1))), last);
            match last {
                Some(last) => {
                    prop_assert!(last <= now);
                    prop_assert_eq!(schedule.next(last), Some(next));
                }
                // Nothing is recorded before 1970, so there is no slot either.
                None => prop_assert_eq!(schedule.next(Timestamp::from_millis(0)), Some(next)),
            }
        }

        #[test]
        fn any_interval_has_slots_that_are_its_multiples(period in 1_u64..=30 * 86_400_000, now in any::<u64>()) {
            let schedule =
                Schedule::new(Cadence::Every(Duration::from_millis(period)), Duration::ZERO, &name("health"));
            let last = schedule.last(Timestamp::from_millis(now)).unwrap().as_millis();
            prop_assert!(last.is_multiple_of(period) && last <= now && now - last < period);
            let next = schedule.next(Timestamp::from_millis(now)).map(Timestamp::as_millis);
            prop_assert_eq!(next, last.checked_add(period));
        }

        /// Slots are counted as they come, and a start that is due belongs to the slot that it is taken for.
        #[test]
        fn any_schedule_counts_and_starts_its_slots(
            zone in any_zone(), pattern in any_pattern(), now in any_moment(), steps in 0_u64..20, splay in 0_u64..86_400_000,
        ) {
            let cadence = cron(&pattern, &zone).cadence().clone();
            let schedule = Schedule::new(cadence, Duration::from_millis(splay), &name("health"));
            prop_assert!(schedule.offset() < Duration::from_millis(splay.max(1)));
            let mut slot = now;
            for count in 1..=steps {
                slot = schedule.next(slot).unwrap();
                prop_assert_eq!(schedule.count(now, slot), count);
            }
            if steps > 0 {
                prop_assert_eq!(schedule.last_due(schedule.due(slot)), Some(slot));
                prop_assert!(schedule.last_due(schedule.due(slot).before(Duration::from_millis(1))) < Some(slot));
            }
        }
    }
}
