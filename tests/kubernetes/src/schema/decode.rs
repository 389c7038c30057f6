//! Reads a JSON value as a type, the way a Go server does: unknown fields are noted and dropped, a wrong type is an
//! error, and what comes out is written as Go would write it, without the fields that are empty.

use serde_json::{Map, Value};

use super::{Field, Type, fields};
use crate::quantity::Quantity;
use crate::time;

/// A value that fits its type.
#[derive(Debug)]
pub struct Decoded {
    /// The value as the server writes it.
    pub value: Value,
    /// Paths of fields that the type does not have.
    pub unknown: Vec<String>,
}

/// Reads `value` as type `name`; the error is the server's message.
pub fn decode(name: &str, value: &Value) -> Result<Decoded, String> {
    let mut unknown = Vec::new();
    let mut value = structure(name, value, "", &mut unknown, true)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    Ok(Decoded { value, unknown })
}

fn structure(name: &str, value: &Value, path: &str, unknown: &mut Vec<String>, is_root: bool) -> Result<Value, String> {
    let given = match value {
        Value::Object(given) => given,
        Value::Null => return Ok(super::zero(name)),
        other => return Err(mismatch(other, name)),
    };
    let types = fields(name).ok_or_else(|| format!("no type {name}"))?;
    let mut written = Map::new();
    for (key, inner) in given {
        let inner_path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match types.get(key) {
            Some(field) => {
                if let Some(inner) = keep(field, any(&field.ty, inner, &inner_path, unknown)?) {
                    written.insert(key.clone(), inner);
                }
            }
            None if is_root && matches!(key.as_str(), "apiVersion" | "kind") => {}
            None => unknown.push(inner_path),
        }
    }
    for (key, field) in types.iter().filter(|(_, field)| field.is_always) {
        written.entry(key.clone()).or_insert_with(|| super::zero_of(field));
    }
    Ok(Value::Object(written))
}

/// Go leaves out what is empty, unless the field is a pointer to it or says otherwise.
fn keep(field: &Field, value: Value) -> Option<Value> {
    match &value {
        Value::Null => None,
        Value::String(text) if text.is_empty() && !field.is_pointer => None,
        Value::Bool(false) if !field.is_pointer => None,
        Value::Number(number) if number.as_i64() == Some(0) && !field.is_pointer => None,
        Value::Array(list) if list.is_empty() && !field.is_always => None,
        Value::Object(map) if map.is_empty() && matches!(field.ty, Type::Map(_)) => None,
        _ => Some(value),
    }
}

fn any(ty: &Type, value: &Value, path: &str, unknown: &mut Vec<String>) -> Result<Value, String> {
    if value.is_null() && !matches!(ty, Type::Struct(_)) {
        return Ok(Value::Null);
    }
    match (ty, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Type::Any, value) => Ok(value.clone()),
        (Type::String, Value::String(_)) | (Type::Bool, Value::Bool(_)) => Ok(value.clone()),
        (Type::Int32, Value::Number(number)) => match number.as_i64() {
            Some(whole) if i32::try_from(whole).is_ok() => Ok(value.clone()),
            _ => Err(format!("json: cannot unmarshal number {number} into Go struct field {path} of type int32")),
        },
        (Type::Int64, Value::Number(number)) if number.is_i64() => Ok(value.clone()),
        (Type::IntOrString, Value::Number(_) | Value::String(_)) => Ok(value.clone()),
        (Type::Quantity, Value::Number(number)) => Ok(Value::String(number.to_string())),
        (Type::Quantity, Value::String(text)) => Quantity::parse(text).map(|_| value.clone()),
        (Type::Time, Value::String(text)) => time::check_seconds(text).map(|()| value.clone()),
        (Type::MicroTime, Value::String(text)) => time::check_micros(text).map(|()| value.clone()),
        (Type::Struct(name), value) => structure(name, value, path, unknown, false),
        (Type::Map(inner), Value::Object(map)) => {
            let entries = map.iter().map(|(key, value)| {
                let value = any(inner, value, &format!("{path}.{key}"), unknown)?;
                Ok((key.clone(), value))
            });
            entries.collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
        (Type::List(inner, _), Value::Array(list)) => {
            let items = list.iter().enumerate().map(|(at, item)| any(inner, item, &format!("{path}[{at}]"), unknown));
            items.collect::<Result<Vec<_>, String>>().map(Value::Array)
        }
        (ty, value) => Err(mismatch(value, &describe(ty))),
    }
}

fn describe(ty: &Type) -> String {
    match ty {
        Type::String => "string",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Bool => "bool",
        Type::Quantity => "resource.Quantity",
        Type::IntOrString => "intstr.IntOrString",
        Type::Time | Type::MicroTime => "Time",
        Type::List(..) => "slice",
        Type::Map(_) => "map",
        Type::Any => "any",
        Type::Struct(name) => name,
    }
    .to_owned()
}

fn mismatch(value: &Value, wanted: &str) -> String {
    let given = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("cannot convert {given} to {wanted}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_named_with_their_place_and_dropped() {
        let given = json!({"spec": {"replicaz": 5, "template": {"spec": {"containers": [{"name": "a", "envs": []}]}}}});
        let decoded = decode("Deployment", &given).unwrap();
        assert_eq!(decoded.unknown, ["spec.replicaz", "spec.template.spec.containers[0].envs"]);
        assert_eq!(decoded.value.pointer("/spec/replicaz"), None);
    }

    #[test]
    fn zero_is_kept_behind_a_pointer_and_dropped_otherwise() {
        let decoded = decode("Deployment", &json!({"spec": {"replicas": 0, "minReadySeconds": 0}})).unwrap();
        assert_eq!(decoded.value.pointer("/spec/replicas"), Some(&json!(0)));
        assert_eq!(decoded.value.pointer("/spec/minReadySeconds"), None);
    }

    #[test]
    fn values_of_another_type_are_refused() {
        for spec in [json!({"replicas": "ten"}), json!({"replicas": 2_147_483_648_i64}), json!({"paused": 1})] {
            assert!(decode("Deployment", &json!({"spec": spec})).is_err(), "{spec}");
        }
        let limits = json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"memory": "2GB"}}}]}});
        assert!(decode("Pod", &limits).unwrap_err().contains("quantities must match"));
    }
}
