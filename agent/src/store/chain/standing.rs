//! Compares freezes and closed breakers with what links say of them. They hang on no run.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::Deserialize;

use super::Kind;
use super::rows::{BREAKER, FREEZE, RowHash};
use crate::domain::FreezeId;
use crate::store::StoreError;
use crate::store::columns::integer;
use crate::store::guards::forgotten_before;

const LINKS: &str = "SELECT time, kind, body FROM chain WHERE run IS NULL ORDER BY seq";

const BEGINNING: &str = "SELECT ifnull(min(time), 0) FROM chain";

/// What such a link says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    freeze: Option<String>,
    plugin: Option<String>,
    expires: Option<u64>,
    /// Digest of the row that it leaves, and of the row as it was before.
    row: Option<String>,
    was: Option<String>,
}

/// What the links say together.
#[derive(Default)]
struct Claimed {
    /// By the ids of the freezes, with the moment at which each is over.
    freezes: BTreeMap<String, (String, u64)>,
    breakers: BTreeMap<String, String>,
    /// Freezes that were over by then may have been removed.
    forgotten_before: u64,
}

/// The first of them that is not as it was recorded, in words. Readers look at one moment of the file.
pub(super) fn difference(db: &Connection) -> Result<Option<String>, StoreError> {
    let claimed = match claimed(db)? {
        Ok(claimed) => claimed,
        Err(what) => return Ok(Some(what)),
    };
    match freezes(db, &claimed)? {
        None => breakers(db, &claimed),
        found => Ok(found),
    }
}

fn claimed(db: &Connection) -> Result<Result<Claimed, String>, StoreError> {
    let mut claimed = Claimed::default();
    let mut statement = db.prepare_cached(LINKS)?;
    let mut links = statement.query([])?;
    while let Some(link) = links.next()? {
        let (time, kind, text): (i64, String, String) = (link.get(0)?, link.get(1)?, link.get(2)?);
        // One that cannot be read fails by its hash.
        let body: Body = serde_json::from_str(&text).unwrap_or_default();
        let Some(row) = body.row else { continue };
        if kind == Kind::FreezeAdded.as_str() {
            claimed.forgotten_before = forgotten_before(time.unsigned_abs());
            claimed.freezes.insert(body.freeze.unwrap_or_default(), (row, body.expires.unwrap_or_default()));
        } else if kind == Kind::FreezeLifted.as_str() {
            let id = body.freeze.unwrap_or_default();
            let before = claimed.freezes.get(&id);
            if before.is_some_and(|(before, _)| Some(before) != body.was.as_ref()) {
                return Ok(Err(format!("the freeze {id} was not as it was recorded when it was lifted")));
            }
            let expires = before.map_or(u64::MAX, |(_, expires)| *expires);
            claimed.freezes.insert(id, (row, expires));
        } else if kind == Kind::BreakerClosed.as_str() {
            claimed.breakers.insert(body.plugin.unwrap_or_default(), row);
        }
    }
    Ok(Ok(claimed))
}

fn freezes(db: &Connection, claimed: &Claimed) -> Result<Option<String>, StoreError> {
    let beginning: i64 = db.prepare_cached(BEGINNING)?.query_row([], |row| row.get(0))?;
    let mut left = claimed.freezes.clone();
    let mut statement = db.prepare_cached(&format!("SELECT {FREEZE} FROM freezes ORDER BY created, id"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get("id")?;
        let id = FreezeId::from_slice(&bytes).map_or_else(|| "without an id".to_owned(), |id| id.to_string());
        let created: i64 = row.get("created")?;
        match left.remove(&id) {
            Some((digest, _)) if digest == RowHash::default().row(row)?.digest().hex() => {}
            Some(_) => return Ok(Some(format!("the freeze {id} is not as it was recorded"))),
            // Not younger than the chain, or than what is kept of it.
            None if created <= beginning => {}
            None => return Ok(Some(format!("the freeze {id} was not recorded by the agent"))),
        }
    }
    let missing = left.iter().find(|(_, (_, expires))| integer(*expires) >= integer(claimed.forgotten_before));
    Ok(missing.map(|(id, _)| format!("the freeze {id} is missing")))
}

fn breakers(db: &Connection, claimed: &Claimed) -> Result<Option<String>, StoreError> {
    let beginning: i64 = db.prepare_cached(BEGINNING)?.query_row([], |row| row.get(0))?;
    let mut left = claimed.breakers.clone();
    let mut statement = db.prepare_cached(&format!("SELECT {BREAKER} FROM breakers ORDER BY plugin"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (plugin, closed): (String, i64) = (row.get("plugin")?, row.get("closed")?);
        match left.remove(&plugin) {
            Some(digest) if digest == RowHash::default().row(row)?.digest().hex() => {}
            None if closed <= beginning => {}
            _ => return Ok(Some(format!("that the breaker of {plugin} was closed is not as it was recorded"))),
        }
    }
    Ok(left.keys().next().map(|plugin| format!("that the breaker of {plugin} was closed is missing")))
}
