//! Sessions counted by the application and user that hold them.

use paramedic_sdk::postgres::Session;
use paramedic_sdk::{Outcome, Seconds, Table, cells, human};
use std::collections::BTreeMap;

/// What one application holds under one user.
#[derive(Debug, Default)]
pub(crate) struct Holder {
    /// The name that the application gave itself; can be empty.
    pub(crate) application: String,
    pub(crate) user: String,
    pub(crate) total: u64,
    pub(crate) active: u64,
    pub(crate) idle: u64,
    pub(crate) in_transaction: u64,
    oldest_idle: Option<Seconds>,
}

/// The holders, the one with most connections first.
pub(crate) fn by_application(sessions: &[Session]) -> Vec<Holder> {
    let mut holders = BTreeMap::<(&str, &str), Holder>::new();
    for session in sessions {
        holders.entry((&session.application, &session.user)).or_default().add(session);
    }
    let mut holders: Vec<Holder> = holders.into_values().collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.total));
    holders
}

pub(crate) fn show(outcome: &mut Outcome, holders: &[Holder], limit: usize) {
    let columns = ["application", "user", "connections", "active", "idle", "idle in transaction", "longest idle"];
    let mut table = Table::new("Connections by application", columns);
    for holder in holders.iter().take(limit) {
        let longest = holder.oldest_idle.map_or_else(String::new, human::duration);
        let Holder { total, active, idle, in_transaction, .. } = holder;
        table.row(cells![holder.name(), holder.user, total, active, idle, in_transaction, longest]);
    }
    outcome.table(table);
}

impl Holder {
    fn add(&mut self, session: &Session) {
        if self.total == 0 {
            self.application.clone_from(&session.application);
            self.user.clone_from(&session.user);
        }
        self.total += 1;
        match session.state.as_str() {
            "active" => self.active += 1,
            "idle" => self.idle += 1,
            _ if session.is_idle_in_transaction() => self.in_transaction += 1,
            _ => {}
        }
        if session.state.starts_with("idle") {
            self.oldest_idle = Some(self.oldest_idle.unwrap_or(0.0).max(session.state_age));
        }
    }

    /// The name as it stands in a sentence.
    pub(crate) fn name(&self) -> String {
        if self.application.is_empty() { "(unnamed)".to_owned() } else { human::shorten(&self.application, 40) }
    }

    pub(crate) fn mostly_idle(&self) -> bool {
        (self.idle + self.in_transaction) * 2 > self.total
    }

    pub(crate) fn describe(&self) -> String {
        format!("{} (user {}, {})", self.name(), self.user, self.total)
    }

    /// The holder and the state in which it keeps most of what it holds.
    pub(crate) fn accuse(&self) -> String {
        let states = [(self.in_transaction, "idle in transaction"), (self.idle, "idle"), (self.active, "active")];
        let (count, state) = states.into_iter().max_by_key(|(count, _)| *count).unwrap_or((0, "active"));
        let count = if count == self.total { "all".to_owned() } else { count.to_string() };
        format!("{} (user {}) holds {}, {count} of them {state}", self.name(), self.user, self.total)
    }
}
