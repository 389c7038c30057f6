//! What the demo asks the agent, and what it must be told.

use serde_json::{Value, json};

use crate::trouble::{COMMON_FAILURE, IMMORTAL_KEYS, LEAK_AGE_SECONDS, LEAKY_APPLICATION};

/// One run of the demo.
pub struct Check {
    pub plugin: &'static str,
    pub params: Value,
    pub expected: Expected,
}

/// The verdict that is right.
pub enum Expected {
    /// Nothing is wrong there.
    Healthy,
    /// Something is, and the summary must name the culprit.
    Trouble(&'static str),
}

/// Every check, those that have nothing to complain about among them.
pub fn all() -> Vec<Check> {
    use Expected::{Healthy, Trouble};
    let check = |plugin, params, expected| Check { plugin, params, expected };
    vec![
        check("pg-ready", json!({}), Healthy),
        check("redis-ping", json!({}), Healthy),
        check("pg-slow-queries", json!({}), Trouble("orders")),
        check("pg-connections", json!({}), Trouble(LEAKY_APPLICATION)),
        check("pg-idle-connections", json!({ "min_idle_seconds": LEAK_AGE_SECONDS }), Trouble(LEAKY_APPLICATION)),
        check("redis-memory", json!({}), Trouble(IMMORTAL_KEYS)),
        check("queue-status", json!({}), Trouble("backed up")),
        check("queue-failed-jobs", json!({}), Trouble(COMMON_FAILURE)),
        check("http-health", json!({}), Trouble("503")),
    ]
}

impl Check {
    /// What is wrong with a run of this check, if anything is.
    pub fn complaint(&self, run: &Value) -> Option<String> {
        let text = |pointer: &str| run.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (plugin, status, summary) = (text("/plugin"), text("/outcome/status"), text("/outcome/summary"));
        let right = match self.expected {
            Expected::Healthy => status == "ok",
            Expected::Trouble(culprit) => matches!(status, "warning" | "critical") && summary.contains(culprit),
        };
        if plugin == self.plugin && right {
            return None;
        }
        Some(format!("{} should have told {}, but told {status:?}: {summary:?}", self.plugin, self.expected.in_words()))
    }
}

impl Expected {
    fn in_words(&self) -> String {
        match self {
            Expected::Healthy => "that all is well".to_owned(),
            Expected::Trouble(culprit) => format!("of trouble with `{culprit}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(plugin: &str, status: &str, summary: &str) -> Option<String> {
        let check = all().into_iter().find(|check| check.plugin == "pg-connections").unwrap();
        check.complaint(&json!({ "plugin": plugin, "outcome": { "status": status, "summary": summary } }))
    }

    #[test]
    fn only_a_verdict_that_names_the_culprit_counts_as_found() {
        assert_eq!(complaint("pg-connections", "critical", "45 of 47 used, 42 by checkout-api"), None);
        for (plugin, status, summary) in [
            ("pg-connections", "ok", "checkout-api is fine"),
            ("pg-connections", "unknown", "checkout-api cannot be asked"),
            ("pg-connections", "critical", "45 of 47 used"),
            ("pg-ready", "critical", "checkout-api"),
        ] {
            assert!(complaint(plugin, status, summary).is_some(), "{plugin} {status} {summary}");
        }
    }
}
