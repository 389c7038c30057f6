//! The chain: what acts and what decides, each as a link with the hash of the one before in its own.
//!
//! Whoever records such a thing appends its link in the same transaction, so that there is both or neither. A link says what
//! happened, and carries digests of the rows that it left behind (`rows`). The last link about a row holds, because
//! some rows are completed later. `walk` compares all of it.
//!
//! ```text
//!  genesis ─► run_started ─► change_intended ─► change_settled ─► run_ended ─► … ─► runs_removed ─► …
//!                 │                │                  │               │
//!                 ▼                ▼                  ▼               ▼
//!               runs            changes            changes     runs, calls, log_lines, recordings
//! ```
//!
//! A check has a single link, at its end: there are thousands of them an hour, and they act on nothing.

pub(super) mod cut;
pub(super) mod rows;
mod standing;
mod strangers;
mod walk;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde_json::json;

use super::StoreError;
use super::columns::{Columns, collect, integer, millis};
use crate::canonical;
use crate::domain::{ChainHead, Digest, Mode, RunId, Timestamp};
use rows::Claims;

pub(super) use strangers::{Search, Strangers};
pub use walk::{Broken, Verified};
pub(super) use walk::{Step, Walk};

/// The generation of links and of the digests in them.
const FORM: u32 = 1;

const TIP: &str = "SELECT seq, hash, time FROM chain ORDER BY seq DESC LIMIT 1";

const INSERT: &str = "INSERT INTO chain (seq, time, kind, run, hash, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const PAGE: &str = "SELECT * FROM chain WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// The kind stands in the text, so that the index of its kind serves.
const LAST_CUT: &str = "SELECT body FROM chain WHERE kind = 'chain_cut' ORDER BY seq DESC LIMIT 1";

macro_rules! kinds {
    ($( $(#[$doc:meta])* $variant:ident = $label:literal, )+) => {
        /// What a link is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $( $(#[$doc])* $variant ),+ }

        impl Kind {
            /// The word in the column `kind`. A word that was written once keeps its meaning.
            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }
        }
    };
}

kinds! {
    /// The chain begins.
    Genesis = "genesis",
    /// A run that was there before the chain.
    RunAdopted = "run_adopted",
    /// A run begins that plans or acts.
    RunStarted = "run_started",
    /// A run ended.
    RunEnded = "run_ended",
    /// A run made a plan.
    PlanMade = "plan_made",
    /// A run took a plan to apply it.
    PlanTaken = "plan_taken",
    /// A change is about to be done.
    ChangeIntended = "change_intended",
    /// A change was asked for and not begun.
    ChangePassedOver = "change_passed_over",
    /// What became of a change.
    ChangeSettled = "change_settled",
    /// A change was given back by another run.
    ChangeUndone = "change_undone",
    /// It was compared whether a run helped.
    RunCompared = "run_compared",
    /// Somebody approved a plan.
    PlanApproved = "plan_approved",
    /// The changes of a run are held for longer, or not so long.
    LeaseExtended = "lease_extended",
    /// What held the changes of a run ended, or could not.
    LeaseSettled = "lease_settled",
    /// Somebody stopped changes.
    FreezeAdded = "freeze_added",
    /// Somebody let them go on.
    FreezeLifted = "freeze_lifted",
    /// Somebody trusts a plugin again.
    BreakerClosed = "breaker_closed",
    /// Retention removed runs.
    RunsRemoved = "runs_removed",
    /// Retention removed the oldest links.
    ChainCut = "chain_cut",
}

/// One link, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub seq: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// What it is about.
    pub kind: String,
    /// The run that it is about.
    pub run: Option<RunId>,
    /// Its hash.
    pub hash: Digest,
    /// The hash of the one before.
    pub prev: Digest,
    /// What it says, as canonical JSON.
    pub body: String,
}

/// What comes before the first link.
const NOTHING: Digest = Digest::from_bytes([0; 32]);

/// Append a link, in the transaction that this is called in.
///
/// The head is read from the table each time: what was appended before may have been undone together with its job.
pub(super) fn append(
    db: &Connection,
    kind: Kind,
    time: Timestamp,
    run: Option<&RunId>,
    body: &impl Serialize,
) -> Result<(), StoreError> {
    let body = in_canonical_form(body)?;
    let (seq, prev) = tip(db)?.map_or((1, NOTHING), |head| (head.seq + 1, head.hash));
    let (seq, time) = (integer(seq), millis(time));
    let hash = hash(&Sealed { seq, time, kind: kind.as_str(), run, body: &body, prev: &prev });
    let run = run.map(RunId::as_bytes);
    db.prepare_cached(INSERT)?.execute(params![seq, time, kind.as_str(), run, hash.as_bytes(), body])?;
    Ok(())
}

/// The last link.
pub(super) fn tip(db: &Connection) -> Result<Option<ChainHead>, StoreError> {
    let mut statement = db.prepare_cached(TIP)?;
    let found = collect(statement.query([])?, "chain", |row| {
        Ok(ChainHead {
            seq: row.unsigned("seq")?,
            hash: Digest::from_bytes(row.bytes("hash")?),
            time: row.time("time")?,
        })
    });
    Ok(found?.pop())
}

/// Links after the one with the number `after`, in order.
pub(super) fn page(db: &Connection, after: u64, limit: u32) -> Result<Vec<Link>, StoreError> {
    let mut prev = before(db, after)?;
    let mut statement = db.prepare_cached(PAGE)?;
    let mut links = collect(statement.query(params![integer(after), limit])?, "chain", link)?;
    for link in &mut links {
        link.prev = std::mem::replace(&mut prev, link.hash);
    }
    Ok(links)
}

fn link(row: &Columns<'_>) -> Result<Link, StoreError> {
    Ok(Link {
        seq: row.unsigned("seq")?,
        time: row.time("time")?,
        kind: row.get("kind")?,
        run: row.optional_run_id("run")?,
        hash: Digest::from_bytes(row.bytes("hash")?),
        prev: NOTHING,
        body: row.json_text("body")?,
    })
}

/// The hash of the first link that is there after `after`, without looking whether it is the right one.
fn before(db: &Connection, after: u64) -> Result<Digest, StoreError> {
    let sql = "SELECT hash FROM chain WHERE seq = ?1";
    let found: Option<[u8; 32]> = db.prepare_cached(sql)?.query_row([integer(after)], |row| row.get(0)).optional()?;
    match found {
        Some(hash) => Ok(Digest::from_bytes(hash)),
        None => Ok(base(db)?.map_or(NOTHING, |base| base.hash)),
    }
}

/// Where the chain begins when its oldest links were removed: the last of those, as the link says that removed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Base {
    seq: u64,
    hash: Digest,
}

fn base(db: &Connection) -> Result<Option<Base>, StoreError> {
    let body: Option<String> = db.prepare_cached(LAST_CUT)?.query_row([], |row| row.get(0)).optional()?;
    Ok(body.and_then(|body| {
        let body: serde_json::Value = serde_json::from_str(&body).ok()?;
        let hash = body.get("hash")?.as_str()?.parse().ok()?;
        Some(Base { seq: body.get("seq")?.as_u64()?, hash })
    }))
}

/// What the hash of a link covers.
struct Sealed<'a> {
    seq: i64,
    time: i64,
    kind: &'a str,
    run: Option<&'a RunId>,
    body: &'a str,
    prev: &'a Digest,
}

/// SHA-256 of the link as canonical JSON (RFC 8785). The names stand in their order, and of the values only the body is
/// anything but a number or a plain word; it is canonical already.
fn hash(link: &Sealed<'_>) -> Digest {
    let Sealed { seq, time, kind, run, body, prev } = link;
    let run = run.map_or_else(|| "null".to_owned(), |run| format!("\"{run}\""));
    // A kind that somebody wrote by hand may hold anything.
    let (kind, prev) = (json!(kind), prev.hex());
    let text = format!(r#"{{"body":{body},"kind":{kind},"prev":"{prev}","run":{run},"seq":{seq},"time":{time}}}"#);
    Digest::of(text.as_bytes())
}

fn in_canonical_form(body: &impl Serialize) -> Result<String, StoreError> {
    canonical::to_string(body).map_err(|error| StoreError::Invalid(error.to_string()))
}

/// What the link about the end of a run says.
#[derive(Serialize)]
pub(super) struct Ended<'a> {
    pub(super) plugin: &'a str,
    pub(super) mode: &'a str,
    pub(super) actor: &'a str,
    pub(super) state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<&'a str>,
    pub(super) rows: Claims,
}

/// Begin the chain of a file that has none: one link for the beginning, and one for each run that is there.
pub(super) fn begin(db: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let runs: i64 = db.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))?;
    append(db, Kind::Genesis, now, None, &json!({ "form": FORM, "runs": runs }))?;
    let mut statement = db.prepare("SELECT seq FROM runs WHERE mode != ?1 OR state != 'running' ORDER BY seq")?;
    let mut rows = statement.query([Mode::Check.as_str()])?;
    while let Some(row) = rows.next()? {
        record_rows(db, Kind::RunAdopted, now, row.get(0)?, |rows| rows)?;
    }
    Ok(())
}

/// Append the link about the end of a run that the agent did not see.
///
/// Nothing was recorded of its calls and its log, so that rows of these are not among what is recorded now. What links said of
/// its plan and its changes before goes on to hold.
pub(super) fn record_interrupted(db: &Connection, time: Timestamp, run: i64) -> Result<(), StoreError> {
    record_rows(db, Kind::RunEnded, time, run, |rows| Claims {
        number: rows.number,
        start: rows.start,
        run: rows.run,
        ..Claims::default()
    })
}

/// Append a link about a run as its rows are.
fn record_rows(
    db: &Connection,
    kind: Kind,
    time: Timestamp,
    run: i64,
    told: impl Fn(Claims) -> Claims,
) -> Result<(), StoreError> {
    let sql = "SELECT id, plugin, mode, actor, state, failure_kind FROM runs WHERE seq = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let found = collect(statement.query([run])?, "runs", |row| {
        let text = |column| row.get::<String>(column);
        let (plugin, mode, actor, state) = (text("plugin")?, text("mode")?, text("actor")?, text("state")?);
        Ok((row.run_id("id")?, plugin, mode, actor, state, row.get::<Option<String>>("failure_kind")?))
    })?;
    for (id, plugin, mode, actor, state, failure) in found {
        let rows = told(rows::of_run_without_recording(db, run)?);
        let (plugin, mode, actor, state, failure) = (&plugin, &mode, &actor, &state, failure.as_deref());
        append(db, kind, time, Some(&id), &Ended { plugin, mode, actor, state, failure, rows })?;
    }
    Ok(())
}
