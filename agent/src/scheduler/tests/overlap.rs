//! What becomes of a slot that comes while the sweep is still at work.

use std::pin::pin;

use super::*;

/// An agent whose sweep is at work for the first slot, and what lets its checks go.
async fn at_work(overlap: Overlap) -> (Place, Agent, Arc<Semaphore>) {
    let place = Place::new(vec![Sweep { overlap, ..sweep("health") }]);
    let agent = place.open().await;
    let gate = place.script.holds("pg-ready");
    place.clock.advance(MINUTE);
    agent.scheduler.turn();
    place.script.until_running(1).await;
    (place, agent, gate)
}

/// A minute passes while the sweep is at work.
fn another_minute(place: &Place, agent: &Agent) {
    place.clock.advance(MINUTE);
    agent.scheduler.turn();
}

async fn slots(agent: &Agent) -> Vec<(u64, SweepRunState)> {
    let minute = |run: &SweepRun| run.slot.unwrap().since(MARCH).as_secs() / 60;
    agent.runs("health").await.iter().map(|run| (minute(run), run.state)).collect()
}

#[tokio::test]
async fn skip_leaves_the_slot_out() {
    let (place, agent, gate) = at_work(Overlap::Skip).await;
    assert!(agent.view("health").running.is_some());
    another_minute(&place, &agent);
    gate.add_permits(10);
    agent.turn().await;
    another_minute(&place, &agent);
    agent.turn().await;
    assert_eq!(slots(&agent).await, [(1, SweepRunState::Concluded), (3, SweepRunState::Concluded)]);
    assert_eq!(agent.slots("health", SlotResult::Skipped), 1);
}

#[tokio::test]
async fn queue_starts_the_latest_slot_afterwards() {
    let (place, agent, gate) = at_work(Overlap::Queue).await;
    another_minute(&place, &agent);
    another_minute(&place, &agent);
    assert_eq!(place.script.running(), 1);
    gate.add_permits(10);
    agent.turn().await;
    assert_eq!(slots(&agent).await, [(1, SweepRunState::Concluded), (3, SweepRunState::Concluded)]);
    assert_eq!(agent.slots("health", SlotResult::Skipped), 1);
}

#[tokio::test]
async fn a_slot_does_not_wait_for_longer_than_its_deadline() {
    let table = Timetable { starting_deadline: 2 * MINUTE, ..timetable(Cadence::Every(MINUTE), "health") };
    let place = Place::new(vec![Sweep { overlap: Overlap::Queue, timetable: Some(table), ..sweep("health") }]);
    let agent = place.open().await;
    let gate = place.script.holds("pg-ready");
    another_minute(&place, &agent);
    place.script.until_running(1).await;
    another_minute(&place, &agent);
    // No turn: the slots in between are not seen, as on a machine that slept.
    place.clock.advance(3 * MINUTE);
    gate.add_permits(1);
    assert_eq!(agent.scheduler.settled(PATIENCE).await, 0);
    assert_eq!(slots(&agent).await, [(1, SweepRunState::Concluded)]);
    assert_eq!(agent.slots("health", SlotResult::Missed), 1);
}

#[tokio::test]
async fn replace_gives_up_what_is_under_way() {
    let (place, agent, gate) = at_work(Overlap::Replace).await;
    another_minute(&place, &agent);
    let replaced = async {
        while slots(&agent).await.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, replaced).await.unwrap();
    place.script.until_running(1).await;
    gate.add_permits(10);
    agent.turn().await;
    assert_eq!(slots(&agent).await, [(1, SweepRunState::Replaced), (2, SweepRunState::Concluded)]);
    // Only the run that came to its end counts.
    assert_eq!(agent.view("health").last.unwrap().slot, Some(MARCH.after(2 * MINUTE)));
}

#[tokio::test]
async fn who_asks_for_a_sweep_at_work_joins_it() {
    let (place, agent, gate) = at_work(Overlap::Skip).await;
    let running = agent.view("health").running.unwrap();
    let joined = agent.scheduler.run_now(&name("health"), Actor("alice".to_owned())).await.unwrap();
    assert_eq!(joined.begun.id, running.id);
    gate.add_permits(10);
    let run = tokio::time::timeout(PATIENCE, joined.finished()).await.unwrap().unwrap();
    assert_eq!((run.id, run.status), (running.id, Some(Status::Ok)));
    agent.turn().await;
    assert_eq!(agent.runs("health").await.len(), 1);
    drop(place);
}

#[tokio::test]
async fn a_run_goes_on_when_whoever_asked_leaves() {
    let place = Place::new(vec![Sweep { timetable: None, ..sweep("health") }]);
    let agent = place.open().await;
    let gate = place.script.holds("pg-ready");
    let under_way = agent.scheduler.run_now(&name("health"), Actor("alice".to_owned())).await.unwrap();
    drop(under_way);
    place.script.until_running(1).await;
    gate.add_permits(1);
    agent.turn().await;
    assert_eq!(agent.runs("health").await[0].state, SweepRunState::Concluded);
}

#[tokio::test]
async fn who_joins_a_sweep_is_not_told_before_its_start_is_recorded() {
    let place = Place::new(vec![sweep("health")]);
    let agent = place.open().await;
    let health = name("health");
    let ask = || agent.scheduler.run_now(&health, Actor("alice".to_owned()));
    let (mut first, mut joined) = (pin!(ask()), pin!(ask()));
    // Each is looked at once, and there is no moment between for the store to answer.
    for asked in [&mut first, &mut joined] {
        tokio::select! {
            biased;
            _ = asked => panic!("a run was told of before it was recorded"),
            () = std::future::ready(()) => {}
        }
    }
    let (first, joined) = tokio::join!(first, joined);
    let (first, joined) = (first.unwrap().begun, joined.unwrap().begun);
    assert_eq!(first.id, joined.id);
    assert!(agent.store.sweep_run(first.id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_again_after_hearing_of_the_end_gets_a_run_of_their_own() {
    let place = Place::new(vec![Sweep { timetable: None, ..sweep("health") }]);
    let agent = place.open().await;
    let mut before = None;
    for _ in 0..200 {
        let run = agent.scheduler.run_now(&name("health"), Actor("alice".to_owned())).await.unwrap();
        let ended = tokio::time::timeout(PATIENCE, run.finished()).await.unwrap().unwrap();
        assert_ne!(before.replace(ended.id), Some(ended.id));
    }
}
