//! `postgres` and `postgres-actions`: looking at a Postgres server, and changing something on it.

use serde_json::json;

use super::RunState;
use super::bindings::paramedic::plugin::types::{Error, Receipt};
use super::bindings::paramedic::plugin::{postgres as wit, postgres_actions as actions, postgres_types};
use super::targets::client;
use crate::clients::postgres::{
    ReplicationState, RowSet, Server, Session, SessionFilter, SessionKey, Standby, Statement, StatementFilter,
    StatementOrder, Value,
};
use crate::journal::Arguments;
use crate::policy::op;

impl wit::Host for RunState {
    async fn query(
        &mut self,
        target: String,
        sql: String,
        params: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<wit::RowSet, Error>> {
        let params: Vec<Value> = params.into_iter().map(decode_value).collect();
        let arguments = self.arguments().text("sql", &sql).hidden("params", params.len(), || json!(params));
        self.read::<op::PostgresQuery, _, _, _>(&target, arguments, row_set, async |targets, permit, limits| {
            client(&targets.postgres, &permit)?.query(&permit, &limits, &sql, &params).await
        })
        .await
    }

    async fn sessions(
        &mut self,
        target: String,
        filter: wit::SessionFilter,
    ) -> wasmtime::Result<Result<Vec<wit::Session>, Error>> {
        let arguments = self
            .arguments()
            .optional_text("state", filter.state.as_deref())
            .plain("min-query-age", filter.min_query_age)
            .plain("min-state-age", filter.min_state_age)
            .optional_text("user", filter.user.as_deref());
        let filter = SessionFilter {
            state: filter.state,
            min_query_age: filter.min_query_age,
            min_state_age: filter.min_state_age,
            user: filter.user,
        };
        self.read::<op::PostgresSessions, _, _, _>(&target, arguments, sessions, async |targets, permit, limits| {
            client(&targets.postgres, &permit)?.sessions(&permit, &limits, &filter).await
        })
        .await
    }

    async fn statements(
        &mut self,
        target: String,
        order: wit::StatementOrder,
        min_mean: f64,
        limit: u32,
        window: Option<f64>,
    ) -> wasmtime::Result<Result<Vec<wit::Statement>, Error>> {
        let (order, word) = match order {
            wit::StatementOrder::Mean => (StatementOrder::Mean, "mean"),
            wit::StatementOrder::Total => (StatementOrder::Total, "total"),
        };
        let arguments = self
            .arguments()
            .text("order", word)
            .plain("min-mean", min_mean)
            .plain("limit", limit)
            .plain("window", window);
        let filter = StatementFilter { order, min_mean, limit, window };
        self.read::<op::PostgresStatements, _, _, _>(&target, arguments, statements, async |targets, permit, limits| {
            client(&targets.postgres, &permit)?.statements(&permit, &limits, &filter).await
        })
        .await
    }

    async fn replication(&mut self, target: String) -> wasmtime::Result<Result<wit::ReplicationState, Error>> {
        let arguments = self.arguments();
        self.read::<op::PostgresReplication, _, _, _>(
            &target,
            arguments,
            replication,
            async |targets, permit, limits| client(&targets.postgres, &permit)?.replication(&permit, &limits).await,
        )
        .await
    }

    async fn inspect(&mut self, target: String) -> wasmtime::Result<Result<wit::Server, Error>> {
        let arguments = self.arguments();
        self.read::<op::PostgresInspect, _, _, _>(&target, arguments, server, async |targets, permit, limits| {
            client(&targets.postgres, &permit)?.inspect(&permit, &limits).await
        })
        .await
    }
}

impl actions::Host for RunState {
    async fn cancel_query(
        &mut self,
        target: String,
        session: postgres_types::SessionKey,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        self.change::<op::PostgresCancelQuery, _>(
            &target,
            key_arguments(self.arguments(), session),
            |targets, permit| client(&targets.postgres, &permit)?.cancel_query(permit, decode_key(session)),
        )
        .await
    }

    async fn terminate_session(
        &mut self,
        target: String,
        session: postgres_types::SessionKey,
    ) -> wasmtime::Result<Result<Receipt, Error>> {
        self.change::<op::PostgresTerminateSession, _>(
            &target,
            key_arguments(self.arguments(), session),
            |targets, permit| client(&targets.postgres, &permit)?.terminate_session(permit, decode_key(session)),
        )
        .await
    }
}

fn key_arguments(arguments: Arguments, session: postgres_types::SessionKey) -> Arguments {
    arguments.plain("pid", session.pid).plain("started-micros", session.started_micros)
}

const fn decode_key(session: postgres_types::SessionKey) -> SessionKey {
    SessionKey { pid: session.pid, started_micros: session.started_micros }
}

fn decode_value(value: wit::Value) -> Value {
    match value {
        wit::Value::Null => Value::Null,
        wit::Value::Boolean(truth) => Value::Boolean(truth),
        wit::Value::Integer(number) => Value::Integer(number),
        wit::Value::Float(number) => Value::Float(number),
        wit::Value::Text(text) => Value::Text(text),
        wit::Value::Bytes(bytes) => Value::Bytes(bytes),
        wit::Value::Instant(ms) => Value::Instant(ms),
        wit::Value::Json(json) => Value::Json(json),
    }
}

fn encode_value(value: Value) -> wit::Value {
    match value {
        Value::Null => wit::Value::Null,
        Value::Boolean(truth) => wit::Value::Boolean(truth),
        Value::Integer(number) => wit::Value::Integer(number),
        Value::Float(number) => wit::Value::Float(number),
        Value::Text(text) => wit::Value::Text(text),
        Value::Bytes(bytes) => wit::Value::Bytes(bytes),
        Value::Instant(ms) => wit::Value::Instant(ms),
        Value::Json(json) => wit::Value::Json(json),
    }
}

fn row_set(set: RowSet) -> wit::RowSet {
    let column =
        |column: crate::clients::postgres::Column| wit::Column { name: column.name, type_name: column.type_name };
    wit::RowSet {
        columns: set.columns.into_iter().map(column).collect(),
        rows: set.rows.into_iter().map(|row| row.into_iter().map(encode_value).collect()).collect(),
        truncated: set.truncated,
    }
}

fn sessions(sessions: Vec<Session>) -> Vec<wit::Session> {
    sessions.into_iter().map(session).collect()
}

fn session(session: Session) -> wit::Session {
    wit::Session {
        key: postgres_types::SessionKey { pid: session.key.pid, started_micros: session.key.started_micros },
        user: session.user,
        database: session.database,
        application: session.application,
        client: session.client,
        state: session.state,
        wait: session.wait,
        state_age: session.state_age,
        transaction_age: session.transaction_age,
        query_age: session.query_age,
        blocked_by: session.blocked_by,
        query: session.query,
    }
}

fn statements(statements: Vec<Statement>) -> Vec<wit::Statement> {
    statements.into_iter().map(statement).collect()
}

fn statement(statement: Statement) -> wit::Statement {
    wit::Statement {
        query: statement.query,
        id: statement.id,
        user: statement.user,
        calls: statement.calls,
        total: statement.total,
        mean: statement.mean,
        max: statement.max,
        rows: statement.rows,
        share: statement.share,
    }
}

fn replication(state: ReplicationState) -> wit::ReplicationState {
    wit::ReplicationState {
        timeline: state.timeline,
        position: state.position,
        standbys: state.standbys.into_iter().map(standby).collect(),
        replay_backlog: state.replay_backlog,
        receiving: state.receiving,
        retained_bytes: state.retained_bytes,
    }
}

fn standby(standby: Standby) -> wit::Standby {
    wit::Standby {
        application: standby.application,
        state: standby.state,
        sync: standby.sync,
        lag_bytes: standby.lag_bytes,
        lag: standby.lag,
    }
}

fn server(server: Server) -> wit::Server {
    wit::Server {
        version: server.version,
        in_recovery: server.in_recovery,
        max_connections: server.max_connections,
        reserved_connections: server.reserved_connections,
        connections: server.connections,
        replay_lag: server.replay_lag,
    }
}
