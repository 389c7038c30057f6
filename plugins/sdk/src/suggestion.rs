//! What to run next.

use crate::Workload;
use crate::bindings::exports::paramedic::plugin::plugin as wire;

/// Another plugin worth running next.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// Its name.
    pub plugin: String,
    /// Its parameters.
    pub params: serde_json::Value,
    /// Why it should help, in one sentence.
    pub reason: String,
    /// Between 0 and 1.
    pub confidence: f64,
}

impl Suggestion {
    /// Suggest a plugin with its parameters. The confidence is one half unless told.
    pub fn new(plugin: &str, params: serde_json::Value, reason: impl Into<String>) -> Self {
        Self { plugin: plugin.to_owned(), params, reason: reason.into(), confidence: 0.5 }
    }

    /// Say how sure the check is, between 0 and 1.
    #[must_use]
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence.clamp(0.0, 1.0);
        self
    }

    /// Suggest restarting a workload.
    pub fn restart(workload: &Workload, reason: impl Into<String>) -> Self {
        Self::new("k8s-rollout-restart", serde_json::json!(workload), reason)
    }
}

impl From<Suggestion> for wire::Suggestion {
    fn from(suggestion: Suggestion) -> Self {
        let Suggestion { plugin, params, reason, confidence } = suggestion;
        Self { plugin, params: params.to_string(), reason, confidence }
    }
}
