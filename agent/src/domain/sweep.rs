//! Sweeps: named sets of checks that run together and give one verdict, and how such a set stands over time.

use std::fmt;
use std::str::FromStr;

use super::id::{InvalidName, InvalidRunId, invalid_name, is_name};
use super::{Actor, PluginName, RunId, Status, Timestamp};

/// Name of a sweep; the same shape as a plugin's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepName(String);

impl SweepName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SweepName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(invalid_name(text)) }
    }
}

impl fmt::Display for SweepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! ids {
    ($( $(#[$about:meta])* $name:ident; )+) => { $(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(RunId);

        impl $name {
            /// A new id for what is made at `now`.
            pub fn new(now: Timestamp) -> Self {
                Self(RunId::new(now))
            }

            /// The id as sixteen bytes, in the order in which ids sort.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id that [`Self::as_bytes`] gave; none for any other length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                RunId::from_slice(bytes).map(Self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidRunId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+ };
}

pub(super) use ids;

ids! {
    /// Identifier of one run of a sweep. Ids sort by the time of creation.
    SweepRunId;
    /// Identifier of a silence.
    SilenceId;
}

macro_rules! words {
    ($( $(#[$about:meta])* $name:ident { $( $(#[$told:meta])* $word:ident = $label:literal, )+ } )+) => { $(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[$told])* $word, )+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$word),+];

            /// Stable label for configuration, JSON, metrics and rows.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => $label,)+ }
            }

            /// The one of that label.
            pub fn from_label(label: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str() == label)
            }
        }
    )+ };
}

words! {
    /// What becomes of a slot that comes while the sweep is still at work.
    Overlap {
        /// It is left out.
        Skip = "skip",
        /// It starts when the one before has ended; at most one waits.
        Queue = "queue",
        /// The one before is given up for it.
        Replace = "replace",
    }

    /// What becomes of slots that passed while the agent was not there.
    Missed {
        /// They are left out.
        Skip = "skip",
        /// The latest of them is made up for.
        Once = "once",
    }

    /// Why the verdict of a check is `unknown`.
    Reason {
        /// No such plugin, or it cannot run.
        NotActive = "not_active",
        /// Its parameters were refused.
        Params = "params",
        /// It found no free place in time, or the agent is ending.
        TurnedAway = "turned_away",
        /// Its start could not be recorded.
        NotRecorded = "not_recorded",
        /// A call that it made was refused.
        Denied = "denied",
        /// It came to no conclusion.
        Failed = "failed",
        /// It said so itself.
        Concluded = "concluded",
    }

    /// How far the run of a sweep has come.
    SweepRunState {
        /// It has no end yet.
        Running = "running",
        /// It has a verdict.
        Concluded = "concluded",
        /// The next slot took its place.
        Replaced = "replaced",
        /// The agent ended while it was under way.
        Interrupted = "interrupted",
    }

    /// Something that happened to a sweep and that people may want to hear of.
    EventKind {
        /// Its hard state changed.
        Changed = "changed",
        /// It is still critical.
        Reminder = "reminder",
        /// Its verdicts change too often to mean anything.
        FlappingStarted = "flapping_started",
        /// They are steady again.
        FlappingStopped = "flapping_stopped",
    }

    /// Why nobody needs to be told of an event.
    Muted {
        /// Somebody silenced the sweep.
        Silenced = "silenced",
        /// The sweep is flapping.
        Flapping = "flapping",
    }
}

/// What one check of a sweep came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The plugin.
    pub plugin: PluginName,
    /// Its run; none when it could not start.
    pub run: Option<RunId>,
    /// The verdict.
    pub status: Status,
    /// The verdict in one line, or why there is none.
    pub summary: String,
    /// Why it is `unknown`, if it is.
    pub reason: Option<Reason>,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepRun {
    /// Its id.
    pub id: SweepRunId,
    /// The sweep.
    pub sweep: SweepName,
    /// The slot of the schedule that it is for; none when somebody asked for it.
    pub slot: Option<Timestamp>,
    /// Who asked; `schedule` for a slot.
    pub actor: Actor,
    /// When it was recorded as started.
    pub started: Timestamp,
    /// When it was recorded as finished.
    pub finished: Option<Timestamp>,
    /// How far it has come.
    pub state: SweepRunState,
    /// The gravest verdict of its checks.
    pub status: Option<Status>,
    /// Its checks, in the order of the configuration; empty until it ends.
    pub checks: Vec<CheckResult>,
}

/// How many verdicts flapping looks back on.
pub const FLAPPING_WINDOW: u32 = 20;

/// Which of the last verdicts differed from the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes(u32);

impl Changes {
    const MASK: u32 = (1 << FLAPPING_WINDOW) - 1;

    /// The changes that [`Changes::bits`] gave.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::MASK)
    }

    /// One bit for each verdict, the newest the lowest.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// With one verdict more.
    pub const fn with(self, changed: bool) -> Self {
        Self(((self.0 << 1) | changed as u32) & Self::MASK)
    }

    /// How much they change, in percent: newer changes weigh up to 1.15, the oldest 0.8.
    pub fn percent(self) -> f64 {
        let weight = |age: u32| 1.15 - 0.35 * f64::from(age) / f64::from(FLAPPING_WINDOW - 1);
        let all: f64 = (0..FLAPPING_WINDOW).map(weight).sum();
        let changed: f64 = (0..FLAPPING_WINDOW).filter(|age| self.0 >> age & 1 == 1).map(weight).sum();
        100.0 * changed / all
    }
}

/// How a sweep stands: its confirmed state, and what its last verdicts say about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The confirmed state; none before the first verdict.
    pub hard: Option<Status>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The last verdict.
    pub last: Option<Status>,
    /// Verdicts in a row that speak against the confirmed state.
    pub streak: u32,
    /// Which of the last verdicts were changes.
    pub changes: Changes,
    /// Whether it changes too often to mean anything.
    pub flapping: bool,
    /// When people were last told that it is critical.
    pub reminded: Option<Timestamp>,
}

/// Something that happened to a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepEvent {
    /// When.
    pub time: Timestamp,
    /// The sweep.
    pub sweep: SweepName,
    /// What.
    pub kind: EventKind,
    /// The hard state before, where it changed.
    pub from: Option<Status>,
    /// The hard state.
    pub status: Status,
    /// Why nobody needs to be told.
    pub muted: Option<Muted>,
    /// The run that showed it.
    pub run: Option<SweepRunId>,
}

/// Somebody knows, and does not want to hear of it for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its id.
    pub id: SilenceId,
    /// The sweep; none for all of them.
    pub sweep: Option<SweepName>,
    /// Why.
    pub reason: String,
    /// Who.
    pub creator: Actor,
    /// Since when.
    pub created: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// Whether it also ends when the sweep recovers.
    pub expire_on_resolve: bool,
}

impl Silence {
    /// True when it speaks of `sweep` at the time `now`.
    pub fn covers(&self, sweep: &SweepName, now: Timestamp) -> bool {
        now < self.expires && self.sweep.as_ref().is_none_or(|silenced| silenced == sweep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flapping_weighs_the_last_twenty_verdicts_and_the_newer_ones_more() {
        assert_eq!(Changes::default().percent(), 0.0);
        assert!((Changes::from_bits(u32::MAX).percent() - 100.0).abs() < 1e-9);
        let oldest = Changes::from_bits(1 << 19).percent();
        let newest = Changes::from_bits(1).percent();
        assert!((oldest - 100.0 * 0.8 / 19.5).abs() < 1e-9, "{oldest}");
        assert!((newest - 100.0 * 1.15 / 19.5).abs() < 1e-9, "{newest}");
        // A change is forgotten after twenty further verdicts.
        let mut changes = Changes::default().with(true);
        for _ in 0..19 {
            changes = changes.with(false);
        }
        assert_eq!(changes, Changes::from_bits(1 << 19));
        assert_eq!(changes.with(false), Changes::default());
    }

    #[test]
    fn a_silence_speaks_of_its_sweep_until_it_expires() {
        let (health, other): (SweepName, SweepName) = ("health".parse().unwrap(), "other".parse().unwrap());
        let at = Timestamp::from_millis;
        let silence = |sweep: Option<&SweepName>| Silence {
            id: SilenceId::new(at(0)),
            sweep: sweep.cloned(),
            reason: "maintenance".to_owned(),
            creator: Actor("alice".to_owned()),
            created: at(0),
            expires: at(1000),
            expire_on_resolve: false,
        };
        assert!(silence(Some(&health)).covers(&health, at(999)) && !silence(Some(&health)).covers(&health, at(1000)));
        assert!(!silence(Some(&health)).covers(&other, at(0)) && silence(None).covers(&other, at(0)));
    }

    #[test]
    fn labels_are_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_label(reason.as_str()), Some(*reason));
        }
        assert_eq!(Overlap::from_label("Skip"), None);
    }
}
