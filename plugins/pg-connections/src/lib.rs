//! Who holds the connections of a Postgres server, and are they running out? Beside the count it names the holder, the
//! transactions left open, the statements that do not end, and the session that all others wait for.

mod holders;
mod locks;
mod sessions;

use holders::Holder;
use paramedic_sdk::postgres::{self, Server, Session, SessionFilter, sqlstate};
use paramedic_sdk::{
    Context, Description, Error, Failure, Metric, Outcome, Plugin, Seconds, Status, Suggestion, Threshold, human,
    judge, log, unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[cfg(test)]
mod tests;

/// Parameters of pg-connections.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    target: String,
    /// Usable connections in use before it is a warning, in percent.
    warning: Threshold,
    /// Usable connections in use before it is critical, in percent.
    critical: Threshold,
    /// Seconds that a transaction may be open and idle before it is a warning.
    in_transaction_warning: Threshold,
    /// Seconds that a transaction may be open and idle before it is critical.
    in_transaction_critical: Threshold,
    /// Seconds that a statement may run before it is a warning.
    long_query_warning: Threshold,
    /// Seconds that a statement may run before it is critical.
    long_query_critical: Threshold,
    /// Sessions that may wait for a lock before it is a warning.
    blocked_warning: Threshold,
    /// Sessions that may wait for a lock before it is critical.
    blocked_critical: Threshold,
    /// Seconds that a session has to wait for a lock before it counts as blocked.
    #[schemars(range(min = 0))]
    min_wait_seconds: Seconds,
    /// Most rows of each table.
    #[schemars(range(min = 1, max = 100))]
    limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "main".to_owned(),
            warning: Threshold::above(80.0),
            critical: Threshold::above(90.0),
            in_transaction_warning: Threshold::above(60.0),
            in_transaction_critical: Threshold::above(600.0),
            long_query_warning: Threshold::above(300.0),
            long_query_critical: Threshold::above(3600.0),
            blocked_warning: Threshold::above(0.0),
            blocked_critical: Threshold::above(10.0),
            min_wait_seconds: 10.0,
            limit: 10,
        }
    }
}

/// The check.
pub struct PgConnections;

paramedic_sdk::export!(PgConnections);

impl Plugin for PgConnections {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Postgres connections")
            .about(include_str!("about.md"))
            .runbook("#database-issues")
            .needs("postgres/inspect", "{target}", "to count connections against the server's limit")
            .can_use("postgres/sessions", "{target}", "to name the application that holds most of them")
            .time_limit(15.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        match postgres::inspect(&params.target) {
            Ok(server) => Ok(judge_server(&server, &params)),
            Err(error) if error.remote_code() == Some(sqlstate::TOO_MANY_CONNECTIONS) => {
                Ok(judge_exhausted(&error, &params.target))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Not even the agent got in, so nobody can be named.
fn judge_exhausted(error: &Error, target: &str) -> Outcome {
    let text = format!("every connection of {target} is taken, and none was left to see by whom");
    let mut outcome = Outcome::found(Status::Critical, text);
    outcome.note(format!("The server said: {error}."));
    outcome.suggest(end_idle(json!({ "target": target, "max_idle": 60 }), "It makes room."));
    outcome
}

fn judge_server(server: &Server, params: &Params) -> Outcome {
    match postgres::sessions(&params.target, &SessionFilter::ALL) {
        Ok(sessions) => judge_with_sessions(server, &sessions, params),
        Err(error) => judge_count_alone(server, &error, params),
    }
}

fn judge_count_alone(server: &Server, error: &Error, params: &Params) -> Outcome {
    log::warn(&format!("cannot list the sessions of {}: {error}", params.target));
    let mut outcome = Outcome::ok(count_sentence(server, &params.target));
    judge_count(&mut outcome, server, None, params);
    outcome.note(format!("Who holds the connections is not known: {error}."));
    outcome
}

fn judge_with_sessions(server: &Server, sessions: &[Session], params: &Params) -> Outcome {
    let holders = holders::by_application(sessions);
    let most = holders.first();
    let mut outcome = Outcome::ok(match most {
        Some(holder) => format!("{}, most of them by {}", count_sentence(server, &params.target), holder.describe()),
        None => count_sentence(server, &params.target),
    });
    judge_count(&mut outcome, server, most, params);
    sessions::judge_open_transactions(&mut outcome, sessions, params);
    sessions::judge_long_queries(&mut outcome, sessions, params);
    locks::judge(&mut outcome, sessions, params);
    holders::show(&mut outcome, &holders, params.limit);
    sessions::count_states(&mut outcome, sessions);
    outcome
}

fn count_sentence(server: &Server, target: &str) -> String {
    let (used, usable) = (server.connections, server.usable_connections());
    format!("{used} of {usable} usable connections of {target} are in use ({})", human::percent(percent_used(server)))
}

/// A server whose every slot is reserved has none left, whatever is in use.
fn percent_used(server: &Server) -> f64 {
    match server.usable_connections() {
        0 => 100.0,
        usable => human::share(server.connections.into(), usable.into()),
    }
}

fn judge_count(outcome: &mut Outcome, server: &Server, most: Option<&Holder>, params: &Params) {
    let percent = percent_used(server);
    let status = judge(percent, &params.warning, &params.critical);
    let sentence = count_sentence(server, &params.target);
    outcome.find(
        status,
        match most {
            Some(holder) => format!("{sentence}: {}", holder.accuse()),
            None => sentence,
        },
    );
    if let Some(holder) = most.filter(|holder| status > Status::Ok && holder.mostly_idle()) {
        let cure = json!({
            "target": params.target, "applications": [holder.application], "users": [holder.user], "max_idle": 60,
        });
        let reason = format!("{} of its {} connections do nothing.", holder.idle + holder.in_transaction, holder.total);
        outcome.suggest(end_idle(cure, &reason).confidence(0.8));
    }
    let used = Metric::new("connections_used_percent", percent, unit::PERCENT);
    outcome.metric(used.limits(&params.warning, &params.critical));
    outcome.metric(Metric::count("connections_used", server.connections.into()));
    outcome.metric(Metric::count("connections_usable", server.usable_connections().into()));
}

fn end_idle(params: serde_json::Value, reason: &str) -> Suggestion {
    Suggestion::new("pg-terminate-idle", params, reason)
}
