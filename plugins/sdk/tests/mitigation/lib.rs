//! Free the outbox: end sessions of the mailer that hold a transaction open and do nothing with it.

use paramedic_sdk::postgres::{self, Session, SessionFilter};
use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, Risk, Words, Work, cells, human};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of pg-outbox-free.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    target: String,
    /// Seconds that the mailer may do nothing with a transaction open.
    #[schemars(range(min = 1))]
    max_idle: f64,
    /// Most sessions to end.
    #[schemars(range(min = 1, max = 50))]
    limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { target: "main".to_owned(), max_idle: 300.0, limit: 5 }
    }
}

/// The mitigation.
pub struct PgOutboxFree;

paramedic_sdk::export!(PgOutboxFree);

impl Plugin for PgOutboxFree {
    type Params = Params;

    fn describe() -> Description {
        Description::mitigation("pg-outbox-free", env!("CARGO_PKG_VERSION"), "Free the outbox", Risk::Medium)
            .about("Ends sessions of the mailer that keep rows of `outbox` locked.")
            .confirmed_by("pg-outbox")
            .needs("postgres/sessions", "{target}", "to find sessions of the mailer")
            .needs("postgres-actions/terminate-session", "{target}", "to end those that hang")
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let open = SessionFilter::in_state("idle in transaction", params.max_idle);
        let mut hanging = postgres::sessions(&params.target, &open)?;
        hanging.retain(|session| session.application == "mailer");
        hanging.truncate(params.limit);
        let words = Words { plain: "end", past: "ended", thing: "session", of: &params.target, already: "over" };
        let mut work = Work::new(words, ["pid", "client", "idle for"]);
        work.each(&hanging, cells_of, |session| postgres::terminate_session(&params.target, session.key));
        Ok(work.outcome("nothing to do: the mailer does not hang"))
    }
}

fn cells_of(session: &Session) -> [String; 3] {
    cells![session.key.pid, session.client.as_deref().unwrap_or("local"), human::duration(session.state_age)]
}

#[cfg(test)]
mod tests;
