//! Limits in the notation of Nagios plugins: `[@]start:end`.
//!
//! | written  | alerts when the value is |
//! |----------|--------------------------|
//! | `10`     | below 0 or above 10      |
//! | `10:`    | below 10                 |
//! | `~:10`   | above 10                 |
//! | `10:20`  | below 10 or above 20     |
//! | `@10:20` | from 10 to 20, both included |
//! | `~:`     | never                    |

use crate::Status;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

const NUMBER: &str = r"-?([0-9]+\.?[0-9]*|\.[0-9]+)";

/// A range of values, and whether a value inside or outside of it is cause for alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    start: f64,
    end: f64,
    alert: Alert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alert {
    Outside,
    Inside,
}

/// A text that is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidThreshold {
    /// A bound is no number.
    #[error("{0:?} is no number; a range is written [@]start:end, such as 10, 10:, ~:10 or @10:20")]
    Number(String),
    /// The bounds are the wrong way round.
    #[error("the range {0:?} starts above its end")]
    Order(String),
}

/// Judge a value: critical if the critical range alerts, else warning if the warning range does. A value that is no
/// number cannot be judged.
pub fn judge(value: f64, warning: &Threshold, critical: &Threshold) -> Status {
    if value.is_nan() {
        Status::Unknown
    } else if critical.alerts(value) {
        Status::Critical
    } else if warning.alerts(value) {
        Status::Warning
    } else {
        Status::Ok
    }
}

impl Threshold {
    /// Alert when a value is above `end` or negative, as a plain number does.
    pub const fn above(end: f64) -> Self {
        Self { start: 0.0, end, alert: Alert::Outside }
    }

    /// Alert when a value is below `start`.
    pub const fn below(start: f64) -> Self {
        Self { start, end: f64::INFINITY, alert: Alert::Outside }
    }

    /// Alert when a value is below `start` or above `end`.
    pub const fn outside(start: f64, end: f64) -> Self {
        Self { start, end, alert: Alert::Outside }
    }

    /// Never alert.
    pub const fn never() -> Self {
        Self::outside(f64::NEG_INFINITY, f64::INFINITY)
    }

    /// Whether a value is cause for alarm.
    pub fn alerts(&self, value: f64) -> bool {
        let inside = self.start <= value && value <= self.end;
        match self.alert {
            Alert::Outside => !inside,
            Alert::Inside => inside,
        }
    }

    /// The number that a graph would draw as the limit: where values growing (or falling, for `10:`) into the alarm
    /// cross it. None if the range never alerts.
    pub fn bound(&self) -> Option<f64> {
        let (first, second) = match self.alert {
            Alert::Outside => (self.end, self.start),
            Alert::Inside => (self.start, self.end),
        };
        [first, second].into_iter().find(|bound| bound.is_finite())
    }
}

impl FromStr for Threshold {
    type Err = InvalidThreshold;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (alert, range) = match text.trim().strip_prefix('@') {
            Some(range) => (Alert::Inside, range),
            None => (Alert::Outside, text.trim()),
        };
        let (start, end) = match range.split_once(':') {
            Some((start, end)) => (lower(start)?, upper(end)?),
            None => (0.0, number(range)?),
        };
        if start > end {
            return Err(InvalidThreshold::Order(text.to_owned()));
        }
        Ok(Self { start, end, alert })
    }
}

fn lower(text: &str) -> Result<f64, InvalidThreshold> {
    match text {
        "~" => Ok(f64::NEG_INFINITY),
        "" => Ok(0.0),
        _ => number(text),
    }
}

fn upper(text: &str) -> Result<f64, InvalidThreshold> {
    if text.is_empty() { Ok(f64::INFINITY) } else { number(text) }
}

/// Rust also parses `inf`, `nan`, `+1` and `1e3`; none of them is in the notation.
fn number(text: &str) -> Result<f64, InvalidThreshold> {
    let plain = text.chars().all(|c| matches!(c, '0'..='9' | '.' | '-'));
    let parsed = text.parse::<f64>().ok().filter(|number| plain && number.is_finite());
    parsed.ok_or_else(|| InvalidThreshold::Number(text.to_owned()))
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.alert == Alert::Inside {
            f.write_str("@")?;
        }
        if self.start == f64::NEG_INFINITY {
            f.write_str("~:")?;
        } else if self.start != 0.0 || self.end == f64::INFINITY {
            write!(f, "{}:", self.start)?;
        }
        if self.end == f64::INFINITY { Ok(()) } else { write!(f, "{}", self.end) }
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ThresholdVisitor)
    }
}

struct ThresholdVisitor;

impl Visitor<'_> for ThresholdVisitor {
    type Value = Threshold;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a range such as \"10\", \"10:\", \"~:10\" or \"@10:20\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Threshold, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Threshold, E> {
        Ok(Threshold::above(number as f64))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Threshold, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Threshold, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

impl JsonSchema for Threshold {
    fn schema_name() -> Cow<'static, str> {
        "Threshold".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Each rule is for one of the two types alone, so the message for a mistake names the rule that it breaks.
        json_schema!({
            "type": ["number", "string"],
            "minimum": 0,
            "pattern": format!("^@?({NUMBER}|(~|{NUMBER})?:({NUMBER})?)$"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(text: &str) -> Threshold {
        text.parse().unwrap()
    }

    #[test]
    fn every_notation_alerts_where_nagios_says() {
        let table: &[(&str, &[f64], &[f64])] = &[
            ("10", &[-0.1, 10.1], &[0.0, 5.0, 10.0]),
            ("10:", &[9.9, -3.0], &[10.0, 1e9]),
            ("~:10", &[10.1], &[10.0, -1e9]),
            ("10:20", &[9.9, 20.1], &[10.0, 15.0, 20.0]),
            ("@10:20", &[10.0, 15.0, 20.0], &[9.9, 20.1]),
            (":5", &[-1.0, 5.1], &[0.0, 5.0]),
            ("~:", &[], &[-1e300, 0.0, 1e300]),
            ("@0", &[0.0], &[-0.1, 0.1]),
            ("-20:-10", &[-21.0, -9.0], &[-15.0]),
            ("0.5", &[0.51], &[0.5]),
            (".5:1.", &[0.4, 1.1], &[0.5, 1.0]),
        ];
        for (text, alarming, fine) in table {
            let threshold = parse(text);
            for value in *alarming {
                assert!(threshold.alerts(*value), "{text} should alert at {value}");
            }
            for value in *fine {
                assert!(!threshold.alerts(*value), "{text} should not alert at {value}");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_the_offending_part() {
        for text in
            ["", "@", "ten", "1:2:3", "~", "inf", "nan:", "20:10", "-5", "10 : 20", "0x10", "1e3", "+1", ".", "-"]
        {
            let error = text.parse::<Threshold>().unwrap_err().to_string();
            assert!(error.contains("number") || error.contains("above its end"), "{text}: {error}");
        }
    }

    #[test]
    fn the_worse_range_decides_and_nan_cannot_be_judged() {
        let (warning, critical) = (parse("80"), parse("90"));
        let judged = [50.0, 80.0, 80.1, 90.1, f64::INFINITY].map(|value| judge(value, &warning, &critical));
        use Status::{Critical, Ok, Warning};
        assert_eq!(judged, [Ok, Ok, Warning, Critical, Critical]);
        assert_eq!(judge(f64::NAN, &warning, &critical), Status::Unknown);
    }

    #[test]
    fn the_bound_is_where_values_cross_into_the_alarm() {
        let bounds = ["10", "10:", "~:10", "10:20", "@10:20", "@~:5", "~:"].map(|text| parse(text).bound());
        assert_eq!(bounds, [Some(10.0), Some(10.0), Some(10.0), Some(20.0), Some(10.0), Some(5.0), None]);
    }

    #[test]
    fn json_gives_numbers_and_texts_alike() {
        let read = |value| serde_json::from_value::<Threshold>(value);
        assert_eq!(read(json!(10)).unwrap(), parse("10"));
        assert_eq!(read(json!(0.5)).unwrap(), parse("0.5"));
        assert_eq!(read(json!("@1:2")).unwrap(), parse("@1:2"));
        assert!(read(json!(-1)).unwrap_err().to_string().contains("above its end"));
        assert!(read(json!([1])).unwrap_err().to_string().contains("a number or a range"));
    }

    fn any_threshold() -> impl Strategy<Value = Threshold> {
        let bound = -1e6..1e6;
        let start = prop_oneof![Just(f64::NEG_INFINITY), Just(0.0), bound.clone()];
        let end = prop_oneof![Just(f64::INFINITY), bound];
        let alert = prop_oneof![Just(Alert::Inside), Just(Alert::Outside)];
        (start, end, alert)
            .prop_filter("in order", |(start, end, _)| start <= end)
            .prop_map(|(start, end, alert)| Threshold { start, end, alert })
    }

    /// A bound as it may be written, and its value.
    fn bound() -> impl Strategy<Value = (String, f64)> {
        let whole = (-1_000_000..1_000_000_i64).prop_map(|number| number.to_string());
        let text = prop_oneof![whole, "-?[0-9]{1,20}\\.[0-9]{0,20}", "-?\\.[0-9]{1,20}", "-?0{1,3}[0-9]{1,300}"];
        text.prop_map(|text| {
            let value = text.parse().unwrap();
            (text, value)
        })
    }

    /// A range with what it means: its text, its bounds and whether it alerts inside of them.
    fn meant() -> impl Strategy<Value = (String, f64, f64, bool)> {
        let start = prop_oneof![
            1 => Just(("~:".to_owned(), f64::NEG_INFINITY)),
            1 => Just((String::new(), 0.0)),
            1 => Just((":".to_owned(), 0.0)),
            3 => bound().prop_map(|(text, value)| (format!("{text}:"), value)),
        ];
        let end = prop_oneof![1 => Just((String::new(), f64::INFINITY)), 3 => bound()];
        (any::<bool>(), start, end)
            .prop_filter("an end alone is a number", |(_, (start, _), (end, _))| !(start.is_empty() && end.is_empty()))
            .prop_map(|(inside, (start, from), (end, to))| {
                (format!("{}{start}{end}", if inside { "@" } else { "" }), from, to, inside)
            })
    }

    /// Its characters, and what others take for numbers.
    fn odd() -> impl Strategy<Value = String> {
        let words = ["@", "~", ":", "-", "+", ".", "0", "10", "1e3", "inf", "NaN", "_", "0x1", " ", "\u{663}", "\0"];
        prop_oneof![
            prop::collection::vec(prop::sample::select(words.to_vec()), 0..12).prop_map(|words| words.concat()),
            ".{0,80}"
        ]
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        prop_oneof![
            any::<f64>().prop_map(|number| json!(number)),
            any::<i64>().prop_map(|number| json!(number)),
            any::<u64>().prop_map(|number| json!(number)),
            any::<bool>().prop_map(|word| json!(word)),
            odd().prop_map(|text| json!(text)),
            odd().prop_map(|text| json!([text])),
            odd().prop_map(|text| json!({ "start": text })),
            Just(json!(null)),
        ]
    }

    proptest! {
        #[test]
        fn any_range_alerts_as_its_bounds_say((text, start, end, inside) in meant(), value in -2e6..2e6) {
            match text.parse::<Threshold>() {
                Ok(threshold) => {
                    prop_assert!(start <= end);
                    for value in [value, start, end, start.next_down(), end.next_up()] {
                        prop_assert_eq!(threshold.alerts(value), (start <= value && value <= end) == inside, "{} at {}", text, value);
                    }
                    prop_assert_eq!(parse(&threshold.to_string()), threshold);
                }
                Err(error) => {
                    prop_assert!(start > end, "{}", error);
                    prop_assert_eq!(error, InvalidThreshold::Order(text));
                }
            }
        }

        #[test]
        fn any_text_is_a_range_or_refused_with_what_is_no_number(text in odd()) {
            match text.parse::<Threshold>() {
                Ok(threshold) => prop_assert_eq!(parse(&threshold.to_string()), threshold),
                Err(InvalidThreshold::Number(part)) => prop_assert!(text.contains(&part)),
                Err(InvalidThreshold::Order(whole)) => prop_assert_eq!(whole, text),
            }
        }

        #[test]
        fn any_json_is_a_range_or_refused(value in any_json()) {
            match serde_json::from_value::<Threshold>(value.clone()) {
                Ok(threshold) => {
                    prop_assert!(value.is_number() || value.is_string());
                    prop_assert!(value.as_f64().is_none_or(|end| threshold == Threshold::above(end)));
                    prop_assert_eq!(serde_json::from_value::<Threshold>(json!(threshold)).unwrap(), threshold);
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }

        #[test]
        fn any_range_is_printed_and_parsed_again(threshold in any_threshold()) {
            prop_assert_eq!(parse(&threshold.to_string()), threshold);
        }

        #[test]
        fn the_schema_accepts_what_is_printed(threshold in any_threshold()) {
            let schema = schemars::schema_for!(Threshold).to_value();
            prop_assert!(jsonschema::is_valid(&schema, &json!(threshold)));
        }

        #[test]
        fn inside_and_outside_are_opposites(threshold in any_threshold(), value in -2e6..2e6) {
            let other = match threshold.alert { Alert::Inside => Alert::Outside, Alert::Outside => Alert::Inside };
            prop_assert_ne!(threshold.alerts(value), Threshold { alert: other, ..threshold }.alerts(value));
        }

        #[test]
        fn what_the_schema_accepts_parses_but_for_the_order_of_its_bounds(text in "@?(~|[-+]?[0-9]{0,3}(\\.[0-9]{0,2})?)?:?-?[0-9]{0,3}(e[0-9])?") {
            let schema = schemars::schema_for!(Threshold).to_value();
            let accepted = jsonschema::is_valid(&schema, &json!(text));
            match text.parse::<Threshold>() {
                Ok(_) | Err(InvalidThreshold::Order(_)) => prop_assert!(accepted, "{} parses", text),
                Err(InvalidThreshold::Number(_)) => prop_assert!(!accepted, "{} does not parse", text),
            }
        }
    }
}
