//! Arguments of a call as they are kept: what may be secret is left out by the one who knows, the host function.
//!
//! A run that is recorded keeps them whole beside that, to find the answer again when the same is asked in a replay.

use serde_json::{Map, Value};

/// Longest text of one argument, in characters.
const MAX_TEXT: usize = 500;

/// Named arguments of one call, already redacted.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    shown: Map<String, Value>,
    /// All of them as they were given, for a recording.
    whole: Option<Map<String, Value>>,
}

impl Arguments {
    /// No arguments beside the target.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same for a run that is recorded, which keeps them whole as well.
    pub fn recorded() -> Self {
        Self { shown: Map::new(), whole: Some(Map::new()) }
    }

    /// Keep a number, a flag or an option of one; texts are for [`Arguments::text`], which cuts them.
    pub fn plain(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.withholding(name, value.clone(), || value)
    }

    /// Keep a text, cut to 500 characters.
    pub fn text(self, name: &str, text: &str) -> Self {
        self.withholding(name, Value::String(cut(text, MAX_TEXT)), || Value::String(text.to_owned()))
    }

    /// Keep a text that may be absent, cut like any other.
    pub fn optional_text(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.plain(name, Value::Null),
        }
    }

    /// Keep only how many values there were. The values themselves are for a recording alone.
    pub fn hidden(self, name: &str, count: usize, whole: impl FnOnce() -> Value) -> Self {
        self.withholding(name, Value::String(format!("[{count} redacted]")), whole)
    }

    /// Keep an outline, cut like any other text. The whole is for a recording alone.
    pub fn outlined(self, name: &str, outline: &str, whole: impl FnOnce() -> Value) -> Self {
        self.withholding(name, Value::String(cut(outline, MAX_TEXT)), whole)
    }

    fn withholding(mut self, name: &str, shown: Value, whole: impl FnOnce() -> Value) -> Self {
        if let Some(all) = &mut self.whole {
            all.insert(name.to_owned(), whole());
        }
        self.shown.insert(name.to_owned(), shown);
        self
    }

    /// All of them as they were given; none where nothing is recorded.
    pub(super) fn take_whole(&mut self) -> Option<Value> {
        self.whole.take().map(Value::Object)
    }

    /// The arguments as a JSON object.
    pub fn into_json(self) -> String {
        Value::Object(self.shown).to_string()
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
        let arguments = Arguments::none()
            .plain("limit", 10)
            .text("sql", &long)
            .hidden("params", 2, || unreachable!("nothing is recorded"));
        let arguments = arguments.optional_text("user", Some(&long)).optional_text("state", None);
        let value: Value = serde_json::from_str(&arguments.into_json()).unwrap();
        assert_eq!(value["limit"], 10);
        assert_eq!(value["params"], "[2 redacted]");
        for text in ["sql", "user"] {
            assert_eq!(value[text].as_str().unwrap().chars().count(), 501);
        }
        assert!(value["state"].is_null());
    }

    #[test]
    fn a_recording_has_all_of_them() {
        let long = "é".repeat(600);
        let mut arguments = Arguments::recorded()
            .plain("limit", 10)
            .text("sql", &long)
            .hidden("params", 2, || serde_json::json!([1, "hunter2"]));
        let whole = arguments.take_whole().unwrap();
        assert_eq!(whole, serde_json::json!({ "limit": 10, "sql": long, "params": [1, "hunter2"] }));
        assert!(!arguments.into_json().contains("hunter2"));
    }
}
