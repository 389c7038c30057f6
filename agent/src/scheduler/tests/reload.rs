//! Sweeps that are configured otherwise while the agent goes on.

use super::*;

/// Let these sweeps hold, and look at the clock.
async fn adopt(agent: &Agent, sweeps: Vec<Sweep>) {
    let prepared = agent.scheduler.prepare(sweeps).await.unwrap();
    agent.scheduler.adopt(prepared);
    agent.turn().await;
}

async fn minutes(agent: &Agent, sweep: &str) -> Vec<u64> {
    agent.runs(sweep).await.iter().map(|run| run.slot.unwrap().since(MARCH).as_secs() / 60).collect()
}

fn every(minutes: u32, text: &str) -> Sweep {
    Sweep { timetable: Some(timetable(Cadence::Every(minutes * MINUTE), text)), ..sweep(text) }
}

#[tokio::test]
async fn a_sweep_whose_timetable_stays_misses_no_slot_and_another_begins_with_the_next() {
    let place = Place::new(vec![every(10, "steady"), every(10, "other")]);
    let agent = place.open().await;
    agent.after(10 * MINUTE).await;
    agent.after(5 * MINUTE).await;
    // Three of the new slots have passed since the last one that was claimed; they never were anybody's.
    let steady = Sweep { checks: checks(&["redis-ping"]), ..every(10, "steady") };
    adopt(&agent, vec![steady, every(2, "other"), every(10, "new")]).await;
    assert_eq!(minutes(&agent, "other").await, [10]);
    agent.after(MINUTE).await;
    agent.after(4 * MINUTE).await;
    assert_eq!(minutes(&agent, "steady").await, [10, 20]);
    assert_eq!(agent.runs("steady").await[1].checks[0].plugin.as_str(), "redis-ping");
    assert_eq!(minutes(&agent, "other").await, [10, 16, 20]);
    assert_eq!(minutes(&agent, "new").await, [20]);
    let missed = |sweep| agent.slots(sweep, SlotResult::Missed);
    assert_eq!((missed("steady"), missed("other"), missed("new")), (0, 1, 0), "18 passed between two turns");
}

#[tokio::test]
async fn a_sweep_that_goes_comes_to_its_end_and_comes_back_as_it_stood() {
    let place = Place::new(vec![sweep("health"), sweep("other")]);
    let agent = place.open().await;
    agent.after(MINUTE).await;
    assert_eq!(agent.view("health").standing.hard, Some(Status::Ok));
    let gate = place.script.holds("pg-ready");
    place.clock.advance(MINUTE);
    agent.scheduler.turn();
    place.script.until_running(2).await;

    let prepared = agent.scheduler.prepare(vec![sweep("other")]).await.unwrap();
    agent.scheduler.adopt(prepared);
    assert!(agent.scheduler.show(&name("health")).is_none());
    let refused = agent.scheduler.run_now(&name("health"), Actor("alice".to_owned())).await.err().unwrap();
    assert!(matches!(refused, Refusal::UnknownSweep(_)), "{refused}");
    gate.add_permits(100);
    agent.turn().await;
    agent.after(MINUTE).await;
    assert_eq!(minutes(&agent, "health").await, [1, 2]);
    assert_eq!(agent.runs("health").await[1].state, SweepRunState::Concluded);
    let shown = agent.metrics.render();
    assert!(!shown.contains("sweep_status{sweep=\"health\"}"), "{shown}");

    adopt(&agent, vec![sweep("health"), sweep("other")]).await;
    assert_eq!(agent.view("health").standing.hard, Some(Status::Ok));
    agent.after(MINUTE).await;
    assert_eq!(minutes(&agent, "health").await, [1, 2, 4]);
    assert_eq!(minutes(&agent, "other").await, [1, 2, 3, 4]);
    assert!(agent.metrics.render().contains("sweep_status{sweep=\"health\"} 0"));
}

#[tokio::test]
async fn verdicts_are_judged_by_the_thresholds_that_hold() {
    let patient = |threshold| {
        let rules = Rules { failure_threshold: threshold, high_flap_threshold: 101.0, ..Rules::default() };
        Sweep { rules, ..sweep("health") }
    };
    let place = Place::new(vec![patient(5)]);
    let agent = place.open().await;
    agent.after(MINUTE).await;
    place.script.says("pg-ready", Status::Critical);
    agent.after(MINUTE).await;
    adopt(&agent, vec![patient(2)]).await;
    assert_eq!(agent.view("health").standing.hard, Some(Status::Ok));
    agent.after(MINUTE).await;
    assert_eq!(agent.view("health").standing.hard, Some(Status::Critical));
}
