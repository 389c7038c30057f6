//! The table, and the same with its raw figures as JSON.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Millionths of a second.
    Micros,
    /// Thousandths of a second.
    Millis,
    /// Events in a second.
    PerSecond,
    /// 2^20 bytes.
    Mebibytes,
    /// Records in one transaction.
    Records,
    /// Things that are counted one by one.
    Count,
    /// One number over another.
    Times,
    /// The same, shown in hundredths.
    Share,
}

impl Unit {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::PerSecond => "1/s",
            Self::Mebibytes => "MiB",
            Self::Records => "records",
            Self::Count | Self::Times | Self::Share => "1",
        }
    }
}

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    value: f64,
    unit: Unit,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, unit } = *self;
        match unit {
            Unit::PerSecond => write!(f, "{value:.0} /s"),
            Unit::Share if value < 0.02 => write!(f, "1/{:.0}", 1.0 / value),
            Unit::Share => write!(f, "{:.0} %", value * 100.0),
            Unit::Times => write!(f, "{value:.2}"),
            Unit::Count => write!(f, "{value:.0}"),
            Unit::Records => write!(f, "{value:.1}"),
            Unit::Micros | Unit::Millis | Unit::Mebibytes if value.abs() >= 100.0 => {
                write!(f, "{value:.0} {}", unit.as_str())
            }
            Unit::Micros | Unit::Millis | Unit::Mebibytes => write!(f, "{value:.1} {}", unit.as_str()),
        }
    }
}

/// Which side of a bound is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    AtMost,
    AtLeast,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    number: u8,
    measure: String,
    floor: Option<Figure>,
    value: Figure,
    judged: Figure,
    goal: (Goal, Figure),
    raw: Value,
}

impl Row {
    /// A measure whose value is compared with what it is built on, measured beside it.
    pub fn ratio(number: u8, measure: &str, unit: Unit, (floor, value): (f64, f64)) -> Self {
        let figure = |value| Some(Figure { value, unit });
        Self::new(
            number,
            measure,
            figure(floor),
            Figure { value, unit },
            Figure { value: value / floor, unit: Unit::Times },
        )
    }

    /// A measure that is judged by itself.
    pub fn absolute(number: u8, measure: &str, unit: Unit, value: f64) -> Self {
        Self::new(number, measure, None, Figure { value, unit }, Figure { value, unit })
    }

    fn new(number: u8, measure: &str, floor: Option<Figure>, value: Figure, judged: Figure) -> Self {
        let goal = (Goal::AtMost, Figure { value: f64::NAN, unit: judged.unit });
        Self { number, measure: measure.to_owned(), floor, value, judged, goal, raw: Value::Null }
    }

    /// Show the ratio in hundredths, or as a fraction of one.
    pub fn shown_as_share(mut self) -> Self {
        self.judged.unit = Unit::Share;
        self
    }

    /// Turn the ratio around: how many times the value goes into the floor.
    pub fn inverted(mut self) -> Self {
        self.judged.value = self.judged.value.recip();
        self
    }

    /// The largest ratio, or value, that is good.
    pub fn at_most(mut self, bound: f64) -> Self {
        self.goal = (Goal::AtMost, Figure { value: bound, unit: self.judged.unit });
        self
    }

    /// The smallest one.
    pub fn at_least(mut self, bound: f64) -> Self {
        self.goal = (Goal::AtLeast, Figure { value: bound, unit: self.judged.unit });
        self
    }

    /// Keep what it was computed from.
    pub fn raw(mut self, raw: Value) -> Self {
        self.raw = raw;
        self
    }

    fn is_met(&self) -> bool {
        let (goal, bound) = self.goal;
        match goal {
            Goal::AtMost => self.judged.value <= bound.value,
            Goal::AtLeast => self.judged.value >= bound.value,
        }
    }

    fn cells(&self) -> [String; 7] {
        let (goal, bound) = self.goal;
        let sign = match goal {
            Goal::AtMost => "<=",
            Goal::AtLeast => ">=",
        };
        let judged = if self.floor.is_some() { self.judged.to_string() } else { String::new() };
        [
            self.number.to_string(),
            self.measure.clone(),
            self.floor.map(|floor| floor.to_string()).unwrap_or_default(),
            self.value.to_string(),
            judged,
            format!("{sign} {bound}"),
            if self.is_met() { "met" } else { "SHORT" }.to_owned(),
        ]
    }

    fn json(&self) -> Value {
        let (goal, bound) = self.goal;
        let relation = match goal {
            Goal::AtMost => "at most",
            Goal::AtLeast => "at least",
        };
        json!({
            "number": self.number,
            "measure": self.measure,
            "unit": self.value.unit.as_str(),
            "floor": self.floor.map(|floor| floor.value),
            "value": self.value.value,
            "judged": self.judged.value,
            "goal": { relation: bound.value },
            "met": self.is_met(),
            "raw": self.raw,
        })
    }
}

/// Everything that was measured, in the order of the measures.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    notes: Vec<(String, Value)>,
}

impl Report {
    /// Add a measure.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Add something that explains a measure and has no goal.
    pub fn note(&mut self, note: String, raw: Value) {
        self.notes.push((note, raw));
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let head = ["#", "measure", "floor here", "value", "ratio", "goal", ""].map(str::to_owned);
        let lines: Vec<_> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let mut widths = [0; 7];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text: String = lines.iter().map(|line| aligned(line, &widths)).collect();
        if !self.notes.is_empty() {
            text.push_str("\nbeside the goals\n");
        }
        self.notes.iter().for_each(|(note, _)| text.push_str(&format!("  {note}\n")));
        text
    }

    /// Write everything to `path`.
    pub fn write(&self, path: &Path, setup: &Value) -> anyhow::Result<()> {
        let measures: Vec<_> = self.rows.iter().map(Row::json).collect();
        let notes: Vec<_> = self.notes.iter().map(|(note, raw)| json!({ "note": note, "raw": raw })).collect();
        let all = json!({ "setup": setup, "measures": measures, "notes": notes });
        let text = serde_json::to_string_pretty(&all).context("cannot write the figures as JSON")?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// How many measures are short of their goal.
    pub fn short(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_met()).count()
    }
}

/// Text to the left, numbers to the right.
fn aligned(cells: &[String; 7], widths: &[usize; 7]) -> String {
    let mut line = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let padded = if matches!(at, 1 | 6) { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
        line.push_str(&padded);
        line.push_str("  ");
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_judged_by_its_ratio_and_shown_with_its_goal() {
        let slow = Row::ratio(1, "noop", Unit::Micros, (8.0, 16.0)).at_most(1.5);
        assert_eq!(slow.cells(), ["1", "noop", "8.0 us", "16.0 us", "2.00", "<= 1.50", "SHORT"]);
        let share = Row::ratio(4, "runs", Unit::PerSecond, (1000.0, 500.0)).shown_as_share().at_least(0.4);
        assert_eq!(share.cells(), ["4", "runs", "1000 /s", "500 /s", "50 %", ">= 40 %", "met"]);
        let start = Row::ratio(9, "start", Unit::Millis, (900.0, 3.0)).shown_as_share().at_most(0.01);
        assert_eq!(start.cells()[4..], ["1/300", "<= 1/100", "met"]);
        let faster = Row::ratio(15, "psql", Unit::Millis, (12.0, 0.4)).inverted().at_least(25.0);
        assert_eq!(faster.cells()[4..], ["30.00", ">= 25.00", "met"]);
    }

    #[test]
    fn what_could_not_be_computed_is_short() {
        assert!(!Row::absolute(10, "memory", Unit::Mebibytes, f64::NAN).at_most(40.0).is_met());
        assert!(!Row::absolute(10, "memory", Unit::Mebibytes, 1.0).is_met());
    }

    #[test]
    fn the_table_counts_what_is_short() {
        let mut report = Report::default();
        report.add(Row::absolute(10, "memory", Unit::Mebibytes, 17.0).at_most(40.0));
        report.add(Row::absolute(12, "late", Unit::Millis, 7.0).at_most(5.0));
        let table = report.table();
        assert!(table.contains("17.0 MiB") && table.contains("SHORT"), "{table}");
        assert_eq!(report.short(), 1);
    }
}
