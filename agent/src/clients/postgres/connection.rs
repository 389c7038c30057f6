//! One connection: how it is opened, judged and ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{self, Failure, Names};
use super::login;
use super::stream::{Allowance, Stream};
use crate::domain::CallError;

/// What the login and an idle connection may receive: parameters, notices, errors.
const SMALL_TALK: usize = 256 << 10;

/// How often, and how long each time, a statement that nobody waits for any more is asked to end. Its own time limit
/// ends it in any case.
const CANCEL_ATTEMPTS: u32 = 3;
const CANCEL_PATIENCE: Duration = Duration::from_millis(700);

/// How long a server may take to notice that we say goodbye.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Knows the way to one server.
pub(super) struct Connector {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    pub(super) names: Names,
    pub(super) timeout: Duration,
    pub(super) allow_superuser: bool,
    /// The statement that makes a role which would not be refused.
    pub(super) role: &'static str,
}

/// A connection whose login was found harmless enough.
pub(super) struct Connection {
    client: Client,
    driver: Driver,
    allowance: Allowance,
    keeps_statements: AtomicBool,
}

/// The task that moves bytes for a client. It ends by itself once the client is gone and all answers have come; with
/// the connection dropped in any other way it is ended, so that no socket outlives its use.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connector {
    /// Opens a connection. `closed` is notified when it ends, whatever the reason.
    pub(super) async fn open(&self, closed: Arc<Notify>) -> Result<Connection, Failure> {
        let opened = timeout(self.timeout, self.log_in(closed)).await;
        opened.unwrap_or_else(|_| {
            let message = format!("the server did not finish the login within {} ms", self.timeout.as_millis());
            Err(CallError::TimedOut(message).into())
        })
    }

    async fn log_in(&self, closed: Arc<Notify>) -> Result<Connection, Failure> {
        let allowance = Allowance::default();
        let stream = self.stream(allowance.clone()).await?;
        let connected = self.config.connect_raw(stream, self.tls()).await;
        let (client, connection) = connected.map_err(|error| error::connecting(&error))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to postgres ended");
            }
            closed.notify_waiters();
        });
        let connection =
            Connection { client, driver: Driver(driver), allowance, keeps_statements: AtomicBool::new(false) };
        let login = login::look_at(&connection.client).await.map_err(|error| self.names.running(&error))?;
        if !self.allow_superuser {
            login.refuse_powerful(self.role)?;
        }
        Ok(connection)
    }

    async fn stream(&self, allowance: Allowance) -> Result<Stream, Failure> {
        allowance.set(SMALL_TALK);
        Stream::connect(&self.host, self.port, allowance).await.map_err(|error| {
            tracing::debug!(%error, "no connection to postgres");
            error::socket(&error).into()
        })
    }

    fn tls(&self) -> <MakeRustlsConnect as MakeTlsConnect<Stream>>::TlsConnect {
        let name = match &self.host {
            Host::Tcp(name) => name.as_str(),
            Host::Unix(_) => "",
        };
        let made: Result<_, Infallible> = MakeTlsConnect::<Stream>::make_tls_connect(&mut self.tls.clone(), name);
        match made {
            Ok(connect) => connect,
        }
    }

    /// Ends a connection on which a statement may still be running: asks the server to cancel, then leaves.
    pub(super) async fn abandon(&self, connection: Connection) {
        let Connection { client, mut driver, .. } = connection;
        let token = client.cancel_token();
        drop(client);
        for _ in 0..CANCEL_ATTEMPTS {
            if driver.0.is_finished() {
                return;
            }
            if timeout(CANCEL_PATIENCE, self.cancel(&token)).await.is_err() {
                tracing::debug!("postgres does not take a cancel request");
            }
            if timeout(CANCEL_PATIENCE, &mut driver.0).await.is_ok() {
                return;
            }
        }
    }

    async fn cancel(&self, token: &CancelToken) {
        let Ok(stream) = self.stream(Allowance::default()).await else { return };
        if let Err(error) = token.cancel_query_raw(stream, self.tls()).await {
            tracing::debug!(%error, "a cancel request to postgres failed");
        }
    }
}

impl Connection {
    /// The driver's client.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// True when the server is gone as far as is known.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// How much the next call may receive.
    pub(super) fn allow(&self, bytes: usize) {
        self.allowance.set(bytes.saturating_add(SMALL_TALK));
    }

    /// True when the server sent more than it may.
    pub(super) fn is_overrun(&self) -> bool {
        self.allowance.is_used_up()
    }

    /// Remembers that the driver looked up types. It prepared statements for that, and would be lost without them.
    pub(super) fn keep_statements(&self) {
        self.keeps_statements.store(true, Ordering::Relaxed);
    }

    /// The statements that give the session back as it was. `DISCARD ALL`, or, when the driver keeps statements of its
    /// own here, everything that it stands for except `DEALLOCATE ALL`. Nothing of a plugin can prepare a statement.
    pub(super) fn reset(&self) -> &'static str {
        if self.keeps_statements.load(Ordering::Relaxed) {
            "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
             SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES"
        } else {
            "DISCARD ALL"
        }
    }

    /// Says goodbye. For connections with nothing under way.
    pub(super) async fn close(self) {
        let Self { client, mut driver, .. } = self;
        drop(client);
        if timeout(CLOSE_PATIENCE, &mut driver.0).await.is_err() {
            tracing::debug!("postgres does not take leave");
        }
    }
}
