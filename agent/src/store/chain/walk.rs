//! Walks along the chain and compares it: each link with the one before, and the rows of each run with the last that links say
//! of them.
//!
//! It goes a page at a time, so that no reader is held for long however much there is. What is written meanwhile comes
//! after the head that it began with, and is left to the next walk; what retention removes meanwhile is explained by
//! a link of its own.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Deserialize;

use super::rows::{self, Claims, Series};
use super::{Base, Kind, NOTHING, Sealed, base, hash, tip};
use crate::domain::{Anchor, ChainHead, Digest, RunId, Timestamp};
use crate::store::StoreError;
use crate::store::columns::integer;

/// Links of one page, and of those that are compared with rows.
const PAGE: i64 = 500;

const LINKS: &str =
    "SELECT seq, time, kind, run, hash, body FROM chain WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";

const LAST_OF_RUN: &str = "SELECT max(seq) FROM chain WHERE run = ?1";

const OF_RUN: &str = "SELECT body FROM chain WHERE run = ?1 ORDER BY seq";

/// The kind stands in the text, so that the index of its kind serves.
const REMOVALS: &str = "SELECT seq, body FROM chain WHERE kind = 'runs_removed' AND seq > ?1 ORDER BY seq";

/// What a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Links that were compared.
    pub links: u64,
    /// The last of them that is sound.
    pub to: Option<ChainHead>,
    /// The first thing that is not as it was recorded.
    pub broken: Option<Broken>,
}

/// Something that is not as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The link that it was noticed at.
    pub seq: u64,
    /// What it is, with the run if it is about one.
    pub why: String,
}

/// A walk under way.
pub(in crate::store) struct Walk {
    anchor: Option<Anchor>,
    /// Where it ends; none before the first page.
    until: Option<u64>,
    at: Base,
    links: u64,
    last: Option<ChainHead>,
    met_anchor: bool,
    removed: Removed,
}

/// Whether a walk goes on.
pub(in crate::store) enum Step {
    /// After another page.
    On(Walk),
    /// It is over.
    Over(Verified),
}

/// A link as it lies in the file.
struct Found {
    seq: u64,
    time: i64,
    kind: String,
    run: Option<RunId>,
    hash: Digest,
    body: String,
}

impl Walk {
    /// From the beginning of what is kept to the head. With an anchor, that link has to be there.
    pub(in crate::store) fn new(anchor: Option<Anchor>) -> Self {
        Self {
            anchor,
            until: None,
            at: Base { seq: 0, hash: NOTHING },
            links: 0,
            last: None,
            met_anchor: false,
            removed: Removed::default(),
        }
    }

    /// Look at one page.
    pub(in crate::store) fn page(mut self, db: &Connection) -> Result<Step, StoreError> {
        let until = match self.until {
            Some(until) => until,
            None => match self.begin(db)? {
                Ok(until) => until,
                Err(why) => return Ok(self.broken_at(1, why)),
            },
        };
        if let Some((seq, why)) = self.skip_what_was_cut(db)? {
            return Ok(self.broken_at(seq, why));
        }
        let page = links(db, self.at.seq, until)?;
        if page.is_empty() {
            return Ok(self.end(until));
        }
        for found in page {
            let expected = self.at.seq + 1;
            let link = match found {
                Ok(link) if link.seq == expected => link,
                Ok(_) => return Ok(self.broken_at(expected, format!("link {expected} is missing"))),
                Err(seq) if seq == expected => {
                    return Ok(self.broken_at(seq, format!("link {seq} holds what no link holds")));
                }
                Err(_) => return Ok(self.broken_at(expected, format!("link {expected} is missing"))),
            };
            if let Some(why) = self.look(db, &link)? {
                return Ok(self.broken_at(link.seq, why));
            }
            self.links += 1;
            self.at = Base { seq: link.seq, hash: link.hash };
            let time = Timestamp::from_millis(link.time.unsigned_abs());
            self.last = Some(ChainHead { seq: link.seq, hash: link.hash, time });
        }
        Ok(Step::On(self))
    }

    /// Returns where the walk ends, or why it cannot begin.
    fn begin(&mut self, db: &Connection) -> Result<Result<u64, String>, StoreError> {
        let Some(head) = tip(db)? else { return Ok(Err("there is no link at all".to_owned())) };
        self.until = Some(head.seq);
        Ok(Ok(head.seq))
    }

    /// Go on where the chain begins, if retention removed links that the walk had not come to.
    ///
    /// Returns what is wrong where there are links from before that.
    fn skip_what_was_cut(&mut self, db: &Connection) -> Result<Option<(u64, String)>, StoreError> {
        let Some(base) = base(db)?.filter(|base| base.seq > self.at.seq) else { return Ok(None) };
        let older = "SELECT min(seq) FROM chain WHERE seq <= ?1";
        let older: Option<i64> = db.prepare_cached(older)?.query_row([integer(base.seq)], |row| row.get(0))?;
        if let Some(seq) = older.map(i64::unsigned_abs) {
            return Ok(Some((seq, format!("link {seq} is from before link {}, which is the beginning", base.seq + 1))));
        }
        self.met_anchor |= self.anchor.is_some_and(|anchor| anchor.seq == base.seq && anchor.hash == base.hash);
        self.at = base;
        Ok(None)
    }

    /// What is wrong with a link, or with the rows that it is the last to speak of.
    fn look(&mut self, db: &Connection, link: &Found) -> Result<Option<String>, StoreError> {
        let Found { seq, time, kind, run, body, .. } = link;
        let sealed = Sealed { seq: integer(*seq), time: *time, kind, run: run.as_ref(), body, prev: &self.at.hash };
        if hash(&sealed) != link.hash {
            let about = run.map(|run| format!(", {kind} of run {run},")).unwrap_or_default();
            return Ok(Some(format!("link {seq}{about} is not as it was recorded, or was not recorded here")));
        }
        if *seq == 1 && kind != Kind::Genesis.as_str() {
            return Ok(Some("the chain does not begin with its beginning: what came before was removed".to_owned()));
        }
        if let Some(anchor) = self.anchor.filter(|anchor| anchor.seq == *seq) {
            if anchor.hash != link.hash {
                return Ok(Some(format!(
                    "link {seq} is another one than was the head then: the chain was written anew"
                )));
            }
            self.met_anchor = true;
        }
        match run {
            Some(run) => self.look_at_rows(db, *seq, run),
            None => Ok(None),
        }
    }

    fn look_at_rows(&mut self, db: &Connection, seq: u64, run: &RunId) -> Result<Option<String>, StoreError> {
        let last: i64 = db.prepare_cached(LAST_OF_RUN)?.query_row([run.as_bytes()], |row| row.get(0))?;
        if last != integer(seq) {
            return Ok(None);
        }
        let mut claimed = Claims::default();
        let mut statement = db.prepare_cached(OF_RUN)?;
        let mut bodies = statement.query([run.as_bytes()])?;
        while let Some(row) = bodies.next()? {
            if let Err(what) = claimed.and_then(claims(&row.get::<_, String>(0)?)) {
                return Ok(Some(format!("run {run}: {what}")));
            }
        }
        let find = "SELECT seq FROM runs WHERE id = ?1";
        let number: Option<i64> = db.prepare_cached(find)?.query_row([run.as_bytes()], |row| row.get(0)).optional()?;
        let Some(number) = number else {
            let is_explained = match claimed.number {
                Some(number) => self.removed.has(db, number, seq)?,
                None => true,
            };
            return Ok((!is_explained).then(|| format!("run {run} is missing, and retention did not remove it")));
        };
        let other = difference(claimed, rows::of_run(db, number)?);
        Ok(other.map(|what| format!("run {run}: {what}")))
    }

    fn broken_at(self, seq: u64, why: String) -> Step {
        Step::Over(Verified { links: self.links, to: self.last, broken: Some(Broken { seq, why }) })
    }

    fn end(self, until: u64) -> Step {
        let expected = self.at.seq + 1;
        if self.at.seq < until {
            return self.broken_at(expected, format!("link {expected} is missing"));
        }
        match self.anchor.filter(|_| !self.met_anchor) {
            Some(anchor) if anchor.seq > self.at.seq => {
                let why = format!("the chain ends at link {}, and link {} was its head once", self.at.seq, anchor.seq);
                self.broken_at(expected, why)
            }
            Some(anchor) => {
                let why = format!(
                    "link {} is not kept any more, so nothing can be said of it: take a later head",
                    anchor.seq
                );
                self.broken_at(anchor.seq, why)
            }
            None => Step::Over(Verified { links: self.links, to: self.last, broken: None }),
        }
    }
}

/// One page; the number alone of a link that cannot be read.
fn links(db: &Connection, after: u64, until: u64) -> Result<Vec<Result<Found, u64>>, StoreError> {
    let mut statement = db.prepare_cached(LINKS)?;
    let mut rows = statement.query(params![integer(after), integer(until), PAGE])?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        page.push(read(row)?);
    }
    Ok(page)
}

fn read(row: &Row<'_>) -> Result<Result<Found, u64>, StoreError> {
    let seq = row.get::<_, i64>("seq")?.unsigned_abs();
    let (run, hash): (Option<Vec<u8>>, Vec<u8>) = (row.get("run")?, row.get("hash")?);
    let known = run.as_deref().map(RunId::from_slice);
    let (Ok(hash), Ok(body), Ok(kind)) = (<[u8; 32]>::try_from(hash), row.get("body"), row.get("kind")) else {
        return Ok(Err(seq));
    };
    if known == Some(None) {
        return Ok(Err(seq));
    }
    let (run, hash) = (known.flatten(), Digest::from_bytes(hash));
    Ok(Ok(Found { seq, time: row.get("time")?, kind, run, hash, body }))
}

/// What a body claims. One that cannot be read claims nothing, and fails by its hash.
fn claims(body: &str) -> Claims {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        rows: Claims,
    }
    serde_json::from_str(body).map(|Body { rows }| rows).unwrap_or_default()
}

/// In what the rows of a run are other ones than was claimed.
fn difference(claimed: Claims, found: Claims) -> Option<String> {
    if claimed.number != found.number {
        return Some("it has another number than it was recorded with".to_owned());
    }
    // What the run had from its start is part of the whole.
    if claimed.run != found.run || (claimed.run.is_none() && claimed.start != found.start) {
        return Some("it is not as it was recorded".to_owned());
    }
    series("call", claimed.calls, found.calls)
        .or_else(|| series("line of the log", claimed.log, found.log))
        .or_else(|| {
            (claimed.recording != found.recording).then(|| "its recording is not as it was recorded".to_owned())
        })
        .or_else(|| (claimed.plan != found.plan).then(|| "its plan is not as it was recorded".to_owned()))
        .or_else(|| (claimed.lease != found.lease).then(|| "its lease is not as it was recorded".to_owned()))
        .or_else(|| series("approval", claimed.approvals, found.approvals))
        .or_else(|| changes(&claimed.changes, &found.changes))
}

fn series(what: &str, claimed: Option<Series>, found: Option<Series>) -> Option<String> {
    if claimed == found {
        return None;
    }
    let (claimed, found) = (claimed.unwrap_or_default(), found.unwrap_or_default());
    if claimed.count != found.count {
        return Some(format!("it was recorded with {} × {what}, and there are {}", claimed.count, found.count));
    }
    Some(match claimed.first_other(&found) {
        Some(n) => format!("the {what} {n} is not as it was recorded"),
        None => format!("a {what} is not as it was recorded"),
    })
}

fn changes(claimed: &BTreeMap<u32, String>, found: &BTreeMap<u32, String>) -> Option<String> {
    let other = claimed.iter().find(|(position, digest)| found.get(position) != Some(digest));
    if let Some((position, _)) = other {
        let what = if found.contains_key(position) { "not as it was recorded" } else { "missing" };
        return Some(format!("the change {position} is {what}"));
    }
    let added = found.keys().find(|position| !claimed.contains_key(position));
    added.map(|position| format!("the change {position} was not recorded by the agent"))
}

/// The numbers of runs that retention removed, and by which links.
#[derive(Default)]
struct Removed {
    /// The last number of each range, by the first number and the link.
    ranges: BTreeMap<(i64, u64), i64>,
    /// The most numbers of a range.
    longest: i64,
    read_to: u64,
}

impl Removed {
    /// Whether a link after `after` says that the run of that number was removed.
    fn has(&mut self, db: &Connection, number: i64, after: u64) -> Result<bool, StoreError> {
        if self.knows(number, after) {
            return Ok(true);
        }
        // It may have been removed since the last page.
        self.read_on(db)?;
        Ok(self.knows(number, after))
    }

    fn knows(&self, number: i64, after: u64) -> bool {
        let from = number.saturating_sub(self.longest);
        let mut near = self.ranges.range((from, 0)..=(number, u64::MAX));
        near.any(|((first, link), last)| *link > after && (*first..=*last).contains(&number))
    }

    fn read_on(&mut self, db: &Connection) -> Result<(), StoreError> {
        #[derive(Deserialize)]
        struct Body {
            numbers: Vec<(i64, i64)>,
        }
        let mut statement = db.prepare_cached(REMOVALS)?;
        let mut rows = statement.query([integer(self.read_to)])?;
        while let Some(row) = rows.next()? {
            self.read_to = row.get::<_, i64>(0)?.unsigned_abs();
            let body: String = row.get(1)?;
            let Ok(Body { numbers }) = serde_json::from_str(&body) else { continue };
            for (first, last) in numbers {
                self.longest = self.longest.max(last.saturating_sub(first).saturating_add(1));
                self.ranges.insert((first, self.read_to), last);
            }
        }
        Ok(())
    }
}
