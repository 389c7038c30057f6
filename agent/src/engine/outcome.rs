//! Checks what a plugin concluded before anybody sees it.

use serde::Deserialize;

use crate::domain::{
    Ending, FailureKind, File, Files, Label, Limits, Metric, Missing, Outcome, PluginName, Status, Suggestion, Table,
};
use crate::host::bindings::exports::paramedic::plugin::plugin as wit;
use crate::host::bindings::paramedic::plugin::types;

/// Most tables, rows of one, columns of one, metrics, suggestions and labels of an outcome.
const MAX_TABLES: usize = 20;
const MAX_ROWS: usize = 500;
const MAX_COLUMNS: usize = 30;
const MAX_METRICS: usize = 500;
const MAX_SUGGESTIONS: usize = 20;
const MAX_LABELS: usize = 50;

/// The label of an outcome whose value is its files, a JSON document: see [`Document`].
const FILES: &str = "files";

/// Longest summary, in bytes: a line for a chat message or a pager.
const MAX_SUMMARY: usize = 1024;

/// The ending that `outcome` is, or the failure that it is no valid one.
pub(super) fn concluded(outcome: wit::Outcome, limits: &Limits) -> Ending {
    match decode(outcome, limits) {
        Ok(outcome) => Ending::Concluded(outcome),
        Err(problem) => super::ending::failed(FailureKind::InvalidOutcome, problem),
    }
}

fn decode(mut outcome: wit::Outcome, limits: &Limits) -> Result<Outcome, String> {
    let bytes = text_bytes(&outcome);
    if bytes > limits.outcome_bytes {
        return Err(format!("the outcome has {bytes} bytes; the limit `outcome` allows {}", limits.outcome_bytes));
    }
    at_most("findings", outcome.findings.len(), MAX_TABLES)?;
    at_most("metrics", outcome.metrics.len(), MAX_METRICS)?;
    at_most("suggestions", outcome.suggestions.len(), MAX_SUGGESTIONS)?;
    let summary = clean(&outcome.summary).replace(['\n', '\t'], " ");
    if summary.trim().is_empty() || summary.len() > MAX_SUMMARY {
        return Err(format!("the summary has {} bytes; expected one line of 1 to {MAX_SUMMARY}", summary.len()));
    }
    let files = files(&mut outcome.labels)?;
    Ok(Outcome {
        status: status(outcome.status),
        summary: summary.trim().to_owned(),
        details: outcome.details.map(|details| clean(&details)),
        metrics: outcome.metrics.into_iter().map(metric).collect::<Result<_, _>>()?,
        findings: outcome.findings.into_iter().map(table).collect::<Result<_, _>>()?,
        suggestions: outcome.suggestions.into_iter().map(suggestion).collect::<Result<_, _>>()?,
        labels: labels(outcome.labels)?,
        files,
    })
}

/// Files as a plugin gives them. They travel in a label because the contract has no place for them, and details are for people.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    files: Vec<Entry>,
    #[serde(default)]
    missing: Vec<Absence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    text: String,
    #[serde(default)]
    cut: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Absence {
    part: String,
    why: String,
}

/// The files among the labels, taken out of them.
fn files(labels: &mut Vec<types::Label>) -> Result<Files, String> {
    let (mut found, others) = std::mem::take(labels).into_iter().partition::<Vec<_>, _>(|label| label.name == FILES);
    *labels = others;
    let Some(label) = found.pop() else { return Ok(Files::default()) };
    if !found.is_empty() {
        return Err(format!("the outcome has {} labels `{FILES}`; expected one", found.len() + 1));
    }
    let refuse = |why: &dyn std::fmt::Display| format!("the files of the outcome are refused: {why}");
    let document: Document = serde_json::from_str(&label.value).map_err(|error| refuse(&error))?;
    let file = |entry: Entry| {
        let (path, cut) = (entry.path.parse()?, entry.cut.as_deref().map(line));
        Ok(File { path, text: clean(&entry.text), cut })
    };
    let missing = |absence: Absence| Missing { part: line(&absence.part), why: line(&absence.why) };
    let kept = document.files.into_iter().map(file).collect::<Result<_, _>>();
    kept.and_then(|kept| Files::new(kept, document.missing.into_iter().map(missing).collect()))
        .map_err(|error| refuse(&error))
}

/// One line of clean text.
fn line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

/// Text without control characters, so that a terminal or a log shows it and does not obey it. Line ends and tabs
/// stay.
pub(super) fn clean(text: &str) -> String {
    let hostile = |c: char| {
        let directions = ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
        (c.is_control() && c != '\n' && c != '\t') || directions
    };
    text.replace("\r\n", "\n").chars().map(|c| if hostile(c) { '\u{fffd}' } else { c }).collect()
}

/// Labels of an outcome or of a description.
pub(super) fn labels(labels: Vec<types::Label>) -> Result<Vec<Label>, String> {
    at_most("labels", labels.len(), MAX_LABELS)?;
    Ok(labels.into_iter().map(|label| Label { name: clean(&label.name), value: clean(&label.value) }).collect())
}

const fn status(status: wit::Status) -> Status {
    match status {
        wit::Status::Ok => Status::Ok,
        wit::Status::Warning => Status::Warning,
        wit::Status::Critical => Status::Critical,
        wit::Status::Unknown => Status::Unknown,
    }
}

fn metric(metric: wit::Metric) -> Result<Metric, String> {
    let name = metric.name;
    let snake_case = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && name.len() <= 100;
    if !snake_case {
        return Err(format!("the metric `{}` is not named in snake case", clean(&name)));
    }
    let numbers = [Some(metric.value), metric.warn, metric.critical];
    if numbers.into_iter().flatten().any(|number| !number.is_finite()) {
        return Err(format!("the metric `{name}` has a number that is not finite"));
    }
    Ok(Metric {
        name,
        value: metric.value,
        unit: clean(&metric.unit),
        warn: metric.warn,
        critical: metric.critical,
        labels: labels(metric.labels)?,
    })
}

fn table(table: wit::Table) -> Result<Table, String> {
    let title = clean(&table.title);
    at_most("columns", table.columns.len(), MAX_COLUMNS)?;
    at_most("rows", table.rows.len(), MAX_ROWS)?;
    let columns = table.columns.len();
    if let Some(row) = table.rows.iter().find(|row| row.len() != columns) {
        return Err(format!("the table `{title}` has {columns} columns and a row of {} cells", row.len()));
    }
    let clean_all = |cells: Vec<String>| cells.iter().map(|cell| clean(cell)).collect();
    Ok(Table { title, columns: clean_all(table.columns), rows: table.rows.into_iter().map(clean_all).collect() })
}

fn suggestion(suggestion: wit::Suggestion) -> Result<Suggestion, String> {
    if suggestion.plugin.parse::<PluginName>().is_err() {
        return Err(format!("the suggestion `{}` names no plugin", clean(&suggestion.plugin)));
    }
    if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&suggestion.params).is_err() {
        return Err(format!("the parameters of the suggestion `{}` are no JSON object", suggestion.plugin));
    }
    if !(0.0..=1.0).contains(&suggestion.confidence) {
        return Err(format!("the confidence {} is not between 0 and 1", suggestion.confidence));
    }
    Ok(Suggestion {
        plugin: suggestion.plugin,
        params: suggestion.params,
        reason: clean(&suggestion.reason),
        confidence: suggestion.confidence,
    })
}

fn at_most(what: &str, count: usize, most: usize) -> Result<(), String> {
    if count > most { Err(format!("the outcome has {count} {what}; at most {most} are kept")) } else { Ok(()) }
}

fn text_bytes(outcome: &wit::Outcome) -> usize {
    let of_labels = |labels: &[types::Label]| labels.iter().map(|l| l.name.len() + l.value.len()).sum::<usize>();
    let of_tables = |table: &wit::Table| {
        let cells = table.columns.iter().chain(table.rows.iter().flatten());
        table.title.len() + cells.map(String::len).sum::<usize>()
    };
    let metrics = outcome.metrics.iter().map(|m| m.name.len() + m.unit.len() + 24 + of_labels(&m.labels));
    let suggestions = outcome.suggestions.iter().map(|s| s.plugin.len() + s.params.len() + s.reason.len());
    outcome.summary.len()
        + outcome.details.as_ref().map_or(0, String::len)
        + metrics.sum::<usize>()
        + outcome.findings.iter().map(of_tables).sum::<usize>()
        + suggestions.sum::<usize>()
        + of_labels(&outcome.labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> wit::Outcome {
        wit::Outcome {
            status: wit::Status::Warning,
            summary: "12 of 20 connections belong to checkout-api".to_owned(),
            details: None,
            metrics: vec![],
            findings: vec![],
            suggestions: vec![],
            labels: vec![],
        }
    }

    fn refusal(change: impl FnOnce(&mut wit::Outcome)) -> String {
        let mut changed = outcome();
        change(&mut changed);
        match concluded(changed, &Limits::DEFAULT) {
            Ending::Failed(failure) => {
                assert_eq!(failure.kind, FailureKind::InvalidOutcome);
                failure.message
            }
            Ending::Concluded(outcome) => panic!("taken: {outcome:?}"),
        }
    }

    #[test]
    fn an_outcome_that_shows_nothing_or_too_much_is_refused_by_name() {
        let table = |rows| wit::Table { title: "t".to_owned(), columns: vec!["a".to_owned()], rows };
        let metric = |name: &str, value| wit::Metric {
            name: name.to_owned(),
            value,
            unit: "1".to_owned(),
            warn: None,
            critical: None,
            labels: vec![],
        };
        let suggestion = |plugin: &str, params: &str, confidence| wit::Suggestion {
            plugin: plugin.to_owned(),
            params: params.to_owned(),
            reason: String::new(),
            confidence,
        };
        assert!(refusal(|o| o.summary = " \n".to_owned()).contains("summary"));
        assert!(refusal(|o| o.summary = "x".repeat(2000)).contains("summary"));
        assert!(refusal(|o| o.details = Some("x".repeat(300 << 10))).contains("limit `outcome`"));
        assert!(refusal(|o| o.findings = vec![table(vec![vec![]])]).contains("row of 0 cells"));
        assert!(refusal(|o| o.findings = vec![table(vec![vec![String::new()]; 501])]).contains("501 rows"));
        assert!(refusal(|o| o.metrics = vec![metric("used", f64::NAN)]).contains("not finite"));
        assert!(refusal(|o| o.metrics = vec![metric("Used %", 1.0)]).contains("snake case"));
        assert!(refusal(|o| o.suggestions = vec![suggestion("../x", "{}", 0.5)]).contains("names no plugin"));
        assert!(refusal(|o| o.suggestions = vec![suggestion("x", "{", 0.5)]).contains("no JSON object"));
        assert!(refusal(|o| o.suggestions = vec![suggestion("x", "[]", 0.5)]).contains("no JSON object"));
        assert!(refusal(|o| o.suggestions = vec![suggestion("x", "{}", 1.5)]).contains("between 0 and 1"));
    }

    fn label(value: &str) -> types::Label {
        types::Label { name: FILES.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn files_are_taken_out_of_the_labels() {
        let mut given = outcome();
        let other = types::Label { name: "team".to_owned(), value: "storage".to_owned() };
        let document = r#"{"files": [{"path": "b.txt", "text": "one\r\ntwo\u001b[2J", "cut": "the last\nlines"},
            {"path": "a/b.txt", "text": ""}], "missing": [{"part": "redis/cache", "why": "denied:\n\u0007"}]}"#;
        given.labels = vec![label(document), other];
        let Ending::Concluded(outcome) = concluded(given, &Limits::DEFAULT) else { panic!("refused") };
        let file = |path: &str, text: &str, cut: Option<&str>| File {
            path: path.parse().unwrap(),
            text: text.to_owned(),
            cut: cut.map(str::to_owned),
        };
        let kept = [file("a/b.txt", "", None), file("b.txt", "one\ntwo\u{fffd}[2J", Some("the last lines"))];
        let missing = Missing { part: "redis/cache".to_owned(), why: "denied: \u{fffd}".to_owned() };
        assert_eq!((outcome.files.kept.as_slice(), outcome.files.missing), (kept.as_slice(), vec![missing]));
        assert_eq!(outcome.labels.len(), 1);
    }

    #[test]
    fn files_that_lead_elsewhere_or_are_too_many_are_refused_by_name() {
        let wide = Limits { outcome_bytes: Limits::CEILING.outcome_bytes * 2, ..Limits::DEFAULT };
        let refusal = |labels: &[&str]| {
            let mut given = outcome();
            given.labels = labels.iter().map(|value| label(value)).collect();
            match concluded(given, &wide) {
                Ending::Failed(failure) => failure.message,
                Ending::Concluded(outcome) => panic!("taken: {outcome:?}"),
            }
        };
        let one = |path: &str| format!(r#"{{"files": [{{"path": "{path}", "text": "x"}}]}}"#);
        let many: Vec<_> = (0..100_000).map(|number| format!(r#"{{"path":"{number}","text":""}}"#)).collect();
        for (document, expected) in [
            (one("../../etc/passwd"), "the path `../../etc/passwd` is refused"),
            (one("/etc/passwd"), "the path `/etc/passwd` is refused"),
            (one("a\\u001b[2J"), "the path `a\u{fffd}[2J` is refused"),
            (one("MANIFEST.json"), "the path `MANIFEST.json` is that of another file"),
            (format!(r#"{{"files": [{}]}}"#, many.join(",")), "there are 100000 files; at most 500 are kept"),
            ("[]".to_owned(), "invalid length 0"),
            ("{".to_owned(), "EOF"),
            (r#"{"files": [], "mode": "0777"}"#.to_owned(), "unknown field `mode`"),
        ] {
            let message = refusal(&[&document]);
            assert!(message.starts_with("the files of the outcome are refused: "), "{message}");
            assert!(message.contains(expected), "{message}");
        }
        let twice = refusal(&[&one("a"), &one("b")]);
        assert_eq!(twice, "the outcome has 2 labels `files`; expected one");
    }

    #[test]
    fn a_terminal_shows_the_text_and_does_not_obey_it() {
        let mut hostile = outcome();
        hostile.summary = "fine\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\r\nand more".to_owned();
        let Ending::Concluded(outcome) = concluded(hostile, &Limits::DEFAULT) else { panic!("refused") };
        assert!(!outcome.summary.contains(|c: char| c.is_control() || c == '\u{202e}'), "{:?}", outcome.summary);
        assert!(outcome.summary.starts_with("fine") && outcome.summary.ends_with("and more"));
    }
}
