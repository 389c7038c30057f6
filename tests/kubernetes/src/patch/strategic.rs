//! Strategic merge patches: like a JSON merge patch, but lists of named things are joined by their names, and
//! directives delete, replace or keep.

use serde_json::{Map, Value};

use crate::schema::{self, Field, Join, Type};

/// The object after the patch.
#[must_use]
pub fn merge(ty: &str, object: &Value, patch: &Value) -> Value {
    merge_as(&Type::Struct(ty.to_owned()), object, patch)
}

fn merge_as(ty: &Type, original: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let directive = patch.get("$patch").and_then(Value::as_str);
    let mut merged = match (directive, original) {
        (Some("replace"), _) => return without_directives(patch),
        (Some("delete"), _) => return Value::Object(Map::new()),
        (_, Value::Object(original)) => original.clone(),
        _ => Map::new(),
    };
    if let Some(Value::Array(kept)) = patch.get("$retainKeys") {
        merged.retain(|key, _| kept.iter().any(|name| name == key));
    }
    for (key, value) in patch {
        if let Some(name) = key.strip_prefix("$deleteFromPrimitiveList/") {
            delete_from(&mut merged, name, value);
        } else if key.starts_with('$') {
            // The order of elements is not kept track of: nothing here depends on it.
        } else if value.is_null() {
            merged.remove(key);
        } else {
            let original = merged.get(key).unwrap_or(&Value::Null);
            let value = merge_field(field(ty, key), original, value);
            merged.insert(key.clone(), value);
        }
    }
    Value::Object(merged)
}

/// The type of a field, and whether a patch of it keeps only the keys that it names.
fn field(ty: &Type, key: &str) -> Type {
    match ty {
        Type::Struct(name) => {
            let field: Option<&Field> = schema::fields(name).and_then(|fields| fields.get(key));
            field.map_or(Type::Any, |field| field.ty.clone())
        }
        Type::Map(inner) => (**inner).clone(),
        _ => Type::Any,
    }
}

fn merge_field(ty: Type, original: &Value, patch: &Value) -> Value {
    match (&ty, patch) {
        (Type::List(inner, Join::Keyed { patch: key, .. }), Value::Array(patch)) => {
            merge_list(inner, key, original, patch)
        }
        (Type::List(_, Join::Set), Value::Array(patch)) => {
            let mut all = original.as_array().cloned().unwrap_or_default();
            all.extend(
                patch.iter().filter(|value| !original.as_array().is_some_and(|own| own.contains(value))).cloned(),
            );
            Value::Array(all)
        }
        (Type::Any, Value::Object(_)) | (Type::Struct(_) | Type::Map(_), _) => merge_as(&ty, original, patch),
        _ => patch.clone(),
    }
}

fn merge_list(inner: &Type, key: &str, original: &Value, patch: &[Value]) -> Value {
    let original = original.as_array().cloned().unwrap_or_default();
    let is = |item: &Value, directive: &str| item.get("$patch").and_then(Value::as_str) == Some(directive);
    if patch.iter().any(|item| is(item, "replace")) {
        let items = patch.iter().filter(|item| !is(item, "replace"));
        return Value::Array(items.map(|item| merge_as(inner, &Value::Null, item)).collect());
    }
    let position = |item: &Value| original.iter().position(|own| own.get(key) == item.get(key));
    let named: Vec<(Option<usize>, Value)> = patch
        .iter()
        .filter(|item| !is(item, "delete"))
        .map(|item| {
            let at = position(item);
            let own = at.and_then(|at| original.get(at)).unwrap_or(&Value::Null);
            (at, merge_as(inner, own, item))
        })
        .collect();
    let is_in_patch = |own: &Value| patch.iter().any(|item| item.get(key) == own.get(key));
    let rest = original.iter().enumerate().filter(|(_, own)| !is_in_patch(own)).map(|(at, own)| (at, own.clone()));
    Value::Array(in_order(named, rest.collect()))
}

/// Elements keep the place that they had; those that are new come before what follows them.
fn in_order(named: Vec<(Option<usize>, Value)>, rest: Vec<(usize, Value)>) -> Vec<Value> {
    let mut rest = rest.into_iter().peekable();
    let mut list = Vec::new();
    for (at, value) in named {
        while let Some((_, own)) = rest.next_if(|(place, _)| at.is_some_and(|at| *place < at)) {
            list.push(own);
        }
        list.push(value);
    }
    list.extend(rest.map(|(_, own)| own));
    list
}

fn delete_from(merged: &mut Map<String, Value>, name: &str, values: &Value) {
    let gone = values.as_array().cloned().unwrap_or_default();
    if let Some(Value::Array(list)) = merged.get_mut(name) {
        list.retain(|value| !gone.contains(value));
    }
}

fn without_directives(patch: &Map<String, Value>) -> Value {
    let kept = patch.iter().filter(|(key, value)| !key.starts_with('$') && !value.is_null());
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(containers: Value) -> Value {
        json!({"spec": {"containers": containers}})
    }

    #[test]
    fn containers_and_variables_are_joined_by_name() {
        let object =
            pod(json!([{"name": "api", "image": "a", "env": [{"name": "X", "value": "1"}]}, {"name": "proxy"}]));
        let patch = pod(json!([{"name": "api", "env": [{"name": "Y", "value": "2"}]}]));
        let wanted = pod(json!([
            {"name": "api", "image": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]},
            {"name": "proxy"},
        ]));
        assert_eq!(merge("Pod", &object, &patch), wanted);
    }

    #[test]
    fn directives_delete_and_replace() {
        let object = pod(json!([{"name": "api", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]));
        let deleted = merge("Pod", &object, &pod(json!([{"name": "api", "env": [{"name": "X", "$patch": "delete"}]}])));
        assert_eq!(deleted, pod(json!([{"name": "api", "env": [{"name": "Y", "value": "2"}]}])));
        let replaced = merge("Pod", &object, &json!({"spec": {"$patch": "replace", "nodeName": "a"}}));
        assert_eq!(replaced, json!({"spec": {"nodeName": "a"}}));
        let all = merge("Pod", &object, &pod(json!([{"$patch": "replace"}, {"name": "b"}])));
        assert_eq!(all, pod(json!([{"name": "b"}])));
    }

    #[test]
    fn null_takes_away_and_a_new_container_comes_first() {
        let object = pod(json!([{"name": "api", "resources": {"limits": {"memory": "1Gi"}}}]));
        let patch = pod(json!([{"name": "api", "resources": {"limits": {"memory": null}}}, {"name": "b"}]));
        let wanted = pod(json!([{"name": "api", "resources": {"limits": {}}}, {"name": "b"}]));
        assert_eq!(merge("Pod", &object, &patch), wanted);
        let first = merge("Pod", &object, &pod(json!([{"name": "b"}])));
        assert_eq!(first.pointer("/spec/containers/0/name"), Some(&json!("b")));
    }

    #[test]
    fn ports_of_a_container_are_joined_by_their_number_and_tolerations_replaced() {
        let object = json!({"spec": {
            "containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "http"}]}],
            "tolerations": [{"key": "a"}],
        }});
        let patch = json!({"spec": {
            "containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}],
            "tolerations": [{"key": "b"}],
        }});
        let merged = merge("Pod", &object, &patch);
        let port = merged.pointer("/spec/containers/0/ports").unwrap();
        assert_eq!(port, &json!([{"containerPort": 80, "name": "http", "protocol": "TCP"}]));
        assert_eq!(merged.pointer("/spec/tolerations"), Some(&json!([{"key": "b"}])));
    }
}
