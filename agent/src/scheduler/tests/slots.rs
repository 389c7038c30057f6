//! Each slot at most once, whatever happens to the agent and to its clock, and missed ones by policy.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// So many days, with restarts, leaps and a clock that is set back, all at random.
async fn days(count: u32, seed: u64, missed: Missed, cadence: Cadence) {
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let table = Timetable { missed, ..timetable(cadence, "health") };
    let place = Place::new(vec![Sweep { timetable: Some(table.clone()), ..sweep("health") }]);
    let end = MARCH.after(count * 24 * 60 * MINUTE);
    let mut agent = place.open().await;
    let (mut restarts, mut set_back) = (0, 0);
    while place.clock.now() < end {
        match random.random_range(0..400) {
            // Down for up to twenty minutes.
            0..4 => {
                agent.end().await;
                place.clock.advance(Duration::from_secs(random.random_range(0..1200)));
                agent = place.open().await;
                restarts += 1;
            }
            // Somebody sets the clock back by up to an hour, with or without a restart.
            4 => {
                let back = Duration::from_secs(random.random_range(2..3600));
                place.clock.set(place.clock.now().before(back));
                set_back += 1;
            }
            5 => {
                agent.end().await;
                place.clock.set(place.clock.now().before(Duration::from_secs(random.random_range(2..3600))));
                agent = place.open().await;
                set_back += 1;
            }
            // The machine sleeps.
            6 => place.clock.advance(Duration::from_secs(random.random_range(60..7200))),
            // It wakes when something is due, as late as a busy machine does.
            _ => {
                let next = agent.view("health").next.unwrap();
                place.clock.set(next.max(place.clock.now()).after(Duration::from_millis(random.random_range(0..800))));
            }
        }
        agent.turn().await;
    }
    assert!(restarts > 3 && set_back > 0, "{restarts} {set_back}");
    let slots: Vec<Timestamp> = agent.runs("health").await.iter().map(|run| run.slot.unwrap()).collect();
    let mut once = slots.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), slots.len(), "a slot ran twice; seed {seed}");
    for slot in &slots {
        assert_eq!(table.schedule.last(*slot), Some(*slot), "{slot} is no slot; seed {seed}");
    }
    // Most of the time was watched.
    let all = table.schedule.count(MARCH, end);
    let ran = u64::try_from(slots.len()).unwrap();
    assert!(ran * 10 > all * 6, "{ran} of {all} slots; seed {seed}");
    println!("{ran} of {all} slots ran, {restarts} restarts, the clock set back {set_back} times");
    agent.end().await;
}

#[tokio::test]
async fn a_week_of_minutes_with_restarts_and_a_clock_that_is_set_back() {
    days(7, rand::random(), Missed::Skip, Cadence::Every(MINUTE)).await;
}

#[tokio::test]
async fn the_same_where_missed_slots_are_made_up_for() {
    days(2, rand::random(), Missed::Once, Cadence::Every(MINUTE)).await;
}

#[tokio::test]
async fn the_same_by_a_cron_pattern() {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    days(14, rand::random(), Missed::Once, Cadence::Cron { pattern: "*/5 * * * *".parse().unwrap(), zone }).await;
}

/// Steps minute by minute from `from` to `until`, and tells the slots that ran.
async fn minutes(pattern: &str, from: &str, until: &str) -> Vec<String> {
    let at = |text: &str| {
        let time: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_millis(u64::try_from(time.as_millisecond()).unwrap())
    };
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let table = timetable(Cadence::Cron { pattern: pattern.parse().unwrap(), zone }, "health");
    let place = Place::new(vec![Sweep { timetable: Some(table), ..sweep("health") }]);
    place.clock.set(at(from));
    let agent = place.open().await;
    agent.turn().await;
    while place.clock.now() < at(until) {
        agent.after(MINUTE).await;
    }
    agent.runs("health").await.iter().map(|run| run.slot.unwrap().to_string()).collect()
}

#[tokio::test]
async fn clocks_that_are_set_forward_leave_slots_out_and_clocks_that_are_set_back_repeat_them() {
    let forward = minutes("30 2,3 * * *", "2026-03-28T22:00:00Z", "2026-03-29T04:00:00Z").await;
    assert_eq!(forward, ["2026-03-29T01:30:00.000Z"]);
    let back = minutes("30 2 * * *", "2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z").await;
    assert_eq!(back, ["2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z"]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_repeat_slots() {
    let place = Place::new(vec![sweep("health")]);
    let agent = place.open().await;
    for _ in 0..10 {
        agent.after(MINUTE).await;
    }
    place.clock.set(MARCH.after(5 * MINUTE));
    agent.turn().await;
    for _ in 0..7 {
        agent.after(MINUTE).await;
    }
    let slots: Vec<_> = agent.runs("health").await.iter().map(|run| run.slot.unwrap()).collect();
    let expected: Vec<_> = (1..=12).map(|n| MARCH.after(n * MINUTE)).collect();
    assert_eq!(slots, expected);
    assert_eq!(agent.slots("health", SlotResult::Repeated), 5);
}

#[tokio::test]
async fn a_clock_that_was_years_ahead_does_not_keep_the_agent_from_working() {
    let place = Place::new(vec![sweep("health")]);
    let agent = place.open().await;
    agent.after(MINUTE).await;
    let years = Duration::from_secs(4 * 366 * 24 * 3600);
    agent.after(years).await;
    agent.after(5 * MINUTE).await;
    place.clock.set(MARCH.after(2 * MINUTE));
    agent.turn().await;
    for _ in 0..3 {
        agent.after(MINUTE).await;
    }
    let slots: Vec<_> = agent.runs("health").await.iter().map(|run| run.slot.unwrap()).collect();
    assert!(slots.contains(&MARCH.after(5 * MINUTE)), "{slots:?}");
    // The next agent goes on from there too.
    agent.end().await;
    let agent = place.open().await;
    agent.turn().await;
    agent.after(MINUTE).await;
    assert!(agent.runs("health").await.iter().any(|run| run.slot == Some(MARCH.after(6 * MINUTE))));
}

#[tokio::test]
async fn a_restart_leaves_missed_slots_out_or_makes_up_for_the_latest() {
    for (missed, expected, count) in [(Missed::Skip, vec![1, 12], 10), (Missed::Once, vec![1, 11, 12], 9)] {
        let table = Timetable { missed, ..timetable(Cadence::Every(MINUTE), "health") };
        let place = Place::new(vec![Sweep { timetable: Some(table), ..sweep("health") }]);
        let agent = place.open().await;
        agent.after(MINUTE).await;
        agent.end().await;
        place.clock.advance(10 * MINUTE);
        let agent = place.open().await;
        // What is made up for does not start at once, and gives way to the next slot.
        for _ in 0..60 {
            agent.after(Duration::from_secs(1)).await;
        }
        let slots: Vec<_> = agent.runs("health").await.iter().map(|run| run.slot.unwrap()).collect();
        let expected: Vec<_> = expected.into_iter().map(|n| MARCH.after(n * MINUTE)).collect();
        let missed_slots = agent.slots("health", SlotResult::Missed);
        let gave_way = slots.len() + 1 == expected.len() && missed_slots == count + 1;
        assert!(slots == expected && missed_slots == count || gave_way, "{missed:?}: {slots:?}, {missed_slots} missed");
    }
}

#[tokio::test]
async fn a_restart_causes_no_storm() {
    let table = |text: &str| {
        let schedule = Schedule::new(Cadence::Every(MINUTE), MINUTE, &name(text));
        Timetable { schedule, missed: Missed::Once, starting_deadline: 60 * MINUTE }
    };
    let named = |n: u32| format!("sweep-{n}");
    let sweeps = (0..600).map(|n| Sweep { timetable: Some(table(&named(n))), ..sweep(&named(n)) }).collect();
    let place = Place::new(sweeps);
    let agent = place.open().await;
    for _ in 0..60 {
        agent.after(Duration::from_secs(1)).await;
    }
    agent.end().await;
    place.clock.advance(10 * MINUTE);
    let agent = place.open_with(LIMITS).await;
    let ever = || place.script.running.borrow().1;
    let before = ever();
    agent.turn().await;
    assert_eq!(ever(), before, "nothing starts at the very beginning");
    let mut most = 0;
    for _ in 0..60 {
        let before = ever();
        agent.after(Duration::from_secs(1)).await;
        most = most.max(ever() - before);
    }
    // Ten a second in the long run; so few of them scatter by chance.
    assert!(most <= 25, "{most} in one second");
    // Every sweep ran in the first minute.
    assert!(ever() - before >= 600, "{}", ever() - before);
}

#[tokio::test]
async fn a_store_that_fails_keeps_a_slot_from_running() {
    let place = Place::new(vec![sweep("health")]);
    let agent = place.open().await;
    agent.store.close().await.unwrap();
    agent.after(MINUTE).await;
    assert_eq!(agent.slots("health", SlotResult::NotRecorded), 1);
    assert!(place.script.orders().is_empty());
    let refused = agent.scheduler.run_now(&name("health"), Actor("alice".to_owned())).await.err().unwrap();
    assert!(matches!(refused, Refusal::Store(_)), "{refused}");
    assert!(agent.view("health").running.is_none());
}
