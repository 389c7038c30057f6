//! Is a Redis server there, how fast does it answer, and in which role? Beyond `redis-cli ping` it tells apart why a
//! server answers with an error, and whether a replica still follows its master.

use paramedic_sdk::redis::{self, Info};
use paramedic_sdk::{
    Context, Description, Error, Failure, Metric, Outcome, Plugin, RemoteError, Seconds, Status, Suggestion, Threshold,
    human, judge, log, unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[cfg(test)]
mod tests;

/// Entries of the slow log that are compared.
const SLOW_ENTRIES: u32 = 20;

/// Parameters of redis-ping.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Redis target.
    target: String,
    /// The role that the server should have.
    role: Role,
    /// Milliseconds that a round trip may take before it is a warning.
    latency_warning_ms: Threshold,
    /// Milliseconds that a round trip may take before it is critical.
    latency_critical_ms: Threshold,
    /// Round trips; the middle one is judged.
    #[schemars(range(min = 1, max = 20))]
    samples: usize,
}

/// What a server is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Role {
    /// Either will do.
    Any,
    /// It should accept writes.
    Master,
    /// It should follow a master.
    Replica,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "cache".to_owned(),
            role: Role::Any,
            latency_warning_ms: Threshold::above(50.0),
            latency_critical_ms: Threshold::above(500.0),
            samples: 3,
        }
    }
}

/// The check.
pub struct RedisPing;

paramedic_sdk::export!(RedisPing);

impl Plugin for RedisPing {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Redis answers")
            .about(include_str!("about.md"))
            .runbook("#2-diagnosis-15-30-minutes")
            .needs("redis/ping", "{target}", "to measure a round trip")
            .can_use("redis/info", "{target}", "to tell its role and whether a replica follows its master")
            .can_use("redis/slow-log", "{target}", "to name the command that makes it slow")
            .time_limit(10.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        match round_trip(&params) {
            Ok(latency) => Ok(judge_server(latency, &params)),
            Err(error) => judge_error(error, &params.target),
        }
    }
}

/// The middle of several round trips: one that waits for something else on the way says nothing about the server.
fn round_trip(params: &Params) -> Result<Seconds, Error> {
    let mut times = (0..params.samples).map(|_| redis::ping(&params.target)).collect::<Result<Vec<_>, _>>()?;
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or(f64::NAN))
}

fn judge_server(latency: Seconds, params: &Params) -> Outcome {
    let replication = redis::info(&params.target, "replication");
    let role = replication.as_ref().map_or_else(|_| "role not known".to_owned(), describe_role);
    let mut outcome = Outcome::ok(format!("{} answers in {} ({role})", params.target, human::duration(latency)));
    judge_latency(&mut outcome, latency, params);
    match replication {
        Ok(info) => judge_replication(&mut outcome, &info, params),
        Err(error) => judge_without_role(&mut outcome, &error, params),
    }
    outcome
}

/// The server's own word for a replica is `slave`.
fn is_replica(info: &Info) -> bool {
    info.text("role") == Some("slave")
}

fn describe_role(info: &Info) -> String {
    if is_replica(info) {
        return "replica".to_owned();
    }
    let replicas = info.number("connected_slaves").unwrap_or(0.0) as u64;
    format!("master with {}", human::plural(replicas, "replica"))
}

fn judge_latency(outcome: &mut Outcome, latency: Seconds, params: &Params) {
    let status = judge(latency * 1000.0, &params.latency_warning_ms, &params.latency_critical_ms);
    let slow = format!("{} takes {} to answer a ping", params.target, human::duration(latency));
    if status > Status::Ok {
        outcome.find(status, slow + &slowest_command(&params.target));
        let memory = Suggestion::new("redis-memory", json!({ "target": params.target }), "A full server is slow.");
        outcome.suggest(memory.confidence(0.3));
    }
    outcome.metric(Metric {
        warn: params.latency_warning_ms.bound().map(|bound| bound / 1000.0),
        critical: params.latency_critical_ms.bound().map(|bound| bound / 1000.0),
        ..Metric::new("ping_seconds", latency, unit::SECONDS)
    });
}

/// The slow log is extra; without it the latency is told all the same.
fn slowest_command(target: &str) -> String {
    let entries = redis::slow_log(target, SLOW_ENTRIES).unwrap_or_else(|error| {
        log::info(&format!("the slow log of {target} cannot be read: {error}"));
        Vec::new()
    });
    match entries.iter().max_by(|one, other| one.duration.total_cmp(&other.duration)) {
        Some(entry) => {
            let (command, took) = (human::shorten(&entry.command.join(" "), 60), human::duration(entry.duration));
            format!("; the slowest recent command, {command}, took {took} {} ago", human::duration(entry.age))
        }
        None => String::new(),
    }
}

fn judge_replication(outcome: &mut Outcome, info: &Info, params: &Params) {
    let target = &params.target;
    match (params.role, is_replica(info)) {
        (Role::Master, true) => {
            outcome.find(
                Status::Critical,
                format!("{target} is a replica and takes no writes, where a master is expected"),
            );
        }
        (Role::Replica, false) => {
            outcome
                .find(Status::Critical, format!("{target} is a master that takes writes, where a replica is expected"));
        }
        (Role::Any, _) | (Role::Master, false) | (Role::Replica, true) => {}
    }
    if is_replica(info) {
        judge_link(outcome, info, target);
    }
}

fn judge_link(outcome: &mut Outcome, info: &Info, target: &str) {
    let up = info.text("master_link_status") == Some("up");
    let copying = info.number("master_sync_in_progress") == Some(1.0);
    let since = info.number("master_link_down_since_seconds").filter(|seconds| *seconds >= 0.0);
    let since = since.map_or_else(String::new, |seconds| format!(" since {}", human::duration(seconds)));
    match (up, copying) {
        (true, _) => {}
        (false, true) => outcome.find(Status::Warning, format!("{target} is copying its data from its master")),
        (false, false) => {
            outcome.find(Status::Critical, format!("{target} has lost its master{since} and answers with old data"));
        }
    }
    if let Some(silence) = info.number("master_last_io_seconds_ago").filter(|seconds| *seconds >= 0.0) {
        outcome.metric(Metric::new("master_last_io_seconds", silence, unit::SECONDS));
    }
}

/// Without a role to compare, the rest of the verdict holds.
fn judge_without_role(outcome: &mut Outcome, error: &Error, params: &Params) {
    if params.role != Role::Any {
        outcome.find(Status::Unknown, format!("the role of {} is not known: {error}", params.target));
    }
    outcome.note(format!("Its role is not known: {error}."));
}

/// A server that cannot be reached or answers with trouble of its own is what this check is there to find.
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
    let trouble = match remote.code.as_str() {
        "LOADING" => "is loading its data and answers nothing yet",
        "BUSY" => "is blocked by a script that does not end",
        "MASTERDOWN" => "is a replica without its master and refuses to answer with old data",
        "MISCONF" => "cannot persist its data and refuses writes",
        "ERR" if message.contains("max number of clients") => "takes no more clients",
        "NOAUTH" => return Ok(refused(target, "wants a password and the agent has none configured (NOAUTH)")),
        "WRONGPASS" => return Ok(refused(target, "refuses the agent's name or password (WRONGPASS)")),
        "NOPERM" => return Ok(refused(target, "does not allow the agent's user to ping (NOPERM)")),
        _ => return Err(Error::Remote(remote).into()),
    };
    Ok(critical(format!("{target} {trouble}: {message}")))
}

fn critical(text: String) -> Outcome {
    Outcome::found(Status::Critical, text)
}

/// The server is there, but the agent is no measure of how it treats others.
fn refused(target: &str, how: &str) -> Outcome {
    Outcome::found(Status::Unknown, format!("{target} answers but {how}, so its state is not known"))
}
