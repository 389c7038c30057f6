//! Standings, events, reminders and silences, over restarts too.

use super::*;
use crate::domain::{EventKind, Muted, Silence, SweepEvent};

fn steady() -> Rules {
    Rules { high_flap_threshold: 101.0, ..Rules::default() }
}

/// Events of the sweep, the oldest first: what, the state, and why nobody needs to hear of it.
async fn events(agent: &Agent) -> Vec<(EventKind, Status, Option<Muted>)> {
    let mut events: Vec<SweepEvent> = agent.scheduler.events(&name("health"), 100).await.unwrap();
    events.reverse();
    events.iter().map(|event| (event.kind, event.status, event.muted)).collect()
}

#[tokio::test]
async fn a_streak_survives_a_restart() {
    let place = Place::new(vec![sweep("health")]);
    place.script.says("pg-ready", Status::Critical);
    let agent = place.open().await;
    agent.after(MINUTE).await;
    agent.after(MINUTE).await;
    assert_eq!((agent.view("health").standing.hard, agent.view("health").standing.streak), (None, 2));
    agent.end().await;

    let agent = place.open().await;
    agent.turn().await;
    assert_eq!(agent.view("health").standing.streak, 2);
    assert_eq!(agent.view("health").last.unwrap().status, Some(Status::Critical));
    agent.after(MINUTE).await;
    assert_eq!(agent.view("health").standing.hard, Some(Status::Critical));
    assert_eq!(events(&agent).await, [(EventKind::Changed, Status::Critical, None)]);
    let [event] = agent.scheduler.events(&name("health"), 10).await.unwrap().try_into().unwrap();
    assert_eq!((event.from, event.run), (Some(Status::Ok), Some(agent.view("health").last.unwrap().id)));
}

#[tokio::test]
async fn people_are_reminded_by_time_alone_and_not_again_after_a_restart() {
    let rules = Rules { failure_threshold: 1, reminder_interval: Some(60 * MINUTE), ..steady() };
    let place = Place::new(vec![Sweep { timetable: None, rules, ..sweep("health") }]);
    place.script.says("pg-ready", Status::Critical);
    let agent = place.open().await;
    agent.ask("health").await;
    assert_eq!(agent.scheduler.turn(), Some(MARCH.after(60 * MINUTE)));
    agent.after(59 * MINUTE).await;
    assert_eq!(events(&agent).await.len(), 1);
    agent.after(MINUTE).await;
    let reminded = [(EventKind::Changed, Status::Critical, None), (EventKind::Reminder, Status::Critical, None)];
    assert_eq!(events(&agent).await, reminded);
    agent.end().await;
    let agent = place.open().await;
    agent.after(59 * MINUTE).await;
    assert_eq!(events(&agent).await, reminded);
    agent.after(MINUTE).await;
    assert_eq!(events(&agent).await.len(), 3);
}

fn silence(sweep: Option<&str>, time: Duration, expire_on_resolve: bool) -> NewSilence {
    NewSilence {
        sweep: sweep.map(name),
        reason: "failover test".to_owned(),
        creator: Actor("alice".to_owned()),
        expires: MARCH.after(time),
        expire_on_resolve,
    }
}

async fn silenced(agent: &Agent, wanted: NewSilence) -> Silence {
    let silence = agent.scheduler.begin_silence(wanted);
    agent.scheduler.add_silence(silence.clone(), None).await.unwrap();
    silence
}

#[tokio::test]
async fn a_silence_mutes_what_happens_until_it_expires_and_survives_a_restart() {
    let place = Place::new(vec![Sweep { rules: Rules { failure_threshold: 1, ..steady() }, ..sweep("health") }]);
    let agent = place.open().await;
    let kept = silenced(&agent, silence(Some("health"), 3 * MINUTE, false)).await;
    agent.end().await;
    let agent = place.open().await;
    agent.turn().await;
    assert_eq!(agent.scheduler.silences(), [kept]);
    place.script.says("pg-ready", Status::Critical);
    agent.after(MINUTE).await;
    assert_eq!(events(&agent).await, [(EventKind::Changed, Status::Critical, Some(Muted::Silenced))]);
    assert_eq!(agent.view("health").silences.len(), 1);
    // The state is kept all the while.
    assert_eq!(agent.view("health").standing.hard, Some(Status::Critical));
    agent.after(MINUTE).await;
    place.script.says("pg-ready", Status::Ok);
    agent.after(MINUTE).await;
    assert_eq!(events(&agent).await[1], (EventKind::Changed, Status::Ok, None));
    assert!(agent.scheduler.silences().is_empty());
}

#[tokio::test]
async fn a_silence_may_end_when_the_sweep_recovers_and_when_somebody_ends_it() {
    let place = Place::new(vec![Sweep { rules: Rules { failure_threshold: 1, ..steady() }, ..sweep("health") }]);
    let agent = place.open().await;
    silenced(&agent, silence(Some("health"), 100 * MINUTE, true)).await;
    silenced(&agent, silence(Some("other"), 100 * MINUTE, true)).await;
    let all = silenced(&agent, silence(None, 100 * MINUTE, true)).await;
    place.script.says("pg-ready", Status::Critical);
    agent.after(MINUTE).await;
    place.script.says("pg-ready", Status::Ok);
    agent.after(MINUTE).await;
    let left: Vec<_> = agent.scheduler.silences().into_iter().map(|silence| silence.sweep).collect();
    assert_eq!(left, [Some(name("other")), None]);
    assert_eq!(agent.scheduler.remove_silence(all.id).await.unwrap(), Some(all.clone()));
    assert_eq!(agent.scheduler.remove_silence(all.id).await.unwrap(), None);
    assert_eq!(agent.scheduler.silences().len(), 1);
    // The store agrees.
    agent.end().await;
    let agent = place.open().await;
    assert_eq!(agent.scheduler.silences().len(), 1);
}

#[tokio::test]
async fn a_flapping_sweep_tells_that_and_nothing_else() {
    let rules = Rules { failure_threshold: 1, ..Rules::default() };
    let place = Place::new(vec![Sweep { rules, ..sweep("health") }]);
    let agent = place.open().await;
    for n in 0..10 {
        place.script.says("pg-ready", if n % 2 == 0 { Status::Ok } else { Status::Critical });
        agent.after(MINUTE).await;
    }
    let told = events(&agent).await;
    let started = told.iter().position(|(kind, ..)| *kind == EventKind::FlappingStarted).unwrap();
    assert!(told[..started].iter().all(|(kind, _, muted)| *kind == EventKind::Changed && muted.is_none()), "{told:?}");
    assert!(told[started + 1..].iter().all(|(_, _, muted)| *muted == Some(Muted::Flapping)), "{told:?}");
    assert!(told.len() > started + 2 && agent.view("health").standing.flapping);
    // It is remembered over a restart.
    agent.end().await;
    assert!(place.open().await.view("health").standing.flapping);
}
