//! Arguments of a call as they are kept: what may be secret is left out by the one who knows, the host function.

use serde_json::{Map, Value};

/// Longest text of one argument, in characters.
const MAX_TEXT: usize = 500;

/// Named arguments of one call, already redacted.
#[derive(Clone, Debug, Default)]
pub struct Arguments(Map<String, Value>);

impl Arguments {
    /// No arguments beside the target.
    pub fn none() -> Self {
        Self::default()
    }

    /// Keep a number, a flag or an option of one; texts are for [`Arguments::text`], which cuts them.
    pub fn plain(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Keep a text, cut to 500 characters.
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.0.insert(name.to_owned(), Value::String(cut(text, MAX_TEXT)));
        self
    }

    /// Keep a text that may be absent, cut like any other.
    pub fn optional_text(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.plain(name, Value::Null),
        }
    }

    /// Keep only how many values there were.
    pub fn hidden(mut self, name: &str, count: usize) -> Self {
        self.0.insert(name.to_owned(), Value::String(format!("[{count} redacted]")));
        self
    }

    /// The arguments as a JSON object.
    pub fn into_json(self) -> String {
        Value::Object(self.0).to_string()
    }
}

/// The first `max` characters of `text`, with an ellipsis where something was cut.
pub(super) fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_keep_what_was_shown_and_count_what_was_hidden() {
        let long = "é".repeat(600);
        let arguments = Arguments::none().plain("limit", 10).text("sql", &long).hidden("params", 2);
        let arguments = arguments.optional_text("user", Some(&long)).optional_text("state", None);
        let value: Value = serde_json::from_str(&arguments.into_json()).unwrap();
        assert_eq!(value["limit"], 10);
        assert_eq!(value["params"], "[2 redacted]");
        for text in ["sql", "user"] {
            assert_eq!(value[text].as_str().unwrap().chars().count(), 501);
        }
        assert!(value["state"].is_null());
    }
}
