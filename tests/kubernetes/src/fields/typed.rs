//! Objects compared, merged and pruned by their types: which fields differ, which an apply names, what becomes of
//! lists.

use serde_json::{Map, Value};

use super::FieldSet;
use crate::schema::{self, Field, Join, Type};

/// Metadata that belongs to the server and therefore to no manager.
const UNOWNED: [&str; 9] = [
    "f:name",
    "f:namespace",
    "f:creationTimestamp",
    "f:selfLink",
    "f:uid",
    "f:generation",
    "f:managedFields",
    "f:resourceVersion",
    "f:generateName",
];

/// How two objects differ.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Only in the newer.
    pub added: FieldSet,
    /// In both, and not the same.
    pub modified: FieldSet,
    /// Only in the older.
    pub removed: FieldSet,
}

impl Comparison {
    /// Compares two objects of type `ty`.
    #[must_use]
    pub fn of(ty: &str, old: &Value, new: &Value) -> Self {
        let mut comparison = Comparison::default();
        comparison.visit(&Type::Struct(ty.to_owned()), false, Some(old), Some(new), &mut Vec::new());
        for set in [&mut comparison.added, &mut comparison.modified, &mut comparison.removed] {
            for field in UNOWNED {
                set.strip(&["f:metadata", field]);
            }
            for field in ["f:apiVersion", "f:kind", "f:metadata"] {
                set.strip(&[field]);
            }
        }
        comparison
    }

    /// Whether they are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    fn visit(&mut self, ty: &Type, atomic: bool, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<String>) {
        if is_leaf(ty, atomic) {
            match (old, new) {
                (None, Some(_)) => self.added.insert(path),
                (Some(_), None) => self.removed.insert(path),
                (Some(old), Some(new)) if old != new => self.modified.insert(path),
                _ => {}
            }
            return;
        }
        // A container that is new or gone is a change of its own; one that was there and empty is not.
        match (old, new) {
            (None, Some(_)) => self.added.insert(path),
            (Some(_), None) => self.removed.insert(path),
            _ => {}
        }
        for (element, inner, is_atomic) in elements(ty, old, new) {
            path.push(element.clone());
            self.visit(&inner, is_atomic, child(ty, old, &element), child(ty, new, &element), path);
            path.pop();
        }
    }
}

fn is_leaf(ty: &Type, atomic: bool) -> bool {
    atomic || !matches!(ty, Type::Struct(_) | Type::Map(_) | Type::List(_, Join::Keyed { .. } | Join::Set))
}

/// The elements that either value has, each with its type.
fn elements(ty: &Type, old: Option<&Value>, new: Option<&Value>) -> Vec<(String, Type, bool)> {
    let mut found: Vec<(String, Type, bool)> = Vec::new();
    for value in [old, new].into_iter().flatten() {
        for (element, _) in parts(ty, value) {
            if !found.iter().any(|(known, ..)| *known == element) {
                let (inner, is_atomic) = type_of_part(ty, &element);
                found.push((element, inner, is_atomic));
            }
        }
    }
    found
}

fn child<'a>(ty: &Type, value: Option<&'a Value>, element: &str) -> Option<&'a Value> {
    parts(ty, value?).into_iter().find(|(name, _)| name == element).map(|(_, value)| value)
}

/// The parts of a container, each under the name that it has in a set.
fn parts<'a>(ty: &Type, value: &'a Value) -> Vec<(String, &'a Value)> {
    match (ty, value) {
        (Type::List(_, join), Value::Array(list)) => list.iter().map(|item| (element_name(join, item), item)).collect(),
        (_, Value::Object(map)) => map.iter().map(|(key, value)| (format!("f:{key}"), value)).collect(),
        _ => Vec::new(),
    }
}

fn element_name(join: &Join, item: &Value) -> String {
    match join {
        Join::Keyed { owner, .. } => {
            // A port without a protocol is a TCP port, also for its owner.
            let default = |key: &str| if key == "protocol" { Value::from("TCP") } else { Value::Null };
            let keys = owner.iter().map(|key| (key.clone(), item.get(key).cloned().unwrap_or_else(|| default(key))));
            format!("k:{}", Value::Object(keys.filter(|(_, value)| !value.is_null()).collect()))
        }
        Join::Set | Join::Whole => format!("v:{item}"),
    }
}

fn type_of_part(ty: &Type, element: &str) -> (Type, bool) {
    match ty {
        Type::Struct(name) => {
            let key = element.strip_prefix("f:").unwrap_or(element);
            let field: Option<&Field> = schema::fields(name).and_then(|fields| fields.get(key));
            field.map_or((Type::Any, false), |field| (field.ty.clone(), field.is_atomic))
        }
        Type::Map(inner) | Type::List(inner, Join::Keyed { .. }) => ((**inner).clone(), false),
        _ => (Type::Any, false),
    }
}

/// The fields that an applied object names.
#[must_use]
pub fn field_set(ty: &str, config: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(&Type::Struct(ty.to_owned()), false, config, &mut Vec::new(), &mut set);
    for key in ["f:apiVersion", "f:kind", "f:metadata"] {
        set.strip(&[key]);
    }
    for field in UNOWNED {
        set.strip(&["f:metadata", field]);
    }
    set
}

fn collect(ty: &Type, atomic: bool, value: &Value, path: &mut Vec<String>, set: &mut FieldSet) {
    if is_leaf(ty, atomic) {
        set.insert(path);
        return;
    }
    let is_list = matches!(ty, Type::List(..));
    for (element, inner) in parts(ty, value) {
        let (inner_type, is_atomic) = type_of_part(ty, &element);
        path.push(element);
        let is_empty = inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
        if is_list || is_empty || matches!(ty, Type::Map(_)) {
            set.insert(path);
        }
        collect(&inner_type, is_atomic, inner, path, set);
        path.pop();
    }
}

/// The live object with what the applied one says.
#[must_use]
pub fn merge(ty: &str, live: &Value, config: &Value) -> Value {
    merge_as(&Type::Struct(ty.to_owned()), false, live, config)
}

fn merge_as(ty: &Type, atomic: bool, live: &Value, config: &Value) -> Value {
    if is_leaf(ty, atomic) {
        return config.clone();
    }
    match (ty, live, config) {
        (Type::List(..), live, Value::Array(_)) => merge_list(ty, live, config),
        (_, Value::Object(live), Value::Object(config)) => {
            let mut merged = live.clone();
            for (key, value) in config {
                let (inner, is_atomic) = type_of_part(ty, &format!("f:{key}"));
                let own = live.get(key).unwrap_or(&Value::Null);
                merged.insert(key.clone(), merge_as(&inner, is_atomic, own, value));
            }
            Value::Object(merged)
        }
        _ => config.clone(),
    }
}

/// Elements come in the order of the applied list; those that only the live one has keep their place before what
/// followed them.
fn merge_list(ty: &Type, live: &Value, config: &Value) -> Value {
    let (live, config) = (parts(ty, live), parts(ty, config));
    let find = |list: &[(String, &Value)], name: &str| list.iter().position(|(known, _)| known == name);
    let mut shared = config.iter().map(|(name, _)| name).filter(|name| find(&live, name).is_some()).peekable();
    let (mut live_rest, mut config_rest) = (live.as_slice(), config.as_slice());
    let mut merged = Vec::new();
    loop {
        match (live_rest.split_first(), config_rest.split_first()) {
            (None, None) => return Value::Array(merged),
            (Some(((own, kept), rest)), _) if find(&config, own).is_none() => {
                merged.push((*kept).clone());
                live_rest = rest;
            }
            // It has another place in the applied list.
            (Some(((own, _), rest)), Some(((name, _), _))) if own != name && shared.peek() != Some(&own) => {
                live_rest = rest;
            }
            (_, Some(((name, value), rest))) => {
                let own = find(&live, name).and_then(|at| live.get(at)).map_or(&Value::Null, |(_, value)| *value);
                let (inner, is_atomic) = type_of_part(ty, name);
                merged.push(merge_as(&inner, is_atomic, own, value));
                shared.next_if(|next| *next == name);
                live_rest =
                    live_rest.split_first().filter(|((own, _), _)| own == name).map_or(live_rest, |(_, rest)| rest);
                config_rest = rest;
            }
            (Some((_, rest)), None) => live_rest = rest,
        }
    }
}

/// Takes away what lies at a path.
pub fn remove(ty: &str, object: &mut Value, path: &[String]) {
    remove_as(&Type::Struct(ty.to_owned()), object, path);
}

fn remove_as(ty: &Type, value: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else { return };
    let inner = type_of_part(ty, first).0;
    match (ty, value) {
        (Type::List(_, join), Value::Array(list)) => {
            let Some(at) = list.iter().position(|item| element_name(join, item) == *first) else { return };
            if rest.is_empty() {
                list.remove(at);
            } else if let Some(item) = list.get_mut(at) {
                remove_as(&inner, item, rest);
            }
        }
        (_, Value::Object(map)) => {
            let key = first.strip_prefix("f:").unwrap_or(first);
            if rest.is_empty() {
                map.remove(key);
            } else if let Some(item) = map.get_mut(key) {
                remove_as(&inner, item, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(names: &[&str]) -> Value {
        let env: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"name": "a", "env": env})
    }

    #[test]
    fn an_applied_list_gives_the_order_of_what_it_names() {
        let cases = [
            (&["m", "l", "c"][..], &["c", "l"][..], &["m", "c", "l"][..]),
            (&["m", "l"], &["c"], &["m", "l", "c"]),
            (&["a", "b", "c"], &["a", "c"], &["a", "b", "c"]),
            (&["a", "b"], &["x", "b", "a"], &["x", "b", "a"]),
            (&[], &["a"], &["a"]),
            (&["a"], &[], &["a"]),
        ];
        for (live, config, wanted) in cases {
            assert_eq!(merge("Container", &names(live), &names(config)), names(wanted), "{live:?} and {config:?}");
        }
    }

    #[test]
    fn owners_see_a_port_by_its_number_and_protocol() {
        let set = field_set("Container", &json!({"name": "a", "ports": [{"containerPort": 80, "name": "http"}]}));
        let wanted = json!({"f:name": {}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
            ".": {}, "f:containerPort": {}, "f:name": {},
        }}});
        assert_eq!(set.to_json(), wanted);
    }
}
