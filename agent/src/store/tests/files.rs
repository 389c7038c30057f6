//! The file: private, one agent's alone, ours or refused, and with a clear word when it is damaged.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

use super::*;

#[tokio::test]
async fn only_its_owner_may_read_the_file_and_what_lies_beside_it() {
    let place = Place::new();
    let store = place.open();
    fill(&store, MARCH, 1).await;
    let files: Vec<_> = fs::read_dir(place.folder.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn a_second_agent_is_refused_whatever_it_calls_the_file() {
    let place = Place::new();
    let store = place.open();
    let link = place.folder.path().join("link.db");
    symlink(place.path(), &link).unwrap();
    let roundabout = place.folder.path().join("../").join(place.folder.path()).join("paramedic.db");
    for path in [place.path(), link, roundabout] {
        let error = SqliteStore::open(&path, place.clock.clone(), StoreOptions::default()).err().unwrap();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        assert!(error.to_string().ends_with("is in use by another agent: stop that one first, or name another file"));
    }
    fill(&store, MARCH, 1).await;
    store.close().await.unwrap();
    assert_eq!(place.open().runs(RunFilter::default(), page(9)).await.unwrap().runs.len(), 1);
}

#[tokio::test]
async fn a_store_that_is_dropped_lets_go_of_the_file() {
    let place = Place::new();
    drop(place.open());
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match place.try_open() {
            Ok(_) => break,
            Err(StoreError::Locked { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn runs_without_an_end_are_interrupted_when_the_store_is_opened() {
    let place = Place::new();
    let store = place.open();
    assert_eq!(store.interrupted(), 0);
    let [ended] = fill(&store, MARCH, 1).await.try_into().unwrap();
    let open = [run_at(MARCH), run_at(MARCH.after(Duration::from_secs(7200)))];
    for run in &open {
        store.start_run(run.clone()).await.unwrap();
    }
    store.close().await.unwrap();

    place.clock.advance(Duration::from_secs(3600));
    let store = place.open();
    assert_eq!(store.interrupted(), 2);
    assert_eq!(store.run(ended.id).await.unwrap(), Some(ended));
    for run in &open {
        let found = store.run(run.id).await.unwrap().unwrap();
        let Some(Ending::Failed(failure)) = &found.ending else { panic!("{found:?}") };
        assert_eq!(failure.kind, FailureKind::Interrupted);
        // Also a clock that was set back lets no run end before it began.
        assert_eq!(found.finished, Some(run.started.max(MARCH.after(Duration::from_secs(3600)))));
        // What it did before is not made up.
        assert_eq!((found.usage, found.log.len(), found.calls.len()), (Usage::default(), 0, 0));
        let late = store.finish_run(concluded(run, Status::Ok)).await.unwrap();
        assert_eq!(late, Finish::AlreadyFinished);
    }
    store.close().await.unwrap();
    assert_eq!(place.open().interrupted(), 0);
}

#[tokio::test]
async fn a_file_of_version_1_opens_with_all_it_held() {
    let place = Place::new();
    fs::write(place.path(), include_bytes!("version-1.db")).unwrap();
    let store = place.open();
    assert_eq!(store.interrupted(), 1);
    let summaries = store.runs(RunFilter::default(), page(200)).await.unwrap().runs;
    let states: Vec<_> = summaries.iter().map(|run| run.state.as_str()).collect();
    assert_eq!(states, ["interrupted", "failed", "critical"]);
    let mut runs = Vec::new();
    for summary in summaries {
        runs.push(store.run(summary.id).await.unwrap().unwrap());
    }
    let [interrupted, failed, concluded] = runs.try_into().unwrap();
    assert_eq!(interrupted.params, r#"{"limit":10}"#);
    let Some(Ending::Failed(failure)) = failed.ending else { panic!("{failed:?}") };
    assert_eq!((failure.kind, &*failure.message), (FailureKind::Deadline, "it ran longer than 30 s"));
    let Some(Ending::Concluded(outcome)) = concluded.ending else { panic!("{concluded:?}") };
    assert_eq!(outcome.metrics[0].value.to_bits(), (0.1_f64 + 0.2).to_bits());
    assert_eq!(outcome.findings[0].rows[1], ["it's \"quoted\"\u{0}", ""]);
    assert_eq!((concluded.calls.len(), concluded.log.len()), (2, 2));
    assert_eq!(concluded.calls[0].answer_digest, Some(Digest::of(b"answer")));
    assert_eq!(concluded.log[0].fields[1].value, "1");
    let entry = store.state_get(&plugin("pg-ready"), "seen").await.unwrap().unwrap();
    assert_eq!((&*entry.value, entry.revision), ("42", 2));
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_of_another_program_or_a_newer_agent_is_refused_and_left_as_it_was() {
    for (sql, expected) in [
        ("CREATE TABLE theirs (n); PRAGMA auto_vacuum", "is a database, but not one of paramedic's: name another file"),
        (
            "PRAGMA application_id = 1346458177; PRAGMA user_version = 99; CREATE TABLE future (n)",
            "has format 99, which is",
        ),
    ] {
        let place = Place::new();
        place.by_hand().execute_batch(sql).unwrap();
        let before = fs::read(place.path()).unwrap();
        let message = place.try_open().err().unwrap().to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(fs::read(place.path()).unwrap(), before);
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_a_file_is_refused_by_name() {
    let place = Place::new();
    let folder = place.folder.path();
    for path in [folder.to_owned(), folder.join("absent/paramedic.db"), folder.join(".."), PathBuf::new()] {
        let error = SqliteStore::open(&path, place.clock.clone(), StoreOptions::default()).err().unwrap();
        assert!(matches!(error, StoreError::Path { .. }), "{path:?}: {error}");
        assert!(error.to_string().starts_with("cannot use"), "{error}");
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let place = Place::new();
    fs::write(place.path(), "").unwrap();
    fill(&place.open(), MARCH, 1).await;
}

#[tokio::test]
async fn something_that_is_no_database_is_called_damaged() {
    for bytes in [b"{}".to_vec(), b"\0".repeat(8192), b"SQLite format 3\0and then nothing that is one".repeat(99)] {
        let place = Place::new();
        fs::write(place.path(), &bytes).unwrap();
        let error = place.try_open().err().unwrap();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert_eq!(error.to_string(), "the store is damaged: the file cannot be read");
        assert_eq!(fs::read(place.path()).unwrap(), bytes);
    }
}

/// Everything that reads, on a file that may hold anything. Panics only where the store does.
async fn read_everything(place: &Place, runs: &[Run]) -> Result<(), StoreError> {
    let store = place.try_open()?;
    let defects = store.verify().await?;
    for run in runs {
        store.run(run.id).await?;
    }
    store.runs(RunFilter::default(), page(200)).await?;
    store.state_keys(&plugin("pg-ready"), "").await?;
    store.close().await?;
    if defects.is_empty() { Ok(()) } else { Err(StoreError::Invalid(defects.join("; "))) }
}

#[tokio::test]
async fn damage_on_any_page_is_reported_and_never_a_panic() {
    let place = Place::new();
    let store = place.open();
    let runs = fill(&store, MARCH, 30).await;
    store.state_put(&plugin("pg-ready"), "k", "v".repeat(9000), None).await.unwrap();
    store.close().await.unwrap();
    let pages = fs::metadata(place.path()).unwrap().len() / 4096;
    assert!(pages > 12);
    let mut unnoticed = Vec::new();
    for n in 0..pages {
        let copy = Place::new();
        fs::copy(place.path(), copy.path()).unwrap();
        let mut file = fs::OpenOptions::new().write(true).open(copy.path()).unwrap();
        // The first hundred bytes of the first page are the header, which other tests damage.
        file.seek(SeekFrom::Start((n * 4096).max(100))).unwrap();
        file.write_all(&[0xa5; 3996]).unwrap();
        drop(file);
        if read_everything(&copy, &runs).await.is_ok() {
            unnoticed.push(n);
        }
    }
    assert_eq!(unnoticed, Vec::<u64>::new(), "of {pages} pages");
}

#[tokio::test]
async fn a_file_that_lost_its_end_is_reported() {
    let place = Place::new();
    let store = place.open();
    let runs = fill(&store, MARCH, 30).await;
    store.close().await.unwrap();
    let length = fs::metadata(place.path()).unwrap().len();
    fs::OpenOptions::new().write(true).open(place.path()).unwrap().set_len(length / 2).unwrap();
    assert!(read_everything(&place, &runs).await.is_err());
}

#[tokio::test]
async fn a_file_that_was_moved_away_or_replaced_makes_the_store_unhealthy() {
    let place = Place::new();
    let store = place.open();
    assert!(store.health().await.is_writable());
    let away = place.folder.path().join("away.db");
    fs::rename(place.path(), &away).unwrap();
    assert!(store.health().await.problem.unwrap().contains("cannot be found"));
    fs::write(place.path(), "").unwrap();
    assert!(store.health().await.problem.unwrap().contains("was replaced by another file"));
    fs::rename(&away, place.path()).unwrap();
    assert!(store.health().await.is_writable());
}

#[test]
fn a_store_in_trouble_is_tried_once_a_second_however_often_somebody_asks() {
    let place = Place::new();
    let store = place.open();
    assert!(store.may_probe());
    assert!(!store.may_probe());
    place.clock.advance(Duration::from_millis(999));
    assert!(!store.may_probe());
    place.clock.advance(Duration::from_millis(1));
    assert!(store.may_probe());
    place.clock.set(MARCH);
    assert!(store.may_probe(), "the clock was set back");
}

#[tokio::test]
async fn health_tells_how_large_the_files_are() {
    let place = Place::new();
    let store = place.open();
    fill(&store, MARCH, 3).await;
    let health = store.health().await;
    assert_eq!(health.file_bytes, fs::metadata(place.path()).unwrap().len());
    assert!(health.wal_bytes > 4096);
    assert_eq!((health.records, health.queued, health.queue_capacity), (6, 0, 1024));
}

#[tokio::test]
async fn the_writer_syncs_every_commit_and_keeps_rows_together() {
    let place = Place::new();
    let store = place.open();
    let pragma = async |name: &'static str| {
        store.writer.write(move |db| Ok(db.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?)).await.unwrap()
    };
    // 2 is FULL and INCREMENTAL.
    assert_eq!((pragma("synchronous").await, pragma("auto_vacuum").await), (2, 2));
    // The log is copied beside the commits and not in them.
    assert_eq!((pragma("foreign_keys").await, pragma("wal_autocheckpoint").await), (1, 0));
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let place = Place::new();
    let store = place.open();
    let delete = |db: &Connection| Ok(db.execute("DELETE FROM runs", [])?);
    assert!(matches!(store.readers.read(delete).await, Err(StoreError::Io(_))));
}

#[tokio::test]
async fn a_statement_that_is_kept_is_compiled_once_whatever_it_is_given() {
    let place = Place::new();
    place.open().close().await.unwrap();
    let db = super::super::file::connect_to_write(&place.path(), MARCH).unwrap();
    // The one that looks at each end of a run for what was left open.
    let sql = "SELECT position FROM changes WHERE run = ?1 AND fate IS NULL ORDER BY position";
    let mut statement = db.prepare(sql).unwrap();
    for run in [1, 2, 3, 500] {
        assert!(!statement.exists([run]).unwrap());
    }
    assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
}
