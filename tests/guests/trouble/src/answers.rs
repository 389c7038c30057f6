//! Outcomes that no plugin should give.

use paramedic_sdk::Label;
use paramedic_sdk::bindings::exports::paramedic::plugin::plugin::{Metric, Outcome, Status, Suggestion, Table};
use serde::Deserialize;

/// What is wrong with an outcome.
#[derive(Deserialize)]
#[serde(tag = "with", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Wrong {
    /// Its details have that many bytes.
    Details { bytes: usize },
    /// A suggestion's parameters are this text.
    Params { text: String },
    /// A metric is no number.
    NotANumber,
    /// A table's row has fewer cells than there are columns.
    RaggedTable,
    /// The summary is empty.
    NoSummary,
    /// There are that many tables.
    Tables { count: usize },
    /// It leaves a file at each of these paths, and that many more.
    Files { paths: Vec<String>, more: usize },
}

/// An outcome with nothing wrong.
pub(crate) fn fine(summary: impl Into<String>) -> Outcome {
    Outcome {
        status: Status::Ok,
        summary: summary.into(),
        details: None,
        metrics: Vec::new(),
        findings: Vec::new(),
        suggestions: Vec::new(),
        labels: Vec::new(),
    }
}

/// An outcome with that wrong.
pub(crate) fn wrong(wrong: Wrong) -> Outcome {
    let mut outcome = fine("look at the rest");
    match wrong {
        Wrong::Details { bytes } => outcome.details = Some("x".repeat(bytes)),
        Wrong::Params { text } => outcome.suggestions.push(suggestion(text)),
        Wrong::NotANumber => outcome.metrics.push(metric(f64::NAN)),
        Wrong::RaggedTable => outcome.findings.push(table(&["one", "two"], &["alone"])),
        Wrong::NoSummary => outcome.summary.clear(),
        Wrong::Files { paths, more } => {
            let paths = paths.into_iter().chain((0..more).map(|number| number.to_string()));
            let files: Vec<_> = paths.map(|path| format!(r#"{{"path":"{path}","text":"x"}}"#)).collect();
            let value = format!(r#"{{"files":[{}]}}"#, files.join(","));
            outcome.labels.push(Label { name: "files".to_owned(), value });
        }
        Wrong::Tables { count } => outcome.findings = (0..count).map(|_| table(&["one"], &["cell"])).collect(),
    }
    outcome
}

fn suggestion(params: String) -> Suggestion {
    Suggestion { plugin: "noop".to_owned(), params, reason: "why not".to_owned(), confidence: 0.5 }
}

fn metric(value: f64) -> Metric {
    Metric { name: "used".to_owned(), value, unit: "1".to_owned(), warn: None, critical: None, labels: Vec::new() }
}

fn table(columns: &[&str], row: &[&str]) -> Table {
    let owned = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    Table { title: "findings".to_owned(), columns: owned(columns), rows: vec![owned(row)] }
}
