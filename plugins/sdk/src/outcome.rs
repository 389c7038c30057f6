//! The answer of a plugin: verdict, numbers, tables and what to do next.
//!
//! An [`Outcome`] starts as fine, with the sentence that says so. Each [`Outcome::find`] can only make it worse; at the
//! end the sentences of the worst status are the summary, and the lesser ones go into the details. So a check names each
//! trouble where it sees it, and need not weigh them against each other. What became of changes is told by [`crate::Work`]
//! and [`Outcome::of_change`].

use crate::bindings::exports::paramedic::plugin::plugin as wire;
use crate::files::FILES;
use crate::{Files, Label, Suggestion, Table, Threshold, human};
use serde::{Deserialize, Serialize};

/// A summary is one line of a chat message; the agent takes 1024 bytes.
const SUMMARY_CHARS: usize = 400;
const SUMMARY_BYTES: usize = 1024;
/// The most suggestions that the agent takes.
const MAX_SUGGESTIONS: usize = 20;

/// The label of an outcome by which a mitigation asks that what it did be given back. Its value says why.
pub const GIVE_BACK: &str = "give-back";

/// A verdict, in order of gravity. What could not be determined is graver than fine and less grave than trouble seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Could not be determined.
    Unknown,
    /// Needs attention soon.
    Warning,
    /// Needs attention now.
    Critical,
}

/// Units in UCUM notation.
pub mod unit {
    /// A plain count.
    pub const COUNT: &str = "1";
    /// Seconds.
    pub const SECONDS: &str = "s";
    /// Bytes.
    pub const BYTES: &str = "By";
    /// Hundredths.
    pub const PERCENT: &str = "%";
    /// Days.
    pub const DAYS: &str = "d";
    /// Events each second.
    pub const PER_SECOND: &str = "1/s";
}

/// A measured number.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Name in snake case.
    pub name: String,
    /// The measured value.
    pub value: f64,
    /// One of those in [`mod@unit`].
    pub unit: String,
    /// Where warnings begin.
    pub warn: Option<f64>,
    /// Where it becomes critical.
    pub critical: Option<f64>,
    /// Dimensions.
    pub labels: Vec<Label>,
}

impl Metric {
    /// A number with its unit.
    pub fn new(name: &str, value: f64, unit: &str) -> Self {
        let (name, unit) = (name.to_owned(), unit.to_owned());
        Self { name, value, unit, warn: None, critical: None, labels: Vec::new() }
    }

    /// A plain count.
    pub fn count(name: &str, value: u64) -> Self {
        Self::new(name, value as f64, unit::COUNT)
    }

    /// Show the limits by which it was judged.
    #[must_use]
    pub fn limits(mut self, warning: &Threshold, critical: &Threshold) -> Self {
        self.warn = warning.bound();
        self.critical = critical.bound();
        self
    }

    /// Add a dimension.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push(Label { name: name.to_owned(), value: value.to_owned() });
        self
    }
}

/// The answer of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    fine: String,
    found: Vec<(Status, String)>,
    notes: Vec<String>,
    metrics: Vec<Metric>,
    tables: Vec<Table>,
    suggestions: Vec<Suggestion>,
    labels: Vec<Label>,
    files: Files,
}

impl Outcome {
    /// Fine until something is found; `summary` says so in one line, and with which numbers.
    pub fn ok(summary: impl Into<String>) -> Self {
        Self {
            fine: summary.into(),
            found: Vec::new(),
            notes: Vec::new(),
            metrics: Vec::new(),
            tables: Vec::new(),
            suggestions: Vec::new(),
            labels: Vec::new(),
            files: Files::new(),
        }
    }

    /// An outcome with one finding.
    pub fn found(status: Status, summary: impl Into<String>) -> Self {
        let mut outcome = Self::ok("");
        outcome.found.push((status, summary.into()));
        outcome
    }

    /// Report something found. `Status::Ok` is nothing found, so that the answer of [`crate::judge`] can be passed on.
    pub fn find(&mut self, status: Status, sentence: impl Into<String>) {
        if status != Status::Ok {
            self.found.push((status, sentence.into()));
        }
    }

    /// Add to the details: Markdown that one line has no room for.
    pub fn note(&mut self, markdown: impl Into<String>) {
        self.notes.push(markdown.into());
    }

    /// Add a number worth storing.
    pub fn metric(&mut self, metric: Metric) {
        self.metrics.push(metric);
    }

    /// Add a table of findings; an empty one says nothing and is left out.
    pub fn table(&mut self, table: impl Into<Table>) {
        let table = table.into();
        if !table.rows.is_empty() {
            self.tables.push(table);
        }
    }

    /// Say what to run next. The most promising comes first in the end, whatever the order here.
    pub fn suggest(&mut self, suggestion: Suggestion) {
        self.suggestions.push(suggestion);
        self.suggestions.sort_by(|one, other| other.confidence.total_cmp(&one.confidence));
        self.suggestions.truncate(MAX_SUGGESTIONS);
    }

    /// Ask the agent to give back what this run changed, and say why in one sentence. It does so when the run was an apply.
    #[must_use]
    pub fn giving_back(mut self, reason: &str) -> Self {
        let value = human::shorten(reason, SUMMARY_CHARS);
        self.labels.push(Label { name: GIVE_BACK.to_owned(), value });
        self
    }

    /// Why the agent is asked to give back what the run changed, if it is.
    pub fn gives_back(&self) -> Option<&str> {
        self.labels.iter().find(|label| label.name == GIVE_BACK).map(|label| label.value.as_str())
    }

    /// Leave files beside the verdict, which people save as one archive with `paramedic archive`. Their text counts against the size
    /// of the outcome.
    #[must_use]
    pub fn leaving(mut self, files: Files) -> Self {
        self.files = files;
        self
    }

    /// The files that it leaves.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Go on with the sentence of the verdict, which gets this status if it is graver.
    pub(crate) fn go_on(&mut self, status: Status, words: &str) {
        let worst = self.status();
        let last = self.found.iter().rposition(|(status, _)| *status == worst);
        let begun = last.map_or_else(|| self.fine.clone(), |place| self.found.remove(place).1);
        let sentence = begun + words;
        match status.max(worst) {
            Status::Ok => self.fine = sentence,
            graver => self.found.push((graver, sentence)),
        }
    }

    /// The worst status found.
    pub fn status(&self) -> Status {
        self.found.iter().map(|(status, _)| *status).max().unwrap_or(Status::Ok)
    }

    /// The verdict in one line: what is worst, or that all is fine.
    pub fn summary(&self) -> String {
        let worst = self.status();
        let sentences: Vec<&str> = self.sentences(|status| status == worst).collect();
        let text = if sentences.is_empty() { self.fine.clone() } else { sentences.join("; ") };
        let line = human::shorten(&text, SUMMARY_CHARS);
        // A character has at most four bytes, so that this many always fit.
        if line.len() > SUMMARY_BYTES { human::shorten(&line, SUMMARY_BYTES / 4) } else { line }
    }

    /// The details in Markdown: what was found beside the worst, then the notes.
    pub fn details(&self) -> Option<String> {
        let worst = self.status();
        let lesser: Vec<String> = self.sentences(|status| status != worst).map(|text| format!("- {text}")).collect();
        let mut parts = self.notes.clone();
        if !lesser.is_empty() {
            parts.insert(0, format!("Also found:\n\n{}", lesser.join("\n")));
        }
        (!parts.is_empty()).then(|| parts.join("\n\n"))
    }

    /// The numbers.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// The tables.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// What to run next, best first.
    pub fn suggestions(&self) -> &[Suggestion] {
        &self.suggestions
    }

    fn sentences(&self, wanted: impl Fn(Status) -> bool) -> impl Iterator<Item = &str> {
        self.found.iter().filter(move |(status, _)| wanted(*status)).map(|(_, sentence)| sentence.as_str())
    }
}

impl From<Outcome> for wire::Outcome {
    fn from(outcome: Outcome) -> Self {
        let files =
            (!outcome.files.is_empty()).then(|| Label { name: FILES.to_owned(), value: outcome.files.to_json() });
        Self {
            status: outcome.status().into(),
            summary: outcome.summary(),
            details: outcome.details(),
            metrics: outcome.metrics.into_iter().map(Into::into).collect(),
            findings: outcome.tables.into_iter().map(Into::into).collect(),
            suggestions: outcome.suggestions.into_iter().map(Into::into).collect(),
            labels: outcome.labels.into_iter().chain(files).collect(),
        }
    }
}

impl From<Status> for wire::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Ok => Self::Ok,
            Status::Unknown => Self::Unknown,
            Status::Warning => Self::Warning,
            Status::Critical => Self::Critical,
        }
    }
}

impl From<Metric> for wire::Metric {
    fn from(metric: Metric) -> Self {
        let Metric { name, value, unit, warn, critical, labels } = metric;
        Self { name, value, unit, warn, critical, labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_summary_and_the_rest_are_details() {
        let mut outcome = Outcome::ok("all is well");
        assert_eq!((outcome.status(), outcome.summary()), (Status::Ok, "all is well".to_owned()));
        assert_eq!(outcome.details(), None);
        outcome.find(Status::Ok, "nothing");
        outcome.find(Status::Warning, "slow");
        outcome.find(Status::Unknown, "no lag");
        assert_eq!((outcome.status(), outcome.summary()), (Status::Warning, "slow".to_owned()));
        outcome.find(Status::Critical, "full");
        outcome.find(Status::Critical, "stuck");
        outcome.note("See the table.");
        assert_eq!((outcome.status(), outcome.summary()), (Status::Critical, "full; stuck".to_owned()));
        assert_eq!(outcome.details().unwrap(), "Also found:\n\n- slow\n- no lag\n\nSee the table.");
    }

    #[test]
    fn a_summary_stays_one_short_line() {
        let outcome = Outcome::found(Status::Critical, format!("first\nsecond {}", "x".repeat(1000)));
        assert!(outcome.summary().starts_with("first second x"));
        assert_eq!(outcome.summary().chars().count(), SUMMARY_CHARS);
        let wide = Outcome::found(Status::Critical, "\u{1f600}".repeat(1000)).summary();
        assert!(wide.len() <= SUMMARY_BYTES && wide.ends_with('…'));
    }

    #[test]
    fn the_most_promising_suggestion_comes_first() {
        let mut outcome = Outcome::ok("");
        for (plugin, confidence) in [("a", 0.2), ("b", 0.9), ("c", 0.2)] {
            outcome.suggest(Suggestion::new(plugin, serde_json::json!({}), "because").confidence(confidence));
        }
        let order: Vec<_> = outcome.suggestions().iter().map(|suggestion| suggestion.plugin.as_str()).collect();
        assert_eq!(order, ["b", "a", "c"]);
    }

    #[test]
    fn only_the_most_promising_suggestions_are_kept() {
        let mut outcome = Outcome::ok("");
        for step in 0..=MAX_SUGGESTIONS {
            let suggestion = Suggestion::new(&format!("p{step}"), serde_json::json!({}), "because");
            outcome.suggest(suggestion.confidence(step as f64 / 100.0));
        }
        assert_eq!(outcome.suggestions().len(), MAX_SUGGESTIONS);
        assert!(outcome.suggestions().iter().all(|suggestion| suggestion.plugin != "p0"));
    }

    #[test]
    fn the_sentence_of_the_verdict_goes_on() {
        let mut outcome = Outcome::ok("set it");
        outcome.go_on(Status::Ok, ", and it is ready");
        assert_eq!((outcome.status(), outcome.summary()), (Status::Ok, "set it, and it is ready".to_owned()));
        outcome.go_on(Status::Critical, ", or was");
        outcome.find(Status::Warning, "slow");
        outcome.go_on(Status::Ok, " for a while");
        let words = "set it, and it is ready, or was for a while";
        assert_eq!((outcome.status(), outcome.summary()), (Status::Critical, words.to_owned()));
    }

    #[test]
    fn what_is_to_be_given_back_is_a_label() {
        let outcome = Outcome::found(Status::Critical, "set the image; it does not come");
        assert_eq!(outcome.gives_back(), None);
        let outcome = outcome.giving_back("its image\ndoes not come");
        assert_eq!(outcome.gives_back(), Some("its image does not come"));
        let labels = wire::Outcome::from(outcome).labels;
        assert_eq!((labels.len(), labels[0].name.as_str()), (1, GIVE_BACK));
    }

    #[test]
    fn a_metric_shows_the_limits_it_was_judged_by() {
        let metric = Metric::new("used_percent", 91.0, unit::PERCENT)
            .limits(&Threshold::above(80.0), &Threshold::never())
            .label("state", "idle");
        let wire = wire::Metric::from(metric);
        assert_eq!((wire.warn, wire.critical, wire.labels.len()), (Some(80.0), None, 1));
    }
}
