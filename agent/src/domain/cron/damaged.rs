//! Patterns made at random: some mean what the test knows, some mean nothing. `just fuzz` does this for longer.

use jiff::civil::{Date, DateTime, datetime};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// One part of a field as it is written, and the numbers that it stands for.
#[derive(Clone, Debug)]
struct Part {
    text: String,
    numbers: Vec<u32>,
    /// Whether it leaves nothing out.
    all: bool,
}

/// The five fields, each a list of parts.
#[derive(Clone, Debug)]
struct Meant([Vec<Part>; 5]);

const KINDS: [&Kind; 5] = [&MINUTE, &HOUR, &DAY, &MONTH, &WEEKDAY];

/// A number as it may be written: with zeros in front, or by its name in any case.
fn number(kind: &'static Kind) -> impl Strategy<Value = (u32, String)> {
    (kind.least..=kind.most, 0_usize..6).prop_map(|(number, form)| {
        let name = kind.names.get((number - kind.least) as usize);
        let text = match (form, name) {
            (0, Some(name)) => (*name).to_owned(),
            (1, Some(name)) => name.to_lowercase(),
            (2, _) => format!("{number:03}"),
            _ => number.to_string(),
        };
        (number, text)
    })
}

fn part(kind: &'static Kind) -> impl Strategy<Value = Part> {
    let star = select(if kind.question { vec!["*", "?"] } else { vec!["*"] });
    let star = star.prop_map(|text| (text.to_owned(), kind.least, kind.last(), true));
    let single = number(kind).prop_map(|(number, text)| (text, number, number, false));
    let range = (number(kind), number(kind)).prop_map(|(one, other)| {
        let ((first, from), (last, to)) = if one.0 <= other.0 { (one, other) } else { (other, one) };
        (format!("{from}-{to}"), first, last, false)
    });
    let step = prop_oneof![2 => Just(None), 1 => (1_usize..70).prop_map(Some), 1 => Just(Some(9999))];
    (prop_oneof![star, single, range], step).prop_map(|((text, first, last, star), step)| {
        // A single number with a step stands for all from there on.
        let last = if step.is_some() && !star && !text.contains('-') { last.max(kind.last()) } else { last };
        let numbers = (first..=last).step_by(step.unwrap_or(1)).collect();
        let text = step.map_or(text.clone(), |step| format!("{text}/{step}"));
        Part { text, numbers, all: star && step.unwrap_or(1) == 1 }
    })
}

fn meant() -> impl Strategy<Value = Meant> {
    KINDS.map(|kind| vec(part(kind), 1..4)).prop_map(Meant)
}

impl Meant {
    fn text(&self, between: &str) -> String {
        let field = |parts: &Vec<Part>| parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(",");
        self.0.iter().map(field).collect::<Vec<_>>().join(between)
    }

    fn has(&self, field: usize, number: i8) -> bool {
        self.0[field].iter().any(|part| part.numbers.contains(&u32::try_from(number).unwrap()))
    }

    fn has_day(&self, date: Date) -> bool {
        let weekday = date.weekday();
        let fits = [
            self.has(2, date.day()),
            self.has(4, weekday.to_sunday_zero_offset()) || self.has(4, weekday.to_monday_one_offset()),
        ];
        let restricted = [2, 4].map(|field: usize| !self.0[field].iter().any(|part| part.all));
        let either = restricted == [true, true];
        self.has(3, date.month()) && if either { fits.contains(&true) } else { !fits.contains(&false) }
    }

    /// The first minute from `from` on, by trying every day, and every minute of those that fit.
    fn next_from(&self, from: DateTime) -> Option<DateTime> {
        let days = std::iter::successors(Some(from.date()), |date| date.tomorrow().ok()).take(50 * 366);
        let minutes = |date: Date| (0..24).flat_map(move |hour| (0..60).map(move |minute| date.at(hour, minute, 0, 0)));
        let fits = |time: &DateTime| *time >= from && self.has(0, time.minute()) && self.has(1, time.hour());
        days.filter(|date| self.has_day(*date)).find_map(|date| minutes(date).find(fits))
    }
}

/// A civil time between the years 1 and 9900, anywhere within a minute.
fn any_time() -> impl Strategy<Value = DateTime> {
    let near = 1970_i16..2100;
    let date = (prop_oneof![3 => near, 1 => 1_i16..9900], 1_i8..=12, 1_i8..=28);
    let clock = (0_i8..24, 0_i8..60, prop_oneof![Just(0_i8), 0_i8..60], prop_oneof![Just(0), 0_i32..1_000_000_000]);
    (date, clock).prop_map(|((year, month, day), (hour, minute, second, nanosecond))| {
        datetime(year, month, day, hour, minute, second, nanosecond)
    })
}

/// Something like a pattern: its characters, its words, and what others take.
fn odd() -> impl Strategy<Value = String> {
    let words = [
        "*",
        "?",
        "/",
        "-",
        ",",
        " ",
        "\t",
        "0",
        "1",
        "7",
        "31",
        "59",
        "60",
        "99999",
        "MON",
        "sun",
        "FEB",
        "L",
        "W",
        "5L",
        "#2",
        "@hourly",
        "@reboot",
        "@every 5m",
        "TZ=UTC",
        "CRON_TZ=",
        "H",
        "+",
        "~",
        "\u{a0}",
        "\u{663}",
        "\0",
    ];
    prop_oneof![vec(select(words.to_vec()), 0..24).prop_map(|words| words.concat()), ".{0,200}"]
}

/// What any text comes to: a pattern that is shown as it was written and comes, or a refusal that says what is wrong.
fn understood_or_refused(text: &str, from: DateTime) -> Result<(), TestCaseError> {
    match text.parse::<CronPattern>() {
        Ok(pattern) => {
            prop_assert_eq!(pattern.to_string(), text.trim());
            prop_assert_eq!(pattern.to_string().parse(), Ok(pattern.clone()));
            let next = pattern.next_from(from);
            prop_assert!(next.is_some_and(|next| next >= from), "{} after {}: {:?}", text, from, next);
        }
        Err(error) => {
            let said = error.to_string();
            prop_assert!(said.chars().count() < 400, "{}", said);
            if let InvalidCron::Field { part, .. } = &error {
                prop_assert!(text.contains(part.as_str()) && said.contains(part.as_str()), "{}", said);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_pattern_means_what_its_parts_mean(meant in meant(), between in "[ \t]{1,3}", from in any_time()) {
        let text = meant.text(&between);
        match (text.parse::<CronPattern>(), meant.next_from(from)) {
            (Ok(pattern), next) => {
                prop_assert!(next.is_some());
                prop_assert_eq!(pattern.next_from(from), next);
                let next = next.unwrap();
                prop_assert_eq!(pattern.next_from(next), Some(next));
                prop_assert_eq!(pattern.last_until(next), Some(next));
            }
            (Err(InvalidCron::Never(_)), None) => {}
            (refused, next) => prop_assert!(false, "{}: {:?}, though {:?}", text, refused, next),
        }
    }

    #[test]
    fn the_last_match_is_the_one_before_the_next(meant in meant(), until in any_time()) {
        let Ok(pattern) = meant.text(" ").parse::<CronPattern>() else { return Ok(()) };
        if let Some(last) = pattern.last_until(until) {
            prop_assert!(last <= until);
            prop_assert_eq!(pattern.next_from(last), Some(last));
            let after = last.checked_add(jiff::Span::new().minutes(1)).unwrap();
            prop_assert!(pattern.next_from(after).is_none_or(|next| next > until), "{} {}", meant.text(" "), until);
        }
    }

    #[test]
    fn anything_odd_is_understood_or_refused(text in odd(), from in any_time()) {
        understood_or_refused(&text, from)?;
    }

    #[test]
    fn a_damaged_pattern_is_understood_or_refused(
        meant in meant(), at in any::<prop::sample::Index>(), cut in 0_usize..4, filling in odd(), from in any_time()
    ) {
        let mut characters: Vec<char> = meant.text(" ").chars().collect();
        let start = at.index(characters.len());
        let end = characters.len().min(start + cut);
        characters.splice(start..end, filling.chars().take(6));
        understood_or_refused(&characters.into_iter().collect::<String>(), from)?;
    }
}
