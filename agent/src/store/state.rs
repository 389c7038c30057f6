//! The small memory of plugins: keys with values, revisions and an end of life.
//!
//! A key whose time is over does not exist any more, whether or not its row is still there. The bounds are held in the
//! same transaction as the write, so that two runs of one plugin cannot pass them together.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::columns::{collect, millis};
use super::{STATE_KEY_BYTES, STATE_KEYS, STATE_VALUE_BYTES, StateEntry, StoreError};
use crate::domain::{PluginName, Timestamp};

const GET: &str = "SELECT value, revision FROM state WHERE plugin = ?1 AND key = ?2 \
     AND (expires IS NULL OR expires > ?3)";

const KEYS: &str = "SELECT key FROM state WHERE plugin = ?1 AND (expires IS NULL OR expires > ?2) ORDER BY key";

const PUT: &str = "INSERT INTO state (plugin, key, value, revision, expires) VALUES (?1, ?2, ?3, ?4, ?5) \
     ON CONFLICT (plugin, key) DO UPDATE SET value = ?3, revision = ?4, expires = ?5";

const NEXT_REVISION: &str = "INSERT INTO state_revisions (plugin, last) VALUES (?1, 1) \
     ON CONFLICT (plugin) DO UPDATE SET last = last + 1 RETURNING last";

/// A write that waits for its turn.
pub(super) struct Put {
    plugin: PluginName,
    key: String,
    value: String,
    ttl: Option<Duration>,
    /// The revision that the key must have; 0 for none.
    expected: Option<u64>,
}

impl Put {
    /// Refuses what is too long.
    pub(super) fn new(
        plugin: &PluginName,
        key: &str,
        value: String,
        ttl: Option<Duration>,
    ) -> Result<Self, StoreError> {
        if key.is_empty() || key.len() > STATE_KEY_BYTES {
            let length = key.len();
            return Err(StoreError::Invalid(format!("a key has 1 to {STATE_KEY_BYTES} bytes, not {length}")));
        }
        if value.len() > STATE_VALUE_BYTES {
            let length = value.len();
            return Err(StoreError::Invalid(format!("a value has at most {STATE_VALUE_BYTES} bytes, not {length}")));
        }
        Ok(Self { plugin: plugin.clone(), key: key.to_owned(), value, ttl, expected: None })
    }

    /// The same write, only if the key has that revision.
    pub(super) fn expecting(self, revision: u64) -> Self {
        Self { expected: Some(revision), ..self }
    }

    /// Store the value and return its revision.
    pub(super) fn record(&self, db: &Connection, now: Timestamp) -> Result<u64, StoreError> {
        forget_expired(db, &self.plugin, now)?;
        let found = get(db, &self.plugin, &self.key, now)?.map_or(0, |entry| entry.revision);
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            return Err(StoreError::Conflict { key: self.key.clone(), expected, found });
        }
        if found == 0 && count(db, &self.plugin)? >= STATE_KEYS {
            return Err(StoreError::StateFull(self.plugin.clone()));
        }
        self.write(db, now)
    }

    fn write(&self, db: &Connection, now: Timestamp) -> Result<u64, StoreError> {
        let plugin = self.plugin.as_str();
        let revision: i64 = db.prepare_cached(NEXT_REVISION)?.query_row([plugin], |row| row.get(0))?;
        let expires = self.ttl.map(|ttl| millis(now.after(ttl)));
        db.prepare_cached(PUT)?.execute(params![plugin, self.key, self.value, revision, expires])?;
        u64::try_from(revision).map_err(|error| StoreError::corrupt("state_revisions.last", error))
    }
}

/// The value of a key, if there is one.
pub(super) fn get(
    db: &Connection,
    plugin: &PluginName,
    key: &str,
    now: Timestamp,
) -> Result<Option<StateEntry>, StoreError> {
    let mut statement = db.prepare_cached(GET)?;
    let mut found = collect(statement.query(params![plugin.as_str(), key, millis(now)])?, "state", |row| {
        Ok(StateEntry { value: row.get("value")?, revision: row.unsigned("revision")? })
    })?;
    Ok(found.pop())
}

/// Keys that begin with `prefix`, in order. There are so few that the database need not look for the prefix.
pub(super) fn keys(
    db: &Connection,
    plugin: &PluginName,
    prefix: &str,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let mut statement = db.prepare_cached(KEYS)?;
    let mut keys = collect(statement.query(params![plugin.as_str(), millis(now)])?, "state", |row| row.get("key"))?;
    keys.retain(|key: &String| key.starts_with(prefix));
    Ok(keys)
}

/// Forget a key. Returns whether it existed.
pub(super) fn remove(db: &Connection, plugin: &PluginName, key: &str, now: Timestamp) -> Result<bool, StoreError> {
    forget_expired(db, plugin, now)?;
    let sql = "DELETE FROM state WHERE plugin = ?1 AND key = ?2";
    Ok(db.prepare_cached(sql)?.execute(params![plugin.as_str(), key])? > 0)
}

/// Forget what disappeared by its time to live, of all plugins. Returns how many keys those were.
pub(super) fn forget_all_expired(db: &Connection, now: Timestamp) -> Result<u64, StoreError> {
    let forgotten = db.prepare_cached("DELETE FROM state WHERE expires <= ?1")?.execute([millis(now)])?;
    Ok(u64::try_from(forgotten).unwrap_or(u64::MAX))
}

/// Write as much as a value can hold and take it back, to see whether there is room. No plugin has an empty name.
pub(super) fn probe(db: &Connection) -> Result<(), StoreError> {
    let value = "0".repeat(STATE_VALUE_BYTES);
    db.prepare_cached(PUT)?.execute(params!["", "probe", value, 0, None::<i64>])?;
    db.prepare_cached("DELETE FROM state WHERE plugin = ''")?.execute([])?;
    Ok(())
}

fn forget_expired(db: &Connection, plugin: &PluginName, now: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM state WHERE plugin = ?1 AND expires <= ?2";
    db.prepare_cached(sql)?.execute(params![plugin.as_str(), millis(now)])?;
    Ok(())
}

fn count(db: &Connection, plugin: &PluginName) -> Result<usize, StoreError> {
    let sql = "SELECT count(*) FROM state WHERE plugin = ?1";
    let count: i64 = db.prepare_cached(sql)?.query_row([plugin.as_str()], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}
