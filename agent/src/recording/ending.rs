//! How a run ended, as it stands in a recording. It is compared as it stands and never read back.

use serde_json::{Value, json};

use crate::domain::{Ending, Failure, File, Files, Label, Metric, Missing, Outcome, Suggestion, Table};

/// The outcome or the failure.
pub fn ending(ending: &Ending) -> Value {
    match ending {
        Ending::Concluded(outcome) => concluded(outcome),
        Ending::Failed(Failure { kind, message }) => {
            json!({ "failure": { "kind": kind.as_str(), "message": message } })
        }
    }
}

fn concluded(outcome: &Outcome) -> Value {
    let mut concluded = json!({
        "status": outcome.status.as_str(),
        "summary": outcome.summary,
        "details": outcome.details,
        "metrics": outcome.metrics.iter().map(metric).collect::<Vec<_>>(),
        "findings": outcome.findings.iter().map(table).collect::<Vec<_>>(),
        "suggestions": outcome.suggestions.iter().map(suggestion).collect::<Vec<_>>(),
        "labels": labels(&outcome.labels),
    });
    // Recordings of before do not have it.
    if let (false, Some(concluded)) = (outcome.files.is_empty(), concluded.as_object_mut()) {
        concluded.insert("files".to_owned(), files(&outcome.files));
    }
    concluded
}

fn files(files: &Files) -> Value {
    let file = |file: &File| json!({ "path": file.path.as_str(), "text": file.text, "cut": file.cut });
    let missing = |missing: &Missing| json!([missing.part, missing.why]);
    json!({
        "kept": files.kept.iter().map(file).collect::<Vec<_>>(),
        "missing": files.missing.iter().map(missing).collect::<Vec<_>>(),
    })
}

fn metric(metric: &Metric) -> Value {
    json!({
        "name": metric.name,
        "value": metric.value,
        "unit": metric.unit,
        "warn": metric.warn,
        "critical": metric.critical,
        "labels": labels(&metric.labels),
    })
}

fn table(table: &Table) -> Value {
    json!({ "title": table.title, "columns": table.columns, "rows": table.rows })
}

fn suggestion(suggestion: &Suggestion) -> Value {
    json!({
        "plugin": suggestion.plugin,
        "params": suggestion.params,
        "reason": suggestion.reason,
        "confidence": suggestion.confidence,
    })
}

/// In pairs: a name may come twice.
fn labels(labels: &[Label]) -> Value {
    labels.iter().map(|label| json!([label.name, label.value])).collect()
}
