//! Reads the table of types. The table is part of this crate, so a mistake in it is a bug and ends the test that meets
//! it.

use std::collections::BTreeMap;

use super::{Field, Join, Struct, Type};

/// All types by name.
pub fn table(text: &str) -> BTreeMap<String, Struct> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    let mut types = BTreeMap::new();
    while let Some(name) = words.next() {
        assert_eq!(words.next(), Some("{"), "no fields after type {name}");
        let fields = words.by_ref().take_while(|word| *word != "}").map(field).collect();
        types.insert(name.to_owned(), fields);
    }
    types
}

fn field(word: &str) -> (String, Field) {
    let (left, right) = word.split_once(':').expect("a field has a name, a colon and a type");
    let name = left.trim_end_matches(['!', '@', '~']);
    let marks = left.get(name.len()..).unwrap_or_default();
    let ty = right.trim_end_matches('?');
    let field = Field {
        ty: parse_type(ty),
        is_pointer: right.ends_with('?'),
        is_always: marks.contains('!'),
        is_atomic: marks.contains('@'),
        retains_keys: marks.contains('~'),
    };
    (name.to_owned(), field)
}

fn parse_type(text: &str) -> Type {
    if let Some(inner) = text.strip_prefix("{}") {
        return Type::Map(Box::new(parse_type(inner)));
    }
    if let Some((keys, inner)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return Type::List(Box::new(parse_type(inner)), join(keys));
    }
    match text {
        "string" => Type::String,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "bool" => Type::Bool,
        "quantity" => Type::Quantity,
        "intstr" => Type::IntOrString,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "any" => Type::Any,
        name => Type::Struct(name.to_owned()),
    }
}

fn join(keys: &str) -> Join {
    match keys {
        "" => Join::Whole,
        "=" => Join::Set,
        keys => {
            let (patch, owner) = keys.split_once('|').unwrap_or((keys, keys));
            Join::Keyed { patch: patch.to_owned(), owner: owner.split('+').map(str::to_owned).collect() }
        }
    }
}
