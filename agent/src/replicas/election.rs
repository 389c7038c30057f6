//! Who leads, pure: what to do about the Lease as it was read.
//!
//! Clocks of machines differ, so that no time in the Lease is compared with one of ours: a holder is gone when the Lease has not
//! changed for as long as it says, by our own clock and since we first saw it so.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{Office, Revision};

/// What is known of the Lease.
pub(super) struct Election {
    me: String,
    /// The version that was seen last, and since when it is the same.
    seen: Option<(Revision, Instant)>,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is ours: say so again.
    Renew,
    /// Nobody holds it, or its holder is gone.
    Take,
    /// Somebody else holds it, for at least this long.
    Wait(Duration),
}

impl Election {
    pub(super) const fn of(me: String) -> Self {
        Self { me, seen: None }
    }

    /// What to do about `office`, which was read at `revision` and asked for at `now`.
    pub(super) fn judge(&mut self, office: &Office, revision: &Revision, now: Instant) -> Step {
        let since = match &self.seen {
            Some((seen, since)) if seen == revision => *since,
            Some(_) | None => {
                self.seen = Some((revision.clone(), now));
                now
            }
        };
        match &office.holder {
            Some(holder) if *holder == self.me => Step::Renew,
            None => Step::Take,
            Some(_) => match office.term.saturating_sub(now.duration_since(since)) {
                Duration::ZERO => Step::Take,
                rest => Step::Wait(rest),
            },
        }
    }
}

/// For how long whoever wrote the Lease leads without writing it again. It stops a third of the term before others may think that
/// it is gone.
pub(super) fn reign(term: Duration) -> Duration {
    term * 2 / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_secs(15);

    fn held_by(holder: Option<&str>) -> Office {
        Office { holder: holder.map(str::to_owned), term: TERM, acquired: None, renewed: None, transitions: 0 }
    }

    fn revision(n: u32) -> Revision {
        Revision(n.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_is_gone_when_the_lease_stays_the_same_for_as_long_as_it_says() {
        let (mut election, start) = (Election::of("b".to_owned()), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let office = held_by(Some("a"));
        // However old it was when it was first seen.
        assert_eq!(election.judge(&office, &revision(1), after(0)), Step::Wait(TERM));
        assert_eq!(election.judge(&office, &revision(1), after(14)), Step::Wait(Duration::from_secs(1)));
        // A sign of life, whatever else it says.
        assert_eq!(election.judge(&office, &revision(2), after(14)), Step::Wait(TERM));
        assert_eq!(election.judge(&office, &revision(2), after(28)), Step::Wait(Duration::from_secs(1)));
        assert_eq!(election.judge(&office, &revision(2), after(29)), Step::Take);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_holds_is_taken_and_what_is_ours_is_renewed() {
        let (mut election, now) = (Election::of("b".to_owned()), Instant::now());
        assert_eq!(election.judge(&held_by(None), &revision(1), now), Step::Take);
        assert_eq!(election.judge(&held_by(Some("b")), &revision(2), now), Step::Renew);
        // A process that was started again is another one.
        assert_eq!(election.judge(&held_by(Some("b-1")), &revision(3), now), Step::Wait(TERM));
    }

    #[test]
    fn a_leader_stops_before_others_begin() {
        assert!(reign(TERM) < TERM);
    }
}
