//! The file's format: what makes it ours, which version it has, and the steps from one version to the next.
//!
//! A step is one numbered SQL file that never changes once it was released. Each runs in a transaction of its own
//! together with the new version number, so that an agent that is killed half way leaves the version before.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{StoreError, chain};
use crate::domain::Timestamp;

/// `PARA` in ASCII; stands in the header of every file of ours, where `file` and others can read it.
const APPLICATION_ID: i64 = 0x5041_5241;

/// The step that makes the chain, which begins with what the file holds then.
const CHAIN: &str = include_str!("migrations/0008_chain.sql");

/// The steps, oldest first. A file of version n has seen the first n.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_runs_and_state.sql"),
    include_str!("migrations/0002_idempotency_keys.sql"),
    include_str!("migrations/0003_sweeps.sql"),
    include_str!("migrations/0004_plugins.sql"),
    include_str!("migrations/0005_changes.sql"),
    include_str!("migrations/0006_guards.sql"),
    include_str!("migrations/0007_leases.sql"),
    CHAIN,
    include_str!("migrations/0009_recordings.sql"),
    include_str!("migrations/0010_guard_links.sql"),
];

/// The version of the file; 0 for one without a table, such as a fresh one. Refuses what is not ours or too new.
pub(super) fn version(db: &Connection, path: &Path) -> Result<i64, StoreError> {
    let application_id: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let empty: bool = db.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    let fresh = application_id == 0 && found == 0 && empty;
    if !fresh && (application_id != APPLICATION_ID || found < 1) {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known });
    }
    Ok(found)
}

/// Bring a file of version `found` up to date, at the time `now`.
pub(super) fn migrate(db: &mut Connection, found: i64, now: Timestamp) -> Result<(), StoreError> {
    take_steps(db, found, MIGRATIONS, now)
}

fn take_steps(db: &mut Connection, found: i64, migrations: &[&str], now: Timestamp) -> Result<(), StoreError> {
    for (version, sql) in (1..).zip(migrations).filter(|(version, _)| *version > found) {
        step(db, version, sql, now)?;
        tracing::info!(store.version = version, "brought the store's format up to date");
    }
    Ok(())
}

fn step(db: &mut Connection, version: i64, sql: &str, now: Timestamp) -> Result<(), StoreError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(sql)?;
    // In the same transaction: a chain that is empty later was emptied by somebody.
    if sql == CHAIN {
        chain::begin(&transaction, now)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE one (n INTEGER); INSERT INTO one VALUES (1);";
    const SECOND: &str = "CREATE TABLE two (n INTEGER); INSERT INTO two SELECT n + 1 FROM one;";
    const BROKEN: &str = "CREATE TABLE three (n INTEGER); INSERT INTO nowhere VALUES (1);";

    const NOW: Timestamp = Timestamp::from_millis(1_772_323_200_000);

    fn path() -> &'static Path {
        Path::new("paramedic.db")
    }

    fn number(db: &Connection, sql: &str) -> i64 {
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn each_step_runs_once_and_in_order() {
        let mut db = Connection::open_in_memory().unwrap();
        take_steps(&mut db, 0, &[FIRST], NOW).unwrap();
        take_steps(&mut db, 1, &[FIRST], NOW).unwrap();
        take_steps(&mut db, 1, &[FIRST, SECOND], NOW).unwrap();
        assert_eq!(number(&db, "SELECT n FROM two"), 2);
        assert_eq!(number(&db, "PRAGMA user_version"), 2);
        assert_eq!(number(&db, "PRAGMA application_id"), APPLICATION_ID);
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let mut db = Connection::open_in_memory().unwrap();
        let error = take_steps(&mut db, 0, &[FIRST, BROKEN], NOW).unwrap_err();
        assert!(matches!(error, StoreError::Internal(_)), "{error}");
        assert_eq!(number(&db, "PRAGMA user_version"), 1);
        assert_eq!(number(&db, "SELECT count(*) FROM sqlite_schema WHERE name = 'three'"), 0);
        take_steps(&mut db, 1, &[FIRST, SECOND], NOW).unwrap();
        assert_eq!(number(&db, "SELECT n FROM two"), 2);
    }

    #[test]
    fn a_file_from_a_newer_agent_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, 0, NOW).unwrap();
        assert_eq!(version(&db, path()).unwrap(), i64::try_from(MIGRATIONS.len()).unwrap());
        db.pragma_update(None, "user_version", 99).unwrap();
        let message = version(&db, path()).unwrap_err().to_string();
        assert!(message.starts_with("paramedic.db has format 99, which is newer than the "), "{message}");
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        for sql in ["CREATE TABLE theirs (n)", "PRAGMA application_id = 7", "PRAGMA user_version = 3"] {
            let db = Connection::open_in_memory().unwrap();
            db.execute_batch(sql).unwrap();
            let error = version(&db, path()).unwrap_err();
            assert!(matches!(error, StoreError::Foreign { .. }), "{sql}: {error}");
        }
    }
}
