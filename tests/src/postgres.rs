//! Throwaway Postgres servers.
//!
//! Every login needs its password, the superuser's too: on a shared machine a loopback port is open to everybody, and a
//! superuser can run programs. Durability is off; nothing here needs to survive.

mod database;
mod installation;

use std::fs::{OpenOptions, read_to_string};
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, anyhow};
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

pub use database::Database;
use database::Superuser;
use installation::Installation;

use crate::process::{Server, StopSignal};
use crate::{ports, secret};

/// Settings of every server; later ones win.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
    ("shared_buffers", "32MB"),
    ("timezone", "UTC"),
];

/// What a private server has different from the shared one.
#[derive(Clone, Debug)]
pub struct Settings {
    lines: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { lines: Vec::new() }.with("shared_preload_libraries", "pg_stat_statements")
    }
}

impl Settings {
    /// Sets a configuration parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts without the library that `pg_stat_statements` needs; the extension can still be created.
    #[must_use]
    pub fn without_statements(self) -> Self {
        self.with("shared_preload_libraries", "")
    }
}

/// A running server, primary or standby.
#[derive(Debug)]
pub struct Postgres {
    installation: Installation,
    superuser: Superuser,
    server: Server,
}

impl Postgres {
    /// The server of this test binary. It tracks statements and takes 100 connections.
    pub fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
        let start = || Postgres::start(&Settings::default()).map_err(|error| format!("{error:#}"));
        SHARED.get_or_init(start).as_ref().map_err(|error| anyhow!("the shared Postgres did not start: {error}"))
    }

    /// A private server.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let installation = Installation::find()?;
        let password = secret::random();
        ports::with_free(|port| {
            let directory = installation.directory()?;
            initialise(&installation, directory.path(), &password, settings)?;
            Self::run(&installation, directory, port, &password)
        })
    }

    /// A streaming standby of this server, which must have been left room for one replication connection.
    pub fn standby(&self) -> anyhow::Result<Self> {
        let password = &self.superuser.password;
        ports::with_free(|port| {
            let directory = self.installation.directory()?;
            let data = data_directory(directory.path());
            let arguments = ["--pgdata", &data, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"];
            let url = self.superuser.url("postgres");
            self.installation.run("pg_basebackup", &[&arguments[..], &["--dbname", &url]].concat())?;
            Self::run(&self.installation, directory, port, password)
        })
    }

    /// A new, empty database.
    pub fn database(&self) -> anyhow::Result<Database> {
        Database::create(&self.superuser)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.superuser.port
    }

    /// Major version, such as 15.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.installation.major
    }

    /// The superuser's way in, to the database `postgres`.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.superuser.url("postgres")
    }

    /// Runs statements as the superuser in the database `postgres`; see [`Database::sql`].
    pub fn sql(&self, statements: &str) -> anyhow::Result<String> {
        self.superuser.sql("postgres", statements)
    }

    /// The server's own `psql`, without a distribution's wrapper around it.
    #[must_use]
    pub fn psql(&self) -> &Path {
        &self.superuser.psql
    }

    /// Everything the server logged so far.
    pub fn log(&self) -> anyhow::Result<String> {
        self.server.log().context("cannot read the log of Postgres")
    }

    fn run(installation: &Installation, directory: TempDir, port: u16, password: &str) -> anyhow::Result<Self> {
        let data = data_directory(directory.path());
        let command = installation.command_line("postgres", &["-D", &data, "-p", &port.to_string()]);
        let server = Server::start(directory, &command, StopSignal::Quit, is_ready)?;
        let superuser = Superuser { psql: installation.program("psql"), port, password: password.to_owned() };
        Ok(Postgres { installation: installation.clone(), superuser, server })
    }
}

/// A session that lasts as long as the client.
pub async fn connect(url: &str, application: &str) -> anyhow::Result<Client> {
    let mut config: Config = url.parse().context("not a Postgres URL")?;
    config.application_name(application);
    let (client, connection) = config.connect(NoTls).await.with_context(|| format!("{application} cannot connect"))?;
    // The end of the connection reaches whoever uses the client.
    tokio::spawn(connection);
    Ok(client)
}

/// Several sessions of one application: a pool that nobody empties.
pub async fn connect_many(url: &str, application: &str, count: usize) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(connect(url, application).await?);
    }
    Ok(clients)
}

fn initialise(
    installation: &Installation,
    directory: &Path,
    password: &str,
    settings: &Settings,
) -> anyhow::Result<()> {
    let data = data_directory(directory);
    let password_file = directory.join("password");
    std::fs::write(&password_file, password).context("cannot write the superuser's password")?;
    let password_option = format!("--pwfile={}", password_file.display());
    let fixed = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"];
    installation.run("initdb", &[&["--pgdata", &data, &password_option], &fixed[..]].concat())?;
    configure(Path::new(&data), settings).context("cannot write postgresql.conf")
}

fn configure(data: &Path, settings: &Settings) -> std::io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(data.join("postgresql.conf"))?;
    let own = settings.lines.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in SETTINGS.iter().copied().chain(own) {
        writeln!(file, "{name} = '{}'", value.replace('\'', "''"))?;
    }
    Ok(())
}

/// The server writes its state into the last line of its pid file: one look at our own file, which cannot be mistaken
/// for another server on the same port.
fn is_ready(directory: &Path) -> bool {
    let pid_file = Path::new(&data_directory(directory)).join("postmaster.pid");
    read_to_string(pid_file).is_ok_and(|text| text.lines().nth(7).is_some_and(|state| state.trim() == "ready"))
}

fn data_directory(directory: &Path) -> String {
    directory.join("data").display().to_string()
}
