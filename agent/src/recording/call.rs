//! One call: what was asked, and what came.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Answer;

/// A call to the host, as the guest made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The function, written `interface/function`.
    pub operation: String,
    /// The target, written `system/name`; empty for what needs none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// All its arguments, nothing left out.
    pub arguments: Value,
    /// What the guest was told.
    pub answer: Answer,
    /// What came beside the receipt of a change: the response to a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Value>,
}

impl Call {
    /// True when it asks for exactly that.
    pub fn asks(&self, operation: &str, target: &str, arguments: &Value) -> bool {
        self.operation == operation && self.target == target && self.arguments == *arguments
    }

    /// The receipt of a change that was carried out or listed; none for anything else.
    pub fn change(&self) -> Option<&Value> {
        let Answer::Ok(receipt) = &self.answer else { return None };
        let disposition = receipt.get("disposition")?.as_str()?;
        matches!(disposition, "planned" | "applied").then_some(receipt)
    }
}
