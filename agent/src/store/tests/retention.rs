//! Old runs go by age and by size, completely and in small steps; what is under way stays.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn by_age(max_age: Duration) -> RetentionPolicy {
    RetentionPolicy { max_age: Some(max_age), max_bytes: None }
}

fn by_size(max_bytes: u64) -> RetentionPolicy {
    RetentionPolicy { max_age: None, max_bytes: Some(max_bytes) }
}

async fn ids(store: &SqliteStore) -> Vec<RunId> {
    let runs = store.runs(RunFilter::default(), page(200)).await.unwrap().runs;
    runs.into_iter().map(|run| run.id).collect()
}

async fn rows(store: &SqliteStore, table: &'static str) -> i64 {
    let count =
        move |db: &Connection| Ok(db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?);
    store.readers.read(count).await.unwrap()
}

#[tokio::test]
async fn runs_go_when_they_are_too_old() {
    let place = Place::new();
    let store = place.open();
    let old = fill(&store, MARCH, 3).await;
    let at_the_limit = fill(&store, MARCH.after(HOUR), 1).await;
    let young = fill(&store, MARCH.after(2 * HOUR), 2).await;
    place.clock.set(MARCH.after(25 * HOUR));

    let removed = store.retain(by_age(24 * HOUR)).await.unwrap();
    assert_eq!(removed.runs, 3);
    assert_eq!(ids(&store).await, [young[1].id, young[0].id, at_the_limit[0].id]);
    assert_eq!(store.run(old[0].id).await.unwrap(), None);
    assert_eq!(store.run(young[0].id).await.unwrap(), Some(young[0].clone()));
    assert_eq!((rows(&store, "calls").await, rows(&store, "log_lines").await), (6, 6));
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    assert_eq!(store.retain(by_age(24 * HOUR)).await.unwrap().runs, 0);
}

#[tokio::test]
async fn a_run_under_way_stays_however_old_it_is() {
    let place = Place::new();
    let store = place.open();
    let running = run_at(MARCH.before(100 * HOUR));
    store.start_run(running.clone()).await.unwrap();
    fill(&store, MARCH, 2).await;
    place.clock.advance(HOUR);
    let everything = RetentionPolicy { max_age: Some(Duration::ZERO), max_bytes: Some(0) };
    assert_eq!(store.retain(everything).await.unwrap().runs, 2);
    assert_eq!(ids(&store).await, [running.id]);
    assert_eq!(store.finish_run(concluded(&running, Status::Ok)).await.unwrap(), Finish::Recorded);
}

#[tokio::test]
async fn without_a_policy_nothing_goes() {
    let place = Place::new();
    let store = place.open();
    fill(&store, MARCH, 3).await;
    place.clock.advance(10_000 * HOUR);
    assert_eq!(store.retain(RetentionPolicy::default()).await.unwrap(), Removed::default());
    assert_eq!(ids(&store).await.len(), 3);
}

#[tokio::test]
async fn the_oldest_runs_go_until_the_file_is_small_enough() {
    let place = Place::new();
    let store = place.open();
    let mut runs = Vec::new();
    for n in 0..60 {
        let run = Run { params: format!("\"{}\"", "x".repeat(50_000)), ..run_at(MARCH.after(Duration::from_secs(n))) };
        store.start_run(run.clone()).await.unwrap();
        store.finish_run(concluded(&run, Status::Ok)).await.unwrap();
        runs.push(run.id);
    }
    let limit = 1 << 20;
    let removed = store.retain(by_size(limit)).await.unwrap();
    let left = ids(&store).await;
    assert_eq!(u64::try_from(left.len()).unwrap() + removed.runs, 60);
    assert!(left.iter().eq(runs.iter().rev().take(left.len())), "the newest stay");
    // As many as fit, give or take one.
    assert!((15..=20).contains(&left.len()), "{}", left.len());
    assert!(removed.bytes > 1 << 20, "{removed:?}");
    let health = store.health().await;
    assert!(health.file_bytes <= limit, "{health:?}");
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    assert_eq!(store.retain(by_size(limit)).await.unwrap(), Removed::default());
}

#[tokio::test]
async fn many_runs_go_in_many_small_transactions() {
    let place = Place::new();
    let store = place.open();
    store
        .writer
        .write(|db| {
            for n in 0..950 {
                super::super::runs::start(db, &run_at(MARCH.after(Duration::from_secs(n))))?;
            }
            Ok(())
        })
        .await
        .unwrap();
    store.close().await.unwrap();
    let store = place.open();
    assert_eq!(store.interrupted(), 950);
    let before = store.health().await.commits;
    assert_eq!(store.retain(by_size(0)).await.unwrap().runs, 950);
    assert!(store.health().await.commits - before > 10);
    assert_eq!(rows(&store, "runs").await, 0);
}

#[tokio::test]
async fn a_run_with_very_many_rows_ends_its_step() {
    let place = Place::new();
    let store = place.open();
    for n in 0..3 {
        let run = run_at(MARCH.after(Duration::from_secs(n)));
        store.start_run(run.clone()).await.unwrap();
        let log = vec![log_line(LogLevel::Info, LogSource::Plugin, 0); 1_500];
        store.finish_run(Run { log, ..concluded(&run, Status::Ok) }).await.unwrap();
    }
    let before = store.health().await.commits;
    let one_step = |db: &Connection| super::super::retention::step(db, super::super::retention::Rule::Above(0), MARCH);
    assert_eq!(store.writer.write(one_step).await.unwrap(), 1);
    assert_eq!(store.health().await.commits - before, 1);
    assert_eq!(ids(&store).await.len(), 2);
}

#[tokio::test]
async fn writes_go_on_while_old_runs_go() {
    let place = Place::new();
    let store = Arc::new(place.open());
    fill(&store, MARCH, 250).await;
    place.clock.advance(HOUR);
    let removing = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.retain(by_age(Duration::from_secs(60))).await })
    };
    let young = fill(&store, MARCH.after(HOUR), 20).await;
    assert_eq!(removing.await.unwrap().unwrap().runs, 250);
    let mut left = ids(&store).await;
    left.reverse();
    assert_eq!(left, young.iter().map(|run| run.id).collect::<Vec<_>>());
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn state_whose_time_is_over_goes_too() {
    let place = Place::new();
    let (store, name) = (place.open(), plugin("pg-ready"));
    store.state_put(&name, "short", "1".to_owned(), Some(HOUR)).await.unwrap();
    store.state_put(&name, "long", "1".to_owned(), Some(3 * HOUR)).await.unwrap();
    store.state_put(&name, "forever", "1".to_owned(), None).await.unwrap();
    place.clock.advance(2 * HOUR);
    assert_eq!(store.retain(RetentionPolicy::default()).await.unwrap().state_entries, 1);
    assert_eq!(rows(&store, "state").await, 2);
}
