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
    let right: Vec<bool> = (0..).map_while(|column| is_numeric(&rows, column)).collect();
    let widths = fit(widths(heading.iter().chain(&rows)));
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

/// None when there is no such column.
fn is_numeric(rows: &[Vec<String>], column: usize) -> Option<bool> {
    let cells: Vec<&String> = rows.iter().filter_map(|row| row.get(column)).collect();
    if cells.is_empty() {
        return None;
    }
    let begins_with_digit = |cell: &&String| cell.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
    let has_spaces = |cell: &&String| cell.split(' ').count() > 2;
    let filled = || cells.iter().filter(|cell| !cell.is_empty() && cell.as_str() != "-").copied();
    Some(filled().count() > 0 && filled().all(|cell| begins_with_digit(&cell) && !has_spaces(&cell) && !is_name(cell)))
}

/// Times, addresses, versions and ids begin with a digit too, and are read from the left.
fn is_name(cell: &str) -> bool {
    cell.contains([':', '/']) || cell.matches(['.', '-']).count() > 1
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
