//! A node with its path, read as what it should be.
//!
//! Every reader gives `None` after it has noted the problem, and goes on where it can: callers read all fields of a
//! mapping first and put them together with `?` last, so that an operator sees all mistakes at once.

use std::collections::{HashMap, hash_map};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::choices::choose_from;
use super::report::{Report, may_hold_a_secret, quoted, visible};
use super::units;
use super::yaml::{Key, Node, Value};

/// A value in the file.
#[derive(Clone)]
pub(super) struct Field<'a> {
    node: &'a Node,
    path: String,
    report: &'a Report,
}

impl<'a> Field<'a> {
    /// The whole file.
    pub(super) fn root(node: &'a Node, report: &'a Report) -> Self {
        Self { node, path: String::new(), report }
    }

    /// Path such as `targets.postgres.main`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What it holds, for what no reader here fits.
    pub(super) fn value(&self) -> &'a Value {
        &self.node.value
    }

    /// Note a problem with this value.
    pub(super) fn note(&self, message: impl Display) {
        self.report.add(self.node.place, &self.path, &message.to_string());
    }

    /// Note a problem with this value, and give none.
    pub(super) fn refuse<T>(&self, message: impl Display) -> Option<T> {
        self.note(message);
        None
    }

    /// A text that is not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) if text.is_empty() => self.refuse("must not be empty"),
            Value::Text(text) => Some(text),
            Value::Boolean(_) | Value::Number(_) => {
                self.refuse(format!("expected text, found {}; put it in quotes", self.kind()))
            }
            Value::Nothing | Value::List(_) | Value::Mapping(_) => self.expected("text"),
        }
    }

    /// A text that reads as a `T`. For types whose errors show no more than what was written.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        let text = self.text()?;
        read(text).map_err(|message| self.note(message)).ok()
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Boolean(value) => Some(*value),
            Value::Nothing | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Mapping(_) => {
                self.expected("true or false")
            }
        }
    }

    /// A whole number within `bounds`.
    pub(super) fn whole<T: TryFrom<u64>>(&self, bounds: RangeInclusive<u64>) -> Option<T> {
        let Value::Number(number) = &self.node.value else { return self.expected("a whole number") };
        let value = number.as_u64().filter(|value| bounds.contains(value));
        match value.and_then(|value| T::try_from(value).ok()) {
            Some(value) => Some(value),
            None => self.out_of_range(&number.to_string(), bounds.start(), bounds.end()),
        }
    }

    /// A duration such as `10s` within `bounds`.
    pub(super) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let form = "a whole number with its unit: 500ms, 10s, 5m, 2h or 30d";
        let text = match &self.node.value {
            Value::Text(text) => text,
            Value::Number(number) => {
                return self.refuse(format!("{} has no unit; write {form}", quoted(&number.to_string())));
            }
            Value::Nothing | Value::Boolean(_) | Value::List(_) | Value::Mapping(_) => {
                return self.expected("a duration");
            }
        };
        match units::duration(text) {
            Some(duration) if bounds.contains(&duration) => Some(duration),
            Some(_) => {
                let (least, most) = (units::show_duration(*bounds.start()), units::show_duration(*bounds.end()));
                self.out_of_range(text, least, most)
            }
            None => self.refuse(format!("{} is no duration; write {form}", quoted(text))),
        }
    }

    /// A size such as `64KiB`, or a number of bytes, within `bounds`.
    pub(super) fn size<T: TryFrom<u64>>(&self, bounds: RangeInclusive<u64>) -> Option<T> {
        let (shown, bytes) = match &self.node.value {
            Value::Text(text) => (text.clone(), units::size(text)),
            Value::Number(number) => (number.to_string(), number.as_u64()),
            Value::Nothing | Value::Boolean(_) | Value::List(_) | Value::Mapping(_) => return self.expected("a size"),
        };
        let Some(bytes) = bytes else {
            let form = "a whole number with its unit: 512B, 64KiB, 1MiB or 2GiB";
            return self.refuse(format!("{} is no size; write {form}", quoted(&shown)));
        };
        match T::try_from(bytes) {
            Ok(value) if bounds.contains(&bytes) => Some(value),
            Ok(_) | Err(_) => {
                self.out_of_range(&shown, units::show_size(*bounds.start()), units::show_size(*bounds.end()))
            }
        }
    }

    /// The items of a list; no value at all is an empty list.
    pub(super) fn items(&self) -> Option<Vec<Self>> {
        match &self.node.value {
            Value::Nothing => Some(Vec::new()),
            Value::List(items) => Some(items.iter().enumerate().map(|(i, item)| self.item(i, item)).collect()),
            Value::Boolean(_) | Value::Number(_) | Value::Text(_) | Value::Mapping(_) => self.expected("a list"),
        }
    }

    /// Read every item of a list; none if one of them is wrong.
    pub(super) fn all<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        // All are read before the first refusal counts.
        let read: Vec<Option<T>> = self.items()?.iter().map(read).collect();
        read.into_iter().collect()
    }

    /// The entries of a mapping whose keys the operator chooses; no value at all is an empty mapping.
    pub(super) fn entries(&self) -> Option<Vec<Entry<'a>>> {
        let pairs = match &self.node.value {
            Value::Nothing => &[],
            Value::Mapping(pairs) => pairs.as_slice(),
            Value::Boolean(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                return self.expected("a mapping");
            }
        };
        let mut lines: HashMap<&str, u64> = HashMap::new();
        let mut entries: Vec<Entry<'a>> = Vec::new();
        for (key, node) in pairs {
            let entry = Entry { key, value: self.child(&key.name, node) };
            match lines.entry(&key.name) {
                hash_map::Entry::Occupied(first) => {
                    entry.note(format!("given twice; the first is on line {}", first.get()))
                }
                hash_map::Entry::Vacant(place) => {
                    place.insert(key.place.line);
                    entries.push(entry);
                }
            }
        }
        Some(entries)
    }

    /// A mapping that may have the fields `known` and no other.
    pub(super) fn mapping(&self, known: &[&str]) -> Option<Mapping<'a>> {
        let entries = self.entries()?;
        #[cfg(test)]
        KNOWN.with_borrow_mut(|seen| seen.push((self.path.clone(), known.iter().map(ToString::to_string).collect())));
        for entry in entries.iter().filter(|entry| !known.contains(&entry.name())) {
            let choices = choose_from(entry.name(), known.iter().copied());
            entry.note(format!("there is no such field{choices}"));
        }
        Some(Mapping { field: self.clone(), entries })
    }

    /// What it holds, in a word.
    pub(super) fn kind(&self) -> &'static str {
        match &self.node.value {
            Value::Nothing => "nothing",
            Value::Boolean(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        self.refuse(format!("expected {what}, found {}", self.kind()))
    }

    fn out_of_range<T>(&self, value: &str, least: impl Display, most: impl Display) -> Option<T> {
        self.refuse(format!("{} is out of range; the least is {least}, the most {most}", quoted(value)))
    }

    /// The value `node` of the key `name` of this mapping.
    pub(super) fn child(&self, name: &str, node: &'a Node) -> Self {
        Self { node, path: self.path_of(name), report: self.report }
    }

    fn path_of(&self, name: &str) -> String {
        let name = if may_hold_a_secret(name) { "<url>".to_owned() } else { visible(name, 80) };
        if self.path.is_empty() { name } else { format!("{}.{name}", self.path) }
    }

    fn item(&self, index: usize, node: &'a Node) -> Self {
        Self { node, path: format!("{}[{index}]", self.path), report: self.report }
    }
}

/// The text as a `T`, or what is wrong with it.
fn read<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    match text.parse() {
        Ok(value) => Ok(value),
        Err(_) if may_hold_a_secret(text) => Err("a URL has no place here".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A key with its value.
pub(super) struct Entry<'a> {
    key: &'a Key,
    pub(super) value: Field<'a>,
}

impl<'a> Entry<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.key.name
    }

    /// Note a problem with the key.
    pub(super) fn note(&self, message: impl Display) {
        self.value.report.add(self.key.place, &self.value.path, &message.to_string());
    }

    /// The key as a `T`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        read(self.name()).map_err(|message| self.note(message)).ok()
    }
}

/// A mapping with a fixed set of fields.
pub(super) struct Mapping<'a> {
    field: Field<'a>,
    entries: Vec<Entry<'a>>,
}

impl<'a> Mapping<'a> {
    /// The mapping as a value.
    pub(super) fn field(&self) -> &Field<'a> {
        &self.field
    }

    /// The field `name`, if it is given.
    pub(super) fn get(&self, name: &str) -> Option<&Field<'a>> {
        self.entries.iter().find(|entry| entry.name() == name).map(|entry| &entry.value)
    }

    /// The mapping in the field `name`; an empty one where it is not given.
    pub(super) fn section(&self, name: &str, known: &[&str]) -> Option<Self> {
        match self.get(name) {
            Some(field) => field.mapping(known),
            None => {
                let field = Field { path: self.field.path_of(name), ..self.field.clone() };
                Some(Self { field, entries: Vec::new() })
            }
        }
    }

    /// Read the field `name`, which must be given.
    pub(super) fn required<T>(&self, name: &str, read: impl FnOnce(&Field<'a>) -> Option<T>) -> Option<T> {
        match self.get(name) {
            Some(field) => read(field),
            None => self.field.refuse(format!("`{name}` is missing")),
        }
    }

    /// Read the field `name`; `default` where it is not given.
    pub(super) fn or<T>(&self, name: &str, default: T, read: impl FnOnce(&Field<'a>) -> Option<T>) -> Option<T> {
        match self.get(name) {
            Some(field) => read(field),
            None => Some(default),
        }
    }
}

#[cfg(test)]
thread_local! {
    static KNOWN: std::cell::RefCell<Vec<(String, Vec<String>)>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// The mappings that `read` came across, each with its path and the fields that it may have.
#[cfg(test)]
pub(super) fn known<T>(read: impl FnOnce() -> T) -> Vec<(String, Vec<String>)> {
    KNOWN.take();
    read();
    KNOWN.take()
}
