//! Keys that never expire, the groups that take most, the biggest keys, and what could be done about them.

use crate::Params;
use crate::groups::{Group, Groups};
use crate::memory::Memory;
use paramedic_sdk::redis::Info;
use paramedic_sdk::{Metric, Outcome, Status, Suggestion, Table, Threshold, cells, human, judge as judge_value, unit};
use serde_json::json;

/// A key that takes this part of the memory, in percent, is worth a word.
const BIG_KEY_PERCENT: f64 = 10.0;
/// What suggested mitigations may do to keys at most.
const CURE_KEYS: u32 = 10_000;
const CURE_SECONDS: u32 = 3600;

/// Keys of all databases of a server.
#[derive(Debug, Default)]
pub(crate) struct Total {
    pub(crate) keys: f64,
    lasting: f64,
}

pub(crate) fn total(keyspace: &Info) -> Total {
    keyspace.fields().fold(Total::default(), |total, database| {
        let part = |name| keyspace.part(database, name).unwrap_or(0.0);
        Total { keys: total.keys + part("keys"), lasting: total.lasting + part("keys") - part("expires") }
    })
}

pub(crate) fn judge(outcome: &mut Outcome, total: &Total, groups: &Groups, memory: &Memory, params: &Params) {
    judge_lasting(outcome, total, groups, params);
    judge_policy(outcome, groups, memory, params);
    note_big_key(outcome, groups, memory);
    if outcome.status() > Status::Unknown {
        suggest(outcome, groups, params);
    }
    show(outcome, groups, params.limit);
}

/// Keys of queues are left out, so far as the sample tells how many they are.
fn judge_lasting(outcome: &mut Outcome, total: &Total, groups: &Groups, params: &Params) {
    let lasting = total.lasting * (1.0 - groups.queue_part_of_lasting());
    let percent = human::share(lasting, total.keys);
    let enough = lasting >= params.no_expiry_min_keys as f64;
    let warning = if enough { params.no_expiry_warning } else { Threshold::never() };
    let most = groups
        .most_lasting()
        .map_or_else(String::new, |group| format!(", most of them {}", human::shorten(&group.pattern, 60)));
    let text = format!(
        "{lasting:.0} of {:.0} keys of {} ({}) never expire{most}",
        total.keys,
        params.target,
        human::percent(percent)
    );
    outcome.find(judge_value(percent, &warning, &Threshold::never()), text);
    outcome.metric(Metric::new("keys", total.keys, unit::COUNT));
    outcome.metric(Metric::new("keys_without_expiry", lasting.round(), unit::COUNT));
    let metric = Metric::new("keys_without_expiry_percent", percent, unit::PERCENT);
    outcome.metric(metric.limits(&warning, &Threshold::never()));
}

/// A queue loses jobs without a word when the server may evict their keys.
fn judge_policy(outcome: &mut Outcome, groups: &Groups, memory: &Memory, params: &Params) {
    let queue = groups.all.iter().find(|group| group.of_queue);
    let evicts = memory.policy.starts_with("allkeys-") || memory.policy.starts_with("volatile-");
    if let Some(queue) = queue.filter(|_| evicts) {
        let name = human::shorten(&queue.pattern, 60);
        let text = format!(
            "{} holds a job queue ({name}) and may evict its jobs ({}); queues need noeviction",
            params.target, memory.policy
        );
        outcome.find(Status::Warning, text);
    }
}

fn note_big_key(outcome: &mut Outcome, groups: &Groups, memory: &Memory) {
    let (Some(key), Some(used)) = (groups.biggest.first(), memory.used) else {
        return;
    };
    let percent = human::share(key.bytes as f64, used);
    if percent >= BIG_KEY_PERCENT {
        let (name, size) = (human::shorten(&key.key, 60), human::bytes(key.bytes as f64));
        outcome.note(format!("One key, `{name}`, takes {size} by itself, {} of the memory.", human::percent(percent)));
    }
}

/// Keys that never expire are given an expiry; others are removed by age. A pattern without a word of its own would
/// match everything and is never suggested.
fn suggest(outcome: &mut Outcome, groups: &Groups, params: &Params) {
    let worded = |group: &&Group| group.pattern.starts_with(|c: char| c.is_alphanumeric());
    let Some(group) = groups.culprit().filter(worded) else {
        return;
    };
    let (target, pattern) = (&params.target, &group.pattern);
    let lasting = group.lasting_percent() > 50.0;
    let cure = match lasting {
        true => {
            json!({ "target": target, "pattern": pattern, "mode": "expire", "ttl": CURE_SECONDS, "limit": CURE_KEYS })
        }
        false => {
            json!({ "target": target, "pattern": pattern, "mode": "remove", "min_idle": CURE_SECONDS, "limit": CURE_KEYS })
        }
    };
    let reason = match lasting {
        true => format!("Keys of {pattern} never expire by themselves; an expiry frees their memory within an hour."),
        false => format!("Keys of {pattern} take most; those that nobody used for an hour can go."),
    };
    outcome.suggest(Suggestion::new("redis-evict", cure, reason).confidence(if lasting { 0.6 } else { 0.4 }));
}

fn show(outcome: &mut Outcome, groups: &Groups, limit: usize) {
    let mut table = Table::new("Key groups", ["keys like", "in the sample", "size", "never expire", "queue"]);
    for group in groups.all.iter().take(limit) {
        let (size, lasting) = (human::bytes(group.estimated_bytes()), human::percent(group.lasting_percent()));
        table.row(cells![group.pattern, group.keys, size, lasting, if group.of_queue { "yes" } else { "" }]);
    }
    outcome.table(table);
    let mut table = Table::new("Biggest keys", ["key", "type", "size", "expires in"]);
    for usage in groups.biggest.iter().take(limit) {
        let expires = usage.ttl.map_or_else(|| "never".to_owned(), human::duration);
        table.row(cells![usage.key, usage.type_name, human::bytes(usage.bytes as f64), expires]);
    }
    outcome.table(table);
}
