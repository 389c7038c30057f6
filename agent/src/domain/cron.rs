//! Cron patterns in the dialect of Kubernetes: five fields, names of months and days, `@hourly` and its like.
//!
//! A pattern knows the calendar and the clock on the wall and nothing of time zones; what the two become when clocks are
//! set forward or back is decided where slots are made.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};

/// Days that are looked at for the next match. The 29th of February may be eight years away, and may have to be a Monday:
/// the calendar repeats itself after 28 years, or after 40 over a century.
const HORIZON_DAYS: u32 = 41 * 366;

/// A pattern such as `*/5 8-17 * * MON-FRI`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronPattern {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// How the two fields about days go together.
    either_day: bool,
}

/// Why a pattern was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// It has another number of fields.
    #[error("`{text}` has {count} fields; a pattern has five: minute, hour, day of month, month, day of week")]
    Fields {
        /// The pattern.
        text: String,
        /// How many it has.
        count: usize,
    },
    /// One field is not understood.
    #[error("`{part}` is no {field}: {rule}")]
    Field {
        /// Which one.
        field: &'static str,
        /// The part of it.
        part: String,
        /// What would be right.
        rule: String,
    },
    /// There is no such shorthand.
    #[error("`{0}` is no shorthand; there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually")]
    Shorthand(String),
    /// A zone stands before the fields.
    #[error("a time zone does not stand in the pattern; write it in `timezone`")]
    Zone,
    /// No day of any year fits.
    #[error("`{0}` never comes: no month has such a day")]
    Never(String),
}

const SHORTHANDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// What one field may hold.
struct Kind {
    name: &'static str,
    least: u32,
    most: u32,
    /// Names for the numbers from `least` on.
    names: &'static [&'static str],
    /// Whether `?` may stand for `*`.
    question: bool,
}

const MINUTE: Kind = Kind { name: "minute", least: 0, most: 59, names: &[], question: false };
const HOUR: Kind = Kind { name: "hour", least: 0, most: 23, names: &[], question: false };
const DAY: Kind = Kind { name: "day of month", least: 1, most: 31, names: &[], question: true };
const MONTH: Kind = Kind {
    name: "month",
    least: 1,
    most: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    question: false,
};
/// Sunday may also be written 7, as elsewhere.
const WEEKDAY: Kind = Kind {
    name: "day of week",
    least: 0,
    most: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    question: true,
};

impl Kind {
    /// The last of all numbers: a week ends on Saturday, because its Sunday is the first.
    fn last(&self) -> u32 {
        if self.most == 7 { 6 } else { self.most }
    }
}

impl CronPattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first minute at or after `from` that fits. None within forty years.
    pub fn next_from(&self, from: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut earliest = (from.hour(), from.minute());
        if from.second() > 0 || from.subsec_nanosecond() > 0 {
            earliest.1 += 1;
        }
        for _ in 0..HORIZON_DAYS {
            if self.has_day(date)
                && let Some((hour, minute)) = self.first_time(earliest)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            date = date.tomorrow().ok()?;
            earliest = (0, 0);
        }
        None
    }

    /// The last minute at or before `until` that fits. None within forty years.
    pub fn last_until(&self, until: DateTime) -> Option<DateTime> {
        let mut date = until.date();
        let mut latest = (until.hour(), until.minute());
        for _ in 0..HORIZON_DAYS {
            if self.has_day(date)
                && let Some((hour, minute)) = self.last_time(latest)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            date = date.yesterday().ok()?;
            latest = (23, 59);
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month()) && if self.either_day { day || weekday } else { day && weekday }
    }

    fn first_time(&self, (hour, minute): (i8, i8)) -> Option<(i8, i8)> {
        (hour..24).filter(|h| has(self.hours, *h)).find_map(|h| {
            let from = if h == hour { minute } else { 0 };
            (from..60).find(|m| has(self.minutes, *m)).map(|m| (h, m))
        })
    }

    fn last_time(&self, (hour, minute): (i8, i8)) -> Option<(i8, i8)> {
        (0..=hour).rev().filter(|h| has(self.hours, *h)).find_map(|h| {
            let until = if h == hour { minute } else { 59 };
            (0..=until).rev().find(|m| has(self.minutes, *m)).map(|m| (h, m))
        })
    }
}

impl FromStr for CronPattern {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let shown = || text.chars().take(80).collect::<String>();
        if text.starts_with("CRON_TZ=") || text.starts_with("TZ=") {
            return Err(InvalidCron::Zone);
        }
        let fields = match SHORTHANDS.iter().find(|(name, _)| *name == text) {
            Some((_, meant)) => meant,
            None if text.starts_with('@') => return Err(InvalidCron::Shorthand(shown())),
            None => text,
        };
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(InvalidCron::Fields { text: shown(), count: fields.len() });
        };
        let (days, any_day) = field(day, &DAY)?;
        let (weekdays, any_weekday) = field(weekday, &WEEKDAY)?;
        let pattern = Self {
            text: text.to_owned(),
            minutes: field(minute, &MINUTE)?.0,
            hours: field(hour, &HOUR)?.0,
            days,
            months: field(month, &MONTH)?.0,
            // The seventh day is the one before the first.
            weekdays: if weekdays & (1 << 7) == 0 { weekdays } else { weekdays | 1 },
            // Where both are restricted, a day that fits either is meant; so it has been since the first cron.
            either_day: !any_day && !any_weekday,
        };
        match pattern.next_from(DateTime::constant(2000, 1, 1, 0, 0, 0, 0)) {
            Some(_) => Ok(pattern),
            None => Err(InvalidCron::Never(shown())),
        }
    }
}

impl fmt::Display for CronPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn has(set: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| set.checked_shr(number).is_some_and(|rest| rest & 1 == 1))
}

/// The numbers of one field, and whether it restricts nothing.
fn field(text: &str, kind: &Kind) -> Result<(u64, bool), InvalidCron> {
    let mut numbers = 0;
    let mut unrestricted = false;
    for part in text.split(',') {
        let (set, all) = range(part, kind)?;
        numbers |= set;
        unrestricted |= all;
    }
    Ok((numbers, unrestricted))
}

/// `*`, `7`, `7-9`, and each of them with a step behind a `/`.
fn range(part: &str, kind: &Kind) -> Result<(u64, bool), InvalidCron> {
    let refuse = |rule: String| InvalidCron::Field { field: kind.name, part: part.chars().take(80).collect(), rule };
    let form = || {
        format!(
            "write {} to {}, a range such as {}-{}, or `*`, each with a step such as `/2`",
            kind.least,
            kind.most,
            kind.least,
            kind.least + 1
        )
    };
    let (numbers, step) = match part.split_once('/') {
        Some((numbers, step)) => (numbers, Some(step)),
        None => (part, None),
    };
    let every = match step {
        None => 1,
        Some(text) => match digits(text) {
            Some(0) => return Err(refuse("a step is at least 1".to_owned())),
            Some(step) => step,
            None => return Err(refuse(form())),
        },
    };
    let number = |text: &str| number(text, kind).ok_or_else(|| refuse(form()));
    let star = numbers == "*" || (kind.question && numbers == "?");
    let (first, last) = match numbers.split_once('-') {
        _ if star => (kind.least, kind.last()),
        Some((first, last)) => (number(first)?, number(last)?),
        None if step.is_some() => {
            let first = number(numbers)?;
            (first, kind.last().max(first))
        }
        None => (number(numbers)?, number(numbers)?),
    };
    if first > last {
        return Err(refuse("a range goes from the lower to the higher".to_owned()));
    }
    let step = usize::try_from(every).unwrap_or(usize::MAX);
    let set = (first..=last).step_by(step).fold(0, |set, number| set | (1_u64 << number));
    // A star with a step leaves days out, so it restricts.
    Ok((set, star && every == 1))
}

fn number(text: &str, kind: &Kind) -> Option<u32> {
    let named = kind.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let named = named.and_then(|index| u32::try_from(index).ok()).map(|index| kind.least + index);
    named.or_else(|| digits(text)).filter(|number| (kind.least..=kind.most).contains(number))
}

/// `u32::from_str` would take a sign.
fn digits(text: &str) -> Option<u32> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod damaged;

#[cfg(test)]
mod tests {
    use jiff::civil::datetime;
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> CronPattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_next_and_the_last_match_are_those_of_the_calendar() {
        // Thursday, 26 February 2026.
        let now = datetime(2026, 2, 26, 10, 31, 0, 0);
        for (text, next, last) in [
            ("* * * * *", datetime(2026, 2, 26, 10, 31, 0, 0), datetime(2026, 2, 26, 10, 31, 0, 0)),
            ("*/5 * * * *", datetime(2026, 2, 26, 10, 35, 0, 0), datetime(2026, 2, 26, 10, 30, 0, 0)),
            ("7/20 * * * *", datetime(2026, 2, 26, 10, 47, 0, 0), datetime(2026, 2, 26, 10, 27, 0, 0)),
            ("0 10-12/2 * * *", datetime(2026, 2, 26, 12, 0, 0, 0), datetime(2026, 2, 26, 10, 0, 0, 0)),
            ("@hourly", datetime(2026, 2, 26, 11, 0, 0, 0), datetime(2026, 2, 26, 10, 0, 0, 0)),
            ("@daily", datetime(2026, 2, 27, 0, 0, 0, 0), datetime(2026, 2, 26, 0, 0, 0, 0)),
            ("@weekly", datetime(2026, 3, 1, 0, 0, 0, 0), datetime(2026, 2, 22, 0, 0, 0, 0)),
            ("@monthly", datetime(2026, 3, 1, 0, 0, 0, 0), datetime(2026, 2, 1, 0, 0, 0, 0)),
            ("@yearly", datetime(2027, 1, 1, 0, 0, 0, 0), datetime(2026, 1, 1, 0, 0, 0, 0)),
            ("30 9 * * mon-fri", datetime(2026, 2, 27, 9, 30, 0, 0), datetime(2026, 2, 26, 9, 30, 0, 0)),
            ("0 12 * * 7/2", datetime(2026, 3, 1, 12, 0, 0, 0), datetime(2026, 2, 22, 12, 0, 0, 0)),
            ("0 12 * * 7", datetime(2026, 3, 1, 12, 0, 0, 0), datetime(2026, 2, 22, 12, 0, 0, 0)),
            ("0 0 29 FEB ?", datetime(2028, 2, 29, 0, 0, 0, 0), datetime(2024, 2, 29, 0, 0, 0, 0)),
            ("15,45 10 26 2 *", datetime(2026, 2, 26, 10, 45, 0, 0), datetime(2026, 2, 26, 10, 15, 0, 0)),
            // Both kinds of day: either will do.
            ("0 0 13 * 5", datetime(2026, 2, 27, 0, 0, 0, 0), datetime(2026, 2, 20, 0, 0, 0, 0)),
            // A stepped star restricts too, and then either will do again.
            ("0 0 */10 * 6", datetime(2026, 2, 28, 0, 0, 0, 0), datetime(2026, 2, 21, 0, 0, 0, 0)),
        ] {
            assert_eq!(pattern(text).next_from(now), Some(next), "{text}");
            assert_eq!(pattern(text).last_until(now), Some(last), "{text}");
        }
    }

    #[test]
    fn a_minute_that_began_is_past() {
        let begun = datetime(2026, 2, 26, 10, 31, 0, 1);
        assert_eq!(pattern("* * * * *").next_from(begun), Some(datetime(2026, 2, 26, 10, 32, 0, 0)));
        assert_eq!(pattern("* * * * *").last_until(begun), Some(datetime(2026, 2, 26, 10, 31, 0, 0)));
        let end_of_year = datetime(2026, 12, 31, 23, 59, 59, 0);
        assert_eq!(pattern("* * * * *").next_from(end_of_year), Some(datetime(2027, 1, 1, 0, 0, 0, 0)));
    }

    #[test]
    fn each_bad_pattern_earns_its_message() {
        for (text, expected) in [
            ("", "`` has 0 fields; a pattern has five: minute, hour, day of month, month, day of week"),
            ("* * * *", "`* * * *` has 4 fields; a pattern has five: minute, hour, day of month, month, day of week"),
            (
                "0 * * * * *",
                "`0 * * * * *` has 6 fields; a pattern has five: minute, hour, day of month, month, day of week",
            ),
            (
                "60 * * * *",
                "`60` is no minute: write 0 to 59, a range such as 0-1, or `*`, each with a step such as `/2`",
            ),
            (
                "* 24 * * *",
                "`24` is no hour: write 0 to 23, a range such as 0-1, or `*`, each with a step such as `/2`",
            ),
            (
                "* * 0 * *",
                "`0` is no day of month: write 1 to 31, a range such as 1-2, or `*`, each with a step such as `/2`",
            ),
            (
                "* * * FEBR *",
                "`FEBR` is no month: write 1 to 12, a range such as 1-2, or `*`, each with a step such as `/2`",
            ),
            (
                "* * * * 8",
                "`8` is no day of week: write 0 to 7, a range such as 0-1, or `*`, each with a step such as `/2`",
            ),
            ("*/0 * * * *", "`*/0` is no minute: a step is at least 1"),
            ("9-5 * * * *", "`9-5` is no minute: a range goes from the lower to the higher"),
            (
                "@every 5m",
                "`@every 5m` is no shorthand; there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually",
            ),
            ("CRON_TZ=Europe/Berlin 0 6 * * *", "a time zone does not stand in the pattern; write it in `timezone`"),
            ("0 0 31 2 *", "`0 0 31 2 *` never comes: no month has such a day"),
        ] {
            assert_eq!(text.parse::<CronPattern>().unwrap_err().to_string(), expected);
        }
        for hostile in [
            "+1 * * * *",
            "1- * * * *",
            "-1 * * * *",
            "1,,2 * * * *",
            "? * * * *",
            "*/99999999999 * * * *",
            "١ * * * *",
            "1-2-3 * * * *",
            "1//2 * * * *",
        ] {
            assert!(hostile.parse::<CronPattern>().is_err(), "{hostile}");
        }
    }

    proptest! {
        /// The searched match is the one that is found by trying every minute.
        #[test]
        fn a_match_is_found_where_trying_every_minute_finds_it(
            minute in 0_i8..60, hour in 0_i8..24, step in 1_i8..40, weekday in 0_i8..7, start in 0_i64..1_000_000
        ) {
            let text = format!("{minute}/{step} {hour},{} * * {weekday}", (hour + 5) % 24);
            let pattern = pattern(&text);
            let from = datetime(2026, 1, 1, 0, 0, 0, 0).checked_add(jiff::Span::new().minutes(start)).unwrap();
            let fits = |at: &DateTime| {
                at.minute() >= minute && (at.minute() - minute) % step == 0
                    && (at.hour() == hour || at.hour() == (hour + 5) % 24)
                    && at.weekday().to_sunday_zero_offset() == weekday
            };
            let try_all = |step: i64| (0..=8 * 1440).map(|n| from.checked_add(jiff::Span::new().minutes(step * n)).unwrap()).find(fits);
            prop_assert_eq!(pattern.next_from(from), try_all(1));
            prop_assert_eq!(pattern.last_until(from), try_all(-1));
        }
    }
}
