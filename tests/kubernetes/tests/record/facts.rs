//! Beyond the shape: values that are no accident and have to be equal when the record is played again.
//!
//! The record asks for the same shapes only. But a count, a generation, an image or an order of variables that differs
//! would mean that the stand-in does something else.

use serde_json::Value;

use crate::exchange::Exchange;

const FACTS: [&str; 23] = [
    "/kind",
    "/apiVersion",
    "/metadata/generation",
    "/metadata/annotations/deployment.kubernetes.io~1revision",
    "/spec/replicas",
    "/spec/paused",
    "/spec/strategy",
    "/spec/updateStrategy",
    "/spec/template/spec",
    "/spec/jobTemplate",
    "/spec/holderIdentity",
    "/spec/leaseTransitions",
    "/spec/resourceAttributes",
    "/status/observedGeneration",
    "/status/replicas",
    "/status/updatedReplicas",
    "/status/readyReplicas",
    "/status/availableReplicas",
    "/status/unavailableReplicas",
    "/status/currentReplicas",
    "/status/phase",
    "/status/allowed",
    "/status/disruptionsAllowed",
];

/// The first value that differs.
pub fn difference(exchange: &Exchange, ours: &Value) -> Option<String> {
    let differs = |pointer: &&&str| exchange.answer.pointer(pointer) != ours.pointer(pointer);
    let values = FACTS.iter().find(differs).map(|pointer| {
        let (wanted, is) = (exchange.answer.pointer(pointer), ours.pointer(pointer));
        format!("{pointer} is {is:?} instead of {wanted:?}")
    });
    values.or_else(|| {
        let (wanted, is) = (conditions(&exchange.answer), conditions(ours));
        (wanted != is).then(|| format!("conditions are {is:?} instead of {wanted:?}"))
    })
}

/// Type, status and reason of each condition; their order is an accident.
fn conditions(object: &Value) -> Vec<String> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let text = |condition: &Value, key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut conditions: Vec<String> =
        conditions.map(|it| format!("{} {} {}", text(it, "type"), text(it, "status"), text(it, "reason"))).collect();
    conditions.sort();
    conditions
}
