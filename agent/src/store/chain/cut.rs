//! Removing the oldest links, a little at a time.
//!
//! A link stays as long as its run is there, because it says what that has to be; and much longer than that, because it is small
//! and says who did what. The link that tells of a cut holds the number and the hash of the last one that went, so that
//! the chain begins there from then on. Somebody else who removes the beginning leaves no such link.

use rusqlite::{Connection, params};
use serde_json::json;

use super::{Kind, append};
use crate::domain::{Digest, Timestamp};
use crate::store::StoreError;
use crate::store::columns::{integer, millis};

/// Links that one step removes at most.
const STEP: i64 = 1_000;

/// Fewer than these are not worth a link about them.
const LEAST: usize = 100;

/// Bytes that a link takes beside its body: hash, id, numbers, and its place in the index.
const AROUND: i64 = 120;

const OLDEST: &str = "SELECT seq, time, hash, run IS NOT NULL AND run IN (SELECT id FROM runs) FROM chain \
     ORDER BY seq LIMIT ?1";

/// The first, the last, and the size of a usual one of those that came last.
const SIZE: &str = "SELECT min(seq), max(seq), (SELECT CAST(avg(octet_length(body)) AS INTEGER) FROM \
     (SELECT body FROM chain ORDER BY seq DESC LIMIT 1000)) FROM chain";

/// Which links go.
#[derive(Clone, Copy)]
pub(in crate::store) enum Cut {
    /// Those that were recorded before.
    RecordedBefore(Timestamp),
    /// The oldest, while all together have more bytes than this.
    Above(u64),
}

/// Remove some of the links that `cut` names. Returns how many; none means that it is done.
pub(in crate::store) fn step(db: &Connection, cut: Cut, now: Timestamp) -> Result<u64, StoreError> {
    let (numbers, time) = match cut {
        Cut::RecordedBefore(time) => (STEP, millis(time)),
        Cut::Above(bytes) => (too_many(db, bytes)?.min(STEP), i64::MAX),
    };
    let mut statement = db.prepare_cached(OLDEST)?;
    let mut rows = statement.query([numbers])?;
    let (mut links, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let (recorded, is_needed): (i64, bool) = (row.get(1)?, row.get(3)?);
        if is_needed || recorded >= time {
            break;
        }
        links += 1;
        last = Some((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(2)?, recorded));
    }
    drop(rows);
    let Some((seq, hash, recorded)) = last.filter(|_| links >= LEAST) else { return Ok(0) };
    let hash = Digest::from_bytes(hash).hex();
    let body = json!({ "links": links, "seq": seq, "hash": hash, "recorded_until": recorded });
    append(db, Kind::ChainCut, now, None, &body)?;
    db.prepare_cached("DELETE FROM chain WHERE seq <= ?1")?.execute(params![seq])?;
    Ok(u64::try_from(links).unwrap_or(u64::MAX))
}

/// How many links have to go, about; the last one stays.
fn too_many(db: &Connection, bytes: u64) -> Result<i64, StoreError> {
    let Some(Size { links, each }) = size(db)? else { return Ok(0) };
    Ok((links - integer(bytes) / each).clamp(0, links - 1))
}

/// Bytes of all links, about.
pub(in crate::store) fn bytes(db: &Connection) -> Result<u64, StoreError> {
    Ok(size(db)?.map_or(0, |Size { links, each }| links.saturating_mul(each).unsigned_abs()))
}

/// How many links there are, and the size of one.
struct Size {
    links: i64,
    each: i64,
}

fn size(db: &Connection) -> Result<Option<Size>, StoreError> {
    let (first, last, body): (Option<i64>, Option<i64>, Option<i64>) =
        db.prepare_cached(SIZE)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (Some(first), Some(last), Some(body)) = (first, last, body) else { return Ok(None) };
    // Somebody who wrote a number by hand may have written any.
    Ok(Some(Size { links: last.saturating_sub(first).saturating_add(1).max(1), each: body.max(0) + AROUND }))
}
