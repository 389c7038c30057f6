//! The bytes of components, by digest and in parts.

use std::ops::Range;

use rusqlite::{Connection, params};

use super::StoreError;
use super::columns::{collect, integer};
use crate::domain::Digest;

/// Size of a part. A usual component has one, and a write of this size holds up others for a few milliseconds.
const PART_BYTES: usize = 512 << 10;

#[derive(Debug, thiserror::Error)]
#[error("its bytes have another digest")]
struct OtherDigest;

/// One part of a component: its number, and which bytes it has.
pub(super) struct Part {
    n: usize,
    bytes: Range<usize>,
}

impl Part {
    /// Where its bytes are in the component.
    pub(super) fn bytes(&self) -> Range<usize> {
        self.bytes.clone()
    }
}

/// The parts of a component of that size, in order.
pub(super) fn parts(size: usize) -> impl Iterator<Item = Part> {
    let begin = move |n: usize| n.saturating_mul(PART_BYTES).min(size);
    (0..size.div_ceil(PART_BYTES)).map(move |n| Part { n, bytes: begin(n)..begin(n + 1) })
}

/// Write one part. One that is there already has the same bytes, because the digest says so.
pub(super) fn write_part(
    db: &Connection,
    digest: &Digest,
    part: &Part,
    bytes: Option<&[u8]>,
) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO component_parts (digest, n, bytes) VALUES (?1, ?2, ?3)";
    let bytes = bytes.unwrap_or_default();
    db.prepare_cached(sql)?.execute(params![digest.as_bytes(), integer(part.n), bytes])?;
    Ok(())
}

/// Let the parts of a component count.
pub(super) fn complete(db: &Connection, digest: &Digest, size: usize) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO components (digest, size) VALUES (?1, ?2)";
    db.prepare_cached(sql)?.execute(params![digest.as_bytes(), integer(size)])?;
    Ok(())
}

/// Remove components to which no version refers, and parts that a crash left without a component.
pub(super) fn forget_unused(db: &Connection) -> Result<(), StoreError> {
    let unused = "DELETE FROM components WHERE digest NOT IN (SELECT digest FROM plugin_versions \
         UNION SELECT digest FROM plugin_waiting)";
    db.prepare_cached(unused)?.execute([])?;
    let orphans = "DELETE FROM component_parts WHERE digest NOT IN (SELECT digest FROM components)";
    db.prepare_cached(orphans)?.execute([])?;
    Ok(())
}

/// The bytes of a component, compared with its digest.
pub(super) fn load(db: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
    let known = "SELECT size FROM components WHERE digest = ?1";
    if !db.prepare_cached(known)?.exists([digest.as_bytes()])? {
        return Ok(None);
    }
    let mut statement = db.prepare_cached("SELECT bytes FROM component_parts WHERE digest = ?1 ORDER BY n")?;
    let parts = collect(statement.query([digest.as_bytes()])?, "component_parts", |row| row.get::<Vec<u8>>("bytes"))?;
    let bytes = parts.concat();
    if Digest::of(&bytes) == *digest {
        Ok(Some(bytes))
    } else {
        Err(StoreError::corrupt("component_parts.bytes", OtherDigest))
    }
}

/// Bytes of all components: what retention of runs cannot make smaller.
pub(super) fn total_bytes(db: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT coalesce(sum(size), 0) FROM components";
    let total: i64 = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(total).unwrap_or(0))
}

/// One sentence for each component that is damaged.
pub(super) fn verify(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = db.prepare("SELECT digest FROM components")?;
    let digests = collect(statement.query([])?, "components", |row| row.bytes::<32>("digest"))?;
    let mut defects = Vec::new();
    for digest in digests.into_iter().map(Digest::from_bytes) {
        match load(db, &digest) {
            Ok(_) => {}
            Err(StoreError::Corrupt { .. }) => defects.push(format!("the component {digest} is damaged")),
            Err(error) => return Err(error),
        }
    }
    Ok(defects)
}
