//! Reading, beside the writer and never in its way.
//!
//! A few connections that can only read, opened when first needed and kept with their prepared statements. Each read
//! sees one state of the file from its beginning to its end, and runs on a blocking thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{StoreError, file};

/// The connections, and how many there may be.
pub(super) struct Readers {
    path: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
    count: u32,
}

impl Readers {
    /// At most `count` connections to the file at `path`.
    pub(super) fn new(path: PathBuf, count: u32) -> Self {
        let places = Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(usize::MAX)));
        Self { path: path.into(), idle: Arc::default(), places, count }
    }

    /// Do `function` within one read transaction.
    pub(super) async fn read<F, T>(&self, function: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (path, idle) = (Arc::clone(&self.path), Arc::clone(&self.idle));
        let task = spawn_blocking(move || {
            // Held until the connection is back, also when the caller went away.
            let _place = place;
            let db = take(&idle).map_or_else(|| file::connect_to_read(&path), Ok)?;
            let result = in_snapshot(&db, function);
            // A connection that met an error of the disk is not trusted with the next read.
            if !result.as_ref().is_err_and(StoreError::is_storage) {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
            }
            result
        });
        match task.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime shuts down.
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// Wait for the reads that are under way, refuse others, and let go of the file.
    pub(super) async fn close(&self) {
        // An error means that it was closed before.
        if let Ok(places) = self.places.acquire_many(self.count).await {
            self.places.close();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
            drop(places);
        }
    }
}

fn take(idle: &Mutex<Vec<Connection>>) -> Option<Connection> {
    idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn in_snapshot<T>(
    db: &Connection,
    function: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Nothing was changed, so rolling it back on the way out is all the same.
    let transaction = db.unchecked_transaction()?;
    function(&transaction)
}
