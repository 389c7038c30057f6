//! Values on their way into a plugin's statement and out of its result.
//!
//! Both ways they travel as text, the form in which Postgres prints and parses every type it has or will have. Into a
//! statement the server itself infers the type of each parameter; out of it the type of the column decides the case.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};

/// Integers up to here are exact in a double, so that every guest language can hold them.
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// A value going into or coming out of a statement.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An integer between -(2^53 - 1) and 2^53 - 1.
    Integer(i64),
    /// A finite binary floating point number.
    Float(f64),
    /// Text, and everything that has no other case or does not fit it, as Postgres prints it.
    Text(String),
    /// A `bytea`.
    Bytes(Vec<u8>),
    /// A date or timestamp, in milliseconds since 1970-01-01T00:00:00Z.
    Instant(u64),
    /// A `json` or `jsonb` document.
    Json(String),
}

impl Value {
    /// The value that Postgres printed as `text` in a column of type `kind`.
    pub(super) fn from_text(kind: &Type, text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::Null };
        let parsed = match *base(kind) {
            Type::BOOL => Some(Self::Boolean(text == "t")),
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => integer(text),
            Type::FLOAT4 | Type::FLOAT8 => text.parse().ok().filter(|f: &f64| f.is_finite()).map(Self::Float),
            Type::BYTEA => from_hex(text).map(Self::Bytes),
            Type::DATE | Type::TIMESTAMP | Type::TIMESTAMPTZ => instant(text).map(Self::Instant),
            Type::JSON | Type::JSONB => Some(Self::Json(text.to_owned())),
            _ => None,
        };
        parsed.unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    /// The text that Postgres parses into a parameter; none for NULL.
    fn to_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Text(text) | Self::Json(text) => Some(text.clone()),
            Self::Bytes(bytes) => Some(to_hex(bytes)),
            Self::Instant(ms) => Some(crate::domain::Timestamp::from_millis(*ms).to_string()),
        }
    }

    const fn case(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Float(_) => "float",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Instant(_) => "instant",
            Self::Json(_) => "json",
        }
    }

    /// What is wrong with this value for a parameter of type `kind`. Text fits every type; the server says whether it
    /// can be read as one.
    pub(super) fn misfit(&self, kind: &Type) -> Option<String> {
        let base = base(kind);
        let number = matches!(
            *base,
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::NUMERIC | Type::FLOAT4 | Type::FLOAT8
        );
        let text = matches!(*base, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN);
        let fits = match self {
            Self::Null | Self::Text(_) => true,
            Self::Boolean(_) => *base == Type::BOOL || text,
            Self::Integer(_) => number || text,
            Self::Float(_) => matches!(*base, Type::NUMERIC | Type::FLOAT4 | Type::FLOAT8) || text,
            Self::Bytes(_) => *base == Type::BYTEA,
            Self::Instant(_) => matches!(*base, Type::DATE | Type::TIMESTAMP | Type::TIMESTAMPTZ) || text,
            Self::Json(_) => matches!(*base, Type::JSON | Type::JSONB) || text,
        };
        (!fits).then(|| format!("the case `{}` does not fit the type {}", self.case(), kind.name()))
    }
}

/// Sent as text of a type that the server has to infer.
impl ToSql for Value {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = self.to_text() else { return Ok(IsNull::Yes) };
        out.put_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// The type below all domains.
fn base(kind: &Type) -> &Type {
    match kind.kind() {
        Kind::Domain(inner) => base(inner),
        _ => kind,
    }
}

fn integer(text: &str) -> Option<Value> {
    let value: i64 = text.parse().ok()?;
    (-MAX_INTEGER..=MAX_INTEGER).contains(&value).then_some(Value::Integer(value))
}

/// Reads a date or timestamp as Postgres prints it in the style ISO with the zone UTC, such as `2026-03-01 12:00:00+00`.
/// None for what a case `instant` cannot hold: infinity, years before 1970, years of more than four digits.
fn instant(text: &str) -> Option<u64> {
    let local = text.strip_suffix("+00").unwrap_or(text);
    let local: jiff::civil::DateTime = match local.parse() {
        Ok(local) => local,
        Err(_) => local.parse::<jiff::civil::Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
    };
    let timestamp = jiff::tz::Offset::UTC.to_timestamp(local).ok()?;
    u64::try_from(timestamp.as_millisecond()).ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::from("\\x"), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_arrives_in_its_case_and_what_does_not_fit_as_text() {
        let text = |text: &str| Value::Text(text.to_owned());
        let table: &[(Type, &str, Value)] = &[
            (Type::BOOL, "f", Value::Boolean(false)),
            (Type::INT2, "-7", Value::Integer(-7)),
            (Type::INT8, "9007199254740991", Value::Integer(MAX_INTEGER)),
            (Type::INT8, "9007199254740992", text("9007199254740992")),
            (Type::INT8, "-9007199254740992", text("-9007199254740992")),
            (Type::FLOAT8, "0.1", Value::Float(0.1)),
            (Type::FLOAT8, "NaN", text("NaN")),
            (Type::FLOAT4, "-Infinity", text("-Infinity")),
            (Type::NUMERIC, "12345678901234567890.5", text("12345678901234567890.5")),
            (Type::BYTEA, "\\x00ff", Value::Bytes(vec![0, 255])),
            (Type::DATE, "2026-03-01", Value::Instant(1_772_323_200_000)),
            (Type::TIMESTAMP, "2026-03-01 03:14:15.926535", Value::Instant(1_772_334_855_926)),
            (Type::TIMESTAMPTZ, "2026-03-01 03:14:15.926535+00", Value::Instant(1_772_334_855_926)),
            (Type::TIMESTAMPTZ, "infinity", text("infinity")),
            (Type::TIMESTAMPTZ, "1969-12-31 23:59:59+00", text("1969-12-31 23:59:59+00")),
            (Type::DATE, "0044-03-15 BC", text("0044-03-15 BC")),
            (Type::DATE, "12026-03-01", text("12026-03-01")),
            (Type::TIME, "03:14:15", text("03:14:15")),
            (Type::JSONB, "{\"a\": 1}", Value::Json("{\"a\": 1}".to_owned())),
            (Type::INT4_ARRAY, "{1,2}", text("{1,2}")),
        ];
        for (kind, printed, expected) in table {
            assert_eq!(Value::from_text(kind, Some(printed)), *expected, "{kind} {printed}");
        }
        assert_eq!(Value::from_text(&Type::INT4, None), Value::Null);
    }

    #[test]
    fn a_domain_arrives_as_what_it_is_a_domain_of() {
        let domain = Type::new("port".to_owned(), 70_000, Kind::Domain(Type::INT4), "public".to_owned());
        assert_eq!(Value::from_text(&domain, Some("5432")), Value::Integer(5432));
    }

    #[test]
    fn a_value_of_the_wrong_case_is_told_before_the_server_guesses() {
        let table: &[(Value, Type, bool)] = &[
            (Value::Integer(1), Type::INT8, true),
            (Value::Integer(1), Type::NUMERIC, true),
            (Value::Integer(1), Type::TEXT, true),
            (Value::Integer(1), Type::BOOL, false),
            (Value::Float(1.0), Type::INT4, false),
            (Value::Boolean(true), Type::INT4, false),
            (Value::Bytes(vec![]), Type::TEXT, false),
            (Value::Instant(0), Type::TIMESTAMPTZ, true),
            (Value::Instant(0), Type::INTERVAL, false),
            (Value::Text("1 day".to_owned()), Type::INTERVAL, true),
            (Value::Null, Type::BOOL, true),
        ];
        for (value, kind, fits) in table {
            assert_eq!(value.misfit(kind).is_none(), *fits, "{value:?} as {kind}");
        }
    }

    proptest::proptest! {
        #[test]
        fn bytes_survive_the_way_through_hexadecimal(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        }

        #[test]
        fn instants_survive_the_way_through_text(ms in 0_u64..253_402_300_799_999) {
            let text = Value::Instant(ms).to_text().unwrap().replace('T', " ").replace('Z', "+00");
            proptest::prop_assert_eq!(instant(&text), Some(ms));
        }
    }
}
