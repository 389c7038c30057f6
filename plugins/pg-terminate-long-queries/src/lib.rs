//! End Postgres statements that run for too long, the oldest first. Which sessions are no client's at all is for the host to
//! know; this plugin chooses by age.

mod params;

use paramedic_sdk::postgres::{self, Session, SessionFilter};
use paramedic_sdk::{Context, Description, Error, Failure, Outcome, Plugin, Risk, Words, Work, cells, human};
use params::{Action, Params};

#[cfg(test)]
mod tests;

/// The mitigation.
pub struct PgTerminateLongQueries;

paramedic_sdk::export!(PgTerminateLongQueries);

impl Plugin for PgTerminateLongQueries {
    type Params = Params;

    fn describe() -> Description {
        let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        Description::mitigation(name, version, "End long statements", Risk::Medium)
            .about(include_str!("about.md"))
            .runbook("#database-issues")
            .confirmed_by("pg-connections")
            .needs("postgres/sessions", "{target}", "to find statements that run, and since when")
            .can_use("postgres-actions/terminate-session", "{target}", "to disconnect who runs one for too long")
            .can_use("postgres-actions/cancel-query", "{target}", "to cancel one and leave its session connected")
            .time_limit(60.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let chosen = choose(&params)?;
        let mut work = Work::new(words(&params), ["pid", "application", "user", "client", "runs for", "statement"]);
        work.each(&chosen, cells_of, |session| match params.action {
            Action::Terminate => postgres::terminate_session(&params.target, session.key),
            Action::Cancel => postgres::cancel_query(&params.target, session.key),
        });
        let age = human::duration(params.min_age);
        Ok(work.outcome(&format!("nothing to do: no statement on {} runs for over {age}", params.target)))
    }
}

/// The sessions to touch, the one whose statement runs longest first.
fn choose(params: &Params) -> Result<Vec<Session>, Error> {
    let running =
        SessionFilter { state: Some("active".to_owned()), min_query_age: Some(params.min_age), ..SessionFilter::ALL };
    let mut chosen = postgres::sessions(&params.target, &running)?;
    chosen.retain(|session| is_meant(&params.applications, &session.application));
    chosen.retain(|session| is_meant(&params.users, &session.user));
    let age = |session: &Session| session.query_age.unwrap_or(0.0);
    chosen.sort_by(|one, other| age(other).total_cmp(&age(one)));
    chosen.truncate(params.limit);
    Ok(chosen)
}

fn is_meant(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|meant| meant == name)
}

fn words(params: &Params) -> Words<'_> {
    let (plain, past) = match params.action {
        Action::Terminate => ("end", "ended"),
        Action::Cancel => ("cancel", "cancelled"),
    };
    Words { plain, past, thing: "long statement", of: &params.target, already: "over" }
}

fn cells_of(session: &Session) -> [String; 6] {
    let Session { key, user, query, .. } = session;
    let client = session.client.as_deref().unwrap_or("local");
    let age = session.query_age.map_or_else(String::new, human::duration);
    cells![key.pid, session.application_name(), user, client, age, query]
}
