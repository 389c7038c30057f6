//! Tables of findings. The number of columns is part of the type, so a row of another width does not compile.

use crate::bindings::exports::paramedic::plugin::plugin as wire;
use crate::human;

/// The agent shows tables in terminals and chat messages; a longer cell helps nobody there.
const CELL_CHARS: usize = 300;
/// The most rows that the agent takes in one table.
const MAX_ROWS: usize = 500;

/// A table while it is being filled.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows<const COLUMNS: usize> {
    title: String,
    columns: [String; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

/// A finished table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Heading.
    pub title: String,
    /// Column headings.
    pub columns: Vec<String>,
    /// Rows, each as wide as `columns`.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Begin a table with these columns.
    #[expect(clippy::new_ret_no_self, reason = "`Rows` is the table while it is being filled")]
    pub fn new<const COLUMNS: usize>(title: impl Into<String>, columns: [&str; COLUMNS]) -> Rows<COLUMNS> {
        Rows { title: title.into(), columns: columns.map(str::to_owned), rows: Vec::new() }
    }
}

impl<const COLUMNS: usize> Rows<COLUMNS> {
    /// Add a row. Line breaks are taken out of the cells, and what is beyond the agent's limits is left out.
    pub fn row(&mut self, cells: [String; COLUMNS]) {
        if self.rows.len() < MAX_ROWS {
            self.rows.push(cells.map(|cell| human::shorten(&cell, CELL_CHARS)));
        }
    }

    /// True when it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<const COLUMNS: usize> From<Rows<COLUMNS>> for Table {
    fn from(rows: Rows<COLUMNS>) -> Self {
        Self { title: rows.title, columns: rows.columns.into(), rows: rows.rows.into_iter().map(Into::into).collect() }
    }
}

impl From<Table> for wire::Table {
    fn from(table: Table) -> Self {
        let Table { title, columns, rows } = table;
        Self { title, columns, rows }
    }
}

/// The cells of a row, from anything that can be displayed.
#[macro_export]
macro_rules! cells {
    ($($cell:expr),+ $(,)?) => { [$(::std::string::ToString::to_string(&$cell)),+] };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_displayed_shortened_and_kept_on_one_line() {
        let mut table = Table::new("Sessions", ["application", "held", "query"]);
        table.row(cells!["checkout", 61, "select 1\n  from dual"]);
        table.row(cells!["x".repeat(1000), 1.5, ""]);
        let table = Table::from(table);
        assert_eq!(table.columns, ["application", "held", "query"]);
        assert_eq!(table.rows[0], ["checkout", "61", "select 1 from dual"]);
        assert_eq!(table.rows[1][0].chars().count(), CELL_CHARS);
    }

    #[test]
    fn rows_beyond_the_agents_limit_are_left_out() {
        let mut table = Table::new("Many", ["n"]);
        (0..MAX_ROWS + 5).for_each(|n| table.row(cells![n]));
        assert_eq!(Table::from(table).rows.len(), MAX_ROWS);
    }
}
