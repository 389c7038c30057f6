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

    /// Keep a number, a flag or an option of one.
    pub fn plain(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Keep a text, cut to 500 characters.
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.0.insert(name.to_owned(), Value::String(cut(text, MAX_TEXT)));
        self
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
        let json = Arguments::none().plain("limit", 10).text("sql", &long).hidden("params", 2).into_json();
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["limit"], 10);
        assert_eq!(value["params"], "[2 redacted]");
        assert_eq!(value["sql"].as_str().unwrap().chars().count(), 501);
    }
}
