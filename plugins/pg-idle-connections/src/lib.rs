//! Who leaks connections of a Postgres server? Idle sessions are normal for a pool, so it is their number for one client
//! and their age that tell a leak; a transaction left open is trouble by itself.

mod groups;

use groups::Group;
use paramedic_sdk::postgres::{self, Server, Session, SessionFilter};
use paramedic_sdk::{
    Context, Description, Failure, Metric, Outcome, Plugin, Seconds, Status, Suggestion, Table, Threshold, cells,
    human, judge, log, unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[cfg(test)]
mod tests;

/// Parameters of pg-idle-connections.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    target: String,
    /// Seconds after which an idle connection counts as unused.
    #[schemars(range(min = 0))]
    min_idle_seconds: Seconds,
    /// Unused connections that one client of one application may hold before it is a warning: the size of its pool.
    warning: Threshold,
    /// Unused connections that one client of one application may hold before it is critical.
    critical: Threshold,
    /// Unused connections in percent of the usable ones before it is a warning, whoever holds them.
    share_warning: Threshold,
    /// Unused connections in percent of the usable ones before it is critical, whoever holds them.
    share_critical: Threshold,
    /// Seconds that a transaction may be open and idle before it is a warning.
    in_transaction_warning: Threshold,
    /// Seconds that a transaction may be open and idle before it is critical.
    in_transaction_critical: Threshold,
    /// Most rows of each table.
    #[schemars(range(min = 1, max = 100))]
    limit: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "main".to_owned(),
            min_idle_seconds: 600.0,
            warning: Threshold::above(5.0),
            critical: Threshold::above(20.0),
            share_warning: Threshold::above(50.0),
            share_critical: Threshold::above(80.0),
            in_transaction_warning: Threshold::above(60.0),
            in_transaction_critical: Threshold::above(600.0),
            limit: 10,
        }
    }
}

/// The check.
pub struct PgIdleConnections;

paramedic_sdk::export!(PgIdleConnections);

impl Plugin for PgIdleConnections {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Idle Postgres connections")
            .about(include_str!("about.md"))
            .runbook("#issue-database-connection-pool-exhausted")
            .needs("postgres/sessions", "{target}", "to find sessions that are idle and who opened them")
            .can_use("postgres/inspect", "{target}", "to compare their number with the server's limit")
            .time_limit(15.0)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let idle = postgres::sessions(&params.target, &SessionFilter::in_state("idle", params.min_idle_seconds))?;
        let open = open_transactions(&params.target)?;
        let server = postgres::inspect(&params.target)
            .inspect_err(|error| log::warn(&format!("the server's limit is not known: {error}")))
            .ok();
        Ok(judge_all(&idle, &open, server.as_ref(), &params))
    }
}

/// Their transaction may be much older than their state, so they are not selected by its age.
fn open_transactions(target: &str) -> Result<Vec<Session>, Failure> {
    let in_state = |state: &str| SessionFilter { state: Some(state.to_owned()), ..SessionFilter::ALL };
    let mut open = postgres::sessions(target, &in_state("idle in transaction"))?;
    open.extend(postgres::sessions(target, &in_state("idle in transaction (aborted)"))?);
    Ok(open)
}

fn judge_all(idle: &[Session], open: &[Session], server: Option<&Server>, params: &Params) -> Outcome {
    let groups = groups::of(idle, |session| session.state_age);
    let open = groups::of(open, groups::transaction_age);
    let mut outcome = Outcome::ok(fine(&groups, params));
    judge_leak(&mut outcome, &groups, params);
    if let Some(server) = server {
        judge_share(&mut outcome, idle.len() as u64, server, params);
    }
    judge_open(&mut outcome, &open, params);
    show(&mut outcome, "Idle connections", &groups, params.limit);
    show(&mut outcome, "Idle in transaction", &open, params.limit);
    outcome
}

fn fine(groups: &[Group], params: &Params) -> String {
    let (target, long) = (&params.target, human::duration(params.min_idle_seconds));
    match groups.first() {
        None => format!("no connection of {target} has been idle for over {long}"),
        Some(most) => format!(
            "no leak on {target}: {} idle for over {long}, at most {} held by one client ({})",
            human::plural(groups.iter().map(|group| group.count).sum(), "connection"),
            most.count,
            most.name(),
        ),
    }
}

fn judge_leak(outcome: &mut Outcome, groups: &[Group], params: &Params) {
    let most = groups.first();
    let count = most.map_or(0, |group| group.count);
    let metric = Metric::count("idle_connections_of_one_client", count);
    outcome.metric(metric.limits(&params.warning, &params.critical));
    outcome.metric(Metric::count("idle_connections", groups.iter().map(|group| group.count).sum()));
    let status = judge(count as f64, &params.warning, &params.critical);
    if let Some(leak) = most.filter(|_| status > Status::Ok) {
        outcome.find(
            status,
            format!(
                "{} leaks connections of {}: {} idle for over {}, the oldest for {}",
                leak.describe(),
                params.target,
                leak.count,
                human::duration(params.min_idle_seconds),
                human::duration(leak.oldest),
            ),
        );
        outcome.suggest(end(leak, params, false).confidence(0.8));
    }
}

/// A leak spread over many clients is small for each and large for the server.
fn judge_share(outcome: &mut Outcome, idle: u64, server: &Server, params: &Params) {
    let percent = human::share(idle as f64, server.usable_connections().into());
    let status = judge(percent, &params.share_warning, &params.share_critical);
    outcome.find(
        status,
        format!(
            "{idle} of {} usable connections of {} ({}) have been idle for over {}",
            server.usable_connections(),
            params.target,
            human::percent(percent),
            human::duration(params.min_idle_seconds),
        ),
    );
    let metric = Metric::new("idle_connections_percent", percent, unit::PERCENT);
    outcome.metric(metric.limits(&params.share_warning, &params.share_critical));
}

fn judge_open(outcome: &mut Outcome, open: &[Group], params: &Params) {
    let Some(worst) = open.iter().max_by(|one, other| one.oldest.total_cmp(&other.oldest)) else {
        return;
    };
    let status = judge(worst.oldest, &params.in_transaction_warning, &params.in_transaction_critical);
    let age = human::duration(worst.oldest);
    let count = human::plural(worst.count, "transaction");
    outcome.find(status, format!("{} has {count} open and idle, the oldest for {age}", worst.describe()));
    if status > Status::Ok {
        outcome.suggest(end(worst, params, true).confidence(0.7));
    }
    let metric = Metric::new("idle_in_transaction_seconds", worst.oldest, unit::SECONDS);
    outcome.metric(metric.limits(&params.in_transaction_warning, &params.in_transaction_critical));
}

fn end(group: &Group, params: &Params, in_transaction: bool) -> Suggestion {
    let reason = format!("It ends what {} left behind; what is in use stays.", group.name());
    let open = params.in_transaction_warning.bound().unwrap_or(60.0).max(1.0);
    let (idle, open) = if in_transaction { (None, Some(open)) } else { (Some(params.min_idle_seconds.max(1.0)), None) };
    let cure = json!({
        "target": params.target, "applications": [group.application], "users": [group.user],
        "max_idle": idle, "max_idle_in_transaction": open,
    });
    Suggestion::new("pg-terminate-idle", cure, reason)
}

fn show(outcome: &mut Outcome, title: &str, groups: &[Group], limit: usize) {
    let mut table =
        Table::new(title, ["application", "user", "client", "connections", "oldest", "last statement of the oldest"]);
    for group in groups.iter().take(limit) {
        let (client, oldest) = (group.client.as_deref().unwrap_or("local"), human::duration(group.oldest));
        table.row(cells![group.name(), group.user, client, group.count, oldest, group.query]);
    }
    outcome.table(table);
}
