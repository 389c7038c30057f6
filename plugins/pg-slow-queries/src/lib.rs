//! Which statements are slow, and which one costs the server most? The threshold is on the average, as in the runbook;
//! the order is by total time, because that is what the server suffers from.

use paramedic_sdk::postgres::{self, Statement, StatementOrder, sqlstate};
use paramedic_sdk::{
    Context, Description, Error, Failure, Metric, Outcome, Plugin, Seconds, Status, Suggestion, Table, Threshold,
    cells, human, judge, unit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[cfg(test)]
mod tests;

/// The longest window leaves the host some of the run's time for its two samples.
const TIME_LIMIT: Seconds = 40.0;
/// Statements that ran a few times only are left out here and not by the host, so more are asked for than are shown.
const SURPLUS: u32 = 5;
/// A statement that ever took this long may be running right now.
const MAY_STILL_RUN: Seconds = 300.0;

/// Parameters of pg-slow-queries.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    target: String,
    /// Milliseconds that a statement may take on average before it counts as slow.
    #[schemars(range(min = 0))]
    threshold_ms: f64,
    /// Milliseconds that a statement may take on average before it is critical.
    #[schemars(range(min = 0))]
    critical_ms: f64,
    /// Statements that ran less often are left out.
    min_calls: u64,
    /// Slow statements that there may be before it is a warning.
    warning: Threshold,
    /// Most statements to show.
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
    /// Watch for this many seconds, instead of reporting all since the statistics were reset.
    #[schemars(range(min = 1, max = 30))]
    window: Option<Seconds>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            target: "main".to_owned(),
            threshold_ms: 100.0,
            critical_ms: 1000.0,
            min_calls: 3,
            warning: Threshold::above(0.0),
            limit: 10,
            window: None,
        }
    }
}

/// The check.
pub struct PgSlowQueries;

paramedic_sdk::export!(PgSlowQueries);

impl Plugin for PgSlowQueries {
    type Params = Params;

    fn describe() -> Description {
        Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Slow Postgres statements")
            .about(include_str!("about.md"))
            .runbook("#2-diagnosis-15-30-minutes")
            .needs("postgres/statements", "{target}", "to read which statements take how long, without their values")
            .time_limit(TIME_LIMIT)
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        if params.critical_ms < params.threshold_ms {
            return Err(Failure::BadParams("critical_ms is below threshold_ms".to_owned()));
        }
        let (slow, asked) = (params.threshold_ms / 1000.0, params.limit * SURPLUS);
        match postgres::statements(&params.target, StatementOrder::Total, slow, asked, params.window) {
            Ok(statements) => Ok(judge_statements(statements, &params)),
            Err(error) => judge_error(error, &params.target),
        }
    }
}

fn judge_statements(mut statements: Vec<Statement>, params: &Params) -> Outcome {
    statements.retain(|statement| statement.calls >= params.min_calls);
    statements.sort_by(|one, other| other.total.total_cmp(&one.total));
    let threshold = human::duration(params.threshold_ms / 1000.0);
    let mut outcome =
        Outcome::ok(format!("no statement on {} takes over {threshold} on average{}", params.target, since(params)));
    measure(&mut outcome, &statements, params);
    if let Some(costliest) = statements.first() {
        judge_slow(&mut outcome, &statements, costliest, params);
        suggest_ending(&mut outcome, &statements, params);
        show(&mut outcome, &statements, params.limit as usize);
    }
    outcome
}

fn since(params: &Params) -> String {
    params.window.map_or_else(String::new, |window| format!(", watched for {}", human::duration(window)))
}

fn judge_slow(outcome: &mut Outcome, slow: &[Statement], costliest: &Statement, params: &Params) {
    let (count, threshold) = (slow.len() as u64, human::duration(params.threshold_ms / 1000.0));
    let takes = if count == 1 { "takes" } else { "take" };
    let text = format!(
        "{} on {} {takes} over {threshold} on average{}; the costliest takes {} and {} of the database's time: {}",
        human::plural(count, "statement"),
        params.target,
        since(params),
        human::duration(costliest.mean),
        human::percent(costliest.share * 100.0),
        name(costliest),
    );
    outcome.find(judge(count as f64, &params.warning, &Threshold::never()), text);
    let slowest = slow.iter().max_by(|one, other| one.mean.total_cmp(&other.mean));
    if let Some(slowest) = slowest.filter(|slowest| slowest.mean > params.critical_ms / 1000.0) {
        let (mean, share) = (human::duration(slowest.mean), human::percent(slowest.share * 100.0));
        let text = format!(
            "a statement on {} takes {mean} on average and {share} of the database's time: {}",
            params.target,
            name(slowest)
        );
        outcome.find(Status::Critical, text);
    }
}

/// The text of a statement that could hold a password is withheld by the host.
fn name(statement: &Statement) -> String {
    match &statement.query {
        Some(query) => human::shorten(query, 100),
        None => format!("statement {} of {} (text withheld)", statement.id, statement.user),
    }
}

fn measure(outcome: &mut Outcome, slow: &[Statement], params: &Params) {
    let count = Metric::count("slow_statements", slow.len() as u64);
    outcome.metric(count.limits(&params.warning, &Threshold::never()));
    let slowest = slow.iter().map(|statement| statement.mean).fold(0.0, f64::max);
    outcome.metric(Metric {
        warn: Some(params.threshold_ms / 1000.0),
        critical: Some(params.critical_ms / 1000.0),
        ..Metric::new("slowest_mean_seconds", slowest, unit::SECONDS)
    });
    let share: f64 = slow.iter().map(|statement| statement.share * 100.0).sum();
    outcome.metric(Metric::new("slow_share_percent", share, unit::PERCENT));
}

fn suggest_ending(outcome: &mut Outcome, slow: &[Statement], params: &Params) {
    let longest = slow.iter().filter_map(|statement| statement.max).fold(0.0, f64::max);
    if longest >= MAY_STILL_RUN {
        let cure = json!({ "target": params.target, "min_age": MAY_STILL_RUN });
        let reason = format!("One execution took {}; another may be running now.", human::duration(longest));
        outcome.suggest(Suggestion::new("pg-terminate-long-queries", cure, reason).confidence(0.3));
    }
}

fn show(outcome: &mut Outcome, slow: &[Statement], limit: usize) {
    let columns = ["statement", "user", "calls", "mean", "max", "total", "share", "rows per call"];
    let mut table = Table::new("Slow statements", columns);
    for statement in slow.iter().take(limit) {
        let max = statement.max.map_or_else(String::new, human::duration);
        let rows = statement.rows as f64 / statement.calls.max(1) as f64;
        let text = statement.query.clone().unwrap_or_else(|| name(statement));
        table.row(cells![
            text,
            statement.user,
            statement.calls,
            human::duration(statement.mean),
            max,
            human::duration(statement.total),
            human::percent(statement.share * 100.0),
            format!("{rows:.0}"),
        ]);
    }
    outcome.table(table);
}

/// Whether the extension was never created or never loaded, the operator has to do something, and not in a hurry.
fn judge_error(error: Error, target: &str) -> Result<Outcome, Failure> {
    let not_created = matches!(error, Error::NotFound(_)) || error.remote_code() == Some(sqlstate::UNDEFINED_TABLE);
    let not_loaded = error.remote_code() == Some(sqlstate::NOT_IN_PREREQUISITE_STATE);
    let (what, steps) = match (not_created, not_loaded) {
        (true, _) => ("is not installed in the database", CREATE),
        (_, true) => ("is not loaded by the server", LOAD),
        (false, false) => return Err(error.into()),
    };
    let text = format!("slow statements of {target} are not known: pg_stat_statements {what}");
    let mut outcome = Outcome::found(Status::Unknown, text);
    outcome.note(format!("{steps}\n\nThe server said: {error}."));
    Ok(outcome)
}

const CREATE: &str = "In the database that the target names, as its owner:\n\n    CREATE EXTENSION pg_stat_statements;\n\n\
    The server has to load the library first; if that fails, add `pg_stat_statements` to `shared_preload_libraries` and \
    restart it.";
const LOAD: &str =
    "Add `pg_stat_statements` to `shared_preload_libraries` in `postgresql.conf` and restart the server.";
