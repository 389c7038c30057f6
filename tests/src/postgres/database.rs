//! A database of a test's own, with roles of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::installation::output;
use crate::secret;

/// The bootstrap superuser and how to speak as it.
#[derive(Clone, Debug)]
pub(super) struct Superuser {
    pub(super) psql: PathBuf,
    pub(super) port: u16,
    pub(super) password: String,
}

impl Superuser {
    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    pub(super) fn sql(&self, database: &str, statements: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(&self.psql);
        psql.args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set=ON_ERROR_STOP=1"]);
        output(psql.arg("--dbname").arg(self.url(database)).arg("--command").arg(statements))
    }
}

/// A database that no other test uses. It stays until the server goes.
#[derive(Clone, Debug)]
pub struct Database {
    superuser: Superuser,
    name: String,
}

impl Database {
    pub(super) fn create(superuser: &Superuser) -> anyhow::Result<Self> {
        static CREATED: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}", CREATED.fetch_add(1, Ordering::Relaxed));
        superuser.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        // Before Postgres 15 everybody could make tables in it.
        superuser.sql(&name, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")?;
        Ok(Database { superuser: superuser.clone(), name })
    }

    /// The name, also the first part of the names of its roles.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The superuser's way in.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.superuser.url(&self.name)
    }

    /// Runs statements as the superuser. The answer has a line for each row, with `|` between its columns.
    pub fn sql(&self, statements: &str) -> anyhow::Result<String> {
        self.superuser.sql(&self.name, statements)
    }

    /// Makes `pg_stat_statements` available in this database.
    pub fn track_statements(&self) -> anyhow::Result<()> {
        self.sql("CREATE EXTENSION pg_stat_statements").map(drop)
    }

    /// A login that may look at the server's statistics and at nothing else: URL of `<name>_monitor`.
    pub fn monitor(&self) -> anyhow::Result<String> {
        self.login("monitor", "CONNECTION LIMIT 5 IN ROLE pg_read_all_stats")
    }

    /// A login that may also end the sessions of others: URL of `<name>_signal`.
    pub fn signal(&self) -> anyhow::Result<String> {
        self.login("signal", "CONNECTION LIMIT 5 IN ROLE pg_read_all_stats, pg_signal_backend")
    }

    /// A login as an application has it, owner of the database: URL of `<name>_app`.
    pub fn application(&self) -> anyhow::Result<String> {
        let url = self.login("app", "")?;
        let name = &self.name;
        self.sql(&format!("ALTER DATABASE {name} OWNER TO {name}_app; GRANT ALL ON SCHEMA public TO {name}_app"))?;
        Ok(url)
    }

    /// A login `<name>_<suffix>` with options as in `CREATE ROLE`, whose URL is the answer. Asked for again, it gets a
    /// new password.
    pub fn login(&self, suffix: &str, options: &str) -> anyhow::Result<String> {
        let role = format!("{}_{suffix}", self.name);
        let password = secret::random();
        self.sql(&format!("DROP ROLE IF EXISTS {role}"))?;
        self.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD '{password}' {options}"))?;
        Ok(format!("postgres://{role}:{password}@127.0.0.1:{}/{}", self.superuser.port, self.name))
    }
}
