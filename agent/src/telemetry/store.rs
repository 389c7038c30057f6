//! What is measured of the agent's own database.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// How the database is, as it was found last.
pub struct StoreMetrics {
    /// 1 while it takes writes.
    pub writable: Gauge,
    /// Writes that wait.
    pub queued: Gauge,
    /// Size of the file.
    pub file_bytes: Gauge,
    /// Size of the write-ahead log beside it.
    pub wal_bytes: Gauge,
    /// Number of the last link of the chain of records.
    pub links: Gauge,
}

impl StoreMetrics {
    /// Metrics that `registry` shows.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            writable: Gauge::default(),
            queued: Gauge::default(),
            file_bytes: Gauge::default(),
            wal_bytes: Gauge::default(),
            links: Gauge::default(),
        };
        registry.register("store_writable", "1 while the database takes writes", metrics.writable.clone());
        registry.register("store_queued", "Writes that wait for the disk", metrics.queued.clone());
        let file = metrics.file_bytes.clone();
        registry.register_with_unit("store_file", "Size of the database", Unit::Bytes, file);
        let wal = metrics.wal_bytes.clone();
        registry.register_with_unit("store_wal", "Size of the write-ahead log beside it", Unit::Bytes, wal);
        let help = "Number of the last link of the chain of records; it never gets smaller";
        registry.register("record_links", help, metrics.links.clone());
        metrics
    }
}
