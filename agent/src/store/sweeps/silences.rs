//! The SQL about silences.

use rusqlite::{Connection, params};

use super::rows;
use crate::domain::{Silence, SilenceId, Timestamp};
use crate::store::StoreError;
use crate::store::columns::{collect, millis};

const INSERT: &str = "INSERT INTO silences (id, sweep, reason, creator, created, expires, expire_on_resolve) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Keep a silence.
pub(super) fn add(db: &Connection, silence: &Silence) -> Result<(), StoreError> {
    let values = params![
        silence.id.as_bytes(),
        silence.sweep.as_ref().map(|sweep| sweep.as_str()),
        silence.reason,
        silence.creator.0,
        millis(silence.created),
        millis(silence.expires),
        silence.expire_on_resolve,
    ];
    Ok(db.prepare_cached(INSERT)?.execute(values).map(drop)?)
}

/// Forget a silence. Returns whether there was one of that id.
pub(super) fn remove(db: &Connection, id: SilenceId) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("DELETE FROM silences WHERE id = ?1")?.execute([id.as_bytes()])? > 0)
}

/// Forget those that have expired.
pub(super) fn forget_expired(db: &Connection, now: Timestamp) -> Result<(), StoreError> {
    Ok(db.prepare_cached("DELETE FROM silences WHERE expires <= ?1")?.execute([millis(now)]).map(drop)?)
}

/// All of them, the oldest first.
pub(super) fn list(db: &Connection) -> Result<Vec<Silence>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM silences ORDER BY created, id")?;
    collect(statement.query([])?, "silences", rows::silence)
}
