//! One connection: from the address to the greeting, and then batch by batch.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, FromRedisValue, Pipeline, RedisConnectionInfo, RedisError, Value};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::answers::ServerError;
use super::command::Command;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::stream::{Meter, Metered, Stream};

/// How operators recognise us in `CLIENT LIST`.
const CLIENT_NAME: &str = "paramedic";

/// A greeting is a few hundred bytes.
const GREETING_BYTES: usize = 64 << 10;

/// What the server says of itself in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its version, such as `7.0.15`.
    pub version: String,
}

impl Greeting {
    /// The first number of the version; 0 when it is none.
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

/// An open connection that is logged in. Dropping it closes it, with whatever is under way.
#[derive(Debug)]
pub(super) struct Connection {
    inner: MultiplexedConnection,
    driver: JoinHandle<()>,
    meter: Arc<Meter>,
    greeting: Greeting,
    since: Instant,
}

impl Connection {
    pub(super) async fn open(endpoint: &Endpoint, authorities: Option<&str>) -> Result<Self, Failure> {
        let stream = dial(endpoint, authorities).await?;
        let meter = Arc::new(Meter::default());
        let metered = Metered::new(stream, Arc::clone(&meter));
        // Our own handshake follows: the driver's would hide the server's reason for a refusal.
        let silent = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let created = MultiplexedConnection::new_with_config(&silent, metered, config).await;
        let (inner, driver) = created.map_err(Failure::Closed)?;
        let driver = tokio::spawn(driver);
        let greeting = Greeting { version: String::new() };
        let mut connection = Self { inner, driver, meter, greeting, since: Instant::now() };
        connection.shake_hands(endpoint).await?;
        Ok(connection)
    }

    pub(super) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    pub(super) fn rest(&mut self) {
        self.since = Instant::now();
    }

    pub(super) fn idle_for(&self) -> Duration {
        self.since.elapsed()
    }

    /// Send a batch and collect one value for each command, errors of single commands among them.
    pub(super) async fn exchange(&mut self, commands: &[Command], most_bytes: usize) -> Result<Vec<Value>, Failure> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command.to_cmd());
        }
        self.meter.allow(most_bytes);
        let values = self.inner.send_packed_commands(&pipeline, 0, commands.len()).await;
        let values = values.map_err(|error| self.explain(error, most_bytes))?;
        if values.len() == commands.len() { Ok(values) } else { Err(Failure::Unexpected("answers are missing")) }
    }

    fn explain(&self, error: RedisError, most_bytes: usize) -> Failure {
        if self.meter.is_exceeded() { Failure::TooLarge(most_bytes) } else { Failure::Closed(error) }
    }

    /// Log in, switch to RESP3 and say our name, all in one command; then choose the database.
    async fn shake_hands(&mut self, endpoint: &Endpoint) -> Result<(), Failure> {
        let mut hello = Command::new("HELLO").arg("3");
        if let Some(password) = &endpoint.password {
            hello = hello.arg("AUTH").arg(endpoint.user().unwrap_or("default")).arg(password.expose());
        }
        let mut commands = vec![hello.arg("SETNAME").arg(CLIENT_NAME)];
        if endpoint.database != 0 {
            commands.push(Command::new("SELECT").number(endpoint.database));
        }
        let mut answers = self.exchange(&commands, GREETING_BYTES).await?.into_iter();
        let greeting = answers.next().unwrap_or(Value::Nil);
        for answer in [&greeting].into_iter().chain(answers.as_slice()) {
            if let Value::ServerError(error) = answer {
                return Err(Failure::Remote(ServerError::new(error)));
            }
        }
        self.greeting = read_greeting(greeting)?;
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn read_greeting(answer: Value) -> Result<Greeting, Failure> {
    let unexpected = || Failure::Unexpected("the greeting is not that of a Redis server");
    let Value::Map(fields) = answer else { return Err(unexpected()) };
    let is_version = |name: &Value| String::from_redis_value_ref(name).is_ok_and(|name| name == "version");
    let version = fields.into_iter().find(|(name, _)| is_version(name)).ok_or_else(unexpected)?.1;
    let version = String::from_redis_value(version).map_err(|_| unexpected())?;
    Ok(Greeting { version })
}

async fn dial(endpoint: &Endpoint, authorities: Option<&str>) -> Result<Box<dyn Stream>, Failure> {
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(Failure::Connect)?;
    stream.set_nodelay(true).map_err(Failure::Connect)?;
    if !endpoint.tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| Failure::Tls(io::Error::other(error)))?;
    let connector = TlsConnector::from(Arc::new(tls_config(authorities)?));
    Ok(Box::new(connector.connect(name, stream).await.map_err(Failure::Tls)?))
}

fn tls_config(authorities: Option<&str>) -> Result<ClientConfig, Failure> {
    let mut trusted = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| Failure::Tls(io::Error::other(error)))?;
                trusted.add(certificate).map_err(|error| Failure::Tls(io::Error::other(error)))?;
            }
        }
        None => {
            trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if trusted.is_empty() {
        return Err(Failure::Tls(io::Error::other("no certificate authority is trusted")));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| Failure::Tls(io::Error::other(error)))?;
    Ok(builder.with_root_certificates(trusted).with_no_client_auth())
}
