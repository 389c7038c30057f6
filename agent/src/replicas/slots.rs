//! The slots of sweeps, as all replicas remember them: which were dealt with, and how each sweep stood then.
//!
//! Slots of a sweep are taken in their order. Whatever lies before the last one that was taken is dealt with.

use serde::{Deserialize, Serialize};

use super::entries::{self, Unreadable};
use crate::domain::{Changes, Entries, Standing, Status, SweepName, SweepRunId, Timestamp};
use crate::store::Claim;

/// What is remembered of one sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The last slot that was taken.
    slot: Option<u64>,
    /// The run that took it; none where it was left out.
    run: Option<String>,
    /// The replica.
    by: Option<String>,
    standing: Option<Stood>,
}

/// The shape of [`Standing`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stood {
    hard: Option<String>,
    since: Option<u64>,
    last: Option<String>,
    streak: u32,
    changes: u32,
    flapping: bool,
    reminded: Option<u64>,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The slot is this claim's.
    Now,
    /// It was dealt with, by that replica.
    Before(String),
}

fn key(sweep: &SweepName) -> String {
    format!("sweep.{sweep}")
}

/// Take a slot for `run` of the replica `me`. The same run may ask again.
pub(super) fn take(
    entries: &mut Entries,
    claim: &Claim,
    run: Option<SweepRunId>,
    me: &str,
) -> Result<Taken, Unreadable> {
    let key = key(&claim.sweep);
    let entry: Entry = entries::read(entries, &key)?.unwrap_or_default();
    let run = run.map(|run| run.to_string());
    if entry.slot.is_some_and(|taken| taken >= claim.slot.as_millis()) {
        let is_ours = entry.slot == Some(claim.slot.as_millis()) && run.is_some() && entry.run == run;
        return Ok(if is_ours { Taken::Now } else { Taken::Before(entry.by.unwrap_or_default()) });
    }
    let slot = Some(claim.slot.as_millis());
    entries::write(entries, key, &Entry { slot, run, by: Some(me.to_owned()), ..entry });
    Ok(Taken::Now)
}

/// Remember how a sweep stands.
pub(super) fn stand(entries: &mut Entries, sweep: &SweepName, standing: &Standing) -> Result<(), Unreadable> {
    let key = key(sweep);
    let entry: Entry = entries::read(entries, &key)?.unwrap_or_default();
    entries::write(entries, key, &Entry { standing: Some(standing.into()), ..entry });
    Ok(())
}

/// The last slot of a sweep that was dealt with, and how the sweep stood then.
pub(super) fn known(entries: &Entries, sweep: &SweepName) -> Result<(Option<Timestamp>, Option<Standing>), Unreadable> {
    let entry: Entry = entries::read(entries, &key(sweep))?.unwrap_or_default();
    Ok((entry.slot.map(Timestamp::from_millis), entry.standing.as_ref().map(Into::into)))
}

impl From<&Standing> for Stood {
    fn from(standing: &Standing) -> Self {
        let Standing { hard, since, last, streak, changes, flapping, reminded } = *standing;
        let word = |status: Option<Status>| status.map(|status| status.as_str().to_owned());
        let (hard, last, changes) = (word(hard), word(last), changes.bits());
        let (since, reminded) = (since.map(Timestamp::as_millis), reminded.map(Timestamp::as_millis));
        Self { hard, since, last, streak, changes, flapping, reminded }
    }
}

impl From<&Stood> for Standing {
    fn from(stood: &Stood) -> Self {
        let status =
            |word: &Option<String>| Status::ALL.into_iter().find(|status| Some(status.as_str()) == word.as_deref());
        Self {
            hard: status(&stood.hard),
            since: stood.since.map(Timestamp::from_millis),
            last: status(&stood.last),
            streak: stood.streak,
            changes: Changes::from_bits(stood.changes),
            flapping: stood.flapping,
            reminded: stood.reminded.map(Timestamp::from_millis),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(slot: u64) -> Claim {
        Claim { sweep: "health".parse().unwrap(), slot: Timestamp::from_millis(slot), before: None }
    }

    fn run() -> Option<SweepRunId> {
        Some(SweepRunId::new(Timestamp::from_millis(7)))
    }

    #[test]
    fn a_slot_is_taken_once_and_none_before_it() {
        let (mut entries, first) = (Entries::new(), run());
        assert_eq!(take(&mut entries, &claim(60), first, "a"), Ok(Taken::Now));
        // Nobody knew whether it had been written.
        assert_eq!(take(&mut entries, &claim(60), first, "a"), Ok(Taken::Now));
        for late in [claim(60), claim(59)] {
            assert_eq!(take(&mut entries, &late, run(), "b"), Ok(Taken::Before("a".to_owned())));
            assert_eq!(take(&mut entries, &late, None, "b"), Ok(Taken::Before("a".to_owned())));
        }
        assert_eq!(take(&mut entries, &claim(61), None, "b"), Ok(Taken::Now));
        assert_eq!(take(&mut entries, &claim(61), first, "a"), Ok(Taken::Before("b".to_owned())));
    }

    #[test]
    fn how_a_sweep_stands_goes_to_the_next_leader_whole() {
        let sweep = "health".parse().unwrap();
        let standing = Standing {
            hard: Some(Status::Critical),
            since: Some(Timestamp::from_millis(5)),
            last: Some(Status::Ok),
            streak: 2,
            changes: Changes::from_bits(0b101),
            flapping: true,
            reminded: Some(Timestamp::from_millis(9)),
        };
        let mut entries = Entries::new();
        assert_eq!(known(&entries, &sweep), Ok((None, None)));
        take(&mut entries, &claim(60), run(), "a").unwrap();
        stand(&mut entries, &sweep, &standing).unwrap();
        take(&mut entries, &claim(120), run(), "a").unwrap();
        assert_eq!(known(&entries, &sweep), Ok((Some(Timestamp::from_millis(120)), Some(standing))));
    }
}
