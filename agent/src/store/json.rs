//! The JSON inside rows: what a conclusion holds besides its verdict, and the fields of a log line.
//!
//! These shapes are private to the store. They change only together with a migration, which is why a field that is
//! not known is an error: it can only come from somewhere else.

use serde::{Deserialize, Serialize};

use crate::domain;

/// A conclusion without its verdict and summary, which have columns of their own.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conclusion {
    details: Option<String>,
    metrics: Vec<Metric>,
    findings: Vec<Table>,
    suggestions: Vec<Suggestion>,
    labels: Labels,
    /// Few have any.
    #[serde(default, skip_serializing_if = "Files::is_empty")]
    files: Files,
}

/// Names with values, in their order; names may repeat.
#[derive(Serialize, Deserialize)]
pub(super) struct Labels(Vec<(String, String)>);

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    kept: Vec<File>,
    missing: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: Path,
    text: String,
    cut: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Path(domain::FilePath);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metric {
    name: String,
    value: f64,
    unit: String,
    warn: Option<f64>,
    critical: Option<f64>,
    labels: Labels,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suggestion {
    plugin: String,
    params: String,
    reason: String,
    confidence: f64,
}

impl Conclusion {
    /// True when every number can be written as JSON; others would come back as something else.
    pub(super) fn is_finite(&self) -> bool {
        let metrics = self.metrics.iter().flat_map(|metric| [Some(metric.value), metric.warn, metric.critical]);
        let confidences = self.suggestions.iter().map(|suggestion| Some(suggestion.confidence));
        metrics.chain(confidences).flatten().all(f64::is_finite)
    }

    /// The outcome with that verdict.
    pub(super) fn into_outcome(self, status: domain::Status, summary: String) -> domain::Outcome {
        domain::Outcome {
            status,
            summary,
            details: self.details,
            metrics: self.metrics.into_iter().map(Into::into).collect(),
            findings: self.findings.into_iter().map(Into::into).collect(),
            suggestions: self.suggestions.into_iter().map(Into::into).collect(),
            labels: self.labels.into(),
            files: self.files.into(),
        }
    }
}

impl From<domain::Outcome> for Conclusion {
    fn from(outcome: domain::Outcome) -> Self {
        Self {
            details: outcome.details,
            metrics: outcome.metrics.into_iter().map(Into::into).collect(),
            findings: outcome.findings.into_iter().map(Into::into).collect(),
            suggestions: outcome.suggestions.into_iter().map(Into::into).collect(),
            labels: outcome.labels.into(),
            files: outcome.files.into(),
        }
    }
}

impl Files {
    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.missing.is_empty()
    }
}

impl From<domain::Files> for Files {
    fn from(files: domain::Files) -> Self {
        let kept = files.kept.into_iter().map(|file| File { path: Path(file.path), text: file.text, cut: file.cut });
        let missing = files.missing.into_iter().map(|missing| (missing.part, missing.why));
        Self { kept: kept.collect(), missing: missing.collect() }
    }
}

impl From<Files> for domain::Files {
    fn from(files: Files) -> Self {
        let kept =
            files.kept.into_iter().map(|file| domain::File { path: file.path.0, text: file.text, cut: file.cut });
        let missing = files.missing.into_iter().map(|(part, why)| domain::Missing { part, why });
        Self { kept: kept.collect(), missing: missing.collect() }
    }
}

impl TryFrom<String> for Path {
    type Error = domain::InvalidFiles;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.0.to_string()
    }
}

impl From<Vec<domain::Label>> for Labels {
    fn from(labels: Vec<domain::Label>) -> Self {
        Self(labels.into_iter().map(|label| (label.name, label.value)).collect())
    }
}

impl From<Labels> for Vec<domain::Label> {
    fn from(labels: Labels) -> Self {
        labels.0.into_iter().map(|(name, value)| domain::Label { name, value }).collect()
    }
}

impl From<domain::Metric> for Metric {
    fn from(metric: domain::Metric) -> Self {
        let domain::Metric { name, value, unit, warn, critical, labels } = metric;
        Self { name, value, unit, warn, critical, labels: labels.into() }
    }
}

impl From<Metric> for domain::Metric {
    fn from(metric: Metric) -> Self {
        let Metric { name, value, unit, warn, critical, labels } = metric;
        Self { name, value, unit, warn, critical, labels: labels.into() }
    }
}

impl From<domain::Table> for Table {
    fn from(table: domain::Table) -> Self {
        let domain::Table { title, columns, rows } = table;
        Self { title, columns, rows }
    }
}

impl From<Table> for domain::Table {
    fn from(table: Table) -> Self {
        let Table { title, columns, rows } = table;
        Self { title, columns, rows }
    }
}

impl From<domain::Suggestion> for Suggestion {
    fn from(suggestion: domain::Suggestion) -> Self {
        let domain::Suggestion { plugin, params, reason, confidence } = suggestion;
        Self { plugin, params, reason, confidence }
    }
}

impl From<Suggestion> for domain::Suggestion {
    fn from(suggestion: Suggestion) -> Self {
        let Suggestion { plugin, params, reason, confidence } = suggestion;
        Self { plugin, params, reason, confidence }
    }
}
