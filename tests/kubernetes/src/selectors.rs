//! Label selectors in their two forms, and field selectors.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::objects;

/// A condition on one label or field.
#[derive(Clone, Debug, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// Conditions on labels, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels(Vec<Requirement>);

impl Labels {
    /// Reads a `labelSelector` parameter.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let requirements = split_outside_parentheses(text).into_iter().map(str::trim);
        requirements.filter(|part| !part.is_empty()).map(requirement).collect::<Result<_, _>>().map(Labels)
    }

    /// Reads the selector of a workload, a Service or a budget: `matchLabels` and `matchExpressions`.
    #[must_use]
    pub fn of(selector: &Value) -> Self {
        let mut requirements = equal_to(selector.get("matchLabels"));
        for expression in objects::items(selector, "/matchExpressions") {
            let key = objects::text(expression, "/key").to_owned();
            let values = objects::items(expression, "/values").filter_map(Value::as_str).map(str::to_owned).collect();
            requirements.push(match objects::text(expression, "/operator") {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                _ => Requirement::Missing(key),
            });
        }
        Labels(requirements)
    }

    /// Reads a plain map of labels, as Services have.
    #[must_use]
    pub fn of_map(map: &Value) -> Self {
        Labels(equal_to(Some(map)))
    }

    /// Whether there is no condition at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these labels satisfy all conditions.
    #[must_use]
    pub fn match_labels(&self, labels: &Map<String, Value>) -> bool {
        let value = |key: &str| labels.get(key).and_then(Value::as_str);
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => value(key).is_some_and(|value| values.iter().any(|it| it == value)),
            Requirement::NotIn(key, values) => value(key).is_none_or(|value| values.iter().all(|it| it != value)),
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Missing(key) => value(key).is_none(),
        })
    }

    /// Whether the object's labels satisfy all conditions.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        match object.pointer("/metadata/labels").and_then(Value::as_object) {
            Some(labels) => self.match_labels(labels),
            None => self.match_labels(&Map::new()),
        }
    }
}

fn equal_to(map: Option<&Value>) -> Vec<Requirement> {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    pairs
        .map(|(key, value)| Requirement::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()]))
        .collect()
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(|char| {
        depth += match char {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        char == ',' && depth == 0
    });
    parts.collect()
}

fn requirement(part: &str) -> Result<Requirement, Failure> {
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(key_of(key)?, vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::In(key_of(key)?, vec![value.trim().to_owned()]));
    }
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::Missing(key_of(key)?));
    }
    let mut words = part.splitn(3, char::is_whitespace);
    let key = key_of(words.next().unwrap_or_default())?;
    match words.next().map(str::trim) {
        None => Ok(Requirement::Exists(key)),
        Some(operator @ ("in" | "notin")) => {
            let values = values(words.next().unwrap_or_default().trim())?;
            Ok(if operator == "in" { Requirement::In(key, values) } else { Requirement::NotIn(key, values) })
        }
        // `in(a)` without a space before the parenthesis.
        Some(rest) => {
            let (operator, _) = rest.split_once('(').unwrap_or((rest, ""));
            let after = part.find('(').and_then(|at| part.get(at..)).unwrap_or_default();
            match operator {
                "in" => Ok(Requirement::In(key, values(after)?)),
                "notin" => Ok(Requirement::NotIn(key, values(after)?)),
                other => Err(bad(&format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt"))),
            }
        }
    }
}

fn key_of(text: &str) -> Result<String, Failure> {
    let key = text.trim();
    let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | '/');
    if key.is_empty() || !key.chars().all(is_name) {
        return Err(bad(&format!("found '{key}', expected: !, identifier")));
    }
    Ok(key.to_owned())
}

fn values(text: &str) -> Result<Vec<String>, Failure> {
    let inner = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.ok_or_else(|| bad(&format!("found '{text}' expected: '('")))?;
    Ok(inner.split(',').map(|value| value.trim().to_owned()).collect())
}

fn bad(why: &str) -> Failure {
    Failure::bad_request(format!("unable to parse requirement: {why}"))
}

/// Conditions on fields, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Vec<(String, bool, String)>);

impl Fields {
    /// Reads a `fieldSelector` parameter for objects of this storage name, as written in `group` of the request.
    pub fn parse(text: &str, group: &str, plural: &str) -> Result<Self, Failure> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        let conditions = parts.map(|part| {
            let (key, is_equal, value) = match (part.split_once("!="), part.split_once('=')) {
                (Some((key, value)), _) => (key, false, value),
                (None, Some((key, value))) => (key, true, value.trim_start_matches('=')),
                (None, None) => return Err(Failure::bad_request(format!("invalid selector: '{part}'"))),
            };
            let pointer = pointer(key, group, plural)
                .ok_or_else(|| Failure::bad_request(format!("field label not supported: {key}")))?;
            Ok((pointer, is_equal, value.to_owned()))
        });
        conditions.collect::<Result<_, _>>().map(Fields)
    }

    /// Whether there is no condition at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the object satisfies all conditions. An absent field is an empty one.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(pointer, is_equal, wanted)| (objects::text(object, pointer) == wanted) == *is_equal)
    }
}

const POD_FIELDS: [&str; 9] = [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
    "status.podIPs",
];
const INVOLVED: [&str; 7] = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"];

/// Where the stored object has the field, if objects of this kind can be selected by it.
fn pointer(key: &str, group: &str, plural: &str) -> Option<String> {
    let plain = || format!("/{}", key.replace('.', "/"));
    if matches!(key, "metadata.name" | "metadata.namespace") {
        return Some(plain());
    }
    match plural {
        "pods" => POD_FIELDS.contains(&key).then(plain),
        "events" => event_pointer(key, group),
        "jobs" => (key == "status.successful").then(plain),
        "nodes" => (key == "spec.unschedulable").then(plain),
        "namespaces" => (key == "status.phase").then(plain),
        "secrets" => (key == "type").then(plain),
        "services" => matches!(key, "spec.clusterIP" | "spec.type").then(plain),
        _ => None,
    }
}

/// The two groups have different names for the fields of the same stored object.
fn event_pointer(key: &str, group: &str) -> Option<String> {
    let (object, reporter) = if group.is_empty() {
        ("involvedObject.", "reportingComponent")
    } else {
        ("regarding.", "reportingController")
    };
    if let Some(field) = key.strip_prefix(object) {
        return INVOLVED.contains(&field).then(|| format!("/involvedObject/{field}"));
    }
    match key {
        "reason" | "type" => Some(format!("/{key}")),
        "source" if group.is_empty() => Some("/source/component".to_owned()),
        key if key == reporter => Some("/reportingComponent".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(labels: Value) -> Value {
        json!({"metadata": {"name": "a", "labels": labels}, "status": {"phase": "Running"}, "spec": {}})
    }

    #[test]
    fn label_selectors_of_every_form_match_as_they_read() {
        let cases = [
            ("app=api", true),
            ("app==api,tier!=front", true),
            ("app in (api, worker)", true),
            ("app in(worker)", false),
            ("app notin (api)", false),
            ("app", true),
            ("!tier", true),
            ("tier", false),
            ("tier notin (front)", true),
            ("", true),
        ];
        for (text, wanted) in cases {
            assert_eq!(Labels::parse(text).unwrap().matches(&pod(json!({"app": "api"}))), wanted, "{text:?}");
        }
    }

    #[test]
    fn label_selectors_that_do_not_parse_are_refused() {
        for text in ["app in x", "app within (a)", "a b", "=x", "a(b)=c"] {
            assert_eq!(Labels::parse(text).unwrap_err().code, 400, "{text:?}");
        }
    }

    #[test]
    fn selectors_of_workloads_know_expressions() {
        let selector = json!({"matchLabels": {"app": "api"}, "matchExpressions": [
            {"key": "tier", "operator": "NotIn", "values": ["front"]}, {"key": "app", "operator": "Exists"},
        ]});
        assert!(Labels::of(&selector).matches(&pod(json!({"app": "api"}))));
        assert!(!Labels::of(&selector).matches(&pod(json!({"app": "api", "tier": "front"}))));
    }

    #[test]
    fn field_selectors_take_an_absent_field_for_an_empty_one() {
        let fields = Fields::parse("status.phase!=Failed,spec.nodeName=", "", "pods").unwrap();
        assert!(fields.matches(&pod(json!({}))));
        assert!(Fields::parse("status.reason=Evicted", "", "pods").is_err());
        assert!(Fields::parse("involvedObject.name=a", "events.k8s.io", "events").is_err());
    }
}
