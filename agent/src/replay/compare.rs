//! Compares what a guest did in a replay with what it did then.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::report::{CallDifference, ChangeDifference, EndDifference, How, Report, Version};
use crate::domain::{Effect, FailureKind, Operation};
use crate::recording::{Answer, Call, Recording, Taped};

/// What is different in `taped` and `ending`, seen from the recording.
pub(super) fn compare(recording: &Recording, taped: &Taped, ending: Value, replayed: Version) -> Report {
    let ending = if ends_with_the_recording(recording, taped) { recording.ending.clone() } else { ending };
    let asked = Asked::of(recording, taped);
    let (same_calls, calls) = asked.calls();
    let (same_changes, changes) = asked.changes();
    let end = ends(&recording.ending, &ending);
    let reordered = asked.is_reordered();
    Report {
        run: recording.run.to_string(),
        plugin: recording.plugin.to_string(),
        mode: recording.mode.as_str().to_owned(),
        recorded: Version { version: recording.version.clone(), component: recording.component.to_string() },
        replayed,
        same: calls.is_empty() && changes.is_empty() && end.is_empty() && !reordered,
        same_calls,
        calls,
        same_changes,
        changes,
        reordered,
        ending,
        end,
    }
}

/// The guest came to the call in which its run ended, or was cancelled by somebody who is not there now: how it would have gone
/// on nobody knows.
fn ends_with_the_recording(recording: &Recording, taped: &Taped) -> bool {
    let kind = recording.ending.pointer("/failure/kind").and_then(Value::as_str);
    taped.has_ended || kind == Some(FailureKind::Cancelled.as_str())
}

/// Both lists of calls, and which belong together.
struct Asked<'a> {
    then: &'a [Call],
    /// Calls now, each with the place of the one that answered it.
    now: Vec<(&'a Call, Option<usize>)>,
    /// Places of calls then to which none belongs now.
    gone: Vec<usize>,
}

impl<'a> Asked<'a> {
    fn of(recording: &'a Recording, taped: &'a Taped) -> Self {
        let then = recording.calls.as_slice();
        let now: Vec<_> = taped.calls.iter().zip(taped.answered_by.iter().copied()).collect();
        let answered: BTreeSet<usize> = now.iter().filter_map(|(_, by)| *by).collect();
        let gone = (0..then.len()).filter(|place| !answered.contains(place)).collect();
        Self { then, now, gone }
    }

    /// How many calls are the same, and those that are not.
    fn calls(&self) -> (usize, Vec<CallDifference>) {
        let (mut same, mut different) = (0, Vec::new());
        let mut gone = self.gone.clone();
        for (now, by) in &self.now {
            let then = by.and_then(|place| self.then.get(place)).or_else(|| self.take_like(now, &mut gone));
            match then.map(|then| (how(then, now), then)) {
                Some((None, _)) => same += 1,
                Some((Some(how), then)) => different.push(difference(how, Some(then), Some(now))),
                None => different.push(difference(How::New, None, Some(now))),
            }
        }
        let left = gone.iter().filter_map(|place| self.then.get(*place));
        different.extend(left.map(|then| difference(How::Gone, Some(then), None)));
        (same, different)
    }

    /// Take the first of the calls that are gone which asked the same target for the same with other arguments.
    fn take_like(&self, now: &Call, gone: &mut Vec<usize>) -> Option<&'a Call> {
        let alike = |place: &usize| {
            self.then.get(*place).is_some_and(|then| then.operation == now.operation && then.target == now.target)
        };
        let at = gone.iter().position(alike)?;
        self.then.get(gone.remove(at))
    }

    /// How many changes are the same, and those that are not.
    fn changes(&self) -> (usize, Vec<ChangeDifference>) {
        let gone = self.gone.iter().filter_map(|place| self.then.get(*place)).filter(|call| call.change().is_some());
        let mut different: Vec<_> = gone.map(|call| change(How::Gone, call)).collect();
        let new = self.now.iter().filter(|(call, by)| by.is_none() && may_change(call));
        different.extend(new.map(|(call, _)| change(How::New, call)));
        (self.now.iter().filter(|(call, _)| call.change().is_some()).count(), different)
    }

    /// True when changes are asked for in another order than then.
    fn is_reordered(&self) -> bool {
        let places = self.now.iter().filter(|(call, _)| call.change().is_some()).filter_map(|(_, by)| *by);
        !places.is_sorted()
    }
}

/// What is different; none when nothing is.
fn how(then: &Call, now: &Call) -> Option<How> {
    if then.arguments != now.arguments {
        return Some(How::OtherArguments);
    }
    (told(&then.answer) != told(&now.answer)).then_some(How::OtherAnswer)
}

/// An answer without the number of the call, which stands in receipts.
fn told(answer: &Answer) -> Answer {
    match answer.clone() {
        Answer::Ok(Value::Object(mut names)) if names.contains_key("disposition") => {
            names.remove("sequence");
            Answer::Ok(Value::Object(names))
        }
        other => other,
    }
}

fn may_change(call: &Call) -> bool {
    Operation::from_name(&call.operation).is_some_and(|operation| operation.effect() == Effect::Change)
}

fn difference(how: How, then: Option<&Call>, now: Option<&Call>) -> CallDifference {
    let named = now.or(then);
    let error = now.and_then(|call| match &call.answer {
        Answer::Error(refused) => refused.error().map(|error| error.to_string()),
        Answer::Ok(_) | Answer::None => None,
    });
    CallDifference {
        how,
        operation: named.map(|call| call.operation.clone()).unwrap_or_default(),
        target: named.map(|call| call.target.clone()).unwrap_or_default(),
        recorded: then.map(|call| call.arguments.clone()),
        replayed: now.map(|call| call.arguments.clone()),
        error,
    }
}

fn change(how: How, call: &Call) -> ChangeDifference {
    let summary = call.change().and_then(|receipt| receipt.get("summary")).and_then(Value::as_str);
    ChangeDifference {
        how,
        operation: call.operation.clone(),
        target: call.target.clone(),
        arguments: call.arguments.clone(),
        summary: summary.map(str::to_owned),
    }
}

/// Where two ends are different, what matters most first.
fn ends(then: &Value, now: &Value) -> Vec<EndDifference> {
    let (then, now) = (leaves(then), leaves(now));
    let fields: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let other = fields.into_iter().filter(|field| then.get(*field) != now.get(*field));
    let mut different: Vec<_> = other
        .map(|field| EndDifference {
            field: field.clone(),
            recorded: then.get(field).cloned(),
            replayed: now.get(field).cloned(),
        })
        .collect();
    different.sort_by_key(|difference| !matches!(difference.field.as_str(), "status" | "summary" | "failure.kind"));
    different
}

/// Everything that stands in a document, by its place.
fn leaves(document: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    collect(String::new(), document, &mut found);
    found
}

fn collect(place: String, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(names) => {
            for (name, value) in names {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                collect(place, value, found);
            }
        }
        // A row is read as a whole.
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (n, value) in items.iter().enumerate() {
                collect(format!("{place}[{n}]"), value, found);
            }
        }
        // What is absent is told as that of the one that has it.
        Value::Null => {}
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.insert(place, value.clone());
        }
    }
}

#[cfg(test)]
mod tests;
