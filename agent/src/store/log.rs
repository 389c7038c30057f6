//! Copies the write-ahead log into the file, on a thread and a connection of its own.
//!
//! SQLite copies it in the commit that makes the log too long, so that once in a while somebody waits a few milliseconds for
//! something that is not theirs, and whoever does one thing after the other waits for all of it. To copy holds up neither
//! who writes nor who reads; the log begins anew with the first transaction that finds all of it copied. Where there is no
//! pause in which that could be, the log goes on growing, and at a bound the thread that writes copies it by itself.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::StoreError;

/// How many times as long as it should be the log may get before writes wait for it.
const BOUND: u32 = 4;

/// The log of a file that one connection writes.
pub(super) struct Log {
    /// How long it is, as the last commit said.
    pages: Arc<AtomicU32>,
    /// How long it should be.
    most: u32,
    turn: Arc<Turn>,
    wake: SyncSender<()>,
    copier: JoinHandle<()>,
}

/// One copies at a time: another one would be told that the file is busy.
#[derive(Default)]
struct Turn(Mutex<()>);

impl Log {
    /// Copy what `writer` writes with `copier` whenever that is more than `most` pages.
    pub(super) fn start(writer: &mut Connection, copier: Connection, most: u32) -> io::Result<Self> {
        let (pages, turn) = (Arc::<AtomicU32>::default(), Arc::<Turn>::default());
        let told = Arc::clone(&pages);
        // In place of the copying that SQLite does by itself.
        writer
            .wal_hook(Some(move |_: &mut Wal, pages: i32| {
                told.store(pages.unsigned_abs(), Ordering::Relaxed);
                Ok(())
            }))
            .map_err(io::Error::other)?;
        // One wish that waits stands for all that come meanwhile.
        let (wake, wishes) = sync_channel(1);
        let thread = thread::Builder::new().name("store-log".to_owned());
        let copier = {
            let turn = Arc::clone(&turn);
            thread.spawn(move || serve(&copier, &turn, &wishes))?
        };
        Ok(Self { pages, most, turn, wake, copier })
    }

    /// Something was committed by `writer`, and answered.
    pub(super) fn committed(&self, writer: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages >= self.most.saturating_mul(BOUND) {
            self.turn.copy_or_not(writer);
        } else if pages >= self.most {
            let _ = self.wake.try_send(());
        }
    }

    /// Copy with `writer` what can be.
    pub(super) fn copy(&self, writer: &Connection) -> Result<(), StoreError> {
        self.turn.copy(writer)
    }

    /// Let the copying end.
    pub(super) fn end(self) {
        drop(self.wake);
        // One that panicked holds nothing any more.
        let _ = self.copier.join();
    }
}

fn serve(db: &Connection, turn: &Turn, wishes: &Receiver<()>) {
    while wishes.recv().is_ok() {
        turn.copy_or_not(db);
    }
}

impl Turn {
    fn copy(&self, db: &Connection) -> Result<(), StoreError> {
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checkpoint(db, "PASSIVE")
    }

    /// What is not copied stays in the log, where it is as safe, and is copied the next time.
    fn copy_or_not(&self, db: &Connection) {
        if let Err(error) = self.copy(db) {
            tracing::debug!(%error, "the write-ahead log was not copied");
        }
    }
}

/// Returns without an error when readers keep it from copying everything: it copies the rest the next time.
pub(super) fn checkpoint(db: &Connection, mode: &str) -> Result<(), StoreError> {
    Ok(db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;

    const ROWS: u32 = 40;

    fn open(path: &Path) -> Connection {
        let db = Connection::open(path).unwrap();
        db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
        db
    }

    /// Writes a page and more in each of many transactions.
    fn write(db: &Connection, log: &Log) {
        for _ in 0..ROWS {
            db.execute("INSERT INTO rows VALUES (zeroblob(4096))", []).unwrap();
            log.committed(db);
        }
    }

    fn start(path: &Path, most: u32) -> (Connection, Log) {
        let mut db = open(path);
        db.execute_batch("CREATE TABLE rows (bytes BLOB); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let log = Log::start(&mut db, open(path), most).unwrap();
        (db, log)
    }

    #[test]
    fn nobody_who_writes_waits_until_the_log_is_far_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        // Each row takes three pages or four.
        let (db, log) = start(&path, 2 * ROWS);
        let before = fs::metadata(&path).unwrap().len();
        // As if somebody copied for as long as this is held.
        let turn = log.turn.clone();
        let held = turn.0.lock().unwrap();
        write(&db, &log);
        assert!(log.pages.load(Ordering::Relaxed) >= 2 * ROWS);
        assert_eq!(fs::metadata(&path).unwrap().len(), before);
        drop(held);
        let patience = Instant::now() + Duration::from_secs(10);
        while fs::metadata(&path).unwrap().len() < before + u64::from(ROWS) * 4096 {
            assert!(Instant::now() < patience, "it is copied as soon as that can be");
            thread::yield_now();
        }
        log.end();
    }

    #[test]
    fn a_log_that_grows_without_a_pause_is_copied_by_who_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let (db, log) = start(&path, 2);
        for _ in 0..10 {
            write(&db, &log);
        }
        // Four times what it should be, and what one transaction may add.
        assert!(fs::metadata(folder.path().join("db-wal")).unwrap().len() < 20 * 4120);
        log.end();
    }
}
