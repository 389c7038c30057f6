//! What is measured of the calls to targets.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::{CallRecord, Decision};

/// From a ping on the same machine to the deadline of a plugin that waits.
const SECONDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 2.5, 10.0];

/// The metrics of targets.
pub(super) struct TargetMetrics {
    calls: Family<OutcomeLabels, Counter>,
    duration: Family<TargetLabels, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    target: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target: String,
}

impl TargetMetrics {
    /// Metrics that `registry` shows.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics =
            Self { calls: Family::default(), duration: Family::new_with_constructor(|| Histogram::new(SECONDS)) };
        registry.register("target_calls", "Calls that reached a target's client, by outcome", metrics.calls.clone());
        let duration = metrics.duration.clone();
        registry.register_with_unit("target_call_duration", "Time of a call to a target", Unit::Seconds, duration);
        metrics
    }

    /// Count a call. One that was refused names its target as the plugin likes, so it counts for none.
    pub(super) fn called(&self, call: &CallRecord) {
        if call.decision != Decision::Permitted {
            return;
        }
        let outcome = if call.error.is_none() { "answered" } else { "failed" };
        self.calls.get_or_create(&OutcomeLabels { target: call.target.clone(), outcome }).inc();
        let labels = TargetLabels { target: call.target.clone() };
        self.duration.get_or_create(&labels).observe(call.duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::domain::{DenialReason, Timestamp};

    #[test]
    fn a_call_counts_for_its_target_unless_it_was_refused() {
        let mut registry = Registry::default();
        let metrics = TargetMetrics::register(&mut registry);
        let call = |target: &str, decision, error: Option<&str>| CallRecord {
            sequence: 1,
            operation: "postgres/inspect".to_owned(),
            target: target.to_owned(),
            arguments: "{}".to_owned(),
            decision,
            started: Timestamp::from_millis(0),
            duration: Duration::from_millis(3),
            answer_bytes: 0,
            answer_digest: None,
            error: error.map(str::to_owned),
        };
        metrics.called(&call("postgres/main", Decision::Permitted, None));
        metrics.called(&call("postgres/main", Decision::Permitted, Some("unavailable: nobody listens")));
        metrics.called(&call("postgres/as-the-plugin-likes", Decision::Denied(DenialReason::NotGranted), None));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("target_calls_total{target=\"postgres/main\",outcome=\"answered\"} 1"), "{text}");
        assert!(text.contains("target_calls_total{target=\"postgres/main\",outcome=\"failed\"} 1"), "{text}");
        assert!(
            text.contains("target_call_duration_seconds_bucket{le=\"0.005\",target=\"postgres/main\"} 2"),
            "{text}"
        );
        assert!(!text.contains("as-the-plugin-likes"), "{text}");
    }
}
