//! The answers to a batch, taken one by one in the order of the commands.

use std::fmt;
use std::time::Duration;
use std::vec::IntoIter;

use ::redis::{FromRedisValue, Value};

use super::command::Command;
use crate::domain::{CallError, RemoteError, System, cut_bytes};

/// An error that the server answered to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    code: String,
    detail: String,
}

impl ServerError {
    pub(super) fn new(error: &::redis::ServerError) -> Self {
        Self { code: error.code().to_owned(), detail: error.details().unwrap_or_default().to_owned() }
    }

    /// The word that errors begin with, such as `NOPERM`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// True for a login that lacks the right to a command, false for one that lacks the right to a key.
    pub fn is_about_command(&self) -> bool {
        self.code == "NOPERM" && self.refused_command().is_some()
    }

    /// True for an error that a command within a script got, when the script was already running.
    pub fn is_from_script(&self) -> bool {
        self.detail.contains("script: ") || self.detail.contains("@user_script")
    }

    /// True for the answer to `OBJECT IDLETIME` of a server that counts uses instead.
    pub fn is_about_frequency(&self) -> bool {
        self.detail.contains("LFU maxmemory policy")
    }

    /// The command that the login may not run, as in `… no permissions to run the 'config|get' command`.
    pub fn refused_command(&self) -> Option<String> {
        let (_, rest) = self.detail.split_once("to run the '")?;
        let (name, _) = rest.split_once('\'')?;
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"|-_.".contains(&byte));
        (is_plain && !name.is_empty()).then(|| name.to_owned())
    }

    /// What a caller may know of it.
    pub fn to_call_error(&self, system: System) -> CallError {
        let code = clean(&self.code, 32);
        CallError::Remote(RemoteError {
            system: system.as_str(),
            message: self.words(),
            retryable: matches!(code.as_str(), "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN")
                || self.is_crowded(),
            code,
        })
    }

    fn is_crowded(&self) -> bool {
        self.detail.starts_with("max number of clients")
    }

    /// The server's texts can name the user (NOPERM from 7.2 on), another server (MOVED, ASK) or files (MISCONF), so
    /// the known ones are told in our words.
    fn words(&self) -> String {
        let words = match self.code.as_str() {
            "NOAUTH" => "the server asks for a login and the target has none",
            "WRONGPASS" => "the server refused the target's login",
            "NOPERM" => match self.refused_command() {
                Some(command) => return format!("the target's login may not run `{command}`"),
                None => "the target's login may not access that key",
            },
            "LOADING" => "the server is loading its data",
            "BUSY" => "the server is busy with a script",
            "MASTERDOWN" => "the server is a replica without its master",
            "READONLY" => "the server is a read-only replica",
            "OOM" => "the server is at its memory limit",
            "MISCONF" => "the server cannot save its data and refuses changes",
            "MOVED" | "ASK" => "the key is on another node of the cluster",
            "CLUSTERDOWN" => "the cluster is down",
            "CROSSSLOT" => "the keys are on different nodes of the cluster",
            "TRYAGAIN" => "the keys are moving to another node of the cluster",
            "WRONGTYPE" => "the key holds a value of another type",
            _ if self.is_crowded() => "the server has as many clients as it allows",
            _ => return clean(&self.detail, 200),
        };
        words.to_owned()
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", clean(&self.code, 32), self.words())
    }
}

fn clean(text: &str, most_bytes: usize) -> String {
    cut_bytes(text, most_bytes).chars().filter(|c| !c.is_control()).collect()
}

/// The answers to a batch.
#[derive(Debug)]
pub struct Answers {
    system: System,
    names: IntoIter<String>,
    values: IntoIter<Value>,
    round_trip: Duration,
}

impl Answers {
    pub(super) fn new(system: System, commands: &[Command], values: Vec<Value>, round_trip: Duration) -> Self {
        let names: Vec<String> = commands.iter().map(name).collect();
        Self { system, names: names.into_iter(), values: values.into_iter(), round_trip }
    }

    /// Time from the first byte sent to the last one received.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// The next answer, or the server's error as the caller's.
    pub fn take<T: FromRedisValue>(&mut self) -> Result<T, CallError> {
        let system = self.system;
        self.try_take()?.map_err(|error| error.to_call_error(system))
    }

    /// The next answer, with the server's error to look at.
    pub fn try_take<T: FromRedisValue>(&mut self) -> Result<Result<T, ServerError>, CallError> {
        let name = self.names.next().unwrap_or_default();
        let unexpected = || CallError::Unavailable(format!("the server's answer to {name} is not what it should be"));
        match self.values.next().ok_or_else(unexpected)? {
            Value::ServerError(error) => Ok(Err(ServerError::new(&error))),
            value => T::from_redis_value(value).map(Ok).map_err(|_| unexpected()),
        }
    }
}

fn name(command: &Command) -> String {
    command.words().first().map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_error(code: &str, detail: &str) -> ServerError {
        ServerError { code: code.to_owned(), detail: detail.to_owned() }
    }

    #[test]
    fn errors_are_told_without_users_and_addresses() {
        let table = [
            ("NOPERM", "User monitor has no permissions to run the 'config|get' command", "may not run `config|get`"),
            ("NOPERM", "this user has no permissions to access one of the keys used as arguments", "that key"),
            ("MOVED", "3999 10.0.0.7:6381", "another node"),
            ("ASK", "3999 10.0.0.7:6381", "another node"),
            ("MISCONF", "Redis is configured to save RDB snapshots to /var/lib/secret", "cannot save its data"),
            ("NOAUTH", "Authentication required.", "asks for a login"),
        ];
        for (code, detail, words) in table {
            let CallError::Remote(error) = server_error(code, detail).to_call_error(System::Redis) else {
                panic!("{code} is no remote error")
            };
            assert_eq!((error.system, error.code.as_str()), ("redis", code));
            assert!(error.message.contains(words), "{code}: {}", error.message);
            for hidden in ["monitor", "10.0.0.7", "/var"] {
                assert!(!error.message.contains(hidden), "{code}: {}", error.message);
            }
        }
    }

    #[test]
    fn what_passes_by_itself_can_be_tried_again() {
        for (code, detail, retryable) in [
            ("LOADING", "Redis is loading the dataset in memory", true),
            ("BUSY", "Redis is busy running a script.", true),
            ("ERR", "max number of clients reached", true),
            ("WRONGPASS", "invalid username-password pair or user is disabled.", false),
            ("ERR", "syntax error", false),
        ] {
            let CallError::Remote(error) = server_error(code, detail).to_call_error(System::Queue) else {
                panic!("{code} is no remote error")
            };
            assert_eq!(error.retryable, retryable, "{code} {detail}");
        }
    }

    #[test]
    fn hostile_error_texts_are_cut_and_lose_their_control_characters() {
        let error = server_error("ERR\u{1b}[31m", &format!("\u{1b}[2J\r\n{}", "x".repeat(10_000)));
        let CallError::Remote(error) = error.to_call_error(System::Redis) else { panic!("no remote error") };
        assert!(error.message.len() <= 200 && !error.message.contains('\u{1b}') && !error.code.contains('\u{1b}'));
        assert_eq!(server_error("NOPERM", "to run the 'a\u{1b}b' command").refused_command(), None);
    }
}
