//! What is measured of replicas.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of an agent among others.
pub struct ReplicaMetrics {
    leads: Gauge,
    terms: Counter,
    failures: Counter,
}

impl ReplicaMetrics {
    /// Metrics that `registry` shows.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { leads: Gauge::default(), terms: Counter::default(), failures: Counter::default() };
        // One that is alone does what is due as well.
        metrics.leads.set(1);
        registry.register("leader", "1 while this replica does what is due", metrics.leads.clone());
        registry.register("leader_terms", "Times that this replica began to lead", metrics.terms.clone());
        let failures = metrics.failures.clone();
        registry.register("leader_lookups_failed", "Times that who leads could not be found out", failures);
        metrics
    }

    /// Show whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
    }

    /// Count a term that begins.
    pub fn began(&self) {
        self.terms.inc();
    }

    /// Count a look that failed.
    pub fn failed(&self) {
        self.failures.inc();
    }
}
