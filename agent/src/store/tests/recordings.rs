//! Recordings: kept with the ends of runs, gone with them, and covered by the chain.

use super::*;

fn recording() -> KeptRecording {
    KeptRecording { size: 1_000, bytes: vec![0x1f, 0x8b, 0, 255] }
}

async fn recorded(store: &SqliteStore, started: Timestamp) -> Run {
    let run = run_at(started);
    store.start_run(run.clone()).await.unwrap();
    let run = concluded(&run, Status::Ok);
    assert_eq!(store.finish_recorded_run(run.clone(), recording()).await.unwrap(), Finish::Recorded);
    run
}

#[tokio::test]
async fn a_recording_is_kept_with_the_end_of_its_run_and_only_there() {
    let place = Place::new();
    let store = place.open();
    let run = recorded(&store, MARCH).await;
    assert_eq!(store.run(run.id).await.unwrap().unwrap().ending, run.ending);
    assert_eq!(store.recording(run.id).await.unwrap(), Some(recording()));
    let other = store.finish_recorded_run(run.clone(), KeptRecording { size: 1, bytes: vec![1] }).await;
    assert_eq!(other.unwrap(), Finish::AlreadyFinished);
    assert_eq!(store.recording(run.id).await.unwrap(), Some(recording()));
    assert_eq!(store.recording(RunId::new(MARCH)).await.unwrap(), None);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn retention_takes_recordings_with_their_runs() {
    let place = Place::new();
    let store = place.open();
    let old = recorded(&store, MARCH).await;
    place.clock.advance(Duration::from_secs(60));
    let new = recorded(&store, MARCH.after(Duration::from_secs(60))).await;
    let policy = RetentionPolicy { max_age: Some(Duration::from_secs(30)), max_bytes: None };
    assert_eq!(store.retain(policy).await.unwrap().runs, 1);
    assert_eq!(store.recording(old.id).await.unwrap(), None);
    assert_eq!(store.recording(new.id).await.unwrap(), Some(recording()));
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_recording_that_somebody_touched_breaks_the_chain() {
    for (sql, what) in [
        ("UPDATE recordings SET bytes = x'00'", "its recording is not as it was recorded"),
        ("UPDATE recordings SET size = 7", "its recording is not as it was recorded"),
        ("DELETE FROM recordings", "its recording is not as it was recorded"),
    ] {
        let place = Place::new();
        let store = place.open();
        let run = recorded(&store, MARCH).await;
        place.by_hand().execute(sql, []).unwrap();
        let broken = store.verify_chain(None).await.unwrap().broken.unwrap();
        assert_eq!(broken.why, format!("run {}: {what}", run.id), "{sql}");
    }
    let place = Place::new();
    let store = place.open();
    let run = run_at(MARCH);
    store.start_run(run.clone()).await.unwrap();
    store.finish_run(concluded(&run, Status::Ok)).await.unwrap();
    place.by_hand().execute("INSERT INTO recordings SELECT seq, 1, x'00' FROM runs", []).unwrap();
    assert!(store.verify_chain(None).await.unwrap().broken.is_some());
}
