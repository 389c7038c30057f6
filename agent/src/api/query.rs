//! Which runs are wanted: the queries of `GET /v1/runs` and of a sweep's history.
//!
//! All that is wrong is told at once, and nothing is passed over: a misspelt filter that was ignored would show runs that
//! nobody asked for.

use std::fmt::Display;
use std::time::Duration;

use url::form_urlencoded;
use utoipa::IntoParams;

use super::problem::{ApiError, BadParameter};
use super::shape::RunState;
use crate::domain::{Actor, PluginName, SweepRunId, Timestamp};
use crate::store::{Cursor, Page, RunFilter, RunState as State};

/// Runs on a page where the caller does not say how many.
const DEFAULT_LIMIT: u32 = 50;

/// The parameters as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RunQuery {
    /// Only runs of this plugin.
    plugin: Option<String>,
    /// Only runs in this state.
    #[param(value_type = Option<RunState>)]
    state: Option<String>,
    /// Only runs that the owner of this token asked for.
    actor: Option<String>,
    /// Only runs that started at this time or later: RFC 3339, or a length of time before now such as `90m`.
    #[param(example = "2026-03-01T00:00:00Z")]
    since: Option<String>,
    /// Only runs that started before this time, written like `since`.
    #[param(example = "1h")]
    until: Option<String>,
    /// Runs on a page, 1 to 200; 50 if it is left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

impl RunQuery {
    const NAMES: [&str; 7] = ["plugin", "state", "actor", "since", "until", "limit", "cursor"];

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "plugin" => Some(&mut self.plugin),
            "state" => Some(&mut self.state),
            "actor" => Some(&mut self.actor),
            "since" => Some(&mut self.since),
            "until" => Some(&mut self.until),
            "limit" => Some(&mut self.limit),
            "cursor" => Some(&mut self.cursor),
            _ => None,
        }
    }

    /// Read the part of a URL behind the `?`.
    pub(super) fn read(text: &str) -> Result<Self, ApiError> {
        let mut query = Self::default();
        let mut faults = Faults::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match query.slot(&name) {
                None => faults.add(&name, format!("there is no such parameter; there are {}", Self::NAMES.join(", "))),
                Some(Some(_)) => faults.add(&name, "it is given twice"),
                Some(slot) => *slot = Some(value.into_owned()),
            }
        }
        faults.none_or(query)
    }

    /// What the store is asked for at the time `now`.
    pub(super) fn filter(&self, now: Timestamp) -> Result<(RunFilter, Page), ApiError> {
        let mut faults = Faults::default();
        let filter = RunFilter {
            plugin: faults.take("plugin", &self.plugin, |text| text.parse::<PluginName>()),
            state: faults.take("state", &self.state, state),
            actor: self.actor.clone().map(Actor),
            since: faults.take("since", &self.since, |text| time(text, now)),
            until: faults.take("until", &self.until, |text| time(text, now)),
        };
        let limit = faults.take("limit", &self.limit, |text| text.parse::<u32>()).unwrap_or(DEFAULT_LIMIT);
        let after = faults.take("cursor", &self.cursor, |text| text.parse::<Cursor>());
        match Page::new(limit, after) {
            Ok(page) => faults.none_or((filter, page)),
            Err(error) => {
                faults.add("limit", error);
                Err(ApiError::InvalidQuery(faults.0))
            }
        }
    }

    /// The query of the page that begins at `cursor`.
    pub(super) fn following(&self, cursor: &str) -> String {
        let mut next = Self { cursor: Some(cursor.to_owned()), ..self.clone() };
        let mut text = form_urlencoded::Serializer::new(String::new());
        for name in Self::NAMES {
            if let Some(value) = next.slot(name).and_then(Option::take) {
                text.append_pair(name, &value);
            }
        }
        text.finish()
    }
}

/// What is wrong so far.
#[derive(Default)]
struct Faults(Vec<BadParameter>);

impl Faults {
    fn add(&mut self, name: &str, message: impl Display) {
        let name = crate::domain::cut_bytes(name, 64).to_owned();
        self.0.push(BadParameter { name, message: message.to_string() });
    }

    fn take<T, E: Display>(
        &mut self,
        name: &str,
        text: &Option<String>,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        read(text.as_deref()?).map_err(|error| self.add(name, error)).ok()
    }

    fn none_or<T>(self, value: T) -> Result<T, ApiError> {
        if self.0.is_empty() { Ok(value) } else { Err(ApiError::InvalidQuery(self.0)) }
    }
}

fn state(text: &str) -> Result<State, String> {
    let words = State::ALL.map(State::as_str).join(", ");
    State::from_label(text).ok_or_else(|| format!("there is no such state; there are {words}"))
}

/// Which page of the runs of a sweep is wanted: the query of `GET /v1/sweeps/{name}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Runs on a page, 1 to 200; 20 if it is left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// The `next_page` of the page before.
    cursor: Option<String>,
}

/// Runs of a sweep on a page where the caller does not say how many.
const DEFAULT_HISTORY: u32 = 20;

impl HistoryQuery {
    /// Read the part of a URL behind the `?`.
    pub(super) fn read(text: &str) -> Result<Self, ApiError> {
        let mut query = Self::default();
        let mut faults = Faults::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let slot = match name.as_ref() {
                "limit" => &mut query.limit,
                "cursor" => &mut query.cursor,
                _ => {
                    faults.add(&name, "there is no such parameter; there are limit, cursor");
                    continue;
                }
            };
            match slot {
                Some(_) => faults.add(&name, "it is given twice"),
                None => *slot = Some(value.into_owned()),
            }
        }
        faults.none_or(query)
    }

    /// How many runs, and the one that they come after.
    pub(super) fn wanted(&self) -> Result<(u32, Option<SweepRunId>), ApiError> {
        let mut faults = Faults::default();
        let limit = faults.take("limit", &self.limit, |text| text.parse::<u32>()).unwrap_or(DEFAULT_HISTORY);
        let before =
            faults.take("cursor", &self.cursor, |text| text.parse().map_err(|_| "it is not one that this agent gave"));
        if let Err(error) = Page::new(limit, None) {
            faults.add("limit", error);
        }
        faults.none_or((limit, before))
    }
}

/// From where the chain is wanted: the query of `GET /v1/audit/export`.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// Number of the first link; 1 if it is left out.
    #[param(value_type = Option<u64>, minimum = 1)]
    from: Option<String>,
}

impl ExportQuery {
    /// Read the part of a URL behind the `?`.
    pub(super) fn read(text: &str) -> Result<Self, ApiError> {
        let mut query = Self::default();
        let mut faults = Faults::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match (name.as_ref(), &query.from) {
                ("from", None) => query.from = Some(value.into_owned()),
                ("from", Some(_)) => faults.add(&name, "it is given twice"),
                _ => faults.add(&name, "there is no such parameter; there is from"),
            }
        }
        faults.none_or(query)
    }

    /// The number of the first link.
    pub(super) fn from(&self) -> Result<u64, ApiError> {
        let mut faults = Faults::default();
        let from = faults.take("from", &self.from, |text| text.parse::<u64>()).unwrap_or(1);
        faults.none_or(from)
    }
}

/// A point in time, or a length of time from now on, written like those before now.
pub(super) fn later(text: &str, now: Timestamp) -> Result<Timestamp, &'static str> {
    let form = "this is no time: write 2026-03-01T03:14:15Z, or 90s, 15m, 6h, 2d for a time from now";
    match length(text) {
        Some(length) => Ok(now.after(length)),
        None => time(text, now).map_err(|_| form),
    }
}

/// A point in time, or a length of time before now: `90s`, `15m`, `6h`, `2d`.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, &'static str> {
    let form = "this is no time: write 2026-03-01T03:14:15Z, or 90s, 15m, 6h, 2d for a time before now";
    if let Some(length) = length(text) {
        return Ok(now.before(length));
    }
    // A `+` that was not escaped arrives as a space.
    text.replace(' ', "+").parse().map_err(|_| form)
}

pub(super) fn length(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let digits = text.strip_suffix(unit).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Status;

    const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);

    fn filter(query: &str) -> Result<(RunFilter, Page), Vec<String>> {
        let result = RunQuery::read(query).and_then(|query| query.filter(NOW));
        result.map_err(|error| match error {
            ApiError::InvalidQuery(faults) => {
                faults.into_iter().map(|f| format!("{}: {}", f.name, f.message)).collect()
            }
            other => panic!("{other}"),
        })
    }

    #[test]
    fn every_filter_reaches_the_store() {
        let query = "plugin=pg-ready&state=critical&actor=alice&since=2026-03-01T04:00:00%2B01:00&until=15m&limit=7";
        let (filter, page) = filter(query).unwrap();
        assert_eq!(filter.plugin, Some("pg-ready".parse().unwrap()));
        assert_eq!(filter.state, Some(State::Concluded(Status::Critical)));
        assert_eq!(filter.actor, Some(Actor("alice".to_owned())));
        assert_eq!(filter.since.unwrap().to_string(), "2026-03-01T03:00:00.000Z");
        assert_eq!(filter.until, Some(NOW.before(Duration::from_secs(15 * 60))));
        assert_eq!((page.limit(), page.after()), (7, None));
    }

    #[test]
    fn without_a_query_all_runs_are_wanted() {
        let (filter, page) = filter("").unwrap();
        assert_eq!(filter, RunFilter::default());
        assert_eq!(page.limit(), DEFAULT_LIMIT);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_by_name() {
        let faults = filter("state=broken&limit=0&since=yesterday&cursor=1&plugin=Pg").unwrap_err();
        let told = |what: &str| assert!(faults.iter().any(|fault| fault.starts_with(what)), "{what} in {faults:?}");
        told("state: there is no such state; there are running, ok, warning, critical, unknown, failed, interrupted");
        told("limit: a page holds 1 to 200 runs, not 0");
        told("since: this is no time");
        told("cursor: the cursor is not one that this agent gave");
        told("plugin: `Pg` is no name");
        assert_eq!(filter("limit=many").unwrap_err(), ["limit: invalid digit found in string"]);
        let faults = filter("plugins=pg-ready&limit=1&limit=2").unwrap_err();
        assert!(faults[0].starts_with("plugins: there is no such parameter; there are plugin, state"), "{faults:?}");
        assert_eq!(faults[1], "limit: it is given twice");
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let query = RunQuery::read("actor=a%26b&limit=2&cursor=old").unwrap();
        let next = RunQuery::read(&query.following("new")).unwrap();
        assert_eq!(next, RunQuery { cursor: Some("new".to_owned()), ..query });
    }

    #[test]
    fn times_are_points_or_lengths_before_now() {
        for bad in ["", "m", "-1m", "1 m", "1w", "99999999999999999999d", "2026-03-01", "now"] {
            assert!(time(bad, NOW).is_err(), "{bad}");
        }
        assert_eq!(time("1970-01-01T00:00:01Z", NOW), Ok(Timestamp::from_millis(1000)));
        assert_eq!(time("1900-01-01T00:00:00Z", NOW), Ok(Timestamp::from_millis(0)));
        assert_eq!(time("2026-03-01T04:00:00 01:00", NOW).unwrap().to_string(), "2026-03-01T03:00:00.000Z");
        assert_eq!(time("2d", NOW), Ok(NOW.before(Duration::from_secs(172_800))));
    }

    #[test]
    fn the_description_lists_the_parameters_that_are_read() {
        let described: Vec<_> = RunQuery::into_params(|| None).into_iter().map(|parameter| parameter.name).collect();
        assert_eq!(described, RunQuery::NAMES);
    }

    proptest::proptest! {
        /// Nothing but digits and a unit is a length, and nothing but RFC 3339 a point.
        #[test]
        fn any_time_is_understood_or_refused(text in "[0-9]{0,22}[smhdw]?|-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|z|[-+ ][0-9]{2}:[0-9]{2})?|.{0,40}") {
            let read = time(&text, NOW);
            proptest::prop_assert!(read.is_ok() == later(&text, NOW).is_ok(), "{}", text);
            let Ok(read) = read else { return Ok(()) };
            let is_length = text.ends_with(['s', 'm', 'h', 'd']);
            proptest::prop_assert_eq!(is_length, later(&text, NOW) != Ok(read) || read == NOW);
            let shown = read.to_string().parse::<Timestamp>().unwrap();
            proptest::prop_assert_eq!(shown, read);
        }

        #[test]
        fn any_query_is_read_and_written_again(text in "((plugin|state|actor|since|until|limit|cursor|[a-z]{1,6})=?([a-z0-9:.+-]{0,12}|%[0-9a-fA-F]{0,2})&?){0,6}", cursor in ".{0,30}") {
            match RunQuery::read(&text) {
                Ok(query) => {
                    let next = RunQuery { cursor: Some(cursor.clone()), ..query.clone() };
                    proptest::prop_assert_eq!(RunQuery::read(&query.following(&cursor)).unwrap(), next);
                    let _ = query.filter(NOW);
                }
                Err(ApiError::InvalidQuery(faults)) => proptest::prop_assert!(!faults.is_empty()),
                Err(other) => proptest::prop_assert!(false, "{}", other),
            }
        }
    }
}
