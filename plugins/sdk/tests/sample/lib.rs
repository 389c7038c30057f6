//! Is the outbox emptied? Mail that stays in the table `outbox` is mail that nobody gets.

use paramedic_sdk::postgres::{self, RowSet, Value};
use paramedic_sdk::{Context, Description, Failure, Metric, Outcome, Plugin, Threshold, human, judge, unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const UNSENT: &str = "SELECT count(*), extract(epoch FROM now() - min(created_at)) FROM outbox WHERE sent_at IS NULL";

/// Parameters of pg-outbox.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    target: String,
    /// Seconds that mail may wait before it is a warning.
    age_warning: Threshold,
    /// Seconds that mail may wait before it is critical.
    age_critical: Threshold,
}

impl Default for Params {
    fn default() -> Self {
        Self { target: "main".to_owned(), age_warning: Threshold::above(60.0), age_critical: Threshold::above(600.0) }
    }
}

/// The check.
pub struct PgOutbox;

paramedic_sdk::export!(PgOutbox);

impl Plugin for PgOutbox {
    type Params = Params;

    fn describe() -> Description {
        Description::check("pg-outbox", env!("CARGO_PKG_VERSION"), "Outbox is emptied")
            .about("Looks for mail that waits in the table `outbox`.")
            .needs("postgres/query", "{target}", "to count the rows that were not sent")
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let rows = postgres::query(&params.target, UNSENT, &[])?;
        Ok(judge_rows(&rows, &params))
    }
}

fn judge_rows(rows: &RowSet, params: &Params) -> Outcome {
    let number = |column| rows.value(0, column).and_then(Value::as_number).unwrap_or(0.0);
    let (unsent, age) = (number(0), number(1));
    let mut outcome = Outcome::ok(format!("{} wait in the outbox", human::plural(unsent as u64, "mail")));
    let status = judge(age, &params.age_warning, &params.age_critical);
    outcome.find(status, format!("{unsent} mails wait in the outbox, the oldest for {}", human::duration(age)));
    let metric = Metric::new("oldest_unsent_seconds", age, unit::SECONDS);
    outcome.metric(metric.limits(&params.age_warning, &params.age_critical));
    outcome
}

#[cfg(test)]
mod tests;
