//! Looking at Postgres servers, and ending sessions of theirs.
//!
//! [`Postgres`] is one target: a small pool of connections under one login, and the operations of the WIT interface
//! `postgres` as methods that each want their permit. Everything runs in a read-only transaction that is rolled back,
//! with time limits that the server itself keeps:
//!
//! ```text
//! sessions, statements, …   one statement of ours with typed parameters        (read)
//! query                     the plugin's SQL: admission → cursor → text rows   (admission, query, value)
//!        │
//!      pool      a kept connection, slots, farewell to whatever was dropped    (pool)
//!        │
//!    connection  socket with an allowance, TLS, login judged                   (connection, stream, tls, login)
//! ```
//!
//! Dropping a call cancels its statement at the server and closes its connection.
//!
//! What `postgres-actions` offers goes under a second login with a pool of its own, which looks as well, so that what is
//! judged and what is signalled are seen by the same eyes (change).

mod admission;
mod change;
mod connection;
mod doctor;
mod error;
mod login;
mod pool;
mod query;
mod read;
mod replication;
mod server;
mod sessions;
mod statements;
mod stream;
mod text;
mod tls;
mod value;
mod window;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Config, Row};

pub use change::PROTECTED;
pub use query::{Column, RowSet};
pub use replication::{ReplicationState, Standby};
pub use server::Server;
pub use sessions::{Session, SessionFilter, SessionKey};
pub use statements::{Statement, StatementFilter, StatementOrder};
pub use value::Value;

use crate::domain::{CallError, CallLimits, ChangeCall, KeyPattern, Operation, Secret, TargetName};
use crate::journal::Change;
use crate::policy::{Op, Permit, op, permit_undo};
use admission::Gate;
use connection::Connector;
use error::Names;
use pool::Pool;
use read::{Param, Read, Time};
use sessions::unreadable;
use statements::Extension;

/// What the agent calls itself at the server.
const APPLICATION: &str = "paramedic";

/// What the figures of all statements of a database may take; they are compared, not handed on.
const SAMPLE_BYTES: usize = 16 << 20;

/// Connections under the login that ends sessions: one that looks or signals, and one for whoever comes meanwhile.
const SIGNAL_CONNECTIONS: usize = 2;

/// What a window must leave of a call's time, for the samples themselves.
const WINDOW_MARGIN: Duration = Duration::from_millis(500);

/// One target.
#[derive(Clone, Debug)]
pub struct Settings {
    /// URL of the server, in the form that `libpq` takes, with one host. `sslmode` may be `disable`, `prefer` (the
    /// default) or `require`; `verify-ca` and `verify-full` mean `require`, which verifies both certificate and name.
    pub url: Secret,
    /// URL of the same server with the login that cancels statements and ends sessions; without it nothing does.
    pub signal_url: Option<Secret>,
    /// Names of applications, as patterns, whose sessions are left alone whatever a grant says.
    pub protected: Vec<KeyPattern>,
    /// Certificates in PEM that `require` trusts instead of the system's.
    pub tls_root: Option<Vec<u8>>,
    /// Most connections at a time under `url`.
    pub connections: usize,
    /// Longest time from the first packet to the end of the login.
    pub connect_timeout: Duration,
    /// Longest time of one statement, however much time the call has left.
    pub statement_timeout: Duration,
    /// Accept a login that is a superuser, can become one, or can read and run files on the server.
    pub allow_superuser: bool,
}

impl Settings {
    /// The defaults for `url`.
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            signal_url: None,
            protected: PROTECTED.iter().filter_map(|pattern| pattern.parse().ok()).collect(),
            tls_root: None,
            connections: 4,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            allow_superuser: false,
        }
    }
}

/// Why settings are refused. The texts are for the operator, and name nothing of the URL.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL cannot be read.
    #[error("the URL is not one of Postgres")]
    Url(#[source] tokio_postgres::Error),
    /// A target is one server.
    #[error("the URL must name one host, in `host` or `hostaddr`")]
    Hosts,
    /// Both logins are for one server, whose processes have one set of numbers.
    #[error("signal_url must lead to the same host and port as url")]
    OtherServer,
    /// The same for the second URL.
    #[error("signal_url cannot be used")]
    Signal(#[source] Box<Self>),
    /// A choice between servers has no meaning for one.
    #[error("the URL must not have `target_session_attrs`: a target is one server")]
    SessionAttributes,
    /// The root certificates are not in PEM.
    #[error("the root certificate is not in PEM")]
    RootCertificate(#[source] rustls::pki_types::pem::Error),
    /// `require` without anything to trust.
    #[error("there is no root certificate to trust")]
    NoRootCertificate,
    /// The TLS library refuses.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// A Postgres server as plugins may look at it.
pub struct Postgres {
    name: TargetName,
    pool: Pool,
    gate: Gate,
    names: Names,
    signaller: Option<Signaller>,
    settings: Settings,
    way: doctor::Way,
}

/// The login that may end sessions.
struct Signaller {
    pool: Pool,
    names: Names,
}

impl Postgres {
    /// The target `name`. Nothing connects yet.
    pub fn new(name: TargetName, settings: Settings) -> Result<Self, SettingsError> {
        let connector = connector(&settings.url, &settings, login::MONITOR)?;
        let names = connector.names.clone();
        let verified = connector.config.get_ssl_mode() == SslMode::Require;
        let way = doctor::Way { local: doctor::is_local(&connector.host), verified };
        let signaller = signaller(&settings, (&connector.host, connector.port))?;
        let pool = Pool::new(connector, settings.connections);
        Ok(Self { name, pool, gate: Gate::default(), names, signaller, settings, way })
    }

    /// From now on keeps a connection of each login, for the moment when the server has no slot left for a new one. The
    /// first call does the same. Needs a runtime.
    pub fn keep_warm(&self) {
        self.pool.keep_warm();
        if let Some(signaller) = &self.signaller {
            signaller.pool.keep_warm();
        }
    }

    /// The state of the server; the equivalent of a readiness probe.
    pub async fn inspect(
        &self,
        permit: &Permit<op::PostgresInspect>,
        limits: &CallLimits,
    ) -> Result<Server, CallError> {
        self.assert_ours(permit);
        let rows = self.read(limits, server::SQL, &[]).await?;
        let row = rows.first().ok_or_else(nothing)?;
        server::from_row(row).map_err(|error| unreadable(&error))
    }

    /// Client sessions, oldest statement first, without those of the agent itself.
    pub async fn sessions(
        &self,
        permit: &Permit<op::PostgresSessions>,
        limits: &CallLimits,
        filter: &SessionFilter,
    ) -> Result<Vec<Session>, CallError> {
        self.assert_ours(permit);
        let filter = sessions::Filter::of(filter)?;
        let rows = self.read(limits, filter.sql(), &filter.params()).await?;
        sessions::from_rows(&rows, limits.answer_bytes)
    }

    /// Statements that took most time.
    pub async fn statements(
        &self,
        permit: &Permit<op::PostgresStatements>,
        limits: &CallLimits,
        filter: &StatementFilter,
    ) -> Result<Vec<Statement>, CallError> {
        self.assert_ours(permit);
        filter.validate()?;
        let extension = self.extension(limits).await?;
        let statements = match filter.window {
            None => self.costliest(limits, filter, &extension).await,
            Some(seconds) => self.spent_within(limits, filter, &extension, Duration::from_secs_f64(seconds)).await,
        };
        statements::fit(statements.map_err(not_loaded)?, limits.answer_bytes)
    }

    /// Replication as this server sees it.
    pub async fn replication(
        &self,
        permit: &Permit<op::PostgresReplication>,
        limits: &CallLimits,
    ) -> Result<ReplicationState, CallError> {
        self.assert_ours(permit);
        let rows = self.read(limits, replication::SQL, &[]).await?;
        replication::from_rows(&rows).map_err(|error| unreadable(&error))?.ok_or_else(nothing)
    }

    /// Runs one statement of a plugin that only reads.
    pub async fn query(
        &self,
        permit: &Permit<op::PostgresQuery>,
        limits: &CallLimits,
        sql: &str,
        params: &[Value],
    ) -> Result<RowSet, CallError> {
        self.assert_ours(permit);
        query::check_params(params)?;
        let admitted = self.gate.admit(sql).await?;
        let flight = query::Query {
            sql,
            params,
            admitted: &admitted,
            time: self.time(limits),
            answer_bytes: limits.answer_bytes,
            names: &self.names,
        };
        self.pool.run(limits, &flight).await
    }

    /// Cancel the statement that a session is running.
    pub fn cancel_query(
        self: &Arc<Self>,
        permit: Permit<op::PostgresCancelQuery>,
        session: SessionKey,
    ) -> Result<Arc<dyn Change>, CallError> {
        self.assert_ours(&permit);
        change::cancel(self, permit, session)
    }

    /// Disconnect a session.
    pub fn terminate_session(
        self: &Arc<Self>,
        permit: Permit<op::PostgresTerminateSession>,
        session: SessionKey,
    ) -> Result<Arc<dyn Change>, CallError> {
        self.assert_ours(&permit);
        change::terminate(self, permit, session)
    }

    /// A change that was recorded, to find out what became of it. None of these can be given back.
    pub fn recorded(self: &Arc<Self>, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError> {
        let session = change::recorded_session(call)?;
        if call.operation == Operation::PostgresCancelQuery {
            self.cancel_query(permit_undo(&call.target), session)
        } else if call.operation == Operation::PostgresTerminateSession {
            self.terminate_session(permit_undo(&call.target), session)
        } else {
            Err(CallError::Invalid(format!("{} is no change of a session", call.operation)))
        }
    }

    async fn extension(&self, limits: &CallLimits) -> Result<Extension, CallError> {
        let rows = self.read(limits, statements::FIND, &[]).await?;
        let found = Extension::from_rows(&rows).map_err(|error| unreadable(&error))?;
        found.ok_or_else(|| {
            CallError::NotFound(
                "pg_stat_statements is not installed in this database: CREATE EXTENSION pg_stat_statements".to_owned(),
            )
        })
    }

    async fn costliest(
        &self,
        limits: &CallLimits,
        filter: &StatementFilter,
        extension: &Extension,
    ) -> Result<Vec<Statement>, CallError> {
        let sql = extension.costliest(filter.order);
        let params: [Param<'_>; 2] = [(&(filter.min_mean * 1e3), Type::FLOAT8), (&i64::from(filter.limit), Type::INT8)];
        let rows = self.read_much(limits, &sql, &params).await?;
        if statements::some_are_hidden(&rows).map_err(|error| unreadable(&error))? {
            return Err(sessions::hidden());
        }
        rows.iter().map(|row| statements::from_row(row).map_err(|error| unreadable(&error))).collect()
    }

    /// Two samples and what lies between them. No connection is held while time passes.
    async fn spent_within(
        &self,
        limits: &CallLimits,
        filter: &StatementFilter,
        extension: &Extension,
        window: Duration,
    ) -> Result<Vec<Statement>, CallError> {
        if Instant::now() + window + WINDOW_MARGIN > limits.deadline {
            return Err(CallError::Invalid("the window is longer than the time that this call has left".to_owned()));
        }
        let sql = extension.sample();
        let before = window::Sample::from_rows(&self.read_much(limits, &sql, &[]).await?)?;
        tokio::time::sleep(window).await;
        let after = window::Sample::from_rows(&self.read_much(limits, &sql, &[]).await?)?;
        let spent = after.since(&before, filter);
        let ids: Vec<i64> = spent.iter().map(|((_, id, _), _)| *id).collect();
        let texts = self.read_much(limits, &extension.texts(), &[(&ids, Type::INT8_ARRAY)]).await?;
        window::name(spent, &texts).map_err(|error| unreadable(&error))
    }

    async fn read(&self, limits: &CallLimits, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, CallError> {
        self.read_within(limits, sql, params, limits.answer_bytes.saturating_mul(2)).await
    }

    async fn read_much(&self, limits: &CallLimits, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, CallError> {
        self.read_within(limits, sql, params, SAMPLE_BYTES).await
    }

    async fn read_within(
        &self,
        limits: &CallLimits,
        sql: &str,
        params: &[Param<'_>],
        allowance: usize,
    ) -> Result<Vec<Row>, CallError> {
        let flight = Read { sql, params, time: self.time(limits), allowance, names: &self.names };
        self.pool.run(limits, &flight).await
    }

    fn time(&self, limits: &CallLimits) -> Time {
        Time { deadline: limits.deadline, cap: self.settings.statement_timeout }
    }

    /// A permit for another target is a defect of the caller.
    fn assert_ours<O: Op>(&self, permit: &Permit<O>) {
        debug_assert_eq!(*permit.target(), self.name, "the permit is for another target");
    }
}

/// The extension can be created without being loaded, and then every look at it fails with 55000.
fn not_loaded(error: CallError) -> CallError {
    match error {
        CallError::Remote(remote) if remote.code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE.code() => {
            CallError::NotFound(
                "pg_stat_statements is created, but the server did not load it: \
                 add it to shared_preload_libraries and restart the server"
                    .to_owned(),
            )
        }
        other => other,
    }
}

fn nothing() -> CallError {
    CallError::Unavailable("the server's answer is empty".to_owned())
}

/// The way to the server under the login in `url`; `role` is what the operator reads when it is refused.
fn connector(url: &Secret, settings: &Settings, role: &'static str) -> Result<Connector, SettingsError> {
    let config = config(url)?;
    let (host, port) = address(&config)?;
    Ok(Connector {
        host,
        port,
        tls: tls::connector(config.get_ssl_mode(), settings.tls_root.as_deref())?,
        names: Names::of(&config),
        config,
        timeout: settings.connect_timeout,
        allow_superuser: settings.allow_superuser,
        role,
    })
}

fn signaller(settings: &Settings, server: (&Host, u16)) -> Result<Option<Signaller>, SettingsError> {
    let Some(url) = &settings.signal_url else { return Ok(None) };
    let connector = connector(url, settings, login::SIGNAL).map_err(|error| SettingsError::Signal(Box::new(error)))?;
    if (&connector.host, connector.port) != server {
        return Err(SettingsError::OtherServer);
    }
    let names = connector.names.clone();
    Ok(Some(Signaller { pool: Pool::new(connector, SIGNAL_CONNECTIONS), names }))
}

/// The driver knows the modes of `libpq` that do not name what is verified.
fn config(url: &Secret) -> Result<Config, SettingsError> {
    let url =
        url.expose().replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
    let mut config: Config = url.parse().map_err(SettingsError::Url)?;
    if config.get_target_session_attrs() != TargetSessionAttrs::Any {
        return Err(SettingsError::SessionAttributes);
    }
    config.application_name(APPLICATION);
    Ok(config)
}

fn address(config: &Config) -> Result<(Host, u16), SettingsError> {
    let host = match (config.get_hosts(), config.get_hostaddrs()) {
        ([host], []) => host.clone(),
        ([] | [_], [address]) => Host::Tcp(address.to_string()),
        _ => return Err(SettingsError::Hosts),
    };
    match config.get_ports() {
        [] => Ok((host, 5432)),
        [port] => Ok((host, *port)),
        _ => Err(SettingsError::Hosts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<Postgres, SettingsError> {
        Postgres::new("main".parse().unwrap(), Settings::new(Secret::new(url)))
    }

    #[test]
    fn a_target_is_one_server_with_a_readable_url() {
        for good in [
            "postgres://u:p@db.internal/app",
            "postgres://u@db:6432/app?sslmode=disable",
            "host=/run/postgresql user=u",
            "postgres://u@db/app?hostaddr=10.0.0.7",
        ] {
            assert!(open(good).is_ok(), "{good}");
        }
        for bad in [
            "mysql://db",
            "postgres://u@a,b/app",
            "postgres://u@db/app?target_session_attrs=read-write",
            "postgres://u@db/app?sslmode=allow",
            "dbname=app",
        ] {
            let error = open(bad).err().unwrap_or_else(|| panic!("{bad}"));
            assert!(!error.to_string().contains("app"), "{error}");
        }
    }

    #[test]
    fn the_second_login_is_for_the_same_server() {
        let with = |signal: &str| {
            let signal_url = Some(Secret::new(signal));
            let settings = Settings { signal_url, ..Settings::new(Secret::new("postgres://u:p@db/app")) };
            Postgres::new("main".parse().unwrap(), settings)
        };
        assert!(with("postgres://s:q@db:5432/other?sslmode=require").is_ok());
        for elsewhere in ["postgres://s:q@db2/app", "postgres://s:q@db:5433/app"] {
            assert!(matches!(with(elsewhere).err(), Some(SettingsError::OtherServer)), "{elsewhere}");
        }
        assert!(matches!(with("mysql://db").err(), Some(SettingsError::Signal(_))));
        assert_eq!(Settings::new(Secret::new("")).protected.len(), PROTECTED.len());
    }

    #[test]
    fn verified_modes_are_what_require_does_and_bad_roots_are_refused() {
        let root = |pem: &[u8]| Settings {
            tls_root: Some(pem.to_vec()),
            ..Settings::new(Secret::new("postgres://u@db/app?sslmode=verify-full"))
        };
        for pem in [&b""[..], b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(Postgres::new("main".parse().unwrap(), root(pem)).is_err());
        }
    }
}
