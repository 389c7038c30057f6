//! What is wrong with a configuration, for humans.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::yaml::Place;

/// One mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: u64,
    /// Character within the line, counted from 1.
    pub column: u64,
    /// Path of the field, such as `plugins.pg-ready.grants[0].verbs[1]`; empty for the file as a whole.
    pub field: String,
    /// What is wrong and what would be right. It never holds a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is so large that nobody can have written it.
    #[error("the configuration {} is larger than 1 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It can be read, and this is wrong with it.
    #[error("{}", Lines { path, problems })]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The mistakes, in the order of the file.
        problems: Vec<Problem>,
    },
}

/// One line for each problem, in the form in which compilers report theirs, so that editors can jump there.
struct Lines<'a> {
    path: &'a PathBuf,
    problems: &'a [Problem],
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{problem}", self.path.display())?;
        }
        Ok(())
    }
}

/// Collects problems, so that one pass finds all of them.
#[derive(Debug, Default)]
pub(super) struct Report(RefCell<Vec<Problem>>);

impl Report {
    /// A file of nothing but mistakes must not fill the terminal.
    const MOST: usize = 100;

    /// Longest message in characters, whatever value it quotes.
    const LONGEST: usize = 600;

    /// Note a problem. Control characters of a quoted value are made visible.
    pub(super) fn add(&self, place: Place, field: &str, message: &str) {
        let mut problems = self.0.borrow_mut();
        if problems.len() < Self::MOST {
            problems.push(Problem {
                line: place.line,
                column: place.column,
                field: visible(field, Self::LONGEST),
                message: visible(message, Self::LONGEST),
            });
        }
    }

    /// All problems, in the order of the file.
    pub(super) fn finish(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems
    }
}

/// A value in backticks, cut so that the message stays readable.
pub(super) fn quoted(value: &str) -> String {
    if may_hold_a_secret(value) { "`<url>`".to_owned() } else { format!("`{}`", visible(value, 80)) }
}

/// A URL in the place of a name is the likeliest way for a password to get where a message would show it.
pub(super) fn may_hold_a_secret(value: &str) -> bool {
    value.contains("://")
}

/// The text with its control characters escaped, cut after `longest` characters.
pub(super) fn visible(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == longest {
            shown.push('…');
            break;
        }
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_are_short_and_visible() {
        assert_eq!(quoted("a\nb\u{1b}[31m"), "`a\\nb\\u{1b}[31m`");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), 83);
        assert_eq!(quoted("postgres://me:hunter2@db"), "`<url>`");
    }

    #[test]
    fn a_report_keeps_the_order_of_the_file_and_has_an_end() {
        let report = Report::default();
        for line in (1..=200).rev() {
            report.add(Place { line, column: 1 }, "field", "message");
        }
        let problems = report.finish();
        assert_eq!(problems.len(), Report::MOST);
        assert!(problems.is_sorted_by_key(|problem| problem.line));
    }
}
