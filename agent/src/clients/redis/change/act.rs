//! What is done to a key, which keys it is done to, and how it is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::super::resp::{Answers, Command};
use super::super::{KeySelection, USAGE_SAMPLES};
use super::{Expiry, GiveBack};
use crate::domain::{CallError, Difference, Digesting, System, Undo};
use crate::journal::canonical;

/// What `PTTL` answers for a key that does not expire.
const FOREVER: i64 = -1;

/// What is done to each key that fits.
#[derive(Debug)]
pub(super) enum Act {
    Remove { selection: KeySelection, min_idle: Option<Duration> },
    Expire { asked: Expiry, min_idle: Option<Duration>, lives: Duration },
    GiveBack(Given),
}

/// What the expiries of one change follow from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    pub(super) pattern: String,
    /// The earliest expiry, in milliseconds since 1970.
    base_ms: u64,
    /// Over how many milliseconds they are spread.
    spread_ms: u64,
    /// Which of the many ways to spread them.
    seed: u32,
}

impl Given {
    /// For keys that expire after `lives` from now on, and a tenth of it later at most. All at once would be a flood of
    /// misses for whatever stands behind a cache.
    pub(super) fn new(pattern: &str, now: u64, lives: Duration) -> Self {
        let lives = u64::try_from(lives.as_millis()).unwrap_or(u64::MAX >> 12).min(u64::MAX >> 12);
        Self {
            pattern: pattern.to_owned(),
            base_ms: now.saturating_add(lives),
            spread_ms: (lives / 10).max(1),
            seed: rand::random(),
        }
    }

    /// True when `expires`, as `PEXPIRETIME` tells it, is the expiry that `key` was given.
    pub(super) fn is_expiry(&self, key: &[u8], expires: i64) -> bool {
        i64::try_from(self.at(key)) == Ok(expires)
    }

    /// When `key` expires, in milliseconds since 1970.
    fn at(&self, key: &[u8]) -> u64 {
        let mut digesting = Digesting::default();
        digesting.update(&self.seed.to_be_bytes());
        digesting.update(key);
        let number =
            digesting.digest().as_bytes().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        self.base_ms.saturating_add(number % self.spread_ms.max(1))
    }
}

/// What is sent for a key. It is known when the first batch begins.
#[derive(Debug)]
pub(super) enum Deed {
    Unlink,
    ExpireAt(Given),
    Persist,
}

impl Deed {
    /// The command that touches `key`.
    pub(super) fn command(&self, key: &[u8]) -> Command {
        match self {
            Self::Unlink => Command::new("UNLINK").arg(key),
            // One that got an expiry since is left alone by the server itself.
            Self::ExpireAt(given) => Command::new("PEXPIREAT").arg(key).number(given.at(key)).arg("NX"),
            Self::Persist => Command::new("PERSIST").arg(key),
        }
    }
}

impl Act {
    pub(super) fn arguments(&self) -> String {
        match self {
            Self::Remove { selection, .. } => canonical(selection),
            Self::Expire { asked, .. } => canonical(asked),
            Self::GiveBack(given) => canonical(&GiveBack { given: given.clone() }),
        }
    }

    fn min_idle(&self) -> Option<Duration> {
        match self {
            Self::Remove { min_idle, .. } | Self::Expire { min_idle, .. } => *min_idle,
            Self::GiveBack(_) => None,
        }
    }

    /// What to ask of a key, in the order in which [`judge`](Self::judge) takes the answers. None of it counts as use.
    pub(super) fn questions(&self, key: &[u8], is_measured: bool) -> Vec<Command> {
        let mut questions = Vec::with_capacity(3);
        if is_measured {
            questions.push(Command::new("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").number(USAGE_SAMPLES));
        }
        if self.min_idle().is_some() {
            questions.push(Command::new("OBJECT").arg("IDLETIME").arg(key));
        }
        match self {
            Self::Remove { .. } => questions.push(Command::new("EXISTS").arg(key)),
            Self::Expire { .. } => questions.push(Command::new("PTTL").arg(key)),
            Self::GiveBack(_) => questions.push(Command::new("PEXPIRETIME").arg(key)),
        }
        questions
    }

    /// The size of a key that fits.
    pub(super) fn judge(&self, key: &[u8], is_measured: bool, answers: &mut Answers) -> Result<Option<u64>, CallError> {
        let bytes = if is_measured { answers.take::<Option<u64>>()? } else { Some(0) };
        let is_idle = match self.min_idle() {
            Some(least) => idle_time(answers)?.is_some_and(|idle| idle >= least),
            None => true,
        };
        let state: i64 = answers.take()?;
        let fits = match self {
            Self::Remove { .. } => state == 1,
            Self::Expire { .. } => state == FOREVER,
            Self::GiveBack(given) => given.is_expiry(key, state),
        };
        Ok(bytes.filter(|_| is_idle && fits))
    }

    pub(super) fn summary(&self, keys: u64, bytes: u64, pattern: &str) -> String {
        let bytes = size(bytes);
        match self {
            Self::Remove { .. } => format!("remove {keys} keys {pattern} ({bytes})"),
            Self::Expire { lives, .. } => format!("let {keys} keys {pattern} ({bytes}) expire in {lives:?}"),
            Self::GiveBack(_) => format!("take the expiry back from {keys} keys {pattern} ({bytes})"),
        }
    }

    pub(super) fn difference(&self, keys: u64, bytes: u64) -> Difference {
        let these = format!("{keys} keys, {}", size(bytes));
        let (field, before, after) = match self {
            Self::Remove { .. } => ("keys", Some(these), None),
            Self::Expire { lives, .. } => {
                let latest = lives.saturating_add(*lives / 10);
                ("expiry", Some(format!("none ({these})")), Some(format!("in {lives:?} to {latest:?}")))
            }
            Self::GiveBack(_) => ("expiry", Some(format!("given by the agent ({these})")), Some("none".to_owned())),
        };
        Difference { field: field.to_owned(), before, after }
    }

    pub(super) fn undo(&self) -> Undo {
        match self {
            Self::Remove { .. } => Undo::Impossible("the keys are gone with their values".to_owned()),
            Self::Expire { .. } => Undo::Possible(
                "until they expire, the expiry is taken back from the keys that still have just the one they were given"
                    .to_owned(),
            ),
            Self::GiveBack(_) => Undo::Impossible("to let keys expire is asked for anew".to_owned()),
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        match self {
            Self::Remove { .. } => vec!["sizes come from samples".to_owned()],
            Self::Expire { .. } => {
                vec!["keys that expire already keep their expiry; sizes come from samples".to_owned()]
            }
            Self::GiveBack(_) => vec!["keys that expired since are gone".to_owned()],
        }
    }
}

/// None for a key that is gone.
fn idle_time(answers: &mut Answers) -> Result<Option<Duration>, CallError> {
    match answers.try_take::<Option<u64>>()? {
        Ok(seconds) => Ok(seconds.map(Duration::from_secs)),
        Err(error) if error.is_about_frequency() => Err(CallError::Invalid(
            "the server's maxmemory policy counts how often keys are used (LFU), so that it does not know for how long \
             they were not; leave the idle time out"
                .to_owned(),
        )),
        Err(error) => Err(error.to_call_error(System::Redis)),
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1 << 10 {
        return format!("{bytes} bytes");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = "KiB";
    for next in UNITS.into_iter().skip(1) {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = next;
    }
    format!("{amount:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiries_are_spread_over_a_tenth_and_follow_from_the_key() {
        let given = Given::new("cache:*", 1_700_000_000_000, Duration::from_secs(600));
        let times: Vec<u64> = (0..1_000).map(|number| given.at(format!("cache:{number}").as_bytes())).collect();
        let (first, last) = (1_700_000_600_000, 1_700_000_660_000);
        assert!(times.iter().all(|time| (first..last).contains(time)));
        let early = times.iter().filter(|time| **time < first + 30_000).count();
        assert!((400..600).contains(&early), "{early}");
        let again: Given = serde_json::from_str(&canonical(&given)).unwrap();
        assert_eq!(again.at(b"cache:7"), given.at(b"cache:7"));
        assert_ne!(Given { seed: given.seed ^ 1, ..given.clone() }.at(b"cache:7"), given.at(b"cache:7"));
    }

    #[test]
    fn a_time_to_live_without_end_overflows_nowhere() {
        let given = Given::new("*", u64::MAX / 2, Duration::MAX);
        assert!(given.at(b"x") >= given.base_ms);
    }

    #[test]
    fn sizes_are_told_in_units() {
        for (bytes, told) in [(0, "0 bytes"), (1_023, "1023 bytes"), (1_536, "1.5 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(size(bytes), told);
        }
    }
}
