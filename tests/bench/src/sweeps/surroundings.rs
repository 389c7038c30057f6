//! What the sweeps look at, and the agent that runs them.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use paramedic_tests::api::Api;
use paramedic_tests::http::Endpoint;
use paramedic_tests::postgres::{Database, Postgres, Settings};
use paramedic_tests::redis::Redis;
use paramedic_tests::{access, components, ports};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::TOKEN;
use crate::Bench;
use crate::program::Program;

/// Shorter than the client's own patience with a Redis that does not answer, so that the run's deadline is what ends the check.
const DEADLINE: Duration = Duration::from_millis(2500);

/// The checks of one sweep. The last is the one that hangs.
const CHECKS: &str = "[noop, noop, noop, noop, noop, noop, pg-ready, redis-ping, http-health, \
                      { plugin: redis-ping, params: { target: stuck } }]";

/// The checked systems. They end when this is dropped.
pub struct Surroundings {
    folder: PathBuf,
    redis: Redis,
    database: Database,
    shop: Endpoint,
    stuck: Stuck,
    _postgres: Postgres,
}

/// A running agent, and where it is.
pub struct Agent {
    program: Program,
    address: SocketAddr,
}

/// Accepts every connection and never says a word.
struct Stuck {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Stuck {
    fn start(bench: &Bench) -> anyhow::Result<Self> {
        let listener = bench.generator.block_on(TcpListener::bind("127.0.0.1:0")).context("no free port")?;
        let address = listener.local_addr()?;
        let accepting = bench.generator.spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Ok(Self { address, accepting })
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Surroundings {
    pub fn start(bench: &Bench) -> anyhow::Result<Self> {
        let postgres = Postgres::start(&Settings::default())?;
        Ok(Self {
            folder: bench.scratch.path().join("sweeps"),
            redis: Redis::start(&[])?,
            database: postgres.database()?,
            shop: Endpoint::start("200 OK", "open\n")?,
            stuck: Stuck::start(bench)?,
            _postgres: postgres,
        })
    }

    /// An agent with a store of its own and so many sweeps.
    pub fn agent(&self, name: &str, sweeps: usize) -> anyhow::Result<Agent> {
        let home = self.folder.join(name);
        fs::create_dir_all(&home)?;
        let address = format!("127.0.0.1:{}", ports::free()?).parse()?;
        fs::write(home.join("token-key"), access::key())?;
        fs::write(home.join("postgres"), self.database.monitor()?)?;
        fs::write(home.join("redis"), self.redis.reader("*")?)?;
        fs::write(home.join("stuck"), format!("redis://{}", self.stuck.address))?;
        fs::write(home.join("paramedic.yaml"), self.configuration(address, sweeps)?)?;
        Ok(Agent { program: Program::start(&home, address)?, address })
    }

    fn configuration(&self, address: SocketAddr, sweeps: usize) -> anyhow::Result<String> {
        let auth = access::section("token-key", &[("bench", "responder", TOKEN)]);
        let plugin = |name: &str| anyhow::Ok(components::plugin(name)?.display().to_string());
        let head = format!(
            r#"
server: {{ listen: "{address}" }}
auth: {auth}
targets:
  postgres: {{ main: {{ url: {{ file: postgres }} }} }}
  redis: {{ cache: {{ url: {{ file: redis }} }}, stuck: {{ url: {{ file: stuck }} }} }}
  http: {{ api: {{ base_url: "{shop}", allow_private: true }} }}
plugins:
  noop: {{ source: {{ file: "{noop}" }} }}
  pg-ready:
    source: {{ file: "{pg_ready}" }}
    grants: [ {{ postgres: main, verbs: [inspect] }} ]
  redis-ping:
    source: {{ file: "{redis_ping}" }}
    grants: [ {{ redis: cache, verbs: [ping, info, slow-log] }}, {{ redis: stuck, verbs: [ping, info, slow-log] }} ]
    limits: {{ deadline: {deadline}ms }}
  http-health:
    source: {{ file: "{http_health}" }}
    grants: [ {{ http: api, verbs: [get], paths: ["/**"] }} ]
sweeps:
"#,
            shop = self.shop.url(),
            noop = components::guest("noop")?.display(),
            pg_ready = plugin("pg-ready")?,
            redis_ping = plugin("redis-ping")?,
            http_health = plugin("http-health")?,
            deadline = DEADLINE.as_millis(),
        );
        (0..sweeps).try_fold(head, |mut text, number| {
            writeln!(text, "  {}: {{ every: 1m, checks: {CHECKS} }}", sweep_name(number))?;
            Ok(text)
        })
    }
}

impl Agent {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn api(&self) -> Api {
        Api::new(&self.address.to_string(), Some(TOKEN))
    }

    pub fn resident_mebibytes(&self) -> anyhow::Result<f64> {
        self.program.resident_mebibytes()
    }
}

/// The name of a sweep, by which its splay is known.
pub fn sweep_name(number: usize) -> String {
    format!("sweep-{number}")
}
