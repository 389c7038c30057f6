//! Recordings of runs: written with their ends, looked up by run, removed with them.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::columns::integer;
use super::{Finish, SqliteStore, StoreError};
use crate::domain::{Run, RunId};

/// A recording as it is kept. What is in it is nothing that the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRecording {
    /// Bytes before they were compressed.
    pub size: u64,
    /// Compressed.
    pub bytes: Vec<u8>,
}

/// Where recordings are kept.
#[async_trait]
pub trait RecordingStore {
    /// Record how a run ended, as [`super::Store::finish_run`] does, together with its recording: both or neither.
    async fn finish_recorded_run(&self, run: Run, recording: KeptRecording) -> Result<Finish, StoreError>;

    /// The recording of a run, compressed as it was given.
    async fn recording(&self, id: RunId) -> Result<Option<KeptRecording>, StoreError>;
}

#[async_trait]
impl RecordingStore for SqliteStore {
    async fn finish_recorded_run(&self, run: Run, recording: KeptRecording) -> Result<Finish, StoreError> {
        self.end_run(run, Some(recording)).await
    }

    async fn recording(&self, id: RunId) -> Result<Option<KeptRecording>, StoreError> {
        self.readers.read(move |db| load(db, id)).await
    }
}

/// The values of a row, in the order of [`super::chain::rows::RECORDING`].
pub(super) fn values<T>(recording: &KeptRecording, then: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    then(params![integer(recording.size), recording.bytes])
}

pub(super) fn insert(db: &Connection, run: i64, recording: &KeptRecording) -> Result<(), StoreError> {
    let sql = "INSERT INTO recordings (run, size, bytes) VALUES (?1, ?2, ?3)";
    db.prepare_cached(sql)?.execute(params![run, integer(recording.size), recording.bytes])?;
    Ok(())
}

/// Remove the recording of a run. Returns how many there were.
pub(super) fn remove(db: &Connection, run: i64) -> Result<usize, StoreError> {
    Ok(db.prepare_cached("DELETE FROM recordings WHERE run = ?1")?.execute([run])?)
}

fn load(db: &Connection, id: RunId) -> Result<Option<KeptRecording>, StoreError> {
    let sql = "SELECT size, bytes FROM recordings WHERE run = (SELECT seq FROM runs WHERE id = ?1)";
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_row([id.as_bytes()], |row| {
        let size: i64 = row.get("size")?;
        Ok(KeptRecording { size: size.unsigned_abs(), bytes: row.get("bytes")? })
    });
    Ok(found.optional()?)
}
