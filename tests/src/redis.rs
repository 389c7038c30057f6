//! Throwaway Redis servers. The user `default` is off, as the agent's documentation asks; everybody has a login with
//! the rights of one purpose.

use std::fs::read_to_string;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::redis::{Client, Connection, FromRedisValue};
use anyhow::{Context, anyhow};

use crate::process::{self, Server, StopSignal};
use crate::{ports, secret};

/// What looking at a server takes: reads that neither block nor leak, and the named subcommands of the rest.
const READER_RULES: &str = "+@read -@dangerous -@blocking -randomkey -dump -xread -sort_ro \
     +ping +info +role +scan +memory|usage +slowlog|get +slowlog|len +object|idletime +object|freq +dbsize \
     +command|getkeysandflags +command|info +acl|whoami +time +client|setname";

/// What looking at a queue and changing it takes, by hash, list and script.
const QUEUE_RULES: &str = "+evalsha +eval +script|load +hget +hmget +hgetall +hset +hdel +hexists +hlen +hstrlen \
     +exists +type +llen +lrange +lindex +lpos +lpush +rpush +lmove +lrem +rename +zcard +zcount +zrange \
     +zrangebyscore +zrevrange +zscore +zadd +zrem +del +unlink +xadd +xrevrange +pttl +ttl +get +ping +info +role \
     +time +client|list +acl|whoami +client|setname +set +incr +sadd +srem +scard +sismember +publish";

/// A running server.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    port: u16,
    password: String,
}

impl Redis {
    /// The server of this test binary. Its memory has no limit.
    pub fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceLock<Result<Redis, String>> = OnceLock::new();
        let start = || Redis::start(&[]).map_err(|error| format!("{error:#}"));
        SHARED.get_or_init(start).as_ref().map_err(|error| anyhow!("the shared Redis did not start: {error}"))
    }

    /// A private server; the arguments are those of `redis-server`, such as `["--maxmemory", "64mb"]`.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let password = secret::random();
        ports::with_free(|port| {
            let directory = process::temporary_directory("redis")?;
            let users = directory.path().join("users.acl");
            std::fs::write(&users, format!("user default off\nuser admin on >{password} ~* &* +@all\n"))
                .context("cannot write the users of Redis")?;
            let command = command_line(directory.path(), &users, port, arguments);
            let server = Server::start(directory, &command, StopSignal::Terminate, is_ready)?;
            Ok(Redis { server, port, password: password.clone() })
        })
    }

    /// A key prefix that no other test uses, such as `t3:`.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("t{}:", next_number())
    }

    /// The way in of the user who may do everything.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url("admin", &self.password)
    }

    /// A user who may read keys that match a pattern and the server's own figures. The answer is its URL.
    pub fn reader(&self, key_pattern: &str) -> anyhow::Result<String> {
        self.user(&format!("~{key_pattern} {READER_RULES}"))
    }

    /// A user who may also remove keys that match a pattern and let them expire. The answer is its URL.
    pub fn freer(&self, key_pattern: &str) -> anyhow::Result<String> {
        self.user(&format!("~{key_pattern} {READER_RULES} +unlink +pexpireat +persist"))
    }

    /// A user for one queue. The answer is its URL.
    pub fn queue_user(&self, prefix: &str, queue: &str) -> anyhow::Result<String> {
        self.user(&format!("~{prefix}:{queue}:* &{prefix}:{queue}:* {QUEUE_RULES}"))
    }

    /// A user with rules as in `ACL SETUSER`. The answer is its URL.
    pub fn user(&self, rules: &str) -> anyhow::Result<String> {
        let (name, password) = (format!("u{}", next_number()), secret::random());
        let secret = format!(">{password}");
        let head = ["ACL", "SETUSER", &name, "reset", "on", &secret];
        let command: Vec<&str> = head.into_iter().chain(rules.split_whitespace()).collect();
        self.command::<()>(&command)?;
        Ok(self.url(&name, &password))
    }

    /// Runs a command as the administrator.
    pub fn command<T: FromRedisValue>(&self, command: &[&str]) -> anyhow::Result<T> {
        let (name, arguments) = command.split_first().context("no command")?;
        let answer = ::redis::cmd(name).arg(arguments).query(&mut self.connect()?);
        answer.with_context(|| format!("Redis refused {name}"))
    }

    /// A connection of the administrator.
    pub fn connect(&self) -> anyhow::Result<Connection> {
        let client = Client::open(self.admin_url()).context("not a Redis URL")?;
        client.get_connection().context("cannot connect to Redis")
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everything the server logged so far.
    pub fn log(&self) -> anyhow::Result<String> {
        self.server.log().context("cannot read the log of Redis")
    }

    fn url(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@127.0.0.1:{}/0", self.port)
    }
}

fn command_line(directory: &Path, users: &Path, port: u16, arguments: &[&str]) -> Vec<String> {
    let (directory, users, port) = (directory.display().to_string(), users.display().to_string(), port.to_string());
    let place = ["redis-server", "--bind", "127.0.0.1", "--port", &port, "--dir", &directory, "--aclfile", &users];
    let nothing_kept = ["--save", "", "--appendonly", "no"];
    let words = place.into_iter().chain(nothing_kept).chain(arguments.iter().copied());
    words.map(str::to_owned).collect()
}

/// In our own log, so that another server on the same port cannot be mistaken for this one.
fn is_ready(directory: &Path) -> bool {
    read_to_string(directory.join("log")).is_ok_and(|log| log.contains("Ready to accept connections"))
}

fn next_number() -> usize {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
