//! What changes have touched within the last hour, which is asked for with every intent.
//!
//! To add up an hour costs the more the more there was in it. So a number is kept for each sum that is never below it: it grows
//! with each change that begins, and stays as it is when one falls out of the hour or comes to nothing. A bound that
//! holds for the number holds for the sum. Where it does not, the sum is taken, and is the number from then on.
//!
//! The numbers are in a temporary table of the connection that writes. Whatever is undone of a transaction is undone of them
//! with it, and a store that is opened begins without any.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::StoreError;
use super::super::columns::{integer, millis};
use crate::domain::{Fate, Operation, PluginName, TargetName, Timestamp};

/// The time that a bound `per_hour` counts.
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

/// The plugin is empty for the sum of all plugins. `since` is the beginning of the hour for which the sum was taken.
const TABLE: &str = "CREATE TEMP TABLE touched (target TEXT NOT NULL, operation TEXT NOT NULL, plugin TEXT NOT NULL, \
     since INTEGER NOT NULL, most INTEGER NOT NULL, PRIMARY KEY (target, operation, plugin)) STRICT, WITHOUT ROWID";

/// With a clock that was set back, changes are in the hour again that were not when the sum was taken.
const KEPT: &str = "SELECT most FROM temp.touched WHERE target = ?1 AND operation = ?2 AND plugin = ?3 AND since <= ?4";

const KEEP: &str = "INSERT OR REPLACE INTO temp.touched (target, operation, plugin, since, most) \
     VALUES (?1, ?2, ?3, ?4, ?5)";

/// Of one row: for those of two the database would make a table of its own first.
const ADD: &str = "UPDATE temp.touched SET most = most + min(?4, 9223372036854775807 - most) \
     WHERE target = ?1 AND operation = ?2 AND plugin = ?3";

const SMALLER: &str = "SELECT target, operation FROM changes WHERE run = ?1 AND position = ?2 AND objects < ?3";

const FORGET: &str = "DELETE FROM temp.touched WHERE target = ?1 AND operation = ?2";

const TOUCHED: &str = "SELECT ifnull(sum(objects), 0) FROM changes WHERE plugin = ?1 AND operation = ?2 AND target = ?3 \
     AND intended > ?4 AND (fate IS NULL OR fate IN ('applied', 'unknown'))";

const TOUCHED_BY_ALL: &str = "SELECT ifnull(sum(objects), 0) FROM changes WHERE target = ?1 AND operation = ?2 \
     AND intended > ?3 AND (fate IS NULL OR fate IN ('applied', 'unknown'))";

/// Make the table of a connection that will write.
pub(in crate::store) fn begin(db: &Connection) -> Result<(), StoreError> {
    db.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(db.execute_batch(TABLE)?)
}

/// What is added up: the changes of one plugin, or those of all.
#[derive(Clone, Copy)]
pub(in crate::store) struct Sum<'a> {
    pub(in crate::store) plugin: Option<&'a PluginName>,
    pub(in crate::store) operation: Operation,
    pub(in crate::store) target: &'a TargetName,
}

/// What was touched, where `objects` more would be more than `bound` for all of `sums` together; none where they would not.
pub(in crate::store) fn past(
    db: &Connection,
    sums: &[Sum<'_>],
    objects: u64,
    bound: u64,
    now: Timestamp,
) -> Result<Option<u64>, StoreError> {
    let since = millis(now.before(HOUR));
    let fits = |touched: u64| touched.saturating_add(objects) <= bound;
    if total(sums, |sum| sum.kept(db, since))?.is_some_and(fits) {
        return Ok(None);
    }
    let touched = total(sums, |sum| sum.take(db, since).map(Some))?;
    Ok(touched.filter(|touched| !fits(*touched)))
}

/// All of them together; none when one is not known.
fn total(
    sums: &[Sum<'_>],
    of: impl Fn(&Sum<'_>) -> Result<Option<u64>, StoreError>,
) -> Result<Option<u64>, StoreError> {
    let mut total: u64 = 0;
    for sum in sums {
        let Some(one) = of(sum)? else { return Ok(None) };
        total = total.saturating_add(one);
    }
    Ok(Some(total))
}

impl Sum<'_> {
    fn kept(&self, db: &Connection, since: i64) -> Result<Option<u64>, StoreError> {
        let plugin = self.plugin.map_or("", PluginName::as_str);
        let values = params![self.target.as_str(), self.operation.to_string(), plugin, since];
        let most: Option<i64> = db.prepare_cached(KEPT)?.query_row(values, |row| row.get(0)).optional()?;
        Ok(most.map(i64::unsigned_abs))
    }

    fn take(&self, db: &Connection, since: i64) -> Result<u64, StoreError> {
        let (operation, target) = (self.operation.to_string(), self.target.as_str());
        let touched: i64 = match self.plugin {
            Some(plugin) => {
                let values = params![plugin.as_str(), operation, target, since];
                db.prepare_cached(TOUCHED)?.query_row(values, |row| row.get(0))?
            }
            None => {
                db.prepare_cached(TOUCHED_BY_ALL)?.query_row(params![target, operation, since], |row| row.get(0))?
            }
        };
        let plugin = self.plugin.map_or("", PluginName::as_str);
        db.prepare_cached(KEEP)?.execute(params![target, operation, plugin, since, touched])?;
        Ok(touched.unsigned_abs())
    }

    /// A change of the plugin was recorded that touches so many things.
    pub(in crate::store) fn add(&self, db: &Connection, objects: u64, fate: Option<&Fate>) -> Result<(), StoreError> {
        match fate {
            None | Some(Fate::Applied(_) | Fate::Unknown(_)) => {}
            Some(Fate::Unchanged | Fate::Conflict(_) | Fate::Failed(_)) => return Ok(()),
        }
        let (operation, objects) = (self.operation.to_string(), integer(objects));
        let mut add = db.prepare_cached(ADD)?;
        for plugin in self.plugin.map(PluginName::as_str).into_iter().chain([""]) {
            add.execute(params![self.target.as_str(), operation, plugin, objects])?;
        }
        Ok(())
    }
}

/// The change at that place is about to be known to have touched so many things. Where its intent said fewer, what is kept may be
/// too low.
pub(super) fn correct(db: &Connection, run: i64, position: u32, objects: i64) -> Result<(), StoreError> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let smaller: Option<(String, String)> =
        db.prepare_cached(SMALLER)?.query_row(params![run, position, objects], row).optional()?;
    if let Some(sum) = smaller {
        db.prepare_cached(FORGET)?.execute(sum)?;
    }
    Ok(())
}
