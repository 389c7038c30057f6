//! Answers in one form, whatever the server's protocol made of them.

use ::redis::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::domain::CallError;

/// Largest whole number that a double holds exactly, and with it a plugin in any language.
const SAFE_INTEGER: i64 = (1 << 53) - 1;

/// Answer to a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// No value.
    Nil,
    /// A number between -(2^53 - 1) and 2^53 - 1.
    Integer(i64),
    /// A status, a string that is valid UTF-8, a fraction, or a number too large for `Integer`.
    Text(String),
    /// A string that is not valid UTF-8.
    Bytes(Vec<u8>),
    /// An array, set or map of any depth, as JSON.
    Nested(String),
}

impl Reply {
    pub(super) fn new(value: Value) -> Result<Self, CallError> {
        Ok(match value {
            Value::Nil => Self::Nil,
            Value::Int(number) if is_safe(number) => Self::Integer(number),
            Value::Int(number) => Self::Text(number.to_string()),
            Value::BulkString(bytes) => {
                String::from_utf8(bytes).map_or_else(|e| Self::Bytes(e.into_bytes()), Self::Text)
            }
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => Self::Text(text),
            Value::Okay => Self::Text("OK".to_owned()),
            Value::Double(number) => Self::Text(double(number)),
            Value::Boolean(truth) => Self::Integer(i64::from(truth)),
            Value::BigNumber(digits) => Self::Text(String::from_utf8_lossy(&digits).into_owned()),
            Value::Attribute { data, .. } => Self::new(*data)?,
            nested @ (Value::Array(_) | Value::Set(_) | Value::Map(_)) => Self::Nested(json_of(nested)?.to_string()),
            _ => return Err(unexpected()),
        })
    }

    /// Bytes of text or data in it.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Nil => 0,
            Self::Integer(_) => size_of::<i64>(),
            Self::Text(text) | Self::Nested(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// How many elements an answer has at its top.
pub(super) fn elements(value: &Value) -> u64 {
    let count = match value {
        Value::Array(items) | Value::Set(items) => items.len(),
        Value::Map(pairs) => pairs.len(),
        _ => 0,
    };
    count as u64
}

fn json_of(value: Value) -> Result<Json, CallError> {
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Int(number) if is_safe(number) => json!(number),
        Value::Int(number) => json!(number.to_string()),
        Value::BulkString(bytes) => string(bytes),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => json!(text),
        Value::Okay => json!("OK"),
        Value::Double(number) if number.is_finite() => json!(number),
        Value::Double(number) => json!(double(number)),
        Value::Boolean(truth) => json!(truth),
        Value::BigNumber(digits) => json!(String::from_utf8_lossy(&digits)),
        Value::Attribute { data, .. } => json_of(*data)?,
        Value::Array(items) | Value::Set(items) => {
            Json::Array(items.into_iter().map(json_of).collect::<Result<_, _>>()?)
        }
        Value::Map(pairs) => map(pairs)?,
        _ => return Err(unexpected()),
    })
}

/// An object; or, when a name is no text or stands twice, an array of pairs, because an object would lose something.
fn map(pairs: Vec<(Value, Value)>) -> Result<Json, CallError> {
    let pairs = pairs.into_iter().map(|(name, value)| Ok((json_of(name)?, json_of(value)?)));
    let pairs: Vec<(Json, Json)> = pairs.collect::<Result<_, CallError>>()?;
    let object: Map<String, Json> =
        pairs.iter().filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value.clone()))).collect();
    if object.len() == pairs.len() {
        return Ok(Json::Object(object));
    }
    Ok(Json::Array(pairs.into_iter().map(|(name, value)| json!([name, value])).collect()))
}

fn string(bytes: Vec<u8>) -> Json {
    match String::from_utf8(bytes) {
        Ok(text) => Json::String(text),
        Err(error) => json!({ "base64": STANDARD.encode(error.as_bytes()) }),
    }
}

fn is_safe(number: i64) -> bool {
    (-SAFE_INTEGER..=SAFE_INTEGER).contains(&number)
}

fn double(number: f64) -> String {
    if number.is_nan() { "nan".to_owned() } else { number.to_string() }
}

fn unexpected() -> CallError {
    CallError::Unavailable("the server's answer has an unknown form".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn single_values_keep_their_kind() {
        let table = [
            (Value::Nil, Reply::Nil),
            (Value::Int(42), Reply::Integer(42)),
            (Value::Int(-SAFE_INTEGER), Reply::Integer(-SAFE_INTEGER)),
            (Value::Int(SAFE_INTEGER + 1), Reply::Text("9007199254740992".to_owned())),
            (Value::Int(i64::MIN), Reply::Text("-9223372036854775808".to_owned())),
            (text("käse"), Reply::Text("käse".to_owned())),
            (Value::BulkString(vec![0xff, 0]), Reply::Bytes(vec![0xff, 0])),
            (Value::SimpleString("hash".to_owned()), Reply::Text("hash".to_owned())),
            (Value::Okay, Reply::Text("OK".to_owned())),
            (Value::Double(1.5), Reply::Text("1.5".to_owned())),
            (Value::Double(f64::NEG_INFINITY), Reply::Text("-inf".to_owned())),
            (Value::Boolean(true), Reply::Integer(1)),
        ];
        for (value, expected) in table {
            assert_eq!(Reply::new(value.clone()), Ok(expected), "{value:?}");
        }
    }

    #[test]
    fn nested_values_are_json() {
        let table = [
            (Value::Array(vec![]), "[]"),
            (Value::Set(vec![text("a"), Value::Int(1)]), r#"["a",1]"#),
            (Value::Map(vec![(text("a"), Value::Nil), (text("b"), Value::Double(0.5))]), r#"{"a":null,"b":0.5}"#),
            (
                Value::Array(vec![Value::Int(i64::MAX), Value::Double(f64::INFINITY)]),
                r#"["9223372036854775807","inf"]"#,
            ),
            (Value::Array(vec![Value::BulkString(vec![0xff])]), r#"[{"base64":"/w=="}]"#),
            (Value::Map(vec![(Value::BulkString(vec![0xff]), text("x"))]), r#"[[{"base64":"/w=="},"x"]]"#),
            (Value::Map(vec![(text("a"), Value::Int(1)), (text("a"), Value::Int(2))]), r#"[["a",1],["a",2]]"#),
        ];
        for (value, expected) in table {
            assert_eq!(Reply::new(value), Ok(Reply::Nested(expected.to_owned())));
        }
    }
}
