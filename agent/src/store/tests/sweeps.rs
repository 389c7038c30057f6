//! Slots, runs, standings, events and silences of sweeps.

use super::*;
use crate::domain::{
    Changes, CheckResult, EventKind, Muted, Reason, Silence, SilenceId, Standing, SweepEvent, SweepName, SweepRun,
    SweepRunId, SweepRunState,
};

const MINUTE: Duration = Duration::from_secs(60);

fn health() -> SweepName {
    "health".parse().unwrap()
}

fn at(minute: u64) -> Timestamp {
    MARCH.after(Duration::from_secs(60 * minute))
}

fn begun(slot: Option<Timestamp>) -> SweepRun {
    SweepRun {
        id: SweepRunId::new(MARCH),
        sweep: health(),
        slot,
        actor: Actor("schedule".to_owned()),
        started: MARCH,
        finished: None,
        state: SweepRunState::Running,
        status: None,
        checks: Vec::new(),
    }
}

fn ended(run: &SweepRun) -> SweepRun {
    let check = |status, run, reason| CheckResult {
        plugin: plugin("pg-ready"),
        run,
        status,
        summary: "it's \"so\"\u{0}".to_owned(),
        reason,
    };
    SweepRun {
        finished: Some(MARCH.after(Duration::from_millis(40))),
        state: SweepRunState::Concluded,
        status: Some(Status::Unknown),
        checks: vec![
            check(Status::Ok, Some(RunId::new(MARCH)), None),
            check(Status::Unknown, None, Some(Reason::TurnedAway)),
        ],
        ..run.clone()
    }
}

fn claim(slot: u64) -> Claim {
    Claim { sweep: health(), slot: at(slot), before: Some(at(slot).before(MINUTE)) }
}

fn news() -> News {
    let standing = Standing {
        hard: Some(Status::Critical),
        since: Some(at(1)),
        last: Some(Status::Unknown),
        streak: 2,
        changes: Changes::from_bits(0b1011),
        flapping: true,
        reminded: Some(at(2)),
    };
    let event = SweepEvent {
        time: at(3),
        sweep: health(),
        kind: EventKind::Changed,
        from: Some(Status::Ok),
        status: Status::Critical,
        muted: Some(Muted::Flapping),
        run: Some(SweepRunId::new(MARCH)),
    };
    let reminder =
        SweepEvent { time: at(4), kind: EventKind::Reminder, from: None, muted: None, run: None, ..event.clone() };
    News { standing, events: vec![event, reminder], ended_silences: Vec::new() }
}

#[tokio::test]
async fn a_slot_is_given_once_whatever_the_order() {
    let place = Place::new();
    let store = place.open();
    for (slot, expected) in [
        (1, Claimed::Now),
        (2, Claimed::Now),
        (2, Claimed::Before),
        (1, Claimed::Before),
        // Two slots were missed.
        (5, Claimed::Now),
        (6, Claimed::Now),
        // The clock was set back: what was missed can be made up for, the rest cannot.
        (3, Claimed::Now),
        (3, Claimed::Before),
        (5, Claimed::Before),
        (4, Claimed::Now),
        (7, Claimed::Now),
    ] {
        let run = begun(Some(at(slot)));
        assert_eq!(store.claim_slot(claim(slot), Some(run.clone())).await.unwrap(), expected, "{slot}");
        assert_eq!(store.sweep_run(run.id).await.unwrap().is_some(), expected == Claimed::Now);
    }
    let memory = async |now| store.sweep(&health(), now).await.unwrap().claimed;
    assert_eq!(memory(at(100)).await, Some(at(7)));
    assert_eq!(memory(at(3)).await, Some(at(3)));
    assert_eq!(memory(at(0)).await, None);
    let other: SweepName = "other".parse().unwrap();
    assert_eq!(store.claim_slot(Claim { sweep: other, ..claim(1) }, None).await.unwrap(), Claimed::Now);
    store.close().await.unwrap();
    let store = place.open();
    assert_eq!(store.claim_slot(claim(7), None).await.unwrap(), Claimed::Before);
    assert_eq!(store.claim_slot(claim(8), None).await.unwrap(), Claimed::Now);
}

#[tokio::test]
async fn slots_in_a_row_take_one_row_and_gaps_are_bounded() {
    let place = Place::new();
    let store = place.open();
    let rows = async || {
        let count =
            |db: &Connection| Ok(db.query_row("SELECT count(*) FROM sweep_claims", [], |row| row.get::<_, i64>(0))?);
        store.readers.read(count).await.unwrap()
    };
    for slot in 1..=50 {
        store.claim_slot(claim(slot), None).await.unwrap();
    }
    assert_eq!(rows().await, 1);
    for gap in 1..=600 {
        store.claim_slot(claim(50 + 10 * gap), None).await.unwrap();
    }
    assert_eq!(rows().await, 500);
    // What is between the joined ones counts as dealt with; what is between the others does not.
    assert_eq!(store.claim_slot(claim(55), None).await.unwrap(), Claimed::Before);
    assert_eq!(store.claim_slot(claim(6045), None).await.unwrap(), Claimed::Now);
}

#[tokio::test]
async fn a_run_is_read_back_as_it_was_written() {
    let place = Place::new();
    let store = place.open();
    let run = begun(Some(at(1)));
    store.claim_slot(claim(1), Some(run.clone())).await.unwrap();
    assert_eq!(store.sweep_run(run.id).await.unwrap(), Some(run.clone()));
    assert!(matches!(store.finish_sweep_run(run.clone(), None).await, Err(StoreError::Invalid(_))));
    let run = ended(&run);
    let news = news();
    store.finish_sweep_run(run.clone(), Some(news.clone())).await.unwrap();
    // Repeated after an error that came late, it does no harm.
    store.finish_sweep_run(run.clone(), Some(news.clone())).await.unwrap();
    assert_eq!(store.sweep_run(run.id).await.unwrap(), Some(run.clone()));
    let mut events = news.events;
    events.reverse();
    assert_eq!(store.sweep_events(&health(), 10).await.unwrap(), events);
    let memory = store.sweep(&health(), at(9)).await.unwrap();
    let expected = SweepMemory { standing: news.standing, claimed: Some(at(1)), last_run: Some(run) };
    assert_eq!(memory, expected);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_run_of_a_plugin_remembers_its_sweep() {
    let place = Place::new();
    let store = place.open();
    let run = Run { sweep_run: Some(SweepRunId::new(MARCH)), trigger: Trigger::Schedule, ..run_at(MARCH) };
    store.start_run(run.clone()).await.unwrap();
    assert_eq!(store.run(run.id).await.unwrap(), Some(run));
}

#[tokio::test]
async fn runs_come_in_pages_and_are_trimmed_for_each_sweep() {
    let place = Place::new();
    let store = place.open();
    let mut ids = Vec::new();
    for _ in 0..510 {
        let run = begun(None);
        store.start_sweep_run(run.clone()).await.unwrap();
        store.finish_sweep_run(ended(&run), Some(news())).await.unwrap();
        ids.push(run.id);
    }
    ids.reverse();
    let page = store.sweep_runs(&health(), 3, Some(ids[1])).await.unwrap();
    assert_eq!(page.iter().map(|run| run.id).collect::<Vec<_>>(), ids[2..5]);
    assert_eq!(store.trim_sweeps().await.unwrap(), 10 + 520);
    let all = store.sweep_runs(&health(), 1000, None).await.unwrap();
    assert_eq!(all.iter().map(|run| run.id).collect::<Vec<_>>(), ids[..500]);
    assert_eq!(store.sweep_events(&health(), 1000).await.unwrap().len(), 500);
    // A mark that is forgotten has nothing older.
    assert_eq!(store.sweep_runs(&health(), 3, Some(ids[505])).await.unwrap(), []);
    assert_eq!(store.trim_sweeps().await.unwrap(), 0);
}

#[tokio::test]
async fn runs_without_an_end_are_interrupted_when_the_store_is_opened() {
    let place = Place::new();
    let store = place.open();
    let run = begun(Some(at(1)));
    store.claim_slot(claim(1), Some(run.clone())).await.unwrap();
    store.close().await.unwrap();
    let store = place.open();
    let found = store.sweep_run(run.id).await.unwrap().unwrap();
    assert_eq!((found.state, found.finished), (SweepRunState::Interrupted, Some(MARCH)));
    // It is too late now.
    store.finish_sweep_run(ended(&run), Some(news())).await.unwrap();
    assert_eq!(store.sweep(&health(), at(9)).await.unwrap().standing, Standing::default());
    assert_eq!(store.sweep(&health(), at(9)).await.unwrap().last_run, None);
}

#[tokio::test]
async fn silences_are_kept_until_they_expire_or_end() {
    let place = Place::new();
    let store = place.open();
    let silence = |sweep: Option<SweepName>, minutes| Silence {
        id: SilenceId::new(MARCH),
        sweep,
        reason: "failover".to_owned(),
        creator: Actor("alice".to_owned()),
        created: MARCH,
        expires: at(minutes),
        expire_on_resolve: true,
    };
    let (short, long, all) = (silence(Some(health()), 1), silence(Some(health()), 9), silence(None, 9));
    for silence in [&short, &long, &all] {
        store.add_silence(silence.clone()).await.unwrap();
    }
    assert_eq!(store.silences(at(0)).await.unwrap().len(), 3);
    assert_eq!(store.silences(at(1)).await.unwrap().len(), 2);
    assert_eq!(store.silences(at(0)).await.unwrap().len(), 2, "what has expired is forgotten");
    store.keep_standing(&health(), News { ended_silences: vec![long.id], ..news() }).await.unwrap();
    assert_eq!(store.silences(at(2)).await.unwrap(), std::slice::from_ref(&all));
    assert!(store.remove_silence(all.id).await.unwrap() && !store.remove_silence(all.id).await.unwrap());
}

#[tokio::test]
async fn of_a_silence_and_its_key_there_is_both_or_neither() {
    let place = Place::new();
    let store = place.open();
    let silence = || Silence {
        id: SilenceId::new(MARCH),
        sweep: None,
        reason: "failover".to_owned(),
        creator: Actor("alice".to_owned()),
        created: MARCH,
        expires: at(9),
        expire_on_resolve: false,
    };
    let key = |key: &str| OnceKey {
        actor: Actor("alice".to_owned()),
        key: key.to_owned(),
        fingerprint: Digest::of(b"silence it"),
    };
    let answer = || KeptAnswer { status: 200, headers: vec![], body: b"silenced".to_vec() };
    let first = silence();
    store.add_silence_once(first.clone(), key("1"), answer()).await.unwrap();
    let kept = store.kept(&key("1").actor, "1").await.unwrap().unwrap();
    assert_eq!(kept.result, KeptResult::Answer(answer()));
    // The key is taken, so there is no second silence.
    let error = store.add_silence_once(silence(), key("1"), answer()).await.unwrap_err();
    assert!(matches!(error, StoreError::KeyTaken), "{error}");
    // The id of the silence is taken, so there is no second key.
    store.add_silence_once(first.clone(), key("2"), answer()).await.unwrap_err();
    assert_eq!(store.kept(&key("2").actor, "2").await.unwrap(), None);
    assert_eq!(store.silences(at(0)).await.unwrap(), [first]);
}

#[tokio::test]
async fn what_somebody_wrote_by_hand_is_reported_by_its_place() {
    for (sql, place_of) in [
        ("UPDATE sweep_runs SET checks = '[{}]'", "sweep_runs.checks"),
        (
            "UPDATE sweep_runs SET checks = '[{\"plugin\":\"P\",\"run\":null,\"status\":\"ok\",\"summary\":\"\",\"reason\":null}]'",
            "sweep_runs.checks",
        ),
        ("UPDATE sweep_runs SET state = 'fine'", "sweep_runs.state"),
        ("UPDATE sweep_runs SET status = 'fine'", "sweep_runs.status"),
        ("UPDATE sweeps SET hard = 'fine'", "sweeps.hard"),
        ("UPDATE sweeps SET streak = -1", "sweeps.streak"),
    ] {
        let place = Place::new();
        let store = place.open();
        let run = begun(None);
        store.start_sweep_run(run.clone()).await.unwrap();
        store.finish_sweep_run(ended(&run), Some(news())).await.unwrap();
        place.by_hand().execute_batch(sql).unwrap();
        let read = async {
            store.sweep_runs(&health(), 9, None).await?;
            store.sweep(&health(), at(9)).await
        };
        let error = read.await.unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { place, .. } if place == place_of), "{sql}: {error}");
    }
}
