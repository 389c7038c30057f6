//! Small tools for objects as JSON: reading and setting what lies at a path, and the metadata that all objects share.

use serde_json::{Map, Value};

/// The text at a JSON pointer; empty if there is none.
#[must_use]
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a JSON pointer, if there is one.
#[must_use]
pub fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The elements of the list at a JSON pointer; none if there is no list.
pub fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The name of an object.
#[must_use]
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The namespace of an object; empty if it has none.
#[must_use]
pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// The unique identifier of an object.
#[must_use]
pub fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// The labels of an object.
#[must_use]
pub fn labels(object: &Value) -> Map<String, Value> {
    object.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Whether the object is on its way out.
#[must_use]
pub fn is_going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// Sets what lies at a JSON pointer, and makes the objects on the way there.
pub fn set(object: &mut Value, pointer: &str, value: impl Into<Value>) {
    let mut at = object;
    for key in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Some(members) = at.as_object_mut() else { return };
        at = members.entry(key.replace("~1", "/").replace("~0", "~")).or_insert(Value::Null);
    }
    *at = value.into();
}

/// Takes away what lies at a JSON pointer.
pub fn remove(object: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, key) = pointer.rsplit_once('/')?;
    object.pointer_mut(parent)?.as_object_mut()?.remove(&key.replace("~1", "/").replace("~0", "~"))
}

/// Copies what lies at a pointer from one object to another, its absence too.
pub fn carry(from: &Value, to: &mut Value, pointer: &str) {
    match from.pointer(pointer) {
        Some(value) => set(to, pointer, value.clone()),
        None => {
            remove(to, pointer);
        }
    }
}

/// The reference to the object's controller, if it has one.
#[must_use]
pub fn controller(object: &Value) -> Option<&Value> {
    items(object, "/metadata/ownerReferences").find(|owner| owner.get("controller") == Some(&Value::Bool(true)))
}

/// Whether the object with this uid controls the object.
#[must_use]
pub fn is_controlled_by(object: &Value, uid: &str) -> bool {
    controller(object).is_some_and(|owner| text(owner, "/uid") == uid)
}

/// The condition of this type in an object's status.
#[must_use]
pub fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    items(object, "/status/conditions").find(|condition| text(condition, "/type") == name)
}

/// Whether the condition of this type is `True`.
#[must_use]
pub fn is_true(object: &Value, condition_name: &str) -> bool {
    condition(object, condition_name).is_some_and(|condition| text(condition, "/status") == "True")
}
