//! How fast a change goes: slower when the server gets slower, and not at all when it stays so.

use std::time::Duration;

use super::super::super::resp::{Command, Server};
use super::super::SMALL_ANSWER_BYTES;
use crate::domain::{CallError, CallLimits};

/// Between two batches of a calm server, and of one that is slow for long.
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_millis(640);

/// A round trip that is never slow, and how many times the calm one is.
const FINE: Duration = Duration::from_millis(5);
const SLOWER: u32 = 4;

/// So many slow round trips in a row are enough.
const PATIENCE: u32 = 8;

/// Looks before, from which the best counts as calm.
const LOOKS: usize = 3;

#[derive(Debug)]
pub(super) struct Pace {
    calm: Duration,
    pause: Duration,
    slow: u32,
}

impl Pace {
    /// See how fast the server is before anything is done.
    pub(super) async fn measure(server: &Server, limits: &CallLimits) -> Result<Self, CallError> {
        let mut calm = Duration::MAX;
        for _ in 0..LOOKS {
            calm = calm.min(ping(server, limits).await?);
        }
        Ok(Self { calm, pause: SHORT, slow: 0 })
    }

    /// Wait until the next batch may begin. The answer is why none should, if so.
    pub(super) async fn rest(&mut self, server: &Server, limits: &CallLimits) -> Result<Option<String>, CallError> {
        loop {
            tokio::time::sleep(self.pause).await;
            let trip = ping(server, limits).await?;
            if !self.judge(trip) {
                return Ok(None);
            }
            if self.slow >= PATIENCE {
                let (now, calm) = (trip.as_secs_f64() * 1e3, self.calm.as_secs_f64() * 1e3);
                return Ok(Some(format!("the server got slow and stayed so: {now:.1} ms instead of {calm:.1} ms")));
            }
        }
    }

    /// True for a round trip that is slow. The pause doubles with each one, and shrinks again with those that are not.
    fn judge(&mut self, trip: Duration) -> bool {
        let is_slow = trip > FINE.max(self.calm.saturating_mul(SLOWER));
        if is_slow {
            self.slow += 1;
            self.pause = (self.pause * 2).min(LONG);
        } else {
            self.slow = 0;
            self.pause = (self.pause / 2).max(SHORT);
        }
        is_slow
    }
}

async fn ping(server: &Server, limits: &CallLimits) -> Result<Duration, CallError> {
    let answers = server.ask(limits, &[Command::new("PING")], SMALL_ANSWER_BYTES).await?;
    Ok(answers.round_trip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_server_gets_longer_pauses_and_a_calm_one_shorter_ones() {
        let ms = Duration::from_millis;
        let mut pace = Pace { calm: ms(2), pause: SHORT, slow: 0 };
        assert!(!pace.judge(ms(8)), "four times the calm value is still well");
        assert!(pace.judge(ms(9)) && pace.judge(ms(90)));
        assert_eq!((pace.pause, pace.slow), (ms(20), 2));
        assert!(!pace.judge(ms(1)) && !pace.judge(ms(1)) && !pace.judge(ms(1)));
        assert_eq!((pace.pause, pace.slow), (SHORT, 0));
        let mut quick = Pace { calm: Duration::from_micros(50), pause: SHORT, slow: 0 };
        assert!(!quick.judge(ms(5)) && quick.judge(ms(6)));
        (0..20).for_each(|_| assert!(quick.judge(ms(100))));
        assert_eq!(quick.pause, LONG);
    }
}
