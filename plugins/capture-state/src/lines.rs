//! Lists as files: a JSON object a line, so that a cut one is still good, and `grep` and `jq` read it.

use serde_json::Value;

/// The objects, one a line.
pub fn of(objects: impl IntoIterator<Item = Value>) -> String {
    objects.into_iter().map(|object| format!("{object}\n")).collect()
}

/// One object for people.
pub fn pretty(object: &Value) -> String {
    format!("{object:#}\n")
}
