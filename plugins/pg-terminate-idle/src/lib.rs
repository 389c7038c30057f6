//! End Postgres sessions that are idle for too long. Those that hold a transaction open come first: they keep locks and hold
//! up vacuum, while the others only take up a slot.

mod params;

use paramedic_sdk::postgres::{self, Session, SessionFilter};
use paramedic_sdk::{Context, Description, Error, Failure, Outcome, Plugin, Risk, Seconds, Words, Work, cells, human};
use params::Params;

#[cfg(test)]
mod tests;

/// States of sessions that hold a transaction open and do nothing with it.
const IN_TRANSACTION: [&str; 2] = ["idle in transaction", "idle in transaction (aborted)"];

/// The mitigation.
pub struct PgTerminateIdle;

paramedic_sdk::export!(PgTerminateIdle);

impl Plugin for PgTerminateIdle {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "End idle sessions", Risk::Medium)
            .about(include_str!("about.md"))
            .runbook("#issue-database-connection-pool-exhausted")
            .confirmed_by("pg-idle-connections")
            .needs("postgres/sessions", "{target}", "to find sessions that are idle, and since when")
            .needs("postgres-actions/terminate-session", "{target}", "to end those that are idle for too long")
            .time_limit(60.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let chosen = choose(&params)?;
        let words = Words { plain: "end", past: "ended", thing: "idle session", of: &params.target, already: "over" };
        let mut work = Work::new(words, ["pid", "application", "user", "client", "state", "for", "last statement"]);
        work.each(&chosen, cells_of, |session| postgres::terminate_session(&params.target, session.key));
        Ok(work.outcome(&nothing(&params)))
    }
}

/// The sessions to end, in order.
fn choose(params: &Params) -> Result<Vec<Session>, Error> {
    let mut chosen = Vec::new();
    if let Some(age) = params.max_idle_in_transaction {
        chosen = idle(params, &IN_TRANSACTION, age)?;
    }
    if let Some(age) = params.max_idle {
        chosen.extend(idle(params, &["idle"], age)?);
    }
    chosen.truncate(params.limit);
    Ok(chosen)
}

/// Sessions of these states, longest idle first. It is the time since their last statement ended that counts, however old a
/// transaction is: one that goes on with its work now and then is in use.
fn idle(params: &Params, states: &[&str], age: Seconds) -> Result<Vec<Session>, Error> {
    let mut found = Vec::new();
    for state in states {
        found.extend(postgres::sessions(&params.target, &SessionFilter::in_state(state, age))?);
    }
    found.retain(|session| is_meant(&params.applications, &session.application));
    found.retain(|session| is_meant(&params.users, &session.user));
    found.sort_by(|one, other| other.state_age.total_cmp(&one.state_age));
    Ok(found)
}

fn is_meant(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|meant| meant == name)
}

fn nothing(params: &Params) -> String {
    let over = |age: Option<Seconds>, state: &str| Some(format!("{state} for over {}", human::duration(age?)));
    let looked_for = [over(params.max_idle, "idle"), over(params.max_idle_in_transaction, "idle in transaction")];
    match looked_for.into_iter().flatten().collect::<Vec<_>>() {
        looked_for if looked_for.is_empty() => "nothing to do: neither kind of idle sessions is to be ended".to_owned(),
        looked_for => format!("nothing to do: no session of {} is {}", params.target, looked_for.join(" or ")),
    }
}

fn cells_of(session: &Session) -> [String; 7] {
    let Session { key, user, state, state_age, query, .. } = session;
    let client = session.client.as_deref().unwrap_or("local");
    cells![key.pid, session.application_name(), user, client, state, human::duration(*state_age), query]
}
