//! What is held on leases, as all replicas see it: each has what it takes to give the changes back when the replica that made them
//! is gone.
//!
//! Whoever is about to give something back takes it first. Until it is known what came of that, nobody else begins, unless the one
//! who took it is gone.

use serde::{Deserialize, Serialize};

use super::entries::{self, Unreadable};
use crate::domain::{Entries, RunId, Timestamp};

const PREFIX: &str = "lease.";

/// Most bytes that replicas share: an object of the cluster holds 1 MiB.
const MOST_BYTES: usize = 900 << 10;

/// The changes of a run that are given back at the end of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loan {
    /// When they are, in milliseconds.
    until: u64,
    /// The replica that made them.
    pub owner: String,
    /// How it stands.
    pub state: LoanState,
    /// What the owner recorded of the run; empty once it is over.
    pub record: String,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoanState {
    /// The changes are there.
    Held,
    /// They are being given back.
    Ending {
        /// By that process.
        by: String,
        /// As part of what a leader does; otherwise because somebody asked.
        as_leader: bool,
    },
    /// They were given back, or there was nothing to give back.
    Ended {
        /// By that replica.
        by: String,
        /// By that run of it.
        undo: Option<String>,
        /// When, in milliseconds.
        at: u64,
    },
    /// They could not be given back.
    Stuck {
        /// By that replica.
        by: String,
        /// Why.
        why: String,
    },
}

/// Whether it may be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// By whoever asked, and by nobody else.
    Mine,
    /// Nobody shares it.
    NotShared,
    /// That process is at it.
    Busy(String),
    /// It is over.
    Over(Loan),
}

impl Loan {
    pub(super) fn new(until: Timestamp, owner: &str, record: String) -> Self {
        Self { until: until.as_millis(), owner: owner.to_owned(), state: LoanState::Held, record }
    }

    /// When the changes are given back.
    pub const fn until(&self) -> Timestamp {
        Timestamp::from_millis(self.until)
    }

    /// True for what is not given back by itself any more.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, LoanState::Ended { .. })
    }
}

fn key(run: RunId) -> String {
    format!("{PREFIX}{run}")
}

/// The loan of a run.
pub(super) fn of(entries: &Entries, run: RunId) -> Result<Option<Loan>, Unreadable> {
    entries::read(entries, &key(run))
}

/// All loans, by the runs that made the changes. One that cannot be read is no reason to forget the others.
pub(super) fn all(entries: &Entries) -> Vec<(RunId, Loan)> {
    let runs = entries.keys().filter_map(|key| key.strip_prefix(PREFIX)?.parse().ok());
    let readable = |run: RunId| match of(entries, run) {
        Ok(loan) => Some((run, loan?)),
        Err(error) => {
            tracing::error!(%error, "a lease that replicas share is left alone");
            None
        }
    };
    runs.filter_map(readable).collect()
}

/// Share a loan; one that is shared stays as it is. False where there is no room for it.
pub(super) fn lend(entries: &mut Entries, run: RunId, loan: &Loan) -> bool {
    if entries.contains_key(&key(run)) {
        return true;
    }
    let size: usize = entries.iter().map(|(name, text)| name.len() + text.len()).sum();
    // Twice: what came of the changes is longer than what is planned.
    if size + 2 * loan.record.len() > MOST_BYTES {
        return false;
    }
    entries::write(entries, key(run), loan);
    true
}

/// Change the loan of a run, if there is one and `change` wants it.
fn update<T>(entries: &mut Entries, run: RunId, none: T, change: impl FnOnce(&mut Loan) -> T) -> Result<T, Unreadable> {
    let Some(mut loan) = of(entries, run)? else { return Ok(none) };
    let answer = change(&mut loan);
    entries::write(entries, key(run), &loan);
    Ok(answer)
}

/// What came of the changes.
pub(super) fn report(entries: &mut Entries, run: RunId, owner: &str, record: &str) -> Result<(), Unreadable> {
    update(entries, run, (), |loan| {
        if loan.owner == owner && matches!(loan.state, LoanState::Held) {
            record.clone_into(&mut loan.record);
        }
    })
}

/// Let it end at another time, if it is not over or about to be. Tells whether it does.
pub(super) fn extend(entries: &mut Entries, run: RunId, until: Timestamp) -> Result<bool, Unreadable> {
    update(entries, run, false, |loan| match loan.state {
        LoanState::Held | LoanState::Stuck { .. } => {
            (loan.until, loan.state) = (until.as_millis(), LoanState::Held);
            true
        }
        LoanState::Ending { .. } | LoanState::Ended { .. } => false,
    })
}

/// Take it, to give it back.
pub(super) fn take(entries: &mut Entries, run: RunId, me: &str, as_leader: bool) -> Result<Taken, Unreadable> {
    update(entries, run, Taken::NotShared, |loan| match &loan.state {
        LoanState::Held | LoanState::Stuck { .. } => {
            loan.state = LoanState::Ending { by: me.to_owned(), as_leader };
            Taken::Mine
        }
        LoanState::Ending { by, .. } if by == me => Taken::Mine,
        LoanState::Ending { by, .. } => Taken::Busy(by.clone()),
        LoanState::Ended { .. } => Taken::Over(loan.clone()),
    })
}

/// Take it from a process that is gone, if nothing happened to it since it was seen like this. Tells whether it was taken.
pub(super) fn take_over(entries: &mut Entries, run: RunId, seen: &Loan, me: &str) -> Result<bool, Unreadable> {
    update(entries, run, false, |loan| {
        let is_same = loan == seen;
        if is_same {
            loan.state = LoanState::Ending { by: me.to_owned(), as_leader: true };
        }
        is_same || matches!(&loan.state, LoanState::Ending { by, .. } if by == me)
    })
}

/// Say what came of it, unless somebody else took it meanwhile. Tells whether nobody did.
pub(super) fn settle(entries: &mut Entries, run: RunId, me: &str, state: &LoanState) -> Result<bool, Unreadable> {
    update(entries, run, true, |loan| {
        let is_ours = loan.state == *state
            || match &loan.state {
                LoanState::Held | LoanState::Stuck { .. } => true,
                LoanState::Ending { by, .. } => by == me,
                LoanState::Ended { .. } => false,
            };
        if is_ours {
            loan.state = state.clone();
            if loan.is_over() {
                loan.record.clear();
            }
        }
        is_ours
    })
}

/// Take away what is over, or holds nothing.
pub(super) fn remove(entries: &mut Entries, run: RunId) {
    entries.remove(&key(run));
}

/// Take away what was over before `time` and whose owner never came back for it.
pub(super) fn prune(entries: &mut Entries, time: Timestamp) {
    for (run, loan) in all(entries) {
        if matches!(loan.state, LoanState::Ended { at, .. } if at < time.as_millis()) {
            remove(entries, run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent() -> (Entries, RunId) {
        let (mut entries, run) = (Entries::new(), RunId::new(Timestamp::from_millis(1)));
        assert!(lend(&mut entries, run, &Loan::new(Timestamp::from_millis(60_000), "a", "planned".to_owned())));
        (entries, run)
    }

    fn ended(by: &str) -> LoanState {
        LoanState::Ended { by: by.to_owned(), undo: None, at: 90_000 }
    }

    #[test]
    fn one_at_a_time_gives_it_back() {
        let (mut entries, run) = lent();
        report(&mut entries, run, "a", "done").unwrap();
        assert_eq!(take(&mut entries, run, "a_1", true), Ok(Taken::Mine));
        assert_eq!(take(&mut entries, run, "a_1", true), Ok(Taken::Mine), "nobody knew whether it was written");
        assert_eq!(take(&mut entries, run, "b_1", false), Ok(Taken::Busy("a_1".to_owned())));
        assert_eq!(extend(&mut entries, run, Timestamp::from_millis(99_000)), Ok(false));
        // What was reported stays as it was taken.
        report(&mut entries, run, "a", "something else").unwrap();
        assert_eq!(of(&entries, run).unwrap().unwrap().record, "done");
        assert_eq!(settle(&mut entries, run, "b_1", &ended("b")), Ok(false));
        assert_eq!(settle(&mut entries, run, "a_1", &ended("a")), Ok(true));
        assert_eq!(settle(&mut entries, run, "a_1", &ended("a")), Ok(true));
        let Ok(Taken::Over(loan)) = take(&mut entries, run, "b_1", true) else { panic!("it is over") };
        assert_eq!((loan.is_over(), &*loan.record), (true, ""));
        prune(&mut entries, Timestamp::from_millis(90_000));
        assert!(of(&entries, run).unwrap().is_some());
        prune(&mut entries, Timestamp::from_millis(90_001));
        assert_eq!(entries, Entries::new());
    }

    #[test]
    fn what_somebody_took_and_did_not_end_goes_to_one_other() {
        let (mut entries, run) = lent();
        take(&mut entries, run, "a_1", true).unwrap();
        let seen = of(&entries, run).unwrap().unwrap();
        assert_eq!(take_over(&mut entries, run, &seen, "b_1"), Ok(true));
        assert_eq!(take_over(&mut entries, run, &seen, "b_1"), Ok(true), "nobody knew whether it was written");
        assert_eq!(take_over(&mut entries, run, &seen, "c_1"), Ok(false));
        // The one who was thought gone comes back.
        assert_eq!(take(&mut entries, run, "a_1", true), Ok(Taken::Busy("b_1".to_owned())));
        assert_eq!(settle(&mut entries, run, "a_1", &ended("a")), Ok(false));
        assert_eq!(settle(&mut entries, run, "b_1", &ended("b")), Ok(true));
    }

    #[test]
    fn what_is_stuck_can_be_tried_again_and_what_is_not_shared_is_not_in_the_way() {
        let (mut entries, run) = lent();
        take(&mut entries, run, "a_1", true).unwrap();
        let stuck = LoanState::Stuck { by: "a".to_owned(), why: "somebody was there".to_owned() };
        assert_eq!(settle(&mut entries, run, "a_1", &stuck), Ok(true));
        assert_eq!(extend(&mut entries, run, Timestamp::from_millis(70_000)), Ok(true));
        assert_eq!(of(&entries, run).unwrap().unwrap().state, LoanState::Held);
        assert_eq!(take(&mut entries, run, "b_1", false), Ok(Taken::Mine));
        remove(&mut entries, run);
        assert_eq!(take(&mut entries, run, "b_1", false), Ok(Taken::NotShared));
        assert_eq!(settle(&mut entries, run, "b_1", &ended("b")), Ok(true));
        assert_eq!(all(&entries), []);
    }

    #[test]
    fn a_loan_that_does_not_fit_is_not_lent_and_what_cannot_be_read_is_named() {
        let (mut entries, run) = lent();
        let large = Loan::new(Timestamp::from_millis(60_000), "a", "x".repeat(MOST_BYTES / 2));
        assert!(!lend(&mut entries, RunId::new(Timestamp::from_millis(2)), &large));
        let other = RunId::new(Timestamp::from_millis(3));
        assert!(lend(&mut entries, other, &Loan::new(Timestamp::from_millis(1), "a", String::new())));
        entries.insert(key(run), "{}".to_owned());
        let error = of(&entries, run).unwrap_err().to_string();
        assert!(error.contains(&key(run)), "{error}");
        assert_eq!(all(&entries).into_iter().map(|(run, _)| run).collect::<Vec<_>>(), [other]);
    }
}
