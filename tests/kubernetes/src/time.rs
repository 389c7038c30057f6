//! The cluster's own time, which moves only when a test says so, and the two ways in which Kubernetes writes it.

use std::time::Duration;

use jiff::Timestamp;

/// When every cluster starts: a Monday in winter.
const START: &str = "2026-11-23T04:28:37Z";

/// From there to the time of this machine; nothing where that is earlier.
pub fn since_start() -> Duration {
    Duration::try_from(Timestamp::now() - Clock::default().now()).unwrap_or_default()
}

/// A clock that a test winds.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Timestamp);

impl Default for Clock {
    fn default() -> Self {
        Clock(START.parse().expect("the start is a time"))
    }
}

impl Clock {
    /// Moves on.
    pub fn advance(&mut self, by: Duration) {
        self.0 = self.0.checked_add(by).expect("a test does not outlive the calendar");
    }

    /// The time itself.
    #[must_use]
    pub fn now(self) -> Timestamp {
        self.0
    }

    /// The time in whole seconds, as in `creationTimestamp`.
    #[must_use]
    pub fn seconds(self) -> String {
        seconds(self.0)
    }

    /// The time in whole seconds, so much later.
    #[must_use]
    pub fn seconds_after(self, seconds_later: i64) -> String {
        let span = jiff::SignedDuration::from_secs(seconds_later);
        seconds(self.0.checked_add(span).expect("a test does not outlive the calendar"))
    }

    /// The time with six decimals, as in `eventTime`.
    #[must_use]
    pub fn micros(self) -> String {
        self.0.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }

    /// Seconds since a time that the cluster wrote; none if it is no time.
    #[must_use]
    pub fn since(self, written: &str) -> Option<i64> {
        written.parse::<Timestamp>().ok().map(|then| self.0.duration_since(then).as_secs())
    }
}

/// A time in whole seconds.
#[must_use]
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time with nine decimals, as in logs.
#[must_use]
pub fn nanos(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// Whether the text is a time; the error is the server's message.
pub fn check_seconds(text: &str) -> Result<(), String> {
    text.parse::<Timestamp>().map(|_| ()).map_err(|_| format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\""))
}

/// Whether the text is a time with exactly six decimals; the error is the server's message.
pub fn check_micros(text: &str) -> Result<(), String> {
    let decimals = text.split_once('.').map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).count());
    if text.parse::<Timestamp>().is_ok() && decimals == Some(6) {
        return Ok(());
    }
    Err(format!("parsing time {text:?} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse it as \".000000\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_decimals_are_asked_for_exactly() {
        assert!(check_micros("2026-01-01T00:00:00.000000Z").is_ok());
        for text in ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000000Z", "now"] {
            assert!(check_micros(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_clock_moves_only_when_it_is_wound() {
        let mut clock = Clock::default();
        let start = clock.seconds();
        assert_eq!(clock.since(&start), Some(0));
        clock.advance(Duration::from_secs(90));
        assert_eq!(clock.since(&start), Some(90));
    }
}
