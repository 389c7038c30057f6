//! How often one token may ask: a bucket that fills steadily and from which each request takes.

use std::sync::{Mutex, PoisonError};

use crate::domain::{Rate, Timestamp};

/// What one request takes. A bucket gains `per_minute` of these units in each millisecond, so that everything is counted in
/// whole numbers.
const REQUEST: u64 = 60_000;

/// The bucket of one token.
pub(super) struct Bucket {
    rate: Rate,
    state: Mutex<State>,
}

struct State {
    level: u64,
    /// When it had that level.
    at: Timestamp,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: Rate, now: Timestamp) -> Self {
        Self { rate, state: Mutex::new(State { level: capacity(rate), at: now }) }
    }

    /// Take what one request needs; fails with the whole seconds until there will be enough.
    pub(super) fn take(&self, now: Timestamp) -> Result<(), u32> {
        // Nothing is left half done when a holder panics.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let per_ms = u64::from(self.rate.per_minute);
        // A clock that was set back gives nothing and takes nothing: from here on time passes again.
        let passed = now.as_millis().saturating_sub(state.at.as_millis());
        state.level = state.level.saturating_add(passed.saturating_mul(per_ms)).min(capacity(self.rate));
        state.at = now;
        match state.level.checked_sub(REQUEST) {
            Some(rest) => {
                state.level = rest;
                Ok(())
            }
            None => {
                let ms = (REQUEST - state.level).div_ceil(per_ms.max(1));
                Err(u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX))
            }
        }
    }
}

fn capacity(rate: Rate) -> u64 {
    u64::from(rate.burst).saturating_mul(REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + ms)
    }

    fn taken(bucket: &Bucket, now: u64) -> usize {
        (0..10_000).take_while(|_| bucket.take(at(now)).is_ok()).count()
    }

    #[test]
    fn a_burst_is_let_through_and_then_one_at_a_time() {
        let bucket = Bucket::new(Rate { per_minute: 60, burst: 3 }, at(0));
        assert_eq!(taken(&bucket, 0), 3);
        assert_eq!(bucket.take(at(0)), Err(1));
        assert_eq!(bucket.take(at(999)), Err(1));
        assert_eq!(taken(&bucket, 1_000), 1);
        assert_eq!(taken(&bucket, 3_000), 2);
        assert_eq!(taken(&bucket, 60_000), 3, "no more than a burst is saved up");
    }

    #[test]
    fn who_asks_too_early_is_told_how_long_to_wait_and_loses_nothing_by_it() {
        let bucket = Bucket::new(Rate { per_minute: 4, burst: 1 }, at(0));
        assert_eq!(taken(&bucket, 0), 1);
        for (now, seconds) in [(0, 15), (1, 15), (5_000, 10), (14_999, 1)] {
            assert_eq!(bucket.take(at(now)), Err(seconds), "{now}");
        }
        assert_eq!(bucket.take(at(15_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let bucket = Bucket::new(Rate { per_minute: 60, burst: 2 }, at(3_600_000));
        assert_eq!(taken(&bucket, 3_600_000), 2);
        assert_eq!(bucket.take(at(0)), Err(1));
        assert_eq!(bucket.take(at(1_000)), Ok(()));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let bucket = Bucket::new(Rate { per_minute: u32::MAX, burst: u32::MAX }, at(0));
        assert_eq!(bucket.take(Timestamp::from_millis(u64::MAX)), Ok(()));
        let never = Bucket::new(Rate { per_minute: 0, burst: 0 }, at(0));
        assert!(never.take(Timestamp::from_millis(u64::MAX)).is_err());
    }
}
