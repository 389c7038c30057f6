//! Columns that stand below each other.

use super::WIDTH;
use super::text::{clip, one_line, pad, pad_left, width};

/// Spaces before a row and between its cells.
const INDENT: usize = 2;
const GAP: usize = 2;

/// Columns are not made narrower than this to fit the page.
const NARROW: usize = 8;

/// The heading, if there is one, and the rows, each one line of at most the width of a card. Columns of numbers are
/// aligned to the right; what does not fit is clipped where it is widest.
pub(super) fn table(columns: &[String], rows: &[Vec<String>]) -> Vec<String> {
    let cleaned = |row: &[String]| -> Vec<String> { row.iter().map(|cell| one_line(cell)).collect() };
    let heading: Option<Vec<String>> = (!columns.is_empty()).then(|| cleaned(columns));
    let rows: Vec<Vec<String>> = rows.iter().map(|row| cleaned(row)).collect();
    let widths = fit(widths(heading.iter().chain(&rows)));
    let right = (0..widths.len()).map(|column| is_numeric(&rows, column)).collect();
    let layout = Layout { widths, right };
    heading.iter().chain(&rows).map(|row| layout.line(row)).collect()
}

struct Layout {
    widths: Vec<usize>,
    right: Vec<bool>,
}

impl Layout {
    fn line(&self, row: &[String]) -> String {
        let aligned = |((cell, columns), right): ((&String, &usize), &bool)| {
            let cell = clip(cell, *columns);
            if *right { pad_left(&cell, *columns) } else { pad(&cell, *columns) }
        };
        let cells: Vec<String> = row.iter().zip(&self.widths).zip(&self.right).map(aligned).collect();
        let line = format!("{}{}", " ".repeat(INDENT), cells.join(&" ".repeat(GAP)));
        clip(line.trim_end(), WIDTH)
    }
}

fn widths<'a>(rows: impl Iterator<Item = &'a Vec<String>>) -> Vec<usize> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).min(WIDTH).max(*widest);
        }
    }
    widths
}

/// Take from the widest column, a space at a time, until the row fits or all are narrow.
fn fit(mut widths: Vec<usize>) -> Vec<usize> {
    let room = WIDTH.saturating_sub(INDENT + GAP * widths.len().saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROW => *widest -= 1,
            Some(_) | None => break,
        }
    }
    widths
}

/// True for a column of quantities with nothing else in it but gaps.
fn is_numeric(rows: &[Vec<String>], column: usize) -> bool {
    let cells = rows.iter().filter_map(|row| row.get(column)).map(String::as_str);
    let mut filled = cells.filter(|cell| !cell.is_empty() && *cell != "-").peekable();
    filled.peek().is_some() && filled.all(is_quantity)
}

/// A number, numbers with units such as `12 min 34 s`, and no more. Times, addresses, versions and ids begin with a
/// digit too, and are read from the left.
fn is_quantity(cell: &str) -> bool {
    let number = cell.trim_start_matches('-');
    let is_name = number.contains([':', '/']) || number.matches(['.', '-']).count() > 1;
    !is_name && number.split(' ').step_by(2).all(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn numbers_stand_to_the_right_and_words_to_the_left() {
        let columns = strings(&["application", "count", "oldest", "address"]);
        let rows = [
            strings(&["checkout-api", "42", "12 min", "10.0.0.7"]),
            strings(&["漢字", "-1.5", "9 s", "10.0.0.12"]),
            strings(&["", "", "-", ""]),
        ];
        let expected = [
            "  application   count  oldest  address",
            "  checkout-api     42  12 min  10.0.0.7",
            "  漢字           -1.5     9 s  10.0.0.12",
            "                            -",
        ];
        assert_eq!(table(&columns, &rows), expected);
    }

    #[test]
    fn quantities_are_told_from_names_that_begin_with_a_digit() {
        for cell in ["0", "-1.5", "12 min", "12 min 34 s", "93.2 %", "1.5 GiB", "45%", "9µs"] {
            assert!(is_quantity(cell), "{cell}");
        }
        for cell in ["", "x", "3 jobs failed", "10.0.0.7", "03:14", "2026-03-01", "1/2", "019a2b3c-4d5e-7f60", "- 1"] {
            assert!(!is_quantity(cell), "{cell}");
        }
    }

    #[test]
    fn the_widest_column_gives_way() {
        let long = "SELECT ".repeat(100);
        let lines = table(&strings(&["calls", "query", "user"]), &[strings(&["12", &long, "app"])]);
        assert!(lines.iter().all(|line| width(line) <= WIDTH), "{lines:?}");
        assert!(lines[1].starts_with("     12  SELECT SELECT") && lines[1].ends_with("…  app"), "{lines:?}");
    }

    #[test]
    fn hostile_and_odd_tables_stay_tables() {
        let many = vec!["x".repeat(50); 30];
        assert!(table(&many, std::slice::from_ref(&many)).iter().all(|line| width(line) <= WIDTH));
        let lines = table(&strings(&["a"]), &[strings(&["one\ntwo\u{1b}[31m"])]);
        assert_eq!(lines[1], "  one two\u{fffd}[31m");
        assert_eq!(table(&[], &[]), Vec::<String>::new());
        assert_eq!(table(&strings(&["empty"]), &[]), ["  empty"]);
        assert_eq!(table(&[], &[vec![]]), [""]);
    }
}
