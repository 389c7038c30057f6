//! Slots that were dealt with, as ranges.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Claim, Claimed};
use crate::domain::{SweepName, Timestamp};
use crate::store::StoreError;
use crate::store::columns::millis;

/// Ranges that are kept of one sweep. Each stands for one time that slots were missed or the clock was set; the two oldest
/// become one beyond this, and the slots between them count as dealt with.
const RANGES: i64 = 500;

const TAKEN: &str = "SELECT 1 FROM sweep_claims WHERE sweep = ?1 AND first <= ?2 AND last >= ?2";

const EXTEND: &str = "UPDATE sweep_claims SET last = ?2 WHERE sweep = ?1 AND last = ?3";

const INSERT: &str = "INSERT INTO sweep_claims (sweep, first, last) VALUES (?1, ?2, ?2)";

const LAST: &str = "SELECT max(min(last, ?2)) FROM sweep_claims WHERE sweep = ?1 AND first <= ?2";

const OLDEST_TWO: &str = "SELECT first, last FROM sweep_claims WHERE sweep = ?1 ORDER BY first LIMIT 2";

/// Take the slot, if nobody had it.
pub(super) fn take(db: &Connection, claim: &Claim) -> Result<Claimed, StoreError> {
    let (sweep, slot) = (claim.sweep.as_str(), millis(claim.slot));
    if db.prepare_cached(TAKEN)?.exists(params![sweep, slot])? {
        return Ok(Claimed::Before);
    }
    let extended = match claim.before {
        Some(before) => db.prepare_cached(EXTEND)?.execute(params![sweep, slot, millis(before)])?,
        None => 0,
    };
    if extended == 0 {
        db.prepare_cached(INSERT)?.execute(params![sweep, slot])?;
        join_oldest(db, sweep)?;
    }
    Ok(Claimed::Now)
}

/// The last slot that was dealt with and is not after `now`; `now` itself where slots around it were.
pub(super) fn last(db: &Connection, sweep: &SweepName, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let last: Option<i64> = db
        .prepare_cached(LAST)?
        .query_row(params![sweep.as_str(), millis(now)], |row| row.get(0))
        .optional()?
        .flatten();
    let read = |last| u64::try_from(last).map(Timestamp::from_millis);
    last.map(read).transpose().map_err(|error| StoreError::corrupt("sweep_claims.last", error))
}

fn join_oldest(db: &Connection, sweep: &str) -> Result<(), StoreError> {
    let count: i64 = db
        .prepare_cached("SELECT count(*) FROM sweep_claims WHERE sweep = ?1")?
        .query_row([sweep], |row| row.get(0))?;
    if count <= RANGES {
        return Ok(());
    }
    let mut statement = db.prepare_cached(OLDEST_TWO)?;
    let oldest = statement.query_map([sweep], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let oldest = oldest.collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
    if let [(first, last), (second, second_last)] = oldest.as_slice() {
        db.prepare_cached("DELETE FROM sweep_claims WHERE sweep = ?1 AND first = ?2")?
            .execute(params![sweep, second])?;
        db.prepare_cached("UPDATE sweep_claims SET last = ?3 WHERE sweep = ?1 AND first = ?2")?.execute(params![
            sweep,
            first,
            last.max(second_last)
        ])?;
    }
    Ok(())
}
