//! One agent for all these tests: three who may ask, a Redis, a web shop that is down, and plugins of which one lacks
//! its grants and one was not delivered yet.

use std::sync::OnceLock;

use anyhow::anyhow;
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::Api;
use paramedic_tests::http::Endpoint;
use paramedic_tests::redis::Redis;
use paramedic_tests::{access, components, wait};
use serde_json::Value;

/// The token of alice, who may do everything.
pub const TOKEN: &str = "4b2f0a6e8d1c4f7e9a3b5c6d7e8f9012";

/// The token of vera, who may only look.
pub const VIEWER_TOKEN: &str = "7a1c3e5f9b2d4068acde0123456789ab";

/// The token of bob, who may run plugins.
pub const OTHER_TOKEN: &str = "0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f";

/// The agent of this test binary.
pub fn agent() -> &'static Agent {
    static SHARED: OnceLock<Result<Agent, String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| start("max_concurrent_runs: 64").map_err(|error| format!("{error:#}")));
    shared.as_ref().map_err(|error| anyhow!("the agent did not start: {error}")).unwrap()
}

/// Its API as alice sees it.
pub fn api() -> Api {
    agent().api(Some(TOKEN))
}

/// A private agent with a further setting of the server.
pub fn start(server: &str) -> anyhow::Result<Agent> {
    let home = Home::new()?;
    home.write("redis", &Redis::shared()?.reader("*")?)?;
    home.write("postgres", "postgres://nobody:nothing@127.0.0.1:1/nowhere")?;
    let address = agent::free_address()?;
    let file = |path: anyhow::Result<std::path::PathBuf>| anyhow::Ok(path?.display().to_string());
    let configuration = format!(
        r#"
server: {{ listen: "{address}", {server} }}
auth: {auth}
targets:
  redis: {{ cache: {{ url: {{ file: redis }} }} }}
  postgres: {{ main: {{ url: {{ file: postgres }} }} }}
  http: {{ api: {{ base_url: "{shop}", allow_private: true }} }}
plugins:
  redis-ping:
    source: {{ file: "{redis_ping}" }}
    grants: [ {{ redis: cache, verbs: [ping, info, slow-log] }} ]
  http-health:
    source: {{ file: "{http_health}" }}
    grants: [ {{ http: api, verbs: [get], paths: ["/**"] }} ]
  pg-slow-queries:
    source: {{ file: "{pg_slow_queries}" }}
    grants: [ {{ postgres: main, verbs: [statements] }} ]
  pg-connections:
    source: {{ file: "{pg_connections}" }}
  trouble:
    source: {{ file: "{trouble}" }}
  noop: {{ source: upload }}
sweeps:
  on-demand: {{ checks: [ {{ plugin: trouble, params: {{ do: fail, message: no idea }} }} ] }}
"#,
        auth = access::auth(
            &home,
            &[("alice", "admin", TOKEN), ("bob", "responder", OTHER_TOKEN), ("vera", "viewer", VIEWER_TOKEN)]
        )?,
        shop = shop()?.url(),
        redis_ping = file(components::plugin("redis-ping"))?,
        http_health = file(components::plugin("http-health"))?,
        pg_slow_queries = file(components::plugin("pg-slow-queries"))?,
        pg_connections = file(components::plugin("pg-connections"))?,
        trouble = file(components::guest("trouble"))?,
    );
    Agent::start(home, &configuration, &address)
}

fn shop() -> anyhow::Result<&'static Endpoint> {
    static SHOP: OnceLock<Result<Endpoint, String>> = OnceLock::new();
    let start = || Endpoint::start("503 Service Unavailable", "no database\n").map_err(|error| format!("{error:#}"));
    SHOP.get_or_init(start).as_ref().map_err(|error| anyhow!("the web shop did not start: {error}"))
}

/// The run at `location` once it has ended.
pub fn settled(api: &Api, location: &str) -> anyhow::Result<Value> {
    wait::until("the run to end", || {
        let run = api.get(location, &[])?.json()?;
        Ok(Some(run).filter(|run| run["state"] != "running"))
    })
}
