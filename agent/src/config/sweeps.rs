//! `sweeps`: which checks run together, when, and what it takes to believe them; and `scheduler`, what holds for all.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::domain::{CronPattern, Missed, Overlap, PluginName, SweepName};

use super::choices::choose_from;
use super::field::{Field, Mapping};
use super::report::quoted;
use super::{plugins, yaml};

/// What holds for all sweeps together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheduler {
    /// Most checks of all sweeps at the same time.
    pub max_parallel: usize,
    /// Most checks of all sweeps at the same time on one target.
    pub max_parallel_per_target: usize,
}

/// One sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// When it runs by itself; none for only when asked.
    pub cadence: Option<Cadence>,
    /// Over how long after a slot the starts of sweeps are spread.
    pub splay: Duration,
    /// What becomes of a slot that comes while it is still at work.
    pub overlap: Overlap,
    /// What becomes of slots that passed while the agent was not there.
    pub missed: Missed,
    /// A slot that is later than this is not started any more.
    pub starting_deadline: Duration,
    /// Its checks, at least one.
    pub checks: Vec<Check>,
    /// Verdicts in a row that are not ok, until it is believed.
    pub failure_threshold: u32,
    /// Verdicts in a row that are ok, until it is believed.
    pub success_threshold: u32,
    /// How often people are told again that it is critical.
    pub reminder_interval: Option<Duration>,
    /// Changes in percent below which it is steady again.
    pub low_flap_threshold: u32,
    /// Changes in percent from which on it is flapping.
    pub high_flap_threshold: u32,
    /// Most of its checks at the same time.
    pub max_parallel: usize,
    /// Most of its checks at the same time on one target.
    pub max_parallel_per_target: usize,
}

/// When a sweep runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Cadence {
    /// In this interval.
    Every(Duration),
    /// By a cron pattern on the clock of a zone.
    Cron {
        /// The pattern.
        pattern: CronPattern,
        /// The zone.
        zone: TimeZone,
    },
}

/// A plugin with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The plugin.
    pub plugin: PluginName,
    /// Parameters that go over those of the plugin.
    pub params: Map<String, Value>,
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const FIELDS: [&str; 15] = [
    "every",
    "cron",
    "timezone",
    "splay",
    "overlap",
    "missed",
    "starting_deadline",
    "checks",
    "failure_threshold",
    "success_threshold",
    "reminder_interval",
    "low_flap_threshold",
    "high_flap_threshold",
    "max_parallel",
    "max_parallel_per_target",
];

impl Scheduler {
    /// Read `scheduler`.
    pub(super) fn read(root: &Mapping<'_>) -> Option<Self> {
        let scheduler = root.section("scheduler", &["max_parallel", "max_parallel_per_target"])?;
        let max_parallel = scheduler.or("max_parallel", 48, |field| field.whole(1..=1024));
        let max_parallel_per_target = scheduler.or("max_parallel_per_target", 8, |field| field.whole(1..=1024));
        Some(Self { max_parallel: max_parallel?, max_parallel_per_target: max_parallel_per_target? })
    }
}

/// Read `sweeps`.
pub(super) fn read(root: &Mapping<'_>) -> Option<BTreeMap<SweepName, Sweep>> {
    let Some(field) = root.get("sweeps") else { return Some(BTreeMap::new()) };
    let plugins = Plugins::collect(root);
    let entries = field.entries()?;
    let read: Vec<_> =
        entries.iter().map(|entry| (entry.parsed::<SweepName>(), Sweep::read(&entry.value, &plugins))).collect();
    read.into_iter().map(|(name, sweep)| Some((name?, sweep?))).collect()
}

impl Sweep {
    fn read(field: &Field<'_>, plugins: &Plugins<'_>) -> Option<Self> {
        let sweep = field.mapping(&FIELDS)?;
        let cadence = cadence(&sweep);
        let splay = sweep.get("splay").map(|field| splay(field, cadence.as_ref()?.as_ref()));
        let overlap = sweep.or("overlap", Overlap::Skip, |field| word(field, Overlap::ALL, Overlap::as_str));
        let missed = sweep.or("missed", Missed::Skip, |field| word(field, Missed::ALL, Missed::as_str));
        let deadline = sweep.or("starting_deadline", HOUR, |field| field.duration(SECOND..=30 * DAY));
        let checks = sweep.required("checks", |field| checks(field, plugins));
        let failure_threshold = sweep.or("failure_threshold", 3, |field| field.whole(1..=1000));
        let success_threshold = sweep.or("success_threshold", 1, |field| field.whole(1..=1000));
        let reminder = sweep.get("reminder_interval").map(|field| field.duration(60 * SECOND..=30 * DAY));
        let flapping = flapping(&sweep);
        let max_parallel = sweep.or("max_parallel", 16, |field| field.whole(1..=1024));
        let max_parallel_per_target = sweep.or("max_parallel_per_target", 4, |field| field.whole(1..=1024));
        let cadence = cadence?;
        let (low_flap_threshold, high_flap_threshold) = flapping?;
        Some(Self {
            splay: splay.unwrap_or_else(|| Some(usual_splay(cadence.as_ref())))?,
            cadence,
            overlap: overlap?,
            missed: missed?,
            starting_deadline: deadline?,
            checks: checks?,
            failure_threshold: failure_threshold?,
            success_threshold: success_threshold?,
            reminder_interval: reminder.map_or(Some(None), |reminder| reminder.map(Some))?,
            low_flap_threshold,
            high_flap_threshold,
            max_parallel: max_parallel?,
            max_parallel_per_target: max_parallel_per_target?,
        })
    }
}

/// The outer none for a mistake, the inner for a sweep that only runs when asked.
fn cadence(sweep: &Mapping<'_>) -> Option<Option<Cadence>> {
    let every = sweep.get("every").map(|field| field.duration(SECOND..=30 * DAY));
    let pattern = sweep.get("cron").map(|field| field.parsed::<CronPattern>());
    let zone = sweep.get("timezone").map(zone);
    match (every, pattern, zone, sweep.get("timezone")) {
        (Some(_), Some(_), ..) => sweep.get("cron")?.refuse("a sweep has one schedule; give either `every` or `cron`"),
        (_, None, Some(_), Some(field)) => {
            field.refuse("a time zone goes with `cron`; intervals are the same in all of them")
        }
        (Some(every), None, ..) => Some(Some(Cadence::Every(every?))),
        (None, Some(pattern), zone, _) => {
            let zone = zone.unwrap_or(Some(TimeZone::UTC));
            Some(Some(Cadence::Cron { pattern: pattern?, zone: zone? }))
        }
        (None, None, ..) => Some(None),
    }
}

fn zone(field: &Field<'_>) -> Option<TimeZone> {
    let text = field.text()?;
    match TimeZone::get(text) {
        Ok(zone) if !zone.is_unknown() => Some(zone),
        Ok(_) | Err(_) => {
            field.refuse(format!("there is no time zone {}; write an IANA name such as Europe/Berlin", quoted(text)))
        }
    }
}

/// Nobody minds when within its interval a sweep runs, so all of it is used; a pattern is meant as it is written.
fn usual_splay(cadence: Option<&Cadence>) -> Duration {
    match cadence {
        Some(Cadence::Every(period)) => *period,
        Some(Cadence::Cron { .. }) | None => Duration::ZERO,
    }
}

fn splay(field: &Field<'_>, cadence: Option<&Cadence>) -> Option<Duration> {
    match cadence {
        None => field.refuse("a sweep without a schedule has nothing to spread; give `every` or `cron`"),
        Some(Cadence::Every(period)) => field.duration(Duration::ZERO..=*period),
        Some(Cadence::Cron { .. }) => field.duration(Duration::ZERO..=DAY),
    }
}

fn flapping(sweep: &Mapping<'_>) -> Option<(u32, u32)> {
    let low = sweep.or("low_flap_threshold", 25, |field| field.whole(0..=100));
    let high = sweep.or("high_flap_threshold", 30, |field| field.whole(1..=100));
    let (low, high) = (low?, high?);
    if low <= high {
        return Some((low, high));
    }
    let field = sweep.get("low_flap_threshold").or(sweep.get("high_flap_threshold"))?;
    field.refuse(format!("`low_flap_threshold` is {low} and must not be above `high_flap_threshold`, which is {high}"))
}

/// A word of a closed list.
fn word<T: Copy>(field: &Field<'_>, all: &[T], label: impl Fn(T) -> &'static str) -> Option<T> {
    let text = field.text()?;
    match all.iter().find(|word| label(**word) == text) {
        Some(word) => Some(*word),
        None => {
            let choices = choose_from(text, all.iter().map(|word| label(*word)));
            field.refuse(format!("{} is none of the words for it{choices}", quoted(text)))
        }
    }
}

/// Most checks of one sweep.
const MOST_CHECKS: usize = 200;

fn checks(field: &Field<'_>, plugins: &Plugins<'_>) -> Option<Vec<Check>> {
    let checks = field.all(|item| Check::read(item, plugins))?;
    match checks.len() {
        0 => field.refuse("a sweep without checks tells nothing; name the plugins that it runs"),
        1..=MOST_CHECKS => Some(checks),
        count => field.refuse(format!("these are {count} checks; a sweep has at most {MOST_CHECKS}")),
    }
}

impl Check {
    fn read(field: &Field<'_>, plugins: &Plugins<'_>) -> Option<Self> {
        if let yaml::Value::Mapping(_) = field.value() {
            let check = field.mapping(&["plugin", "params"])?;
            let plugin = check.required("plugin", |field| plugins.plugin(field));
            let params = check.or("params", Map::new(), plugins::object);
            return Some(Self { plugin: plugin?, params: params? });
        }
        plugins.plugin(field).map(|plugin| Self { plugin, params: Map::new() })
    }
}

/// Names as written under `plugins`, those of broken plugins included.
struct Plugins<'a>(Vec<&'a str>);

impl<'a> Plugins<'a> {
    fn collect(root: &Mapping<'a>) -> Self {
        let pairs = match root.get("plugins").map(Field::value) {
            Some(yaml::Value::Mapping(pairs)) => pairs.as_slice(),
            Some(_) | None => &[],
        };
        Self(pairs.iter().map(|(key, _)| key.name.as_str()).collect())
    }

    fn plugin(&self, field: &Field<'_>) -> Option<PluginName> {
        let text = field.text()?;
        if self.0.contains(&text) {
            // A bad name is reported where the plugin is configured.
            return text.parse().ok();
        }
        if self.0.is_empty() {
            return field.refuse(format!("no plugin is named {}; `plugins` is empty", quoted(text)));
        }
        field.refuse(format!("no plugin is named {}{}", quoted(text), choose_from(text, self.0.iter().copied())))
    }
}
