//! The file itself: where it is, who may open it, and how connections to it are set up.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{StoreError, changes, schema};
use crate::domain::Timestamp;

/// Only the agent's own user may read what it stores.
const PRIVATE: u32 = 0o600;

/// Room for every statement that there is, those of lists in all their forms included.
const STATEMENTS: usize = 96;

/// Pages that a connection keeps in memory, in KiB: what a burst of writes touches. Reads of the past go to the file, which the
/// system caches for everybody.
const CACHE_KIB: i64 = 768;

/// How long to wait for somebody who looks into the file with a tool of their own.
const BUSY: Duration = Duration::from_secs(5);

/// Above this the write-ahead log is cut back when it was copied into the file.
const WAL_BYTES: i64 = 16 << 20;

/// The right to be the only agent on a file. The operating system takes it back when the process ends, however it
/// ends, so nothing has to be cleaned up after a crash.
pub(super) struct Lock {
    _file: File,
}

/// What the file is called when every link on the way is followed, so that one file has one lock.
pub(super) fn locate(path: &Path) -> Result<PathBuf, StoreError> {
    let at = |source| StoreError::Path { path: path.to_owned(), source };
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or_else(|| at(io::ErrorKind::InvalidFilename.into()))?;
            Ok(folder(path).canonicalize().map_err(at)?.join(name))
        }
        Err(error) => Err(at(error)),
    }
}

/// Become the only agent on the file.
pub(super) fn lock(path: &Path) -> Result<Lock, StoreError> {
    let beside = beside(path, ".lock");
    let at = |source| StoreError::Path { path: beside.clone(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(PRIVATE).open(&beside).map_err(at)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(at(error)),
    }
}

/// Make an empty file that only we may read, unless there is one. SQLite gives the files beside it the same rights.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let at = |source| StoreError::Path { path: path.to_owned(), source };
    match OpenOptions::new().create_new(true).write(true).mode(PRIVATE).open(path) {
        // Without this a power cut could take the name of the file together with the first runs.
        Ok(_) => File::open(folder(path)).and_then(|folder| folder.sync_all()).map_err(at),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => judge_existing(path).map_err(at),
        Err(error) => Err(at(error)),
    }
}

fn judge_existing(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    if metadata.mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others may read the store's file: chmod 600 keeps it private");
    }
    Ok(())
}

/// The connection that writes, with the file's format up to date.
pub(super) fn connect_to_write(path: &Path, now: Timestamp) -> Result<Connection, StoreError> {
    let mut db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Before anything is changed: the file may not be ours.
    let version = schema::version(&db, path)?;
    // Takes effect before the first table alone; afterwards it asks for what is so already.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let source =
            io::Error::new(io::ErrorKind::Unsupported, "the file system cannot share memory between processes");
        return Err(StoreError::Path { path: path.to_owned(), source });
    }
    // A start has to be on the disk before the run begins; NORMAL would lose the last ones when the power fails.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    schema::migrate(&mut db, version, now)?;
    changes::hour::begin(&db)?;
    Ok(db)
}

/// A connection that copies the write-ahead log into the file, and does nothing else.
pub(super) fn connect_to_copy(path: &Path) -> Result<Connection, StoreError> {
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // The file is on the disk before the log begins anew.
    db.pragma_update(None, "synchronous", "FULL")?;
    Ok(db)
}

/// A connection that cannot change anything.
pub(super) fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let db = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // Nothing in the file, however it got there, makes SQLite run what we did not write.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Otherwise some statements that are kept are compiled again for each value that they are given.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.pragma_update(None, "cell_size_check", true)?;
    // SQLite counts KiB where the number is below nought, and pages otherwise.
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "foreign_keys", true)?;
    Ok(db)
}

/// Which file stands at `path`, by device and number; another one when it was moved away or replaced.
pub(super) fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Size of a file; nothing for one that does not exist.
pub(super) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The write-ahead log of the file.
pub(super) fn wal(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
