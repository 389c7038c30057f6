//! YAML as a tree of nodes that know their place.
//!
//! The tree stands between the text and the settings because derived deserialisation stops at the first mistake and
//! cannot say in which field it is. Here the parser answers for YAML alone, and [`super::field`] for meaning, so that
//! one pass shows an operator everything that is wrong.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, MessageFormatter, Spanned, UserMessageFormatter};

/// Where something stands in the file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// A value with its place. For an alias it is the place where the alias stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Value {
    Nothing,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file. A key that is given twice is here twice.
    Mapping(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) name: String,
}

/// Why a text is no YAML that we take.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) message: String,
}

/// Read one document. Neither depth nor aliases let a small file grow into a large tree.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let document: Option<Node> = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let error = error.without_snippet();
        SyntaxError { place: place(error.location(), None), message: message(error) }
    })?;
    Ok(document.unwrap_or(Node { place: START, value: Value::Nothing }))
}

const START: Place = Place { line: 1, column: 1 };

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            flow_nesting_limit: 32,
            max_nodes: 100_000,
            max_aliases: 1_000,
            max_anchors: 100,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 8,
        },
        // Comments are not kept, so their number needs no bound.
        emit_comments: false,
        // The parser would stop at the first; `field` reports each with the place of its twin.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // Only `true` and `false` are booleans: a target named `no` stays a name.
        strict_booleans: true,
        // Otherwise an account number loses its first digit on the way to a plugin.
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        // A snippet could show a password.
        with_snippet: false,
    }
}

/// The parser's own words, except where they would quote the file: that could be a secret in the wrong place.
fn message(error: &serde_saphyr::Error) -> String {
    match error {
        serde_saphyr::Error::AliasError { error, .. } => message(error),
        serde_saphyr::Error::NonFiniteFloat { .. } => "a number must be finite; put text in quotes".to_owned(),
        serde_saphyr::Error::UnsupportedTag { .. } => {
            "tags have no meaning here; put text that begins with `!` in quotes".to_owned()
        }
        serde_saphyr::Error::Budget { .. } | serde_saphyr::Error::AliasReplayLimitExceeded { .. } => {
            "this is larger or nested deeper than a configuration can be".to_owned()
        }
        other => UserMessageFormatter.format_message(other).into_owned(),
    }
}

fn place(first: Option<Location>, second: Option<Location>) -> Place {
    let known = [first, second].into_iter().flatten().find(|location| *location != Location::UNKNOWN);
    known.map_or(START, |location| Place { line: location.line(), column: location.column() })
}

fn place_of<T>(spanned: &Spanned<T>) -> Place {
    place(Some(spanned.referenced), Some(spanned.defined))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { place: place_of(&spanned), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut mapping = Vec::new();
        while let Some((key, node)) = entries.next_entry::<Spanned<String>, Node>()? {
            mapping.push((Key { place: place_of(&key), name: key.value }, node));
        }
        Ok(Value::Mapping(mapping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(node: &Node) -> &[(Key, Node)] {
        match &node.value {
            Value::Mapping(entries) => entries,
            other => panic!("no mapping: {other:?}"),
        }
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let tree = parse("a: 1\nb:\n  - x\n  - { c: true }\n").unwrap();
        let [(a, one), (b, list)] = entries(&tree) else { panic!("{tree:?}") };
        assert_eq!((a.place, one.place), (Place { line: 1, column: 1 }, Place { line: 1, column: 4 }));
        assert_eq!((b.name.as_str(), b.place), ("b", Place { line: 2, column: 1 }));
        let Value::List(items) = &list.value else { panic!("{list:?}") };
        assert_eq!(items[0].place, Place { line: 3, column: 5 });
        assert_eq!(entries(&items[1])[0].0.place, Place { line: 4, column: 7 });
    }

    #[test]
    fn an_alias_stands_where_it_is_written() {
        let tree = parse("a: &x 1\nb: *x\n").unwrap();
        assert_eq!(entries(&tree)[1].1.place, Place { line: 2, column: 4 });
    }

    #[test]
    fn a_merge_key_fills_in_what_is_not_said() {
        let tree = parse("a: &x { k: 1, l: 2 }\nb: { <<: *x, l: 3 }\n").unwrap();
        let names: Vec<_> = entries(&entries(&tree)[1].1).iter().map(|(key, _)| key.name.as_str()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn plain_words_are_typed_as_in_yaml_1_2() {
        let tree = parse("[true, no, 12, -3, 1.5, 1_000, 007, '5', ~, '', 1s]").unwrap();
        let Value::List(items) = &tree.value else { panic!("{tree:?}") };
        let shown: Vec<_> = items.iter().map(|item| format!("{:?}", item.value)).collect();
        assert_eq!(
            shown,
            [
                "Boolean(true)",
                "Text(\"no\")",
                "Number(Number(12))",
                "Number(Number(-3))",
                "Number(Number(1.5))",
                "Text(\"1_000\")",
                "Text(\"007\")",
                "Text(\"5\")",
                "Nothing",
                "Text(\"\")",
                "Text(\"1s\")"
            ]
        );
    }

    #[test]
    fn an_empty_file_holds_nothing() {
        for text in ["", "\n", "# only a comment\n", "---\n"] {
            assert!(matches!(parse(text).unwrap().value, Value::Nothing), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_single_tame_document_is_refused_at_its_place() {
        let deep = "[".repeat(40) + &"]".repeat(40);
        for text in ["a: [1", "a: b: c", "a: *nowhere", "a: 1\n---\nb: 2\n", "a: !secret x", "a: .inf", &deep, "[]: 1"]
        {
            let error = parse(text).expect_err(text);
            assert!(error.place >= START && !error.message.is_empty(), "{text}: {error:?}");
        }
    }

    #[test]
    fn aliases_that_multiply_are_refused_quickly() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..=9 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let begin = std::time::Instant::now();
        parse(&text).unwrap_err();
        assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{:?}", begin.elapsed());
    }
}
