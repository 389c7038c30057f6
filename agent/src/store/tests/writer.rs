//! The writer groups, keeps one failure from being another's, refuses when it is full and recovers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use tokio::task::JoinHandle;

use super::*;

/// Holds the writer inside a transaction of its own until it is dropped.
struct Held {
    _release: mpsc::Sender<()>,
    job: JoinHandle<Result<(), StoreError>>,
}

async fn hold(store: &Arc<SqliteStore>) -> Held {
    let (release, wait) = mpsc::channel::<()>();
    let (entered, has_entered) = tokio::sync::oneshot::channel();
    let store = Arc::clone(store);
    let mut entered = Some(entered);
    let job = tokio::spawn(async move {
        let wait_for_release = move |_: &Connection| {
            entered.take().map(|entered| entered.send(()));
            // Ends with an error when the other side is dropped, which is what is waited for.
            let _ = wait.recv();
            Ok(())
        };
        store.writer.write(wait_for_release).await
    });
    has_entered.await.unwrap();
    Held { _release: release, job }
}

impl Held {
    async fn release(self) {
        drop(self._release);
        self.job.await.unwrap().unwrap();
    }
}

/// Begin `write` and return once it waits in the queue.
async fn enqueue<T: Send + 'static>(
    store: &Arc<SqliteStore>,
    write: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let before = store.writer.queued();
    let task = tokio::spawn(write);
    while store.writer.queued() == before {
        tokio::task::yield_now().await;
    }
    task
}

async fn enqueue_start(store: &Arc<SqliteStore>, run: Run) -> JoinHandle<Result<(), StoreError>> {
    let held = Arc::clone(store);
    enqueue(store, async move { held.start_run(run).await }).await
}

#[tokio::test]
async fn writes_that_wait_share_a_transaction() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let held = hold(&store).await;
    let before = store.health().await;
    let mut starts = Vec::new();
    for _ in 0..100 {
        starts.push(enqueue_start(&store, run_at(MARCH)).await);
    }
    assert_eq!(store.health().await.queued, 100);
    assert_eq!(store.runs(RunFilter::default(), page(200)).await.unwrap().runs.len(), 0);
    held.release().await;
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let after = store.health().await;
    // The one that was held, and all others together.
    assert_eq!((after.commits - before.commits, after.records - before.records), (2, 101));
    assert_eq!(store.runs(RunFilter::default(), page(200)).await.unwrap().runs.len(), 100);
}

#[tokio::test]
async fn a_group_has_a_largest_size() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let held = hold(&store).await;
    let mut starts = Vec::new();
    for _ in 0..600 {
        starts.push(enqueue_start(&store, run_at(MARCH)).await);
    }
    let before = store.health().await;
    held.release().await;
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let after = store.health().await;
    assert_eq!((after.commits - before.commits, after.records - before.records), (3, 601));
}

#[tokio::test]
async fn a_write_that_fails_undoes_itself_and_nothing_else() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let known = run_at(MARCH);
    store.start_run(known.clone()).await.unwrap();
    let held = hold(&store).await;
    let (first, last) = (run_at(MARCH), run_at(MARCH));
    let good = enqueue_start(&store, first.clone()).await;
    let duplicate = enqueue_start(&store, known.clone()).await;
    // Two calls of one number: the end of the run is refused after half of it was written.
    let half = Run {
        calls: vec![call(1, Decision::Permitted), call(1, Decision::Permitted)],
        ..concluded(&known, Status::Ok)
    };
    let finish = {
        let held = Arc::clone(&store);
        enqueue(&store, async move { held.finish_run(half).await }).await
    };
    let also_good = enqueue_start(&store, last.clone()).await;
    let before = store.health().await;
    held.release().await;

    good.await.unwrap().unwrap();
    also_good.await.unwrap().unwrap();
    assert!(matches!(duplicate.await.unwrap(), Err(StoreError::DuplicateRun(_))));
    assert!(matches!(finish.await.unwrap(), Err(StoreError::Internal(_))));
    let after = store.health().await;
    assert_eq!((after.commits - before.commits, after.records - before.records), (2, 3));
    for run in [first, known, last] {
        assert_eq!(store.run(run.id).await.unwrap(), Some(run));
    }
    assert!(store.health().await.is_writable());
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_loses_nothing_it_took() {
    let place = Place::new();
    let options = StoreOptions { queue: 3, ..StoreOptions::default() };
    let store = Arc::new(SqliteStore::open(&place.path(), place.clock.clone(), options).unwrap());
    let held = hold(&store).await;
    let mut accepted = Vec::new();
    for _ in 0..3 {
        accepted.push(enqueue_start(&store, run_at(MARCH)).await);
    }
    // Nothing else runs on this thread in between, so an answer here is one that waited for nobody.
    let refused = run_at(MARCH);
    assert!(matches!(store.start_run(refused.clone()).await, Err(StoreError::Busy)));
    let error = store.state_put(&refused.plugin, "k", "v".to_owned(), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Busy));
    held.release().await;
    for start in accepted {
        start.await.unwrap().unwrap();
    }
    store.start_run(refused).await.unwrap();
    assert_eq!(store.runs(RunFilter::default(), page(9)).await.unwrap().runs.len(), 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_its_write_back() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let held = hold(&store).await;
    let run = run_at(MARCH);
    enqueue_start(&store, run.clone()).await.abort();
    held.release().await;
    // The next write is committed after it.
    store.start_run(run_at(MARCH)).await.unwrap();
    assert_eq!(store.run(run.id).await.unwrap(), Some(run));
}

/// Let the file grow by `pages` more and no further: the database then says that the disk is full.
async fn allow_pages(store: &SqliteStore, pages: i64) {
    let limit = move |db: &Connection| {
        let used: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        db.query_row(&format!("PRAGMA max_page_count = {}", used + pages), [], |_| Ok(()))?;
        Ok(())
    };
    store.writer.write(limit).await.unwrap();
}

/// What the store says once it may be asked again whether it takes writes.
async fn health(place: &Place, store: &SqliteStore) -> Health {
    place.clock.advance(Duration::from_secs(1));
    store.health().await
}

fn with_params(bytes: usize) -> Run {
    Run { params: format!("\"{}\"", "x".repeat(bytes)), ..run_at(MARCH) }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_nothing_else_until_there_is_room() {
    let place = Place::new();
    let store = place.open();
    let [kept] = fill(&store, MARCH, 1).await.try_into().unwrap();
    allow_pages(&store, 0).await;
    for _ in 0..3 {
        let error = store.start_run(with_params(100_000)).await.unwrap_err();
        assert!(matches!(error, StoreError::Full(_)), "{error}");
        let problem = health(&place, &store).await.problem.unwrap();
        assert!(problem.starts_with("no space is left for the store: "), "{problem}");
        assert_eq!(store.run(kept.id).await.unwrap(), Some(kept.clone()));
    }
    // Enough for most runs, so the store counts as writable, but not for this one.
    allow_pages(&store, 10).await;
    assert!(matches!(store.start_run(with_params(100_000)).await, Err(StoreError::Full(_))));
    assert!(health(&place, &store).await.is_writable());

    allow_pages(&store, 1_000).await;
    store.start_run(with_params(100_000)).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_disk_is_noticed_to_be_over_without_a_write_of_a_caller() {
    let place = Place::new();
    let store = place.open();
    allow_pages(&store, 0).await;
    assert!(matches!(store.start_run(with_params(100_000)).await, Err(StoreError::Full(_))));
    assert!(!health(&place, &store).await.is_writable());
    assert!(!health(&place, &store).await.is_writable());
    // Lifts the limit on the writer's connection without counting as a write that succeeded.
    let error = store.writer.write(|db| -> Result<(), StoreError> {
        db.query_row("PRAGMA max_page_count = 100000", [], |_| Ok(()))?;
        Err(StoreError::Busy)
    });
    assert!(matches!(error.await, Err(StoreError::Busy)));
    assert!(health(&place, &store).await.is_writable());
}

#[tokio::test]
async fn of_a_group_on_a_full_disk_what_fits_is_kept() {
    let place = Place::new();
    let store = Arc::new(place.open());
    allow_pages(&store, 3).await;
    let held = hold(&store).await;
    let (small, large, other) = (run_at(MARCH), with_params(100_000), run_at(MARCH));
    let mut starts = Vec::new();
    for run in [&small, &large, &other] {
        starts.push(enqueue_start(&store, run.clone()).await);
    }
    held.release().await;
    let mut results = Vec::new();
    for start in starts {
        results.push(start.await.unwrap());
    }
    assert!(matches!(results[..], [Ok(()), Err(StoreError::Full(_)), Ok(())]), "{results:?}");
    assert_eq!(store.run(small.id).await.unwrap(), Some(small));
    assert_eq!(store.run(large.id).await.unwrap(), None);
    assert_eq!(store.run(other.id).await.unwrap(), Some(other));
}

#[tokio::test]
async fn a_transaction_that_the_database_gave_up_is_done_again_one_by_one() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let held = hold(&store).await;
    let run = run_at(MARCH);
    let start = enqueue_start(&store, run.clone()).await;
    let times = Arc::new(AtomicUsize::new(0));
    let spoiler = {
        let (writer, times) = (Arc::clone(&store), Arc::clone(&times));
        enqueue(&store, async move {
            let spoil = move |db: &Connection| -> Result<(), StoreError> {
                times.fetch_add(1, Ordering::SeqCst);
                db.execute_batch("ROLLBACK")?;
                Err(StoreError::Busy)
            };
            writer.writer.write(spoil).await
        })
        .await
    };
    let other = run_at(MARCH);
    let last = enqueue_start(&store, other.clone()).await;
    held.release().await;
    start.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    assert!(spoiler.await.unwrap().is_err());
    assert_eq!(times.load(Ordering::SeqCst), 2);
    for run in [run, other] {
        assert_eq!(store.run(run.id).await.unwrap(), Some(run));
    }
}

#[tokio::test]
async fn closing_does_what_waits_and_refuses_the_rest() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let held = hold(&store).await;
    let run = run_at(MARCH);
    let start = enqueue_start(&store, run.clone()).await;
    let closing = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.close().await })
    };
    held.release().await;
    closing.await.unwrap().unwrap();
    start.await.unwrap().unwrap();
    assert!(matches!(store.start_run(run_at(MARCH)).await, Err(StoreError::Closed)));
    assert!(matches!(store.run(run.id).await, Err(StoreError::Closed)));
    assert!(matches!(store.close().await, Err(StoreError::Closed)));
    assert_eq!(store.health().await.problem.unwrap(), "the store is closed");

    // The file is complete without the log, and free for the next agent at once.
    let wal = PathBuf::from(format!("{}-wal", place.path().display()));
    assert!(!wal.exists() || std::fs::metadata(wal).unwrap().len() == 0);
    let store = place.open();
    assert_eq!(store.run(run.id).await.unwrap().unwrap().id, run.id);
}
