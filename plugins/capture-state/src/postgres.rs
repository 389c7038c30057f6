//! A Postgres server: its sessions and who blocks them, what its time is spent on, replication, settings and locks.

use paramedic_sdk::postgres::{self, RowSet, Session, SessionFilter, Statement, StatementOrder, Value as Cell};
use paramedic_sdk::{Error, File};
use serde_json::{Map, Value, json};

use crate::capture::Capture;
use crate::lines;
use crate::params::{Extra, Params};

/// What it asks for, and why.
pub const USES: &[(&str, &str)] = &[
    ("postgres/inspect", "to capture version, role and connections of the server"),
    ("postgres/sessions", "to capture what sessions do and who blocks them, without values"),
    ("postgres/statements", "to capture what the server's time is spent on, without values"),
    ("postgres/replication", "to capture how far standbys are behind"),
    ("postgres/query", "to capture settings and locks, by statements of this plugin"),
];

/// Costliest statements.
const STATEMENTS: u32 = 50;

/// Settings that tell how a server behaves under load. None of them can hold a password, an address or a path.
const SETTINGS: &str = "SELECT name, setting, unit, source FROM pg_settings WHERE name IN (\
    'autovacuum', 'autovacuum_max_workers', 'autovacuum_naptime', 'checkpoint_completion_target', 'checkpoint_timeout', \
    'deadlock_timeout', 'default_statistics_target', 'default_transaction_isolation', 'effective_cache_size', \
    'effective_io_concurrency', 'hot_standby_feedback', 'idle_in_transaction_session_timeout', 'idle_session_timeout', \
    'lock_timeout', 'log_min_duration_statement', 'maintenance_work_mem', 'max_connections', 'max_locks_per_transaction', \
    'max_parallel_workers', 'max_parallel_workers_per_gather', 'max_prepared_transactions', 'max_replication_slots', \
    'max_slot_wal_keep_size', 'max_standby_streaming_delay', 'max_wal_senders', 'max_wal_size', 'max_worker_processes', \
    'random_page_cost', 'reserved_connections', 'server_version', 'shared_buffers', 'statement_timeout', \
    'superuser_reserved_connections', 'synchronous_commit', 'temp_buffers', 'temp_file_limit', 'wal_buffers', 'wal_level', \
    'work_mem') ORDER BY name";

/// Locks by what they are on, those that are waited for first.
const LOCKS: &str = "SELECT l.locktype, l.mode, l.granted, n.nspname AS schema, c.relname AS relation, count(*) AS locks, \
    count(DISTINCT l.pid) AS sessions FROM pg_locks l LEFT JOIN pg_database d ON d.oid = l.database AND d.datname = \
    current_database() LEFT JOIN pg_class c ON c.oid = l.relation AND d.oid IS NOT NULL LEFT JOIN pg_namespace n ON n.oid = \
    c.relnamespace GROUP BY 1, 2, 3, 4, 5 ORDER BY 3, 6 DESC LIMIT 500";

/// Capture a server.
pub fn capture(capture: &mut Capture, target: &str, params: &Params) {
    let base = format!("postgres/{target}");
    let part = format!("{base}/server");
    if let Some(server) = capture.ask(&part, || postgres::inspect(target)) {
        let server = json!({
            "version": server.version_text(), "in_recovery": server.in_recovery, "max_connections": server.max_connections,
            "reserved_connections": server.reserved_connections, "connections": server.connections,
            "replay_lag_seconds": server.replay_lag,
        });
        capture.list(File::whole(format!("{part}.json"), lines::pretty(&server)));
    }
    let part = format!("{base}/sessions");
    if let Some(sessions) = capture.ask(&part, || postgres::sessions(target, &SessionFilter::ALL)) {
        capture.list(File::whole(format!("{part}.jsonl"), lines::of(sessions.iter().map(of_session))));
        let blocked: Vec<Value> = sessions.iter().filter(|one| !one.blocked_by.is_empty()).map(of_session).collect();
        if !blocked.is_empty() {
            capture.list(File::whole(format!("{base}/blocked.jsonl"), lines::of(blocked)));
        }
    }
    if params.wants(Extra::Statements) {
        let part = format!("{base}/statements");
        let costly = || postgres::statements(target, StatementOrder::Total, 0.0, STATEMENTS, None);
        if let Some(statements) = capture.ask(&part, costly) {
            capture.list(File::whole(format!("{part}.jsonl"), lines::of(statements.iter().map(of_statement))));
        }
    }
    if params.wants(Extra::Replication) {
        replication(capture, target);
    }
    for (extra, name, statement) in [(Extra::Settings, "settings", SETTINGS), (Extra::Locks, "locks", LOCKS)] {
        if params.wants(extra) {
            rows(capture, format!("{base}/{name}"), || postgres::query(target, statement, &[]));
        }
    }
}

fn of_session(session: &Session) -> Value {
    json!({
        "pid": session.key.pid, "user": session.user, "database": session.database, "application": session.application,
        "client": session.client, "state": session.state, "wait": session.wait, "state_seconds": session.state_age,
        "transaction_seconds": session.transaction_age, "query_seconds": session.query_age,
        "blocked_by": session.blocked_by, "query": session.query,
    })
}

fn of_statement(statement: &Statement) -> Value {
    json!({
        "id": statement.id, "user": statement.user, "calls": statement.calls, "total_seconds": statement.total,
        "mean_seconds": statement.mean, "max_seconds": statement.max, "rows": statement.rows, "share": statement.share,
        "query": statement.query,
    })
}

fn replication(capture: &mut Capture, target: &str) {
    let part = format!("postgres/{target}/replication");
    let Some(state) = capture.ask(&part, || postgres::replication(target)) else { return };
    let standby = |standby: &postgres::Standby| {
        json!({
            "application": standby.application, "state": standby.state, "sync": standby.sync,
            "lag_bytes": standby.lag_bytes, "lag_seconds": standby.lag,
        })
    };
    let state = json!({
        "timeline": state.timeline, "position": state.position, "replay_backlog_bytes": state.replay_backlog,
        "receiving": state.receiving, "retained_bytes": state.retained_bytes,
        "standbys": state.standbys.iter().map(standby).collect::<Vec<_>>(),
    });
    capture.list(File::whole(format!("{part}.json"), lines::pretty(&state)));
}

fn rows(capture: &mut Capture, part: String, query: impl FnOnce() -> Result<RowSet, Error>) {
    let Some(rows) = capture.ask(&part, query) else { return };
    let cut = rows.truncated.then(|| format!("the first {} rows; there are more", rows.rows.len()));
    let object = |row: &Vec<Cell>| {
        let fields = rows.columns.iter().zip(row).map(|(column, cell)| (column.name.clone(), of_cell(cell)));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    capture.list(File { path: format!("{part}.jsonl"), text: lines::of(rows.rows.iter().map(object)), cut });
}

fn of_cell(cell: &Cell) -> Value {
    match cell {
        Cell::Boolean(is_so) => json!(is_so),
        Cell::Integer(number) => json!(number),
        Cell::Float(number) => json!(number),
        Cell::Text(text) | Cell::Json(text) => json!(text),
        Cell::Instant(instant) => json!(instant),
        Cell::Null | Cell::Bytes(_) => Value::Null,
    }
}
