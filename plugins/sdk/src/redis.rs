//! Looking at a Redis server, and freeing its memory. Every function names a target that the operator configured; keys are
//! compared with the patterns of the grant.

use crate::bindings::paramedic::plugin::redis as host;
use crate::bindings::paramedic::plugin::redis_actions as actions;
use crate::{Label, Receipt, Seconds};
use std::collections::BTreeMap;

pub use actions::Selection;
pub use host::{KeyPage, KeyUsage, Reply, SlowEntry};

host_function! {
    /// Round trip to the server.
    "redis/ping" as PING,
    fn ping(target: &str) -> Seconds = host::ping(target)
}

host_function! {
    /// Fields of one section of `INFO`, such as `memory` or `replication`.
    "redis/info" as INFO,
    fn info(target: &str, section: &str) -> Info = host::info(target, section)
}

host_function! {
    /// One page of the keys that match a glob pattern, after the page that gave the mark `after`.
    "redis/scan" as SCAN,
    fn scan(target: &str, pattern: &str, after: Option<&str>, count: u32) -> KeyPage =
        host::scan(target, pattern, after, count)
}

host_function! {
    /// What keys take up, in one round trip; keys that do not exist are left out.
    "redis/usage" as USAGE,
    fn usage(target: &str, keys: &[String]) -> Vec<KeyUsage> = host::usage(target, keys)
}

host_function! {
    /// The most recent slow commands, newest first.
    "redis/slow-log" as SLOW_LOG,
    fn slow_log(target: &str, limit: u32) -> Vec<SlowEntry> = host::slow_log(target, limit)
}

host_function! {
    /// Run a command without side effects, such as `LLEN`. The first element is the command.
    "redis/read" as READ,
    fn read(target: &str, command: &[String]) -> Reply = host::read(target, command)
}

changing_function! {
    /// Remove the selected keys without blocking the server. There is no way back. The answer has `keys` and `bytes`.
    "redis-actions/remove-keys" as REMOVE_KEYS,
    fn remove_keys(target: &str, selection: &Selection) -> Receipt = actions::remove_keys(target, selection)
}

changing_function! {
    /// Let the selected keys that do not expire yet expire after `ttl`, spread over a tenth of it. The answer has `keys`
    /// and `bytes`.
    "redis-actions/expire-keys" as EXPIRE_KEYS,
    fn expire_keys(target: &str, selection: &Selection, ttl: Seconds) -> Receipt =
        actions::expire_keys(target, selection, ttl)
}

/// A section of `INFO`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info(BTreeMap<String, String>);

impl Info {
    /// The text of a field.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// The number of a field, if it is one.
    pub fn number(&self, field: &str) -> Option<f64> {
        self.text(field)?.trim_end_matches('%').parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// One number of a field of the form `keys=10,expires=3`.
    pub fn part(&self, field: &str, name: &str) -> Option<f64> {
        let parts = self.text(field)?.split(',').filter_map(|part| part.split_once('='));
        parts.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok())
    }

    /// The names of all fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl From<Vec<Label>> for Info {
    fn from(labels: Vec<Label>) -> Self {
        Self(labels.into_iter().map(|label| (label.name, label.value)).collect())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Info {
    fn from(fields: [(&str, &str); N]) -> Self {
        Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl crate::testing::Argument for &Selection {
    fn write(self, to: &mut Vec<String>) {
        to.push(self.pattern.clone());
        self.min_idle.write(to);
        self.limit.write(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_info_read_as_text_numbers_and_parts() {
        let info =
            Info::from([("used", "12"), ("rate", "3.5%"), ("db0", "keys=10,expires=3,avg_ttl=x"), ("role", "slave")]);
        assert_eq!(info.text("role"), Some("slave"));
        assert_eq!((info.number("used"), info.number("rate")), (Some(12.0), Some(3.5)));
        assert_eq!((info.number("role"), info.number("none")), (None, None));
        assert_eq!((info.part("db0", "expires"), info.part("db0", "avg_ttl")), (Some(3.0), None));
        assert_eq!((info.part("db1", "keys"), info.part("role", "keys")), (None, None));
        assert_eq!(info.fields().count(), 4);
    }
}
