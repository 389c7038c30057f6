//! The record as it lies in the file.

use serde_json::Value;

/// A line of the record.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its name.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// Whether a client meets it in its normal work.
    pub is_core: bool,
    /// Who asked.
    pub caller: String,
    /// Method of the request.
    pub method: String,
    /// Path of the request with its query.
    pub path: String,
    /// `Content-Type` of the request.
    pub content_type: Option<String>,
    /// `Accept` of the request.
    pub accept: Option<String>,
    /// Body of the request.
    pub body: Value,
    /// On whose answers it rests.
    pub given: Vec<String>,
    /// Status of the answer.
    pub status: u64,
    /// Headers of the answer.
    pub headers: Value,
    /// Body of the answer.
    pub answer: Value,
}

impl Exchange {
    fn read(line: &str) -> Self {
        let line: Value = serde_json::from_str(line).expect("a line of the record is JSON");
        let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let value = |pointer: &str| line.pointer(pointer).cloned().unwrap_or_default();
        let given = line.get("given").and_then(Value::as_array).into_iter().flatten();
        Exchange {
            id: text("/id").unwrap_or_default(),
            title: text("/title").unwrap_or_default(),
            is_core: value("/core") == true,
            caller: text("/as").unwrap_or_default(),
            method: text("/request/method").unwrap_or_default(),
            path: text("/request/path").unwrap_or_default(),
            content_type: text("/request/content_type"),
            accept: text("/request/accept"),
            body: value("/request/body"),
            given: given.filter_map(Value::as_str).map(str::to_owned).collect(),
            status: value("/response/status").as_u64().unwrap_or_default(),
            headers: value("/response/headers"),
            answer: value("/response/body"),
        }
    }

    /// Whether the title says that the answer was shortened.
    pub fn is_shortened(&self) -> bool {
        self.title.contains("trimmed") || self.title.contains("(first events)")
    }

    /// Whether the answer comes line by line.
    pub fn is_watch(&self) -> bool {
        self.path.contains("watch=true") && self.answer.is_array()
    }
}

/// All lines.
pub fn all() -> Vec<Exchange> {
    include_str!("../../record/exchanges.jsonl").lines().map(Exchange::read).collect()
}
