//! What a replay found.

use serde::Serialize;
use serde_json::Value;

/// A recording that was run again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The run.
    pub run: String,
    /// Its plugin.
    pub plugin: String,
    /// How changes were treated.
    pub mode: String,
    /// What ran then.
    pub recorded: Version,
    /// What ran now.
    pub replayed: Version,
    /// True when it did the same and came to the same.
    pub same: bool,
    /// How many calls were the same.
    pub same_calls: usize,
    /// Calls that were not.
    pub calls: Vec<CallDifference>,
    /// How many changes were the same.
    pub same_changes: usize,
    /// Changes that were not.
    pub changes: Vec<ChangeDifference>,
    /// True when changes were asked for in another order.
    pub reordered: bool,
    /// How it ended now, as the recording says it of then.
    pub ending: Value,
    /// In what that is different.
    pub end: Vec<EndDifference>,
}

/// A component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// What it calls itself.
    pub version: String,
    /// Its digest.
    pub component: String,
}

/// What is different about a call or a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Nobody asked for it then.
    New,
    /// Nobody asks for it any more.
    Gone,
    /// It is asked for with other arguments.
    OtherArguments,
    /// It is told something else, such as that it is not granted.
    OtherAnswer,
}

/// A call that is not as it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallDifference {
    /// What is different.
    pub how: How,
    /// The function, written `interface/function`.
    pub operation: String,
    /// The target, written `system/name`; empty for what needs none.
    pub target: String,
    /// Its arguments then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Value>,
    /// Its arguments now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Value>,
    /// The error that the guest was told now, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A change that was listed or made then and is not now, or is asked for now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeDifference {
    /// What is different.
    pub how: How,
    /// The function.
    pub operation: String,
    /// The target.
    pub target: String,
    /// Its arguments.
    pub arguments: Value,
    /// The change in one line, where the recording has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// Something in the outcome or failure that is not as it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndDifference {
    /// Where, such as `findings[0].rows[2]`.
    pub field: String,
    /// What stood there then.
    pub recorded: Option<Value>,
    /// What stands there now.
    pub replayed: Option<Value>,
}
