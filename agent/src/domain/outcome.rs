//! The verdict of a run, as the plugin gave it.

use std::fmt;

use super::Files;

/// Verdict in the words of Nagios. The order is that of the codes 0 to 3, not that of gravity: see [`Status::worse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// As it should be.
    Ok,
    /// Needs attention soon.
    Warning,
    /// Needs attention now.
    Critical,
    /// Could not be determined.
    Unknown,
}

impl Status {
    /// All of them, by code.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Warning, Self::Critical, Self::Unknown];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }

    /// Exit code of a monitoring plugin: 0, 1, 2, 3.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// The graver of two: ok, unknown, warning, critical. What is known to be wrong outweighs what is not known.
    pub const fn worse(self, other: Self) -> Self {
        if self.gravity() >= other.gravity() { self } else { other }
    }

    const fn gravity(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Unknown => 1,
            Self::Warning => 2,
            Self::Critical => 3,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What the value is about.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A measured number.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Name in snake case.
    pub name: String,
    /// The measured value; finite.
    pub value: f64,
    /// Unit in UCUM notation; `1` for plain counts.
    pub unit: String,
    /// Value from which on the plugin warns.
    pub warn: Option<f64>,
    /// Value from which on the plugin calls it critical.
    pub critical: Option<f64>,
    /// Dimensions of the measurement.
    pub labels: Vec<Label>,
}

/// A table of findings. Every row has as many cells as there are columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Heading.
    pub title: String,
    /// Column headings.
    pub columns: Vec<String>,
    /// Rows of cells.
    pub rows: Vec<Vec<String>>,
}

/// Another plugin worth running next.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// Its name.
    pub plugin: String,
    /// Its parameters, a JSON document.
    pub params: String,
    /// Why it should help.
    pub reason: String,
    /// Between 0 and 1, for ordering.
    pub confidence: f64,
}

/// Result of a run that came to a conclusion.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The verdict.
    pub status: Status,
    /// The verdict in one line.
    pub summary: String,
    /// More detail in Markdown.
    pub details: Option<String>,
    /// Numbers worth storing.
    pub metrics: Vec<Metric>,
    /// Tables worth showing.
    pub findings: Vec<Table>,
    /// What to run next, best first.
    pub suggestions: Vec<Suggestion>,
    /// Further annotations.
    pub labels: Vec<Label>,
    /// Files that can be had as an archive.
    pub files: Files,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graver_status_wins_in_either_order() {
        let by_gravity = [Status::Ok, Status::Unknown, Status::Warning, Status::Critical];
        for (i, lesser) in by_gravity.into_iter().enumerate() {
            for graver in by_gravity.into_iter().skip(i) {
                assert_eq!(lesser.worse(graver), graver);
                assert_eq!(graver.worse(lesser), graver);
            }
        }
    }
}
