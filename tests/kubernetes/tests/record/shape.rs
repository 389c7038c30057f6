//! When an answer is as recorded: the same status, the same headers, and the same shape, which is the set of paths in
//! it and the type at each; for refusals also what they say in so many words.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::exchange::Exchange;
use crate::http::Response;

/// Whether the owners of fields were known before the request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Managed {
    /// They are part of the answer.
    Known,
    /// What the line rests on was recorded without them, so they cannot be compared.
    Unknown,
}

/// What is different, if anything.
pub fn difference(exchange: &Exchange, response: &Response, managed: Managed) -> Option<String> {
    let ours = response.value(exchange.is_watch());
    if response.status != exchange.status {
        return Some(format!("status {} instead of {}: {ours}", response.status, exchange.status));
    }
    for name in ["content-type", "retry-after", "warning"] {
        let wanted = exchange.headers.get(name).and_then(Value::as_str);
        if response.header(name) != wanted {
            return Some(format!("{name} {:?} instead of {wanted:?}", response.header(name)));
        }
    }
    let theirs = &exchange.answer;
    if exchange.status >= 400 && theirs.is_object() {
        let (wanted, is) = (said(theirs), said(&ours));
        if wanted != is {
            return Some(format!("says {is:?} instead of {wanted:?}"));
        }
    }
    if let (Value::String(wanted), Value::String(is)) = (theirs, &ours) {
        return text_difference(exchange, wanted, is);
    }
    shape_difference(exchange, theirs, &ours, managed)
}

/// What a refusal says: the members that a client may rely on.
fn said(status: &Value) -> Vec<String> {
    let members = ["/status", "/reason", "/code", "/details/group", "/details/kind"];
    let members = members.iter().map(|pointer| status.pointer(pointer).cloned().unwrap_or_default().to_string());
    let causes = status.pointer("/details/causes").and_then(Value::as_array).into_iter().flatten();
    let causes = causes.map(|cause| {
        let member = |key: &str| cause.get(key).cloned().unwrap_or_default().to_string();
        format!("{} {}", member("reason"), member("field"))
    });
    members.chain(causes).collect()
}

/// Text is the same, but for the time at the start of the lines of a log that has it.
fn text_difference(exchange: &Exchange, wanted: &str, is: &str) -> Option<String> {
    let plain = |text: &str| -> Vec<String> {
        let without_time = |line: &str| line.split_once(' ').map_or(line, |(_, rest)| rest).to_owned();
        match exchange.path.contains("timestamps=true") {
            true => text.lines().map(without_time).collect(),
            false => vec![text.to_owned()],
        }
    };
    (plain(wanted) != plain(is)).then(|| format!("text {is:?} instead of {wanted:?}"))
}

fn is_managed(path: &str) -> bool {
    path.contains("/managedFields")
}

fn shape_difference(exchange: &Exchange, theirs: &Value, ours: &Value, managed: Managed) -> Option<String> {
    let mut wanted = shape(theirs);
    if managed == Managed::Unknown {
        wanted.retain(|path| !is_managed(path));
    }
    let mut is = shape(ours);
    // The record leaves managedFields out except where they are the point.
    if !wanted.iter().any(|path| is_managed(path)) {
        is.retain(|path| !is_managed(path));
    }
    let missing: Vec<&String> = wanted.difference(&is).collect();
    let surplus: Vec<&String> = is.difference(&wanted).filter(|_| !exchange.is_shortened()).collect();
    let is_same = missing.is_empty() && surplus.is_empty();
    (!is_same).then(|| format!("missing {missing:?}, too much {surplus:?}"))
}

/// All paths with their types; of a list, the union over its elements.
fn shape(value: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    walk(value, "", &mut paths);
    paths
}

fn walk(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    paths.insert(format!("{path}: {kind}"));
    match value {
        Value::Array(list) => list.iter().for_each(|item| walk(item, &format!("{path}/*"), paths)),
        Value::Object(map) => map.iter().for_each(|(key, item)| walk(item, &format!("{path}/{key}"), paths)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exchange(status: u64, answer: Value) -> Exchange {
        let all = crate::exchange::all();
        let mut exchange = all.into_iter().next().unwrap();
        exchange.status = status;
        exchange.headers = json!({"content-type": "application/json"});
        exchange.answer = answer;
        exchange
    }

    fn response(status: u64, answer: &Value) -> Response {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Response { status, headers, body: answer.to_string().into_bytes() }
    }

    #[test]
    fn what_differs_is_noticed() {
        let wanted = json!({"metadata": {"name": "a"}, "items": [{"a": 1}, {"b": "x"}]});
        let cases = [
            (200, json!({"metadata": {"name": "other"}, "items": [{"a": 7, "b": "y"}]}), true),
            (201, wanted.clone(), false),
            (200, json!({"metadata": {}, "items": [{"a": 1, "b": "x"}]}), false),
            (200, json!({"metadata": {"name": "a", "uid": "1"}, "items": [{"a": 1, "b": "x"}]}), false),
            (200, json!({"metadata": {"name": "a"}, "items": [{"a": "1", "b": "x"}]}), false),
            (200, json!({"metadata": {"name": null}, "items": [{"a": 1, "b": "x"}]}), false),
        ];
        for (status, ours, is_same) in cases {
            let difference = difference(&exchange(200, wanted.clone()), &response(status, &ours), Managed::Known);
            assert_eq!(difference.is_none(), is_same, "{status} {ours}: {difference:?}");
        }
    }

    #[test]
    fn refusals_are_compared_by_what_they_say() {
        let refusal = |reason: &str, field: &str| {
            json!({"status": "Failure", "reason": reason, "code": 422, "details": {
                "kind": "Deployment", "causes": [{"reason": "FieldValueInvalid", "field": field}],
            }})
        };
        let wanted = exchange(422, refusal("Invalid", "spec.replicas"));
        for (reason, field, is_same) in
            [("Invalid", "spec.replicas", true), ("Conflict", "spec.replicas", false), ("Invalid", "spec", false)]
        {
            let difference = difference(&wanted, &response(422, &refusal(reason, field)), Managed::Known);
            assert_eq!(difference.is_none(), is_same, "{reason} {field}: {difference:?}");
        }
    }
}
