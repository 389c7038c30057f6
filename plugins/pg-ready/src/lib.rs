//! Is a Postgres server there, and is it what it should be? Tells apart what `pg_isready` calls accepting, rejecting and
//! no response, and further why a server rejects: starting up, shutting down, or every slot taken.

use paramedic_sdk::postgres::{self, Server, sqlstate};
use paramedic_sdk::{
    Context, Description, Error, Failure, Metric, Outcome, Plugin, RemoteError, Seconds, Status, Suggestion, Threshold,
    clock, human, judge, unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[cfg(test)]
mod tests;

/// Parameters of pg-ready.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    target: String,
    /// The role that the server should have.
    role: Role,
    /// Seconds by which a standby may be behind before it is a warning.
    lag_warning: Threshold,
    /// Seconds by which a standby may be behind before it is critical.
    lag_critical: Threshold,
}

/// What a server is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Role {
    /// Either will do.
    Any,
    /// It should accept writes.
    Primary,
    /// It should follow a primary.
    Standby,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "main".to_owned(),
            role: Role::Any,
            lag_warning: Threshold::above(30.0),
            lag_critical: Threshold::above(300.0),
        }
    }
}

/// The check.
pub struct PgReady;

paramedic_sdk::export!(PgReady);

impl Plugin for PgReady {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Postgres is ready")
            .about(include_str!("about.md"))
            .runbook("#2-diagnosis-15-30-minutes")
            .needs("postgres/inspect", "{target}", "to connect and ask for its role, its lag and its free connections")
            .time_limit(10.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let begun = clock::now();
        match postgres::inspect(&params.target) {
            Ok(server) => Ok(judge_server(&server, clock::age(begun), &params)),
            Err(error) => judge_error(error, &params.target),
        }
    }
}

fn judge_server(server: &Server, took: Seconds, params: &Params) -> Outcome {
    let mut outcome = Outcome::ok(describe_server(server, &params.target));
    judge_slots(&mut outcome, server, &params.target);
    judge_role(&mut outcome, server, params);
    judge_lag(&mut outcome, server, params);
    outcome.metric(Metric::new("inspect_seconds", took, unit::SECONDS));
    outcome.metric(Metric::count("in_recovery", server.in_recovery.into()));
    outcome
}

fn describe_server(server: &Server, target: &str) -> String {
    let version = server.version_text();
    let role = match (server.in_recovery, server.replay_lag) {
        (false, _) => "primary".to_owned(),
        (true, Some(lag)) => format!("standby in recovery, {} behind", human::duration(lag)),
        (true, None) => "standby in recovery that cannot tell its lag".to_owned(),
    };
    let (used, usable) = (server.connections, server.usable_connections());
    format!("{target} accepts connections: Postgres {version}, {role}, {used} of {usable} connections in use")
}

/// The agent keeps a connection of its own for the hour when nobody else gets one, so that it can be in while the server
/// rejects all others.
fn judge_slots(outcome: &mut Outcome, server: &Server, target: &str) {
    let usable = server.usable_connections();
    outcome.metric(Metric {
        critical: Some(usable.into()),
        ..Metric::count("connections_used", server.connections.into())
    });
    if server.connections >= usable {
        let text = format!("{target} rejects new connections: all {usable} are taken");
        outcome.find(Status::Critical, text);
        suggest_making_room(outcome, target);
    }
}

fn judge_role(outcome: &mut Outcome, server: &Server, params: &Params) {
    let target = &params.target;
    match (params.role, server.in_recovery) {
        (Role::Primary, true) => {
            outcome.find(
                Status::Critical,
                format!("{target} is a standby and takes no writes, where a primary is expected"),
            );
        }
        (Role::Standby, false) => {
            outcome.find(
                Status::Critical,
                format!("{target} is a primary that takes writes, where a standby is expected"),
            );
        }
        (Role::Any, _) | (Role::Primary, false) | (Role::Standby, true) => {}
    }
}

fn judge_lag(outcome: &mut Outcome, server: &Server, params: &Params) {
    let Some(lag) = server.replay_lag.filter(|_| server.in_recovery) else {
        return;
    };
    let status = judge(lag, &params.lag_warning, &params.lag_critical);
    outcome.find(status, format!("{} is {} behind its primary", params.target, human::duration(lag)));
    let metric = Metric::new("replay_lag_seconds", lag, unit::SECONDS);
    outcome.metric(metric.limits(&params.lag_warning, &params.lag_critical));
}

/// A server that cannot be reached or rejects connections is what this check is there to find. Anything that stands
/// between the agent and the server is not.
fn judge_error(error: Error, target: &str) -> Result<Outcome, Failure> {
    match error {
        Error::Unavailable(reason) => Ok(critical(format!("{target} cannot be reached: {reason}"))),
        Error::TimedOut(reason) => Ok(critical(format!("{target} does not answer in time: {reason}"))),
        Error::Remote(remote) => judge_answer(remote, target),
        other => Err(other.into()),
    }
}

fn judge_answer(remote: RemoteError, target: &str) -> Result<Outcome, Failure> {
    let message = &remote.message;
    match remote.code.as_str() {
        sqlstate::CANNOT_CONNECT_NOW => Ok(critical(format!("{target} {}: {message}", not_yet(message)))),
        sqlstate::TOO_MANY_CONNECTIONS => {
            let mut outcome = critical(format!("{target} rejects connections because every slot is taken: {message}"));
            suggest_making_room(&mut outcome, target);
            Ok(outcome)
        }
        "57P01" | "57P02" => Ok(critical(format!("{target} is shutting down: {message}"))),
        code if code.starts_with("53") => Ok(critical(format!("{target} is out of resources ({code}): {message}"))),
        code if postgres::refuses_login(&remote) => {
            let text = format!(
                "{target} answers but refuses the agent's login ({code}), so its state is not known: {message}"
            );
            Ok(Outcome::found(Status::Unknown, text))
        }
        _ => Err(Error::Remote(remote).into()),
    }
}

/// One SQLSTATE stands for several conditions that only the message tells apart. On a server that speaks another language
/// the general words remain.
fn not_yet(message: &str) -> &'static str {
    let says = |words| message.contains(words);
    match () {
        () if says("starting up") => "is starting up",
        () if says("shutting down") => "is shutting down",
        () if says("recovery") => "is recovering and takes no connections yet",
        () => "takes no connections at the moment",
    }
}

fn critical(text: String) -> Outcome {
    Outcome::found(Status::Critical, text)
}

fn suggest_making_room(outcome: &mut Outcome, target: &str) {
    let find = Suggestion::new("pg-connections", json!({ "target": target }), "It names who holds the connections.");
    outcome.suggest(find.confidence(0.9));
    let cure = json!({ "target": target, "max_idle": 600 });
    let end = Suggestion::new("pg-terminate-idle", cure, "Sessions that have long been idle give their slots back.");
    outcome.suggest(end.confidence(0.5));
}
