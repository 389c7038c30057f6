//! What is wrong with a target, and the statement that mends it.
//!
//! For the operator alone: unlike everything else here, these texts name the role.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio_postgres::config::Host;
use tokio_postgres::{Error, Row};

use super::statements::Extension;
use super::{Postgres, Signaller, unreadable};
use crate::domain::{CallError, CallLimits, Diagnosis, Severity};

/// Time for each of the few questions.
const PATIENCE: Duration = Duration::from_secs(10);

/// Oldest major version whose catalogue is known here.
const OLDEST: u32 = 13;

/// What is known of the way to the server without asking it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// It does not leave this machine.
    pub(super) local: bool,
    /// The server's certificate is verified.
    pub(super) verified: bool,
}

/// True for sockets and loopback addresses.
pub(super) fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

/// Roles are looked up by name, because the younger ones do not exist everywhere.
const SQL: &str = "\
SELECT current_setting('server_version_num')::int8,
       quote_ident(current_user),
       r.rolsuper,
       r.rolconnlimit,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
       coalesce(current_setting('reserved_connections', true), '0')::int8,
       ARRAY (SELECT g.rolname::text FROM pg_roles g
              WHERE left(g.rolname, 3) = 'pg_' AND pg_has_role(g.oid, 'MEMBER') AND NOT r.rolsuper ORDER BY 1),
       current_setting('max_connections')::int8,
       r.rolreplication OR r.rolcreaterole
FROM pg_roles r WHERE r.rolname = current_user";

struct Facts {
    version: u32,
    role: String,
    superuser: bool,
    connection_limit: i32,
    encrypted: bool,
    reserved: i64,
    memberships: Vec<String>,
    max_connections: i64,
    may_rule: bool,
}

impl Facts {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            version: u32::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default(),
            role: row.try_get(1)?,
            superuser: row.try_get(2)?,
            connection_limit: row.try_get(3)?,
            encrypted: row.try_get(4)?,
            reserved: row.try_get(5)?,
            memberships: row.try_get(6)?,
            max_connections: row.try_get(7)?,
            may_rule: row.try_get(8)?,
        })
    }

    fn major(&self) -> u32 {
        self.version / 10_000
    }

    fn is_member(&self, role: &str) -> bool {
        self.superuser
            || self.memberships.iter().any(|name| name == role || name == "pg_monitor" && role == "pg_read_all_stats")
    }
}

/// A finding without the name of the target: severity, message, remedy.
type Finding = (Severity, String, Option<String>);

fn warning(message: impl Into<String>, remedy: impl Into<String>) -> Finding {
    (Severity::Warning, message.into(), Some(remedy.into()))
}

impl Postgres {
    /// Asks the server all that matters for this agent. One finding each; a single `Ok` when all is well.
    pub async fn diagnose(&self) -> Vec<Diagnosis> {
        let mut findings = match self.facts().await {
            Ok(facts) => {
                let mut findings = self.judge(&facts);
                findings.extend(self.judge_statements().await);
                if findings.is_empty() {
                    let message = format!("Postgres {} answers as {}", facts.major(), facts.role);
                    findings.push((Severity::Ok, message, None));
                }
                findings
            }
            Err(error) => vec![(Severity::Error, error.to_string(), Some(cure(&error).to_owned()))],
        };
        if let Some(signaller) = &self.signaller {
            findings.extend(self.judge_signaller(signaller).await);
        }
        let subject = format!("postgres/{}", self.name);
        let diagnosis = |(severity, message, remedy)| Diagnosis { severity, subject: subject.clone(), message, remedy };
        findings.into_iter().map(diagnosis).collect()
    }

    async fn facts(&self) -> Result<Facts, CallError> {
        let rows = self.read(&limits(), SQL, &[]).await?;
        let row = rows.first().ok_or_else(super::nothing)?;
        Facts::from_row(row).map_err(|error| unreadable(&error))
    }

    async fn judge_signaller(&self, signaller: &Signaller) -> Vec<Finding> {
        let limits = limits();
        let facts = signaller.read(&limits, self.time(&limits), SQL, &[]).await.and_then(|rows| {
            let row = rows.first().ok_or_else(super::nothing)?;
            Facts::from_row(row).map_err(|error| unreadable(&error))
        });
        match facts {
            Ok(facts) => signal_rights(&facts),
            Err(error) => vec![(Severity::Error, format!("signal_url: {error}"), Some(cure(&error).to_owned()))],
        }
    }

    fn judge(&self, facts: &Facts) -> Vec<Finding> {
        let mut findings = Vec::new();
        if facts.major() < OLDEST {
            let message = format!("Postgres {} is older than {OLDEST}, the oldest that is supported", facts.major());
            findings.push((Severity::Error, message, Some("upgrade the server".to_owned())));
        }
        findings.extend(rights(facts));
        findings.extend(self.slots(facts));
        findings.extend(self.encryption(facts));
        findings
    }

    fn slots(&self, facts: &Facts) -> Vec<Finding> {
        let (role, size) = (&facts.role, self.settings.connections);
        let mut findings = Vec::new();
        if facts.connection_limit < 0 && !facts.superuser {
            findings.push(warning(
                "the agent's role may take any number of connections",
                format!("ALTER ROLE {role} CONNECTION LIMIT {};", size + 1),
            ));
        } else if usize::try_from(facts.connection_limit).is_ok_and(|limit| limit < size) {
            findings.push(warning(
                format!("the role may have {} connections and the agent wants {size}", facts.connection_limit),
                format!("ALTER ROLE {role} CONNECTION LIMIT {};", size + 1),
            ));
        }
        let can_reserve = facts.major() >= 16 && !facts.superuser;
        if can_reserve && (facts.reserved == 0 || !facts.is_member("pg_use_reserved_connections")) {
            findings.push(warning(
                format!("none of the {} connections is reserved for the agent", facts.max_connections),
                format!(
                    "GRANT pg_use_reserved_connections TO {role}; ALTER SYSTEM SET reserved_connections = 2; \
                     and restart the server"
                ),
            ));
        }
        findings
    }

    fn encryption(&self, facts: &Facts) -> Option<Finding> {
        let remedy = "append sslmode=require to the URL, with the server's root certificate if it is not public";
        match self.way {
            Way { local: true, .. } | Way { verified: true, .. } => None,
            Way { .. } if facts.encrypted => Some(warning("the server's certificate is not verified", remedy)),
            Way { .. } => Some(warning("the connection is not encrypted and leaves this machine", remedy)),
        }
    }

    async fn judge_statements(&self) -> Option<Finding> {
        match self.statements_answer().await {
            Ok(()) => None,
            Err(CallError::NotFound(message)) => {
                let (message, remedy) = message.split_once(": ").unwrap_or((&message, "see the documentation"));
                Some(warning(message, format!("{remedy};")))
            }
            Err(error) => Some((Severity::Error, error.to_string(), Some(cure(&error).to_owned()))),
        }
    }

    async fn statements_answer(&self) -> Result<(), CallError> {
        let extension: Extension = self.extension(&limits()).await?;
        self.read_much(&limits(), &extension.sample(), &[]).await.map(drop).map_err(super::not_loaded)
    }
}

fn rights(facts: &Facts) -> Vec<Finding> {
    let role = &facts.role;
    let mut findings = Vec::new();
    if facts.superuser {
        findings.push(warning(
            format!("{role} is a superuser, and allow_superuser lets that pass"),
            "CREATE ROLE paramedic_monitor LOGIN CONNECTION LIMIT 5 IN ROLE pg_read_all_stats; and use that",
        ));
        return findings;
    }
    if !facts.is_member("pg_read_all_stats") {
        let message = format!("{role} does not see the sessions and statements of others");
        findings.push((Severity::Error, message, Some(format!("GRANT pg_read_all_stats TO {role};"))));
    }
    for excess in ["pg_signal_backend", "pg_write_all_data", "pg_checkpoint", "pg_maintain", "pg_create_subscription"] {
        if facts.is_member(excess) {
            let message = format!("{role} only has to look, and is a member of {excess}");
            findings.push(warning(message, format!("REVOKE {excess} FROM {role};")));
        }
    }
    if facts.is_member("pg_read_all_settings") {
        findings.push(warning(
            format!("{role} can read all settings, among them a standby's replication password"),
            format!("REVOKE pg_monitor, pg_read_all_settings FROM {role}; GRANT pg_read_all_stats TO {role};"),
        ));
    }
    if facts.may_rule {
        let message = format!("{role} may replicate the whole server or make roles");
        findings.push(warning(message, format!("ALTER ROLE {role} NOREPLICATION NOCREATEROLE;")));
    }
    findings
}

/// The second login has to signal and to look, and nothing else.
fn signal_rights(facts: &Facts) -> Vec<Finding> {
    let role = &facts.role;
    if facts.superuser {
        return vec![warning(
            format!("signal_url: {role} is a superuser, and allow_superuser lets that pass"),
            format!("{}; and use that", super::login::SIGNAL),
        )];
    }
    let needed = ["pg_signal_backend", "pg_read_all_stats"].into_iter().filter(|needed| !facts.is_member(needed));
    let mut findings: Vec<_> = needed
        .map(|needed| {
            let message = format!("signal_url: {role} is no member of {needed}");
            (Severity::Error, message, Some(format!("GRANT {needed} TO {role};")))
        })
        .collect();
    if facts.may_rule {
        let message = format!("signal_url: {role} may replicate the whole server or make roles");
        findings.push(warning(message, format!("ALTER ROLE {role} NOREPLICATION NOCREATEROLE;")));
    }
    if findings.is_empty() {
        findings.push((Severity::Ok, format!("signal_url: {role} may end sessions"), None));
    }
    findings
}

fn limits() -> CallLimits {
    CallLimits { deadline: Instant::now() + PATIENCE, answer_bytes: 1 << 20 }
}

/// What an operator looks at first for an error of this kind.
fn cure(error: &CallError) -> &'static str {
    match error {
        CallError::Remote(remote) => match remote.code.as_str() {
            "28P01" | "28000" => "check the password in the URL and the lines of pg_hba.conf for this role and address",
            "53300" => "raise max_connections, or find who holds the connections in pg_stat_activity",
            "3D000" => "correct the database in the URL",
            "57P03" => "wait until the server has started",
            "42501" => "GRANT CONNECT ON DATABASE, and GRANT pg_read_all_stats, to the role in the URL",
            _ => "the server's log tells more",
        },
        CallError::TimedOut(_) => "check the network and the load of the server",
        CallError::Unavailable(_)
        | CallError::Denied(_)
        | CallError::Invalid(_)
        | CallError::NotFound(_)
        | CallError::Conflict(_)
        | CallError::TooLarge(_)
        | CallError::Exhausted(_) => "check that the server runs, and host, port and sslmode in the URL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for (host, local) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("10.0.0.7", false),
            ("localhost.evil.example", false),
        ] {
            assert_eq!(is_local(&Host::Tcp(host.to_owned())), local, "{host}");
        }
    }
}
