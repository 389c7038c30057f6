//! What can be told of any RESP server and our login there, without changing anything.
//!
//! What a login may do beyond its need is not the server's to say, except to administrators. A transaction helps: the
//! server judges each command when it is queued, and nothing of it runs when the transaction is discarded. A login that
//! may not even begin one is no cause for worry. The commands used are harmless all the same, should something between
//! us and the server not understand transactions.

use std::time::{Duration, Instant};

use ::redis::Value;

use super::{Command, Greeting, Server};
use crate::domain::{CallError, CallLimits, Diagnosis, Severity};

/// Time for all the questions about one target.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command that shows by being accepted that a login may do more than it should.
#[derive(Debug)]
pub struct Excess {
    /// What the login may do, as in "the login may …".
    pub what: &'static str,
    /// The command that shows it, harmless should it ever run.
    pub command: Command,
}

/// Collects what is found about one server.
#[derive(Debug)]
pub struct Examination<'a> {
    server: &'a Server,
    limits: CallLimits,
    lines: Vec<Diagnosis>,
}

impl<'a> Examination<'a> {
    /// Of `server`, from now on.
    pub fn new(server: &'a Server) -> Self {
        let limits = CallLimits { deadline: Instant::now() + PATIENCE, answer_bytes: 1 << 20 };
        Self { server, limits, lines: Vec::new() }
    }

    /// The limits within which to ask further.
    pub fn limits(&self) -> &CallLimits {
        &self.limits
    }

    /// Everything found so far.
    pub fn finish(self) -> Vec<Diagnosis> {
        self.lines
    }

    /// Note that something is well.
    pub fn well(&mut self, message: impl Into<String>) {
        self.note(Severity::Ok, message.into(), None);
    }

    /// Note something that could be better.
    pub fn warn(&mut self, message: impl Into<String>, remedy: impl Into<String>) {
        self.note(Severity::Warning, message.into(), Some(remedy.into()));
    }

    /// Note something that does not work.
    pub fn fail(&mut self, message: impl Into<String>, remedy: impl Into<String>) {
        self.note(Severity::Error, message.into(), Some(remedy.into()));
    }

    fn note(&mut self, severity: Severity, message: String, remedy: Option<String>) {
        self.lines.push(Diagnosis { severity, subject: self.server.target().to_string(), message, remedy });
    }

    /// Connect, and look at who we are. None when there is no connection, and nothing more to ask.
    pub async fn login(&mut self, rules: &str) -> Option<(Greeting, String)> {
        let greeting = match self.server.greet(&self.limits).await {
            Ok(greeting) => greeting,
            Err(error) => {
                self.fail(error.to_string(), remedy_for(&error, rules));
                return None;
            }
        };
        let user = self.who_we_are().await;
        self.well(format!("connected to Redis {} as `{user}`", greeting.version));
        if user == "default" {
            self.warn("the login is `default`, who may do everything", format!("give it a user of its own: {rules}"));
        }
        self.strangers().await;
        Some((greeting, user))
    }

    /// The commands among `probes` that the login may not run.
    pub async fn refused(&mut self, probes: &[Command]) -> Vec<String> {
        let mut refused = Vec::new();
        match self.server.ask(&self.limits, probes, self.limits.answer_bytes).await {
            Ok(mut answers) => {
                for _ in probes {
                    let answer = answers.try_take::<Value>();
                    refused.extend(answer.ok().and_then(Result::err).and_then(|error| error.refused_command()));
                }
            }
            Err(error) => self.fail(error.to_string(), "look at the server's log"),
        }
        refused.sort_unstable();
        refused.dedup();
        refused
    }

    /// Warn of what the login may do and should not.
    pub async fn excess(&mut self, probes: &[Excess], rules: &str) {
        let found = self.server.privately(&self.limits, async |connection| {
            let begun = connection.ask(Command::new("MULTI")).await?.try_take::<Value>()?;
            let mut found = Vec::new();
            if begun != Ok(Value::Okay) {
                return Ok(found);
            }
            for probe in probes {
                let judged = connection.ask(probe.command.clone()).await?.try_take::<Value>()?;
                let is_allowed = match judged {
                    Ok(answer) => is_queued(&answer),
                    // Refused for this key is allowed for another one.
                    Err(error) => error.code() == "NOPERM" && !error.is_about_command(),
                };
                if is_allowed {
                    found.push(probe.what);
                }
            }
            connection.ask(Command::new("DISCARD")).await?.take::<Value>()?;
            Ok(found)
        });
        match found.await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => self.warn(format!("the login may {}", found.join(", ")), format!("restrict it: {rules}")),
            Err(error) => self.warn(format!("what the login may do beyond its need is unknown: {error}"), rules),
        }
    }

    async fn who_we_are(&self) -> String {
        let configured = self.server.user().unwrap_or("default").to_owned();
        let question = [Command::new("ACL").arg("WHOAMI")];
        match self.server.ask(&self.limits, &question, self.limits.answer_bytes).await {
            Ok(mut answers) => answers.take::<String>().unwrap_or(configured),
            Err(_) => configured,
        }
    }

    async fn strangers(&mut self) {
        match self.server.lets_strangers_in(&self.limits).await {
            Ok(false) => {}
            Ok(true) => self.warn(
                "whoever reaches the server is let in as `default` without a password, and every login can become \
                 `default` by RESET",
                "ACL SETUSER default off",
            ),
            Err(error) => {
                self.warn(format!("whether strangers are let in is unknown: {error}"), "ACL SETUSER default off")
            }
        }
    }
}

fn is_queued(answer: &Value) -> bool {
    matches!(answer, Value::SimpleString(text) if text == "QUEUED")
}

fn remedy_for(error: &CallError, rules: &str) -> String {
    let remedy = match error {
        CallError::Remote(remote) => match remote.code.as_str() {
            "NOAUTH" => return format!("name a user and a password in the target's url; to make one: {rules}"),
            "WRONGPASS" => return format!("check user and password in the target's url; to make the user: {rules}"),
            "NOPERM" => "the url names a database other than 0: allow +select, or use database 0",
            _ if remote.retryable => "wait, and look at the server's log",
            _ => "look at the server's log; Redis 6 or later is needed",
        },
        CallError::TimedOut(_) => "check host and port in the target's url, and the firewall between",
        _ => "check host, port and scheme (rediss:// for TLS) in the target's url, and that the server runs",
    };
    remedy.to_owned()
}
