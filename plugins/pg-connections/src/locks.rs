//! Who keeps the others waiting? Sessions that wait for a lock form queues; ending the session at the root frees all of
//! them, ending any other frees few.

use crate::Params;
use paramedic_sdk::postgres::Session;
use paramedic_sdk::{Metric, Outcome, Status, Table, cells, human, judge as judge_value};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn judge(outcome: &mut Outcome, sessions: &[Session], params: &Params) {
    let waiting: Vec<&Session> = sessions.iter().filter(|session| waits(session, params)).collect();
    let count = waiting.len() as u64;
    outcome.metric(Metric::count("sessions_blocked", count).limits(&params.blocked_warning, &params.blocked_critical));
    let status = judge_value(count as f64, &params.blocked_warning, &params.blocked_critical);
    let roots = roots(sessions, &waiting);
    if let Some((root, waiters)) = roots.first().filter(|_| status > Status::Ok) {
        let blocked = human::plural(*waiters, "session");
        outcome.find(status, format!("{} keeps {blocked} waiting for a lock", describe(sessions, *root)));
        show(outcome, sessions, &roots, params.limit);
    }
}

fn waits(session: &Session, params: &Params) -> bool {
    let waited = session.query_age.unwrap_or(session.state_age);
    !session.blocked_by.is_empty() && waited >= params.min_wait_seconds
}

/// The sessions that wait for nobody themselves, with the number of sessions that wait for them in the end.
fn roots(sessions: &[Session], waiting: &[&Session]) -> Vec<(i32, u64)> {
    let blockers: BTreeMap<i32, &[i32]> =
        sessions.iter().map(|session| (session.key.pid, session.blocked_by.as_slice())).collect();
    let mut roots = BTreeMap::<i32, u64>::new();
    for session in waiting {
        for root in roots_of(session.key.pid, &blockers) {
            *roots.entry(root).or_default() += 1;
        }
    }
    let mut roots: Vec<(i32, u64)> = roots.into_iter().collect();
    roots.sort_by_key(|(_, waiters)| std::cmp::Reverse(*waiters));
    roots
}

/// Walk from a waiting session to the ends of its queue. A circle has no end: Postgres resolves it by itself soon.
fn roots_of(pid: i32, blockers: &BTreeMap<i32, &[i32]>) -> BTreeSet<i32> {
    let (mut seen, mut open, mut ends) = (BTreeSet::new(), vec![pid], BTreeSet::new());
    while let Some(pid) = open.pop() {
        if !seen.insert(pid) {
            continue;
        }
        match blockers.get(&pid) {
            Some(next) if !next.is_empty() => open.extend(*next),
            _ => {
                ends.insert(pid);
            }
        }
    }
    ends
}

/// Process 0 stands for a prepared transaction, which no session holds any more.
fn describe(sessions: &[Session], pid: i32) -> String {
    match sessions.iter().find(|session| session.key.pid == pid) {
        Some(session) => {
            let name = human::shorten(session.application_name(), 40);
            format!("{name} (pid {pid}, user {}, {})", session.user, session.state)
        }
        None if pid == 0 => "a prepared transaction".to_owned(),
        None => format!("pid {pid}, which is no client session,"),
    }
}

fn show(outcome: &mut Outcome, sessions: &[Session], roots: &[(i32, u64)], limit: usize) {
    let mut table = Table::new("Roots of lock queues", ["session", "keeps waiting", "its statement"]);
    for (pid, waiters) in roots.iter().take(limit) {
        let query = sessions.iter().find(|session| session.key.pid == *pid).map_or("", |session| &session.query);
        table.row(cells![describe(sessions, *pid), waiters, query]);
    }
    outcome.table(table);
}
