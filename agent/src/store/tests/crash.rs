//! What a crash leaves: after every answered write the files on the disk hold it, and a log that was cut off or
//! damaged anywhere loses the newest writes, never an older one and never half of one.

use std::fs;

use super::*;

async fn assert_holds(path: &Path, runs: &[Run]) {
    let store = SqliteStore::open(path, Arc::new(ManualClock::at(MARCH)), StoreOptions::default()).unwrap();
    for run in runs {
        let found = store.run(run.id).await.unwrap().expect("it was answered");
        match &run.ending {
            Some(_) => assert_eq!(&found, run),
            None => assert_eq!(RunState::of(found.ending.as_ref()), RunState::Interrupted),
        }
    }
    assert_eq!(store.runs(RunFilter::default(), page(200)).await.unwrap().runs.len(), runs.len());
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
}

#[tokio::test]
async fn every_answered_write_is_there_after_a_crash() {
    let place = Place::new();
    // So few that the log is copied into the file again and again between the crashes.
    let options = StoreOptions { checkpoint_pages: 8, ..StoreOptions::default() };
    let store = SqliteStore::open(&place.path(), place.clock.clone(), options).unwrap();
    let mut runs: Vec<Run> = Vec::new();
    for n in 0..24 {
        let run = run_at(MARCH.after(Duration::from_secs(n)));
        store.start_run(run.clone()).await.unwrap();
        runs.push(run);
        let copy = place.folder.path().join(format!("started-{n}.db"));
        copy_after_crash(&place.path(), &copy);
        assert_holds(&copy, &runs).await;

        let run = runs.last_mut().unwrap();
        *run = concluded(run, Status::Ok);
        store.finish_run(run.clone()).await.unwrap();
        let copy = place.folder.path().join(format!("finished-{n}.db"));
        copy_after_crash(&place.path(), &copy);
        assert_holds(&copy, &runs).await;
    }
}

const WAL_HEADER: usize = 32;
const WAL_FRAME: usize = 24 + 4096;

/// A store's file, its log, and after each answered write the length of the log and the run as it was then.
async fn history() -> (Vec<u8>, Vec<u8>, Vec<(usize, Run)>) {
    let place = Place::new();
    let store = place.open();
    store.close().await.unwrap();
    let store = place.open();
    let wal = PathBuf::from(format!("{}-wal", place.path().display()));
    let length = || usize::try_from(fs::metadata(&wal).unwrap().len()).unwrap();
    let mut history = Vec::new();
    for n in 0..5 {
        let run = run_at(MARCH.after(Duration::from_secs(n)));
        store.start_run(run.clone()).await.unwrap();
        history.push((length(), run.clone()));
        let run = concluded(&run, Status::Ok);
        store.finish_run(run.clone()).await.unwrap();
        history.push((length(), run));
    }
    (fs::read(place.path()).unwrap(), fs::read(&wal).unwrap(), history)
}

/// The runs as they were when the log was `intact` bytes long.
fn runs_at(history: &[(usize, Run)], intact: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (_, run) in history.iter().filter(|(length, _)| *length <= intact) {
        runs.retain(|known| known.id != run.id);
        runs.push(run.clone());
    }
    runs
}

async fn assert_recovers(file: &[u8], wal: &[u8], runs: &[Run]) {
    let place = Place::new();
    fs::write(place.path(), file).unwrap();
    fs::write(format!("{}-wal", place.path().display()), wal).unwrap();
    assert_holds(&place.path(), runs).await;
}

#[tokio::test]
async fn a_log_cut_off_anywhere_loses_only_what_came_after() {
    let (file, wal, history) = history().await;
    assert!(wal.len() > WAL_HEADER + 20 * WAL_FRAME);
    for frame in 0..=(wal.len() - WAL_HEADER) / WAL_FRAME {
        let end = WAL_HEADER + frame * WAL_FRAME;
        for cut in [end, (end + 700).min(wal.len())] {
            assert_recovers(&file, &wal[..cut], &runs_at(&history, end)).await;
        }
    }
}

#[tokio::test]
async fn a_log_damaged_anywhere_loses_only_what_came_after() {
    let (file, wal, history) = history().await;
    for frame in 0..(wal.len() - WAL_HEADER) / WAL_FRAME {
        let start = WAL_HEADER + frame * WAL_FRAME;
        let mut damaged = wal.clone();
        damaged[start + 24 + 17 * (frame % 200)] ^= 0x40;
        assert_recovers(&file, &damaged, &runs_at(&history, start)).await;
    }
}
