//! Rows of which no link speaks: they were not put there by the agent. At last what hangs on no run: see `standing`.

use rusqlite::{Connection, OptionalExtension, params};

use super::standing;
use crate::domain::{Mode, RunId};
use crate::store::StoreError;

/// Runs that are looked at in one go.
const PAGE: i64 = 1_000;

/// The newest number of a page.
const PAGE_END: &str = "SELECT max(seq) FROM (SELECT seq FROM runs WHERE seq > ?1 ORDER BY seq LIMIT ?2)";

/// A check under way has no link yet.
const UNKNOWN_RUN: &str = "SELECT id FROM runs WHERE seq > ?1 AND seq <= ?2 AND NOT (state = 'running' AND mode = ?3) \
     AND NOT EXISTS (SELECT 1 FROM chain WHERE chain.run = runs.id) ORDER BY seq LIMIT 1";

/// The tables that hang on runs, with the column that names the run.
const PARTS: [(&str, &str, &str); 7] = [
    ("calls", "run", "a call"),
    ("log_lines", "run", "a line of a log"),
    ("plans", "run", "a plan"),
    ("changes", "run", "a change"),
    ("recordings", "run", "a recording"),
    ("leases", "run", "a lease"),
    ("approvals", "plan", "an approval"),
];

/// A search for such rows.
#[derive(Default)]
pub(in crate::store) struct Strangers {
    after: i64,
    tables: usize,
}

/// Whether the search goes on.
pub(in crate::store) enum Search {
    On(Strangers),
    /// It is over, with what it found.
    Over(Option<String>),
}

impl Strangers {
    /// Look at one page of runs, and after the last at what belongs to no run, a table at a time.
    pub(in crate::store) fn page(mut self, db: &Connection) -> Result<Search, StoreError> {
        let end: Option<i64> = db.prepare_cached(PAGE_END)?.query_row(params![self.after, PAGE], |row| row.get(0))?;
        let Some(end) = end else { return self.parts(db) };
        let found: Option<Vec<u8>> = db
            .prepare_cached(UNKNOWN_RUN)?
            .query_row(params![self.after, end, Mode::Check.as_str()], |row| row.get(0))
            .optional()?;
        self.after = end;
        Ok(match found {
            Some(id) => {
                let name = RunId::from_slice(&id).map_or_else(|| "a run".to_owned(), |id| format!("run {id}"));
                Search::Over(Some(format!("{name} was not recorded by the agent: no link knows it")))
            }
            None => Search::On(self),
        })
    }

    fn parts(mut self, db: &Connection) -> Result<Search, StoreError> {
        let Some((table, run, what)) = PARTS.get(self.tables) else {
            return Ok(Search::Over(standing::difference(db)?));
        };
        self.tables += 1;
        let sql = format!("SELECT 1 FROM {table} WHERE {run} NOT IN (SELECT seq FROM runs) LIMIT 1");
        if db.prepare(&sql)?.exists([])? {
            return Ok(Search::Over(Some(format!("{what} belongs to no run"))));
        }
        Ok(Search::On(self))
    }
}
