//! Keys of requests: with their run or not at all, for a day, for one caller.

use super::*;

const DAY: Duration = KEY_LIFE;

fn key(actor: &str, key: &str, asked: &str) -> OnceKey {
    OnceKey { actor: Actor(actor.to_owned()), key: key.to_owned(), fingerprint: Digest::of(asked.as_bytes()) }
}

async fn kept(store: &SqliteStore, key: &OnceKey) -> Option<Kept> {
    store.kept(&key.actor, &key.key).await.unwrap()
}

fn answer(body: &str) -> KeptResult {
    KeptResult::Answer(KeptAnswer {
        status: 202,
        headers: vec![label("content-type", "application/json"), label("location", "/v1/x")],
        body: body.as_bytes().to_vec(),
    })
}

#[tokio::test]
async fn a_key_leads_to_its_run_also_after_the_store_was_opened_again() {
    let place = Place::new();
    let store = place.open();
    let (run, key) = (run_at(MARCH), key("alice", "deploy-42", "run it"));
    assert_eq!(kept(&store, &key).await, None);
    store.start_run_once(run.clone(), key.clone()).await.unwrap();
    let expected = Kept { fingerprint: key.fingerprint, result: KeptResult::Run(run.id) };
    assert_eq!(kept(&store, &key).await, Some(expected.clone()));
    store.close().await.unwrap();

    let store = place.open();
    // The run died with its agent, and asking again tells so instead of running it again.
    assert_eq!(store.interrupted(), 1);
    assert_eq!(kept(&store, &key).await, Some(expected));
    let failed = store.run(run.id).await.unwrap().unwrap();
    assert!(matches!(failed.ending, Some(Ending::Failed(failure)) if failure.kind == FailureKind::Interrupted));
}

#[tokio::test]
async fn of_a_run_and_its_key_there_is_both_or_neither() {
    let place = Place::new();
    let store = place.open();
    let (first, second) = (run_at(MARCH), run_at(MARCH));
    let (one, two) = (key("alice", "1", "run it"), key("alice", "2", "run it"));
    store.start_run_once(first.clone(), one.clone()).await.unwrap();
    // The key is taken, so there is no second run.
    let error = store.start_run_once(second.clone(), one.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::KeyTaken), "{error}");
    assert_eq!(store.run(second.id).await.unwrap(), None);
    // The id of the run is taken, so there is no second key.
    let error = store.start_run_once(first.clone(), two.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::DuplicateRun(_)), "{error}");
    assert_eq!(kept(&store, &two).await, None);
    store.start_run_once(second, two).await.unwrap();
}

#[tokio::test]
async fn of_many_who_come_at_once_with_one_key_one_gets_it() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let asked: Vec<_> = (0..32)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.start_run_once(run_at(MARCH), key("alice", "same", "run it")).await })
        })
        .collect();
    let mut started = 0;
    for asked in asked {
        match asked.await.unwrap() {
            Ok(()) => started += 1,
            Err(error) => assert!(matches!(error, StoreError::KeyTaken), "{error}"),
        }
    }
    assert_eq!(started, 1);
    assert_eq!(store.runs(RunFilter::default(), page(200)).await.unwrap().runs.len(), 1);
}

#[tokio::test]
async fn a_key_is_for_one_caller() {
    let place = Place::new();
    let store = place.open();
    let (hers, his) = (key("alice", "1", "a"), key("bob", "1", "b"));
    store.keep(hers.clone(), answer("hers")).await.unwrap();
    assert_eq!(kept(&store, &his).await, None);
    store.keep(his.clone(), answer("his")).await.unwrap();
    assert_eq!(kept(&store, &hers).await.unwrap().result, answer("hers"));
    assert_eq!(kept(&store, &his).await.unwrap(), Kept { fingerprint: his.fingerprint, result: answer("his") });
    let error = store.keep(his, answer("again")).await.unwrap_err();
    assert!(matches!(error, StoreError::KeyTaken), "{error}");
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day_and_can_be_used_again() {
    let place = Place::new();
    let store = place.open();
    let (old, young) = (key("alice", "old", "a"), key("alice", "young", "a"));
    store.keep(old.clone(), answer("")).await.unwrap();
    place.clock.advance(Duration::from_secs(1));
    store.keep(young.clone(), answer("")).await.unwrap();
    place.clock.set(MARCH.after(DAY).before(Duration::from_millis(1)));
    assert!(kept(&store, &old).await.is_some());
    assert_eq!(store.retain(RetentionPolicy::default()).await.unwrap().keys, 0);
    place.clock.set(MARCH.after(DAY));
    assert_eq!(kept(&store, &old).await, None);
    // Before and after retention took its row away.
    store.keep(old.clone(), answer("second")).await.unwrap();
    assert_eq!(kept(&store, &old).await.unwrap().result, answer("second"));
    place.clock.advance(DAY);
    assert_eq!(store.retain(RetentionPolicy::default()).await.unwrap().keys, 2);
    assert_eq!((kept(&store, &old).await, kept(&store, &young).await), (None, None));
    store.start_run_once(run_at(MARCH), old).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_key_outlives_its_run() {
    let place = Place::new();
    let store = place.open();
    let (run, key) = (run_at(MARCH), key("alice", "1", "a"));
    store.start_run_once(run.clone(), key.clone()).await.unwrap();
    store.finish_run(concluded(&run, Status::Ok)).await.unwrap();
    place.clock.advance(Duration::from_secs(3600));
    let policy = RetentionPolicy { max_age: Some(Duration::from_secs(60)), max_bytes: None };
    assert_eq!(store.retain(policy).await.unwrap().runs, 1);
    assert_eq!(kept(&store, &key).await.unwrap().result, KeptResult::Run(run.id));
}

#[tokio::test]
async fn a_damaged_key_is_told_by_its_column() {
    let place = Place::new();
    let store = place.open();
    let key = key("alice", "1", "a");
    store.keep(key.clone(), answer("")).await.unwrap();
    place.by_hand().execute("UPDATE idempotency_keys SET headers = 'x'", []).unwrap();
    let error = store.kept(&key.actor, &key.key).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is damaged: idempotency_keys.headers cannot be read");
}
