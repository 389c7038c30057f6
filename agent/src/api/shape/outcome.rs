//! How a run ended.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{FailureKind, Status, document};
use crate::domain;

/// The verdict of a run that came to one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// The verdict.
    pub status: Status,
    /// The verdict in one line.
    #[schema(example = "45 of 47 connections are used, 42 of them by checkout-api")]
    pub summary: String,
    /// More detail in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Numbers worth storing.
    pub metrics: Vec<Metric>,
    /// Tables worth showing.
    pub findings: Vec<Table>,
    /// What to run next, best first.
    pub suggestions: Vec<Suggestion>,
    /// Further annotations.
    pub labels: Vec<Label>,
    /// Files that `GET /v1/runs/{id}/archive` has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// What is missing among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

impl From<domain::Outcome> for Outcome {
    fn from(outcome: domain::Outcome) -> Self {
        Self {
            status: outcome.status.into(),
            summary: outcome.summary,
            details: outcome.details,
            metrics: outcome.metrics.into_iter().map(Metric::from).collect(),
            findings: outcome.findings.into_iter().map(Table::from).collect(),
            suggestions: outcome.suggestions.into_iter().map(Suggestion::from).collect(),
            labels: labels(outcome.labels),
            files: outcome.files.kept.into_iter().map(File::from).collect(),
            missing: outcome.files.missing.into_iter().map(Missing::from).collect(),
        }
    }
}

/// A file of an outcome, without what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct File {
    /// Where it lies in the archive.
    #[schema(example = "kubernetes/prod/events.jsonl")]
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// What was left out of it; absent when it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
}

impl From<domain::File> for File {
    fn from(file: domain::File) -> Self {
        Self { path: file.path.to_string(), size: file.text.len() as u64, cut: file.cut }
    }
}

/// Something that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Missing {
    /// What it is.
    #[schema(example = "kubernetes/prod/usage")]
    pub part: String,
    /// Why there is none.
    pub why: String,
}

impl From<domain::Missing> for Missing {
    fn from(missing: domain::Missing) -> Self {
        Self { part: missing.part, why: missing.why }
    }
}

/// The beginning of an outcome, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// The verdict.
    pub status: Status,
    /// The verdict in one line.
    #[schema(example = "45 of 47 connections are used, 42 of them by checkout-api")]
    pub summary: String,
}

/// Why a run came to no conclusion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// The name of what happened.
    pub kind: FailureKind,
    /// One sentence about it.
    #[schema(example = "the run took longer than its deadline of 10 s")]
    pub message: String,
}

impl From<domain::Failure> for Failure {
    fn from(failure: domain::Failure) -> Self {
        Self { kind: failure.kind.into(), message: failure.message }
    }
}

/// A measured number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Metric {
    /// Name in snake case.
    #[schema(example = "connections_used")]
    pub name: String,
    /// The measured value.
    #[schema(example = 45.0)]
    pub value: f64,
    /// Unit in UCUM notation; `1` for plain counts.
    #[schema(example = "1")]
    pub unit: String,
    /// Value from which on the plugin warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn: Option<f64>,
    /// Value from which on the plugin calls it critical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
    /// Dimensions of the measurement.
    pub labels: Vec<Label>,
}

impl From<domain::Metric> for Metric {
    fn from(metric: domain::Metric) -> Self {
        let domain::Metric { name, value, unit, warn, critical, labels: dimensions } = metric;
        Self { name, value, unit, warn, critical, labels: labels(dimensions) }
    }
}

/// A table of findings. Every row has as many cells as there are columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Table {
    /// Heading.
    #[schema(example = "Connections by application")]
    pub title: String,
    /// Column headings.
    #[schema(example = json!(["application", "connections"]))]
    pub columns: Vec<String>,
    /// Rows of cells.
    #[schema(example = json!([["checkout-api", "42"], ["reporting", "3"]]))]
    pub rows: Vec<Vec<String>>,
}

impl From<domain::Table> for Table {
    fn from(table: domain::Table) -> Self {
        Self { title: table.title, columns: table.columns, rows: table.rows }
    }
}

/// Another plugin worth running next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suggestion {
    /// Its name.
    #[schema(example = "pg-idle-connections")]
    pub plugin: String,
    /// Its parameters.
    #[schema(value_type = Object, example = json!({"target": "main"}))]
    pub params: Value,
    /// Why it should help.
    pub reason: String,
    /// Between 0 and 1, for ordering.
    #[schema(minimum = 0, maximum = 1, example = 0.9)]
    pub confidence: f64,
}

impl From<domain::Suggestion> for Suggestion {
    fn from(suggestion: domain::Suggestion) -> Self {
        Self {
            plugin: suggestion.plugin,
            params: document(&suggestion.params),
            reason: suggestion.reason,
            confidence: suggestion.confidence,
        }
    }
}

/// A name with a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Label {
    /// What the value is about.
    pub name: String,
    /// The value.
    pub value: String,
}

impl From<domain::Label> for Label {
    fn from(label: domain::Label) -> Self {
        Self { name: label.name, value: label.value }
    }
}

/// All of them, in their order.
pub(super) fn labels(labels: Vec<domain::Label>) -> Vec<Label> {
    labels.into_iter().map(Label::from).collect()
}
