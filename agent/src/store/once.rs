//! Keys under which something was done, and what came of it.
//!
//! A key stands in the same transaction as the start of its run, or as its silence, so that after a crash there is either both
//! or neither. One whose time is over does not exist any more, whether or not its row is still there.

use std::time::Duration;

use rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;
use rusqlite::{Connection, params};

use super::StoreError;
use super::columns::{Columns, collect, integer, millis};
use super::json::Labels;
use crate::domain::{Actor, Digest, Label, RunId, Timestamp};

/// How long a key is remembered.
pub const KEY_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Rows that one step of forgetting removes.
const STEP_ROWS: i64 = 1_000;

const GET: &str = "SELECT fingerprint, run, status, headers, body FROM idempotency_keys \
     WHERE actor = ?1 AND key = ?2 AND created > ?3";

const FORGET: &str = "DELETE FROM idempotency_keys WHERE actor = ?1 AND key = ?2 AND created <= ?3";

const INSERT: &str = "INSERT INTO idempotency_keys (actor, key, fingerprint, created, run, status, headers, body) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const FORGET_SOME: &str = "DELETE FROM idempotency_keys WHERE seq IN \
     (SELECT seq FROM idempotency_keys WHERE created <= ?1 ORDER BY created LIMIT ?2)";

/// A key with what was asked for under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceKey {
    /// Who asks. Two callers may have the same key and mean different things.
    pub actor: Actor,
    /// The key.
    pub key: String,
    /// Digest of all that makes two requests the same.
    pub fingerprint: Digest,
}

/// What came of the first request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Digest of what was asked for.
    pub fingerprint: Digest,
    /// What came of it.
    pub result: KeptResult,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptResult {
    /// A run; its record is the answer.
    Run(RunId),
    /// Something that is over and was answered with this.
    Answer(KeptAnswer),
}

/// An answer as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Its status.
    pub status: u16,
    /// Those of its headers that belong to it.
    pub headers: Vec<Label>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Record a key with its result. `KeyTaken` when there is one already.
pub(super) fn record(db: &Connection, key: &OnceKey, result: &KeptResult, now: Timestamp) -> Result<(), StoreError> {
    let (run, answer) = match result {
        KeptResult::Run(run) => (Some(run.as_bytes()), None),
        KeptResult::Answer(answer) => (None, Some(answer)),
    };
    let headers = answer.map(|answer| headers_json(&answer.headers)).transpose()?;
    db.prepare_cached(FORGET)?.execute(params![key.actor.0, key.key, millis(now.before(KEY_LIFE))])?;
    let inserted = db.prepare_cached(INSERT)?.execute(params![
        key.actor.0,
        key.key,
        key.fingerprint.as_bytes(),
        millis(now),
        run,
        answer.map(|answer| integer(answer.status)),
        headers,
        answer.map(|answer| &answer.body),
    ]);
    match inserted {
        Err(error) if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_CONSTRAINT_UNIQUE) => {
            Err(StoreError::KeyTaken)
        }
        other => Ok(other.map(drop)?),
    }
}

/// What came of the first request with that key.
pub(super) fn get(db: &Connection, actor: &Actor, key: &str, now: Timestamp) -> Result<Option<Kept>, StoreError> {
    let mut statement = db.prepare_cached(GET)?;
    let rows = statement.query(params![actor.0, key, millis(now.before(KEY_LIFE))])?;
    Ok(collect(rows, "idempotency_keys", kept)?.pop())
}

fn kept(row: &Columns<'_>) -> Result<Kept, StoreError> {
    let run: Option<[u8; 16]> = row.get("run")?;
    let result = match run {
        Some(_) => KeptResult::Run(row.run_id("run")?),
        None => KeptResult::Answer(KeptAnswer {
            status: row.unsigned("status")?,
            headers: row.json::<Labels>("headers")?.into(),
            body: row.required("body")?,
        }),
    };
    Ok(Kept { fingerprint: Digest::from_bytes(row.bytes("fingerprint")?), result })
}

fn headers_json(headers: &[Label]) -> Result<String, StoreError> {
    serde_json::to_string(&Labels::from(headers.to_vec())).map_err(|error| StoreError::Invalid(error.to_string()))
}

/// Forget some keys whose time is over. Returns how many; none means that all are gone.
pub(super) fn forget_some(db: &Connection, now: Timestamp) -> Result<u64, StoreError> {
    let forgotten = db.prepare_cached(FORGET_SOME)?.execute(params![millis(now.before(KEY_LIFE)), STEP_ROWS])?;
    Ok(u64::try_from(forgotten).unwrap_or(u64::MAX))
}
