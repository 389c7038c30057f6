//! The shapes of the built-in types: which fields there are, of what type, and how lists of them are joined and owned.
//!
//! One table (`schema/types.txt`) serves decoding, defaulting's idea of emptiness, the strategic merge and field
//! ownership, so that these cannot disagree. It knows nothing of requests or of stored objects.

mod decode;
mod parse;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

pub use decode::decode;

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Text.
    String,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// True or false.
    Bool,
    /// An amount of a resource, such as `500m`.
    Quantity,
    /// A whole number or text such as `25%`.
    IntOrString,
    /// A time in whole seconds.
    Time,
    /// A time with exactly six decimals.
    MicroTime,
    /// Anything; its inside is not looked at.
    Any,
    /// A type of the table.
    Struct(String),
    /// Several of the same.
    List(Box<Type>, Join),
    /// Values by name.
    Map(Box<Type>),
}

/// How two lists become one.
#[derive(Clone, Debug, PartialEq)]
pub enum Join {
    /// The newer list replaces the older.
    Whole,
    /// Each value is there once.
    Set,
    /// Elements are the same if their keys are: `patch` in a strategic patch, `owner` for field ownership.
    Keyed {
        /// Merge key of strategic patches.
        patch: String,
        /// Keys that name an element in managedFields.
        owner: Vec<String>,
    },
}

/// One field of a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// What it holds.
    pub ty: Type,
    /// An empty value is kept when it was given.
    pub is_pointer: bool,
    /// The field is written even when it is empty.
    pub is_always: bool,
    /// It has one owner as a whole.
    pub is_atomic: bool,
    /// A strategic patch keeps only the keys that it names.
    pub retains_keys: bool,
}

/// The fields of a type by name.
pub type Struct = BTreeMap<String, Field>;

static TYPES: LazyLock<BTreeMap<String, Struct>> = LazyLock::new(|| parse::table(include_str!("schema/types.txt")));

/// The fields of type `name`, if the table has it.
#[must_use]
pub fn fields(name: &str) -> Option<&'static Struct> {
    TYPES.get(name)
}

/// Name of the type that describes objects of this group and kind.
#[must_use]
pub fn type_of(group: &str, kind: &str) -> Option<&'static str> {
    let name = if group == "events.k8s.io" && kind == "Event" { "EventV1" } else { kind };
    TYPES.get_key_value(name).map(|(name, _)| name.as_str())
}

/// What the server writes for a value of type `name` in which nothing was set.
#[must_use]
pub fn zero(name: &str) -> Value {
    let Some(fields) = fields(name) else { return Value::Object(Map::new()) };
    let always = fields.iter().filter(|(_, field)| field.is_always);
    Value::Object(always.map(|(name, field)| (name.clone(), zero_of(field))).collect())
}

fn zero_of(field: &Field) -> Value {
    match &field.ty {
        _ if field.is_pointer => Value::Null,
        Type::String => "".into(),
        Type::Int32 | Type::Int64 => 0.into(),
        Type::Bool => false.into(),
        Type::Struct(name) => zero(name),
        Type::Any => Value::Object(Map::new()),
        Type::Quantity | Type::IntOrString | Type::Time | Type::MicroTime | Type::List(..) | Type::Map(_) => {
            Value::Null
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_that_a_field_names_is_in_the_table() {
        fn named(ty: &Type) -> Option<&str> {
            match ty {
                Type::Struct(name) => Some(name),
                Type::List(inner, _) | Type::Map(inner) => named(inner),
                _ => None,
            }
        }
        for (owner, fields) in TYPES.iter() {
            for (field, of) in fields {
                if let Some(name) = named(&of.ty) {
                    assert!(TYPES.contains_key(name), "{owner}.{field} is a {name}");
                }
            }
        }
    }

    #[test]
    fn an_empty_deployment_still_has_its_skeleton() {
        let skeleton = json!({
            "metadata": {}, "status": {},
            "spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}},
        });
        assert_eq!(zero("Deployment"), skeleton);
    }

    #[test]
    fn ports_are_joined_by_one_key_and_owned_by_two() {
        let ports = &fields("Container").unwrap()["ports"].ty;
        let Type::List(_, Join::Keyed { patch, owner }) = ports else { panic!("{ports:?}") };
        assert_eq!((patch.as_str(), owner.len()), ("containerPort", 2));
    }
}
