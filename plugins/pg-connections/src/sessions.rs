//! What single sessions do: transactions left open, statements that do not end, and how many are in which state.

use crate::{Params, end_idle};
use paramedic_sdk::postgres::Session;
use paramedic_sdk::{Metric, Outcome, Seconds, Status, Suggestion, Table, cells, human, judge, unit};
use serde_json::json;
use std::collections::BTreeMap;

/// A transaction is as old as its beginning, however often its session did something since.
fn transaction_age(session: &Session) -> Seconds {
    session.transaction_age.unwrap_or(session.state_age)
}

fn oldest(sessions: &[Session], which: impl Fn(&Session) -> bool, age: impl Fn(&Session) -> Seconds) -> Vec<&Session> {
    let mut chosen: Vec<&Session> = sessions.iter().filter(|session| which(session)).collect();
    chosen.sort_by(|one, other| age(other).total_cmp(&age(one)));
    chosen
}

pub(crate) fn judge_open_transactions(outcome: &mut Outcome, sessions: &[Session], params: &Params) {
    let open = oldest(sessions, Session::is_idle_in_transaction, transaction_age);
    let Some(first) = open.first() else {
        return;
    };
    let age = transaction_age(first);
    let status = judge(age, &params.in_transaction_warning, &params.in_transaction_critical);
    let name = human::shorten(first.application_name(), 40);
    let count = human::plural(open.len() as u64, "session");
    outcome.find(
        status,
        format!(
            "{name} (user {}) has left a transaction open and idle for {}; {count} idle in transaction in all",
            first.user,
            human::duration(age)
        ),
    );
    if status > Status::Ok {
        let cure = json!({
            "target": params.target, "applications": [first.application], "users": [first.user],
            "max_idle": null, "max_idle_in_transaction": 60,
        });
        outcome.suggest(end_idle(cure, "An open transaction keeps its locks and holds up vacuum.").confidence(0.7));
    }
    let metric = Metric::new("idle_in_transaction_seconds", age, unit::SECONDS);
    outcome.metric(metric.limits(&params.in_transaction_warning, &params.in_transaction_critical));
}

pub(crate) fn judge_long_queries(outcome: &mut Outcome, sessions: &[Session], params: &Params) {
    let age = |session: &Session| session.query_age.unwrap_or(0.0);
    let active = oldest(sessions, |session| session.state == "active", age);
    let Some(first) = active.first() else {
        return;
    };
    let longest = age(first);
    let status = judge(longest, &params.long_query_warning, &params.long_query_critical);
    let name = human::shorten(first.application_name(), 40);
    let (took, query) = (human::duration(longest), human::shorten(&first.query, 80));
    outcome.find(status, format!("a statement of {name} (user {}) has been running for {took}: {query}", first.user));
    if status > Status::Ok {
        let cure = json!({ "target": params.target, "min_age": least_age(params) });
        let reason = format!("It ends statements such as the one of {name} that has been running for {took}.");
        outcome.suggest(Suggestion::new("pg-terminate-long-queries", cure, reason).confidence(0.6));
        show_queries(outcome, &active, params);
    }
    let metric = Metric::new("longest_query_seconds", longest, unit::SECONDS);
    outcome.metric(metric.limits(&params.long_query_warning, &params.long_query_critical));
}

/// Where the warning begins, if that is a time that a statement can have.
fn least_age(params: &Params) -> Seconds {
    params.long_query_warning.bound().filter(|age| *age >= 1.0).unwrap_or(300.0)
}

fn show_queries(outcome: &mut Outcome, active: &[&Session], params: &Params) {
    let mut table =
        Table::new("Longest statements", ["running for", "pid", "application", "user", "waits for", "statement"]);
    for session in active.iter().take(params.limit) {
        let running = session.query_age.map_or_else(String::new, human::duration);
        let wait = session.wait.as_deref().unwrap_or("");
        let Session { key, user, query, .. } = session;
        table.row(cells![running, key.pid, session.application_name(), user, wait, query]);
    }
    outcome.table(table);
}

pub(crate) fn count_states(outcome: &mut Outcome, sessions: &[Session]) {
    let mut states = BTreeMap::<&str, u64>::new();
    for session in sessions {
        *states.entry(&session.state).or_default() += 1;
    }
    let mut table = Table::new("Connections by state", ["state", "connections"]);
    for (state, count) in states {
        table.row(cells![state, count]);
        outcome.metric(Metric::count("connections", count).label("state", state));
    }
    outcome.table(table);
}
