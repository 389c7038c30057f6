//! Talking to one server that speaks RESP: what the Redis and the queue client share.
//!
//! ```text
//! ask ─► place in the pool ─► connection, kept or new ─► one pipeline ─► answers
//!                               │ TCP, TLS, HELLO,        │ time limit, byte meter
//!                               │ SELECT                  └ anything odd: the connection is closed, never kept
//! ```
//!
//! A batch that is asked is sent once more, on a new connection, when the server closed the first one. That is right for
//! reads alone. What changes the server's data is told: it goes out once, on a connection that answered a moment before,
//! and its failure says whether anything can have reached the server. No command leaves a state at a connection; who may
//! send which one is decided above. Credentials go out in the handshake and nowhere else.

mod answers;
mod command;
mod connection;
pub mod doctor;
mod endpoint;
mod failure;
mod stream;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redis::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

pub use answers::{Answers, ServerError};
pub use command::Command;
pub use connection::Greeting;
pub use endpoint::InvalidUrl;

use connection::Connection;
use endpoint::Endpoint;
use failure::Failure;

use crate::domain::{CallError, CallLimits, Secret, System, Target, TargetName};

/// Longer than any network nearby needs, shorter than a check's patience.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Redis answers in microseconds; one that needs longer than this is stuck in somebody's script.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A server in trouble must not get a crowd of visitors from us.
const CONNECTIONS: usize = 4;

/// Firewalls forget connections that are silent for longer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The answer to a `PING`, errors included.
const PONG_BYTES: usize = 4 << 10;

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis://user:password@host:port/database`, or `rediss://` for TLS.
    pub url: Secret,
    /// Certificates in PEM that are trusted for `rediss://`; none for those of the operating system.
    pub authorities: Option<String>,
    /// Time for the way to an open connection: name, TCP, TLS, login.
    pub connect_timeout: Duration,
    /// Time for the answer to one batch of commands.
    pub answer_timeout: Duration,
    /// Most connections at a time.
    pub connections: usize,
}

impl Settings {
    /// The server at `url`, with defaults for all else.
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            authorities: None,
            connect_timeout: CONNECT_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
            connections: CONNECTIONS,
        }
    }
}

/// Why a batch that was told got no answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Nothing of it left us.
    #[error("{0}")]
    Unsent(CallError),
    /// It went out, and no answer came: the server may have carried it out or not.
    #[error("{0}")]
    Unanswered(CallError),
}

/// A server and the connections to it. Nothing connects before the first batch.
#[derive(Debug)]
pub struct Server {
    target: Target,
    settings: Settings,
    endpoint: Endpoint,
    places: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Server {
    /// The server behind a target.
    pub fn new(system: System, name: TargetName, settings: Settings) -> Result<Self, InvalidUrl> {
        let endpoint = Endpoint::parse(settings.url.expose())?;
        let places = Semaphore::new(settings.connections.max(1));
        Ok(Self { target: Target { system, name }, settings, endpoint, places, idle: Mutex::default() })
    }

    /// The target that it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The login named in the URL; none when it names nobody, which means the user `default`.
    pub fn user(&self) -> Option<&str> {
        self.endpoint.user()
    }

    /// Send `commands` in one go and wait for all answers. An error of a single command stays with its answer. More
    /// than `most_bytes` from the server end the call with `TooLarge`, and the connection with it.
    pub async fn ask(
        &self,
        limits: &CallLimits,
        commands: &[Command],
        most_bytes: usize,
    ) -> Result<Answers, CallError> {
        let outcome = match self.attempt(limits, commands, most_bytes).await {
            Err(Failure::Closed(cause)) => {
                tracing::debug!(target.id = %self.target, %cause, "connection lost, trying a new one");
                self.forget_idle();
                self.attempt(limits, commands, most_bytes).await
            }
            other => other,
        };
        outcome.map_err(|failure| self.report(&failure))
    }

    /// Send `commands`, which may change the server's data, in one go and once only.
    ///
    /// A kept connection is tried with a `PING` first: one that the server closed long ago must not leave a change in
    /// doubt that never began.
    pub async fn tell(&self, limits: &CallLimits, commands: &[Command], most_bytes: usize) -> Result<Answers, Lost> {
        let unsent = |failure: Failure| Lost::Unsent(self.report(&failure));
        let _place = self.place(limits).await.map_err(unsent)?;
        let mut connection = self.live(limits).await.map_err(unsent)?;
        if remaining(limits).is_zero() {
            return Err(unsent(Failure::AnswerTimeout(Duration::ZERO)));
        }
        let told = self.converse(&mut connection, limits, commands, most_bytes).await;
        let answers = told.map_err(|failure| Lost::Unanswered(self.report(&failure)))?;
        self.keep(connection);
        Ok(answers)
    }

    /// What the server said when a connection was opened just now. For the doctor, which wants no kept connection.
    pub async fn greet(&self, limits: &CallLimits) -> Result<Greeting, CallError> {
        let opened = self.open(limits, self.endpoint.clone()).await;
        opened.map(|connection| connection.greeting().clone()).map_err(|failure| self.report(&failure))
    }

    /// Whether somebody who gives neither name nor password is let in.
    pub async fn lets_strangers_in(&self, limits: &CallLimits) -> Result<bool, CallError> {
        match self.open(limits, self.endpoint.without_credentials()).await {
            Ok(_) => Ok(true),
            Err(Failure::Remote(error)) if error.code() == "NOAUTH" || error.code() == "WRONGPASS" => Ok(false),
            Err(failure) => Err(self.report(&failure)),
        }
    }

    /// Run `conversation` on a connection of its own, which is closed afterwards whatever state it is in then.
    pub async fn privately<T>(
        &self,
        limits: &CallLimits,
        conversation: impl AsyncFnOnce(&mut Private<'_>) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let connection = self.open(limits, self.endpoint.clone()).await.map_err(|failure| self.report(&failure))?;
        conversation(&mut Private { server: self, connection, limits: *limits }).await
    }

    async fn attempt(&self, limits: &CallLimits, commands: &[Command], most_bytes: usize) -> Result<Answers, Failure> {
        if commands.is_empty() {
            return Ok(Answers::new(self.target.system, commands, Vec::new(), Duration::ZERO));
        }
        let _place = self.place(limits).await?;
        let mut connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.open(limits, self.endpoint.clone()).await?,
        };
        let answers = self.converse(&mut connection, limits, commands, most_bytes).await?;
        self.keep(connection);
        Ok(answers)
    }

    /// A connection that answers at the moment: a kept one, or a new one.
    async fn live(&self, limits: &CallLimits) -> Result<Connection, Failure> {
        if let Some(mut connection) = self.take_idle() {
            let ping = [Command::new("PING")];
            match self.converse(&mut connection, limits, &ping, PONG_BYTES).await {
                Ok(_) => return Ok(connection),
                Err(Failure::Closed(cause)) => {
                    tracing::debug!(target.id = %self.target, %cause, "connection lost, opening a new one");
                    self.forget_idle();
                }
                Err(failure) => return Err(failure),
            }
        }
        self.open(limits, self.endpoint.clone()).await
    }

    async fn place(&self, limits: &CallLimits) -> Result<SemaphorePermit<'_>, Failure> {
        match within(remaining(limits), self.places.acquire()).await {
            Some(Ok(place)) => Ok(place),
            Some(Err(_)) | None => Err(Failure::NoPlace(self.settings.connections)),
        }
    }

    async fn open(&self, limits: &CallLimits, endpoint: Endpoint) -> Result<Connection, Failure> {
        let patience = self.settings.connect_timeout.min(remaining(limits));
        let opening = Connection::open(&endpoint, self.settings.authorities.as_deref());
        within(patience, opening).await.unwrap_or(Err(Failure::ConnectTimeout(patience)))
    }

    async fn converse(
        &self,
        connection: &mut Connection,
        limits: &CallLimits,
        commands: &[Command],
        most_bytes: usize,
    ) -> Result<Answers, Failure> {
        let patience = self.settings.answer_timeout.min(remaining(limits));
        let started = Instant::now();
        let exchange = connection.exchange(commands, most_bytes);
        let values: Vec<Value> = within(patience, exchange).await.unwrap_or(Err(Failure::AnswerTimeout(patience)))?;
        Ok(Answers::new(self.target.system, commands, values, started.elapsed()))
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| connection.idle_for() < IDLE_TIMEOUT);
        idle.pop()
    }

    fn keep(&self, mut connection: Connection) {
        connection.rest();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The full cause is for the log; the caller's error holds no address.
    fn report(&self, failure: &Failure) -> CallError {
        if !matches!(failure, Failure::Remote(_) | Failure::TooLarge(_)) {
            tracing::warn!(target.id = %self.target, error = %failure, cause = ?failure.cause(), "the server did not answer");
        }
        failure.to_call_error(self.target.system)
    }
}

/// A connection that nobody else uses.
#[derive(Debug)]
pub struct Private<'a> {
    server: &'a Server,
    connection: Connection,
    limits: CallLimits,
}

impl Private<'_> {
    /// Send one command and wait for its answer.
    pub async fn ask(&mut self, command: Command) -> Result<Answers, CallError> {
        let commands = [command];
        let answers = self.server.converse(&mut self.connection, &self.limits, &commands, self.limits.answer_bytes);
        answers.await.map_err(|failure| self.server.report(&failure))
    }
}

/// Wait for `work` so long. Without any time left nothing is begun.
async fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Option<T> {
    if patience.is_zero() { None } else { timeout(patience, work).await.ok() }
}

fn remaining(limits: &CallLimits) -> Duration {
    limits.deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests;
