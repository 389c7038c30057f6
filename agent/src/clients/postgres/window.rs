//! What was spent on statements between two samples.

use std::collections::HashMap;

use tokio_postgres::{Error, Row};

use super::sessions::{hidden, unreadable};
use super::statements::{self, MOST_SAMPLED, Statement, StatementFilter};
use crate::domain::CallError;

/// What makes statements look alike: role, identifier, and whether they ran inside of another.
pub(super) type Key = (i64, i64, bool);

/// Figures that only grow, until somebody resets them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    calls: u64,
    total_ms: f64,
    rows: u64,
}

/// The figures of all statements of a database at one moment.
pub(super) struct Sample(HashMap<Key, Figures>);

impl Sample {
    pub(super) fn from_rows(rows: &[Row]) -> Result<Self, CallError> {
        if rows.len() > MOST_SAMPLED {
            let message = format!("more than {MOST_SAMPLED} statements to compare; ask without a window");
            return Err(CallError::TooLarge(message));
        }
        let mut sample = HashMap::with_capacity(rows.len());
        for row in rows {
            let (key, figures) = figures(row).map_err(|error| unreadable(&error))?.ok_or_else(hidden)?;
            sample.insert(key, figures);
        }
        Ok(Self(sample))
    }

    /// What was spent since `earlier`, as far as `filter` asks for it; texts and users are still missing.
    pub(super) fn since(&self, earlier: &Self, filter: &StatementFilter) -> Vec<(Key, Statement)> {
        let spent: Vec<_> =
            self.0.iter().filter_map(|(key, now)| Some((*key, now.since(earlier.0.get(key))?))).collect();
        let all: f64 = spent.iter().map(|(_, figures)| figures.total_ms).sum();
        let mut statements: Vec<_> =
            spent.into_iter().map(|(key, figures)| (key, figures.statement(key, all))).collect();
        statements.retain(|(_, statement)| statement.mean >= filter.min_mean);
        statements.sort_by(|(a_key, a), (b_key, b)| filter.compare(a, b).then(a_key.cmp(b_key)));
        statements.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
        statements
    }
}

/// None for a statement whose identifier the role may not see.
fn figures(row: &Row) -> Result<Option<(Key, Figures)>, Error> {
    let Some(id) = row.try_get::<_, Option<i64>>(1)? else { return Ok(None) };
    let figures =
        Figures { calls: statements::count(row, 3)?, total_ms: row.try_get(4)?, rows: statements::count(row, 5)? };
    Ok(Some(((row.try_get(0)?, id, row.try_get(2)?), figures)))
}

impl Figures {
    /// None when nothing was spent. Figures that went down were reset in between, and count from there.
    fn since(self, earlier: Option<&Self>) -> Option<Self> {
        let spent = match earlier {
            Some(before) if before.calls <= self.calls && before.total_ms <= self.total_ms => Self {
                calls: self.calls - before.calls,
                total_ms: self.total_ms - before.total_ms,
                rows: self.rows.saturating_sub(before.rows),
            },
            _ => self,
        };
        (spent.calls > 0).then_some(spent)
    }

    fn statement(self, key: Key, all_ms: f64) -> Statement {
        let (_, id, _) = key;
        let total = self.total_ms / 1e3;
        Statement {
            query: None,
            id: id.to_string(),
            user: String::new(),
            calls: self.calls,
            total,
            #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53 calls within a window")]
            mean: total / self.calls as f64,
            max: None,
            rows: self.rows,
            share: if all_ms > 0.0 { (self.total_ms / all_ms).clamp(0.0, 1.0) } else { 0.0 },
        }
    }
}

/// Adds texts and users from the answer to [`super::statements::Extension::texts`]. A statement that was dropped from
/// the statistics meanwhile stays without.
pub(super) fn name(statements: Vec<(Key, Statement)>, rows: &[Row]) -> Result<Vec<Statement>, Error> {
    let mut texts = HashMap::with_capacity(rows.len());
    for row in rows {
        let key: Key = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        texts.insert(
            key,
            (row.try_get::<_, Option<&str>>(3)?.and_then(statements::shown), row.try_get::<_, String>(4)?),
        );
    }
    let named = statements.into_iter().map(|(key, mut statement)| {
        if let Some((query, user)) = texts.remove(&key) {
            (statement.query, statement.user) = (query, user);
        }
        statement
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::super::statements::StatementOrder;
    use super::*;

    fn sample(figures: &[(i64, u64, f64)]) -> Sample {
        let one = |(id, calls, total_ms): &(i64, u64, f64)| {
            ((10, *id, true), Figures { calls: *calls, total_ms: *total_ms, rows: *calls })
        };
        Sample(figures.iter().map(one).collect())
    }

    fn filter(order: StatementOrder, min_mean: f64) -> StatementFilter {
        StatementFilter { order, min_mean, limit: 2, window: Some(1.0) }
    }

    #[test]
    fn only_what_was_spent_in_between_counts() {
        let before = sample(&[(1, 100, 1e6), (2, 5, 50.0), (3, 9, 90.0)]);
        let after = sample(&[(1, 100, 1e6), (2, 10, 3050.0), (3, 2, 1000.0), (4, 1, 1950.0)]);
        let ids = |statements: Vec<(Key, Statement)>| statements.into_iter().map(|(key, _)| key.1).collect::<Vec<_>>();

        let by_total = after.since(&before, &filter(StatementOrder::Total, 0.0));
        let (_, first) = &by_total[0];
        assert_eq!((first.calls, first.total, first.mean), (5, 3.0, 0.6));
        assert!((first.share - 3000.0 / 5950.0).abs() < 1e-9, "{}", first.share);
        assert_eq!(ids(by_total), [2, 4], "the third went down, so it was reset, and is cut by the limit");
        assert_eq!(ids(after.since(&before, &filter(StatementOrder::Mean, 0.0))), [4, 2]);
        assert_eq!(ids(after.since(&before, &filter(StatementOrder::Mean, 1.0))), [4]);
    }
}
