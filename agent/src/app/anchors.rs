//! Writes the head of the chain of records to the log, now and then: whoever changes the store cannot change what a collector of
//! logs has taken by then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::store::Store;

/// How often it is written, where it has moved.
const PERIOD: Duration = Duration::from_secs(10 * 60);

/// Write it at the start, every now and then, and once more at the end.
pub(super) async fn keep(store: Arc<dyn Store>, mut stopping: watch::Receiver<bool>) {
    let mut written = None;
    let mut period = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = period.tick() => {}
        }
        written = write(store.as_ref(), written).await;
    }
}

/// Write it, unless it is the one that was written last. Returns the number of the last that was.
pub(super) async fn write(store: &dyn Store, written: Option<u64>) -> Option<u64> {
    match store.chain_head().await {
        Ok(Some(head)) if written != Some(head.seq) => {
            tracing::info!(chain.seq = head.seq, chain.hash = head.hash.hex(), "the head of the chain of records");
            Some(head.seq)
        }
        Ok(Some(_)) => written,
        Ok(None) => {
            tracing::error!("there is no chain of records: somebody removed it");
            written
        }
        Err(error) => {
            tracing::warn!(%error, "the head of the chain of records cannot be read");
            written
        }
    }
}
