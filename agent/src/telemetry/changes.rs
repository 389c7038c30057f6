//! What became of changes.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::domain::{Fate, Helped, PluginName};

/// Changes and the things that they touched.
pub(super) struct ChangeMetrics {
    changes: Family<ChangeLabels, Counter>,
    objects: Family<ObjectLabels, Counter>,
    helped: Family<HelpLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HelpLabels {
    plugin: String,
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabels {
    plugin: String,
    operation: String,
    target: String,
    fate: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    plugin: String,
    operation: String,
    target: String,
}

impl ChangeMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { changes: Family::default(), objects: Family::default(), helped: Family::default() };
        registry.register("changes", "Changes that were begun, by what became of them", metrics.changes.clone());
        registry.register(
            "changed_objects",
            "Things that changes touched: sessions, keys, jobs, requests",
            metrics.objects.clone(),
        );
        registry.register("applies_judged", "Applies by whether they helped", metrics.helped.clone());
        metrics
    }

    pub(super) fn helped(&self, plugin: &PluginName, verdict: Helped) {
        let labels = HelpLabels { plugin: plugin.to_string(), verdict: verdict.as_str() };
        self.helped.get_or_create(&labels).inc();
    }

    /// Labels are configured plugins and targets and words of fixed lists.
    pub(super) fn changed(&self, plugin: &PluginName, operation: &str, target: &str, fate: &Fate) {
        let (plugin, operation, target) = (plugin.to_string(), operation.to_owned(), target.to_owned());
        if let Fate::Applied(done) = fate {
            let labels = ObjectLabels { plugin: plugin.clone(), operation: operation.clone(), target: target.clone() };
            self.objects.get_or_create(&labels).inc_by(done.objects);
        }
        self.changes.get_or_create(&ChangeLabels { plugin, operation, target, fate: fate.as_str() }).inc();
    }
}
