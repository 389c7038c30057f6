//! Beyond the shape: values that are no accident and have to be equal when the record is played again.
//!
//! The record asks for the same shapes only. But a count, a generation, an image or an order of variables that differs
//! would mean that the stand-in does something else.

use std::collections::BTreeMap;

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

/// The versions of every object so far, recorded and ours.
///
/// A version is random, that it moved or stayed is not: a dry run and a write that changes nothing leave it alone.
#[derive(Debug, Default)]
pub struct Versions(BTreeMap<String, BTreeMap<String, String>>);

impl Versions {
    /// What is odd about the version in an answer: it moved where the recorded one stayed.
    pub fn difference(&mut self, exchange: &Exchange, ours: &Value) -> Option<String> {
        let text = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let uid = text(&exchange.answer, "/metadata/uid")?;
        let recorded = text(&exchange.answer, "/metadata/resourceVersion")?;
        let own = text(ours, "/metadata/resourceVersion").unwrap_or_default();
        let known = self.0.entry(uid).or_default();
        let before = known.insert(recorded.clone(), own.clone()).filter(|before| *before != own);
        before.map(|before| format!("version moved from {before} to {own} where {recorded} stayed"))
    }
}

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
