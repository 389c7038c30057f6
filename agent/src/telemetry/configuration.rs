//! What is measured of the configuration.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::Timestamp;

/// The metrics of the configuration.
pub struct ConfigurationMetrics {
    reloads: Family<ReloadLabels, Counter>,
    is_current: Gauge,
    since: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

impl ConfigurationMetrics {
    /// Metrics that `registry` shows.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { reloads: Family::default(), is_current: Gauge::default(), since: Gauge::default() };
        for result in ["applied", "refused"] {
            drop(metrics.reloads.get_or_create(&ReloadLabels { result }));
        }
        registry.register("config_reloads", "Configurations that were read again, by result", metrics.reloads.clone());
        let is_current = metrics.is_current.clone();
        registry.register("config_current", "0 while a later configuration was refused", is_current);
        let since = metrics.since.clone();
        let help = "When the configuration in force was read, in Unix time";
        registry.register_with_unit("config_timestamp", help, Unit::Seconds, since);
        metrics
    }

    /// A configuration is in force that was read at `time`, the first or a later one.
    pub fn in_force(&self, time: Timestamp) {
        self.is_current.set(1);
        self.since.set(i64::try_from(time.as_millis() / 1000).unwrap_or(i64::MAX));
    }

    /// Count one that was read again.
    pub fn applied(&self) {
        self.reloads.get_or_create(&ReloadLabels { result: "applied" }).inc();
    }

    /// Count one that was not put in force.
    pub fn refused(&self) {
        self.is_current.set(0);
        self.reloads.get_or_create(&ReloadLabels { result: "refused" }).inc();
    }
}
