//! What the guards of changes did.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::domain::PluginName;

/// Applies that were refused, and those that went past all guards.
pub(super) struct GuardMetrics {
    refused: Family<GuardLabels, Counter>,
    broken: Family<PluginLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GuardLabels {
    guard: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
}

impl GuardMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { refused: Family::default(), broken: Family::default() };
        registry.register("applies_refused", "Applies that a guard refused, by guard", metrics.refused.clone());
        registry.register("break_glass", "Applies past all guards", metrics.broken.clone());
        metrics
    }

    pub(super) fn refused(&self, guard: &'static str) {
        self.refused.get_or_create(&GuardLabels { guard }).inc();
    }

    pub(super) fn broken(&self, plugin: &PluginName) {
        self.broken.get_or_create(&PluginLabels { plugin: plugin.to_string() }).inc();
    }
}
