//! Points in time as the agent records them.

use std::fmt;
use std::str::FromStr;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The point in time that is `ms` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Time from `earlier` until this point; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The point in time `duration` after this one; the last there is when that is later.
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The point in time `duration` before this one; the epoch when there is none.
    pub fn before(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// RFC 3339 in UTC with milliseconds, such as `2026-03-01T03:14:15.926Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{instant:.3}")
    }
}

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no time in RFC 3339; write one such as 2026-12-31T18:00:00Z")]
pub struct InvalidTime;

/// Reads RFC 3339, with `Z` or an offset. What lies before 1970 is its beginning.
impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTime)?;
        Ok(Self(u64::try_from(time.as_millisecond()).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_as_rfc_3339_in_utc() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(1_772_334_855_926).to_string(), "2026-03-01T03:14:15.926Z");
        assert!(Timestamp::from_millis(u64::MAX).to_string().starts_with("9999-"));
    }

    #[test]
    fn a_timestamp_is_read_back_and_anything_else_is_not() {
        let time = Timestamp::from_millis(1_772_334_855_926);
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!("2026-03-01T04:14:15.926+01:00".parse(), Ok(time));
        assert_eq!("1900-01-01T00:00:00Z".parse(), Ok(Timestamp::from_millis(0)));
        for bad in ["", "2026-03-01", "2026-03-01T03:14:15", "tomorrow", "1772334855926"] {
            assert_eq!(bad.parse::<Timestamp>(), Err(InvalidTime), "{bad}");
        }
    }

    #[test]
    fn time_never_runs_below_zero() {
        let (early, late) = (Timestamp::from_millis(1_000), Timestamp::from_millis(3_500));
        assert_eq!(late.since(early).as_millis(), 2_500);
        assert_eq!(early.since(late).as_millis(), 0);
        assert_eq!(early.before(std::time::Duration::from_secs(9)).as_millis(), 0);
    }
}
