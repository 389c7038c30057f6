//! What the server spent on statements that look alike, from `pg_stat_statements`.

use tokio_postgres::{Error, Row};

use super::text;
use crate::domain::{CallError, cut_bytes};

/// Most statements in one answer.
pub(super) const MOST: u32 = 500;

/// Most statements whose figures are compared over a window; the extension keeps 5000 unless told otherwise.
pub(super) const MOST_SAMPLED: usize = 50_000;

/// Longest text, and the length that it is cut to when the answer would be too large.
const QUERY_BYTES: usize = 1_024;
const SHORT_QUERY_BYTES: usize = 128;

/// What the server spent on statements that look alike.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Statement {
    /// Normalised text, cut to 1024 bytes; none for utility statements, because theirs can hold passwords.
    pub query: Option<String>,
    /// The server's identifier of it.
    pub id: String,
    /// Role that ran it.
    pub user: String,
    /// How often it ran.
    pub calls: u64,
    /// Seconds spent in it altogether.
    pub total: f64,
    /// Average of one execution in seconds.
    pub mean: f64,
    /// Longest execution in seconds, where the server knows it for the same period.
    pub max: Option<f64>,
    /// Rows it returned or touched.
    pub rows: u64,
    /// Its share of the time spent in all statements of this database, between 0 and 1.
    pub share: f64,
}

/// How to order statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementOrder {
    /// By average time.
    Mean,
    /// By total time.
    Total,
}

/// Which statements to return.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatementFilter {
    /// The costliest first.
    pub order: StatementOrder,
    /// Only those that take at least so many seconds on average.
    pub min_mean: f64,
    /// At most so many, up to 500.
    pub limit: u32,
    /// Only what was spent in so many seconds from now on; without, everything since the statistics were reset.
    pub window: Option<f64>,
}

impl StatementFilter {
    /// Refuses what makes no sense.
    pub(super) fn validate(&self) -> Result<(), CallError> {
        let invalid = |message: String| Err(CallError::Invalid(message));
        if !self.min_mean.is_finite() || !(0.0..=1e9).contains(&self.min_mean) {
            return invalid("min-mean must be between 0 and 1e9 seconds".to_owned());
        }
        if !(1..=MOST).contains(&self.limit) {
            return invalid(format!("limit must be between 1 and {MOST}"));
        }
        if self.window.is_some_and(|window| !window.is_finite() || window <= 0.0 || window > 3600.0) {
            return invalid("window must be above 0 and at most 3600 seconds".to_owned());
        }
        Ok(())
    }

    pub(super) fn compare(&self, a: &Statement, b: &Statement) -> std::cmp::Ordering {
        match self.order {
            StatementOrder::Mean => b.mean.total_cmp(&a.mean),
            StatementOrder::Total => b.total.total_cmp(&a.total),
        }
    }
}

/// Finds the extension wherever it was created, with the columns that its version has. They follow the version of the
/// extension, not of the server: `pg_upgrade` leaves the old one in place.
pub(super) const FIND: &str = "\
SELECT quote_ident(n.nspname),
       ARRAY (SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'pg_stat_statements'
WHERE e.extname = 'pg_stat_statements'";

/// The extension as it is in one database.
pub(super) struct Extension {
    /// Its schema, quoted by the server.
    schema: String,
    columns: Vec<String>,
}

impl Extension {
    /// Reads the answer to [`FIND`].
    pub(super) fn from_rows(rows: &[Row]) -> Result<Option<Self>, Error> {
        rows.first().map(|row| Ok(Self { schema: row.try_get(0)?, columns: row.try_get(1)? })).transpose()
    }

    /// Version 1.8 renamed the times, to tell execution from planning.
    fn time(&self, what: &str) -> String {
        let new = format!("{what}_exec_time");
        if self.columns.contains(&new) { new } else { format!("{what}_time") }
    }

    /// Before version 1.9 nested statements were not told apart.
    fn toplevel(&self) -> &'static str {
        if self.columns.iter().any(|column| column == "toplevel") { "toplevel" } else { "true" }
    }

    /// The costliest statements since the statistics were reset. Parameters: least mean in milliseconds, limit.
    pub(super) fn costliest(&self, order: StatementOrder) -> String {
        let [total, mean, max] = ["total", "mean", "max"].map(|what| self.time(what));
        let schema = &self.schema;
        let order = match order {
            StatementOrder::Mean => "mean",
            StatementOrder::Total => "total",
        };
        format!(
            "SELECT * FROM (
               SELECT left(query, 4096), coalesce(queryid::text, '') AS id, pg_get_userbyid(userid)::text,
                      calls::int8, {total}::float8 AS total, {mean}::float8 AS mean, {max}::float8, rows::int8,
                      coalesce({total} / nullif(sum({total}) OVER (), 0), 0)::float8,
                      count(*) FILTER (WHERE queryid IS NULL AND query = '<insufficient privilege>') OVER () > 0
               FROM {schema}.pg_stat_statements WHERE dbid = {DATABASE}
             ) AS s WHERE mean >= $1 ORDER BY {order} DESC, id LIMIT $2"
        )
    }

    /// The figures of all statements, without their texts, which the server would have to read from a file.
    pub(super) fn sample(&self) -> String {
        format!(
            "SELECT userid::int8, queryid::int8, {toplevel}, calls::int8, {total}::float8, rows::int8
             FROM {schema}.pg_stat_statements(false) WHERE dbid = {DATABASE} LIMIT {limit}",
            toplevel = self.toplevel(),
            total = self.time("total"),
            schema = self.schema,
            limit = MOST_SAMPLED + 1,
        )
    }

    /// Texts and users of the statements whose identifiers are the parameter.
    pub(super) fn texts(&self) -> String {
        format!(
            "SELECT userid::int8, queryid::int8, {toplevel}, left(query, 4096), pg_get_userbyid(userid)::text
             FROM {schema}.pg_stat_statements WHERE dbid = {DATABASE} AND queryid = ANY ($1)",
            toplevel = self.toplevel(),
            schema = self.schema,
        )
    }
}

const DATABASE: &str = "(SELECT oid FROM pg_database WHERE datname = current_database())";

/// True when the role sees the figures but not the identifiers; a column of [`Extension::costliest`].
pub(super) fn some_are_hidden(rows: &[Row]) -> Result<bool, Error> {
    rows.first().map_or(Ok(false), |row| row.try_get(9))
}

/// Reads the answer to [`Extension::costliest`].
pub(super) fn from_row(row: &Row) -> Result<Statement, Error> {
    Ok(Statement {
        query: row.try_get::<_, Option<&str>>(0)?.and_then(shown),
        id: row.try_get(1)?,
        user: row.try_get(2)?,
        calls: count(row, 3)?,
        total: row.try_get::<_, f64>(4)? / 1e3,
        mean: row.try_get::<_, f64>(5)? / 1e3,
        max: Some(row.try_get::<_, f64>(6)? / 1e3),
        rows: count(row, 7)?,
        share: row.try_get::<_, f64>(8)?.clamp(0.0, 1.0),
    })
}

pub(super) fn count(row: &Row, column: usize) -> Result<u64, Error> {
    Ok(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or_default())
}

/// The text of a statement as plugins may see it.
pub(super) fn shown(query: &str) -> Option<String> {
    text::is_shown(query).then(|| cut_bytes(&text::masked(query), QUERY_BYTES).to_owned())
}

/// Makes `statements` fit: first their texts get shorter, then it is an error.
pub(super) fn fit(mut statements: Vec<Statement>, answer_bytes: usize) -> Result<Vec<Statement>, CallError> {
    if size(&statements) > answer_bytes {
        for statement in &mut statements {
            statement.query = statement.query.take().map(|query| cut_bytes(&query, SHORT_QUERY_BYTES).to_owned());
        }
    }
    if size(&statements) > answer_bytes {
        return Err(CallError::TooLarge(format!("{} statements; ask for fewer", statements.len())));
    }
    Ok(statements)
}

fn size(statements: &[Statement]) -> usize {
    statements.iter().map(|s| s.query.as_ref().map_or(0, String::len) + s.id.len() + s.user.len() + 120).sum()
}
