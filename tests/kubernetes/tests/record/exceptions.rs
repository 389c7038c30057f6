//! The published list of lines that the stand-in does not hold.

use std::collections::BTreeMap;

use crate::exchange::Exchange;

/// Entries read "- `id`: reason in one sentence".
fn entries() -> Vec<(String, String)> {
    let lines = include_str!("../../EXCEPTIONS.md").lines();
    let entries = lines.filter_map(|line| line.strip_prefix("- `")?.split_once("`: "));
    entries.map(|(id, reason)| (id.to_owned(), reason.to_owned())).collect()
}

/// The lines that may fail.
pub fn ids() -> Vec<String> {
    entries().into_iter().map(|(id, _)| id).collect()
}

/// What is wrong with the list.
pub fn complaints(exchanges: &[Exchange], failures: &BTreeMap<&str, String>) -> Vec<String> {
    let complaint = |(id, reason): (String, String)| {
        let Some(exchange) = exchanges.iter().find(|exchange| exchange.id == id) else {
            return Some(format!("{id} is an exception and no line of the record"));
        };
        if exchange.is_core {
            return Some(format!("{id} is an exception and core"));
        }
        if reason.trim().is_empty() {
            return Some(format!("{id} is an exception without a reason"));
        }
        (!failures.contains_key(id.as_str())).then(|| format!("{id} is an exception and holds: take it off the list"))
    };
    entries().into_iter().filter_map(complaint).collect()
}
