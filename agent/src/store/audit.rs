//! What auditors ask of the chain: its head, its links, and whether all is as it was recorded.

use async_trait::async_trait;

use super::chain::{self, Link, Search, Step, Strangers, Verified, Walk};
use super::{Broken, SqliteStore, StoreError};
use crate::domain::{Anchor, ChainHead};

/// Where the chain of records is kept.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// The last link.
    async fn chain_head(&self) -> Result<Option<ChainHead>, StoreError>;

    /// Links after the one with the number `after`, in their order, at most `limit`.
    async fn links(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError>;

    /// Compare everything with what was recorded of it, up to the head of this moment. With an anchor, that link has to be there,
    /// which finds what nothing inside the store can find: an end that was cut off, or a chain that was written anew.
    async fn verify_chain(&self, anchor: Option<Anchor>) -> Result<Verified, StoreError>;
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn chain_head(&self) -> Result<Option<ChainHead>, StoreError> {
        self.readers.read(chain::tip).await
    }

    async fn links(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError> {
        self.readers.read(move |db| chain::page(db, after, limit)).await
    }

    async fn verify_chain(&self, anchor: Option<Anchor>) -> Result<Verified, StoreError> {
        let mut walk = Walk::new(anchor);
        let verified = loop {
            match self.readers.read(move |db| walk.page(db)).await? {
                Step::On(next) => walk = next,
                Step::Over(verified) => break verified,
            }
        };
        if verified.broken.is_some() {
            return Ok(verified);
        }
        let seq = verified.to.map_or(0, |head| head.seq);
        let broken = self.strangers().await?.map(|why| Broken { seq, why });
        Ok(Verified { broken, ..verified })
    }
}

impl SqliteStore {
    /// Write the head to the log, where it is out of reach of whoever changes the file.
    pub(super) async fn log_head(&self, occasion: &'static str) {
        match self.chain_head().await {
            Ok(Some(head)) => tracing::info!(chain.seq = head.seq, chain.hash = head.hash.hex(), "{occasion}"),
            Ok(None) => tracing::warn!("the chain of records is empty: somebody removed it"),
            Err(error) => tracing::warn!(%error, "the head of the chain cannot be read"),
        }
    }

    async fn strangers(&self) -> Result<Option<String>, StoreError> {
        let mut search = Strangers::default();
        loop {
            match self.readers.read(move |db| search.page(db)).await? {
                Search::On(next) => search = next,
                Search::Over(found) => return Ok(found),
            }
        }
    }
}
