//! An agent that may change what is in a Redis, as operators run it.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use paramedic::clients::queue;
use paramedic_tests::api::Api;
use paramedic_tests::bullmq::{Bullmq, Version};
use paramedic_tests::redis::Redis;
use paramedic_tests::{access, components, ports};
use serde_json::{Value, json};

use crate::program::Program;
use crate::server::TOKEN;

/// The queue under its care.
pub const QUEUE: &str = "email";

/// The agent and its Redis.
pub struct Ward {
    _program: Program,
    address: String,
    /// The queue, opened by its library.
    pub bullmq: Bullmq,
    /// The server.
    pub redis: Redis,
    url: String,
}

impl Ward {
    /// Starts both, with what the agent keeps in `folder`.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let redis = Redis::start(&[])?;
        let bullmq = Bullmq::start(Version::V5, &redis.admin_url(), "bull", QUEUE)?;
        let url = redis.freer("*")?;
        let rules = queue::acting_rules().replace("PREFIX:NAME", &format!("bull:{QUEUE}"));
        let (_, rules) = rules.split_once(">PASSWORD ").context("the documented rules have another form")?;
        let address = format!("127.0.0.1:{}", ports::free()?);
        fs::write(folder.join("token-key"), access::key())?;
        fs::write(folder.join("cache-url"), &url)?;
        fs::write(folder.join("jobs-url"), redis.user(rules)?)?;
        fs::write(folder.join("paramedic.yaml"), configuration(&address)?.to_string())?;
        let program = Program::start(folder, address.parse()?)?;
        Ok(Self { _program: program, address, bullmq, redis, url })
    }

    /// Where the keys are, with the rights of the agent.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// So many keys `<prefix><number>` that never expire.
    pub fn set_keys(&self, prefix: &str, keys: u32) -> anyhow::Result<()> {
        let script = "for i = ARGV[2], ARGV[3] do redis.call('SET', ARGV[1] .. i, 'value ' .. i) end";
        self.in_steps(script, prefix, keys)
    }

    /// So many failed jobs.
    pub fn fail_jobs(&self, jobs: u32) -> anyhow::Result<()> {
        let script = "for i = ARGV[2], ARGV[3] do
            local id = 'f' .. string.format('%d', i)
            redis.call('HSET', ARGV[1] .. id, 'name', 'send', 'timestamp', 1, 'opts', '{}', 'data', '{}', 'failedReason', '550')
            redis.call('ZADD', ARGV[1] .. 'failed', 1700000000000 + i, id)
        end";
        self.in_steps(script, &format!("bull:{QUEUE}:"), jobs)
    }

    /// Runs a script that takes a prefix and the first and last number of its part.
    fn in_steps(&self, script: &str, prefix: &str, total: u32) -> anyhow::Result<()> {
        for first in (1..=total).step_by(10_000) {
            let last = total.min(first + 9_999);
            self.redis.command::<()>(&["EVAL", script, "0", prefix, &first.to_string(), &last.to_string()])?;
        }
        Ok(())
    }

    fn ask(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let api = Api::new(&self.address, Some(TOKEN));
        let answer = api.ask("POST", path, &["content-type: application/json"], &body.to_string())?;
        ensure!(answer.status == 200, "{path} was refused: {}", answer.body);
        answer.json()
    }

    /// The run that made a plan.
    pub fn plan(&self, plugin: &str, params: &Value) -> anyhow::Result<Value> {
        self.ask("/v1/runs", &json!({ "plugin": plugin, "params": params, "mode": "plan" }))
    }

    /// The run that carried a plan out.
    pub fn apply(&self, plan: &Value) -> anyhow::Result<Value> {
        let id = plan.get("id").and_then(Value::as_str).context("a plan without an id")?;
        self.ask(&format!("/v1/plans/{id}/apply"), &json!({}))
    }
}

fn configuration(address: &str) -> anyhow::Result<Value> {
    let most = json!({ "calls": 10_000, "deadline": "15m" });
    let plugin = |file: std::path::PathBuf, grants: Value| json!({ "source": { "file": file }, "grants": grants, "limits": most });
    let much = 1_000_000_000;
    let keys = json!({
        "redis": "cache", "verbs": ["remove-keys"], "keys": ["*"], "per_run": 2_000_000, "per_hour": much,
    });
    let jobs = json!({ "queue": "email", "verbs": ["clean-failed"], "per_run": 2_000_000, "per_hour": much });
    let pause = json!({ "queue": "email", "verbs": ["pause", "resume"] });
    Ok(json!({
        "server": { "listen": address },
        "auth": access::section("token-key", &[("bench", "responder", TOKEN)]),
        "targets": {
            "redis": { "cache": { "url": { "file": "cache-url" } }, "jobs": { "url": { "file": "jobs-url" } } },
            "queue": { "email": { "redis": "jobs", "name": QUEUE, "bullmq": 5 } },
        },
        "plugins": {
            "mutineer": plugin(components::guest("mutineer")?, json!([keys, pause, jobs])),
            "redis-evict": plugin(components::plugin("redis-evict")?, json!([keys])),
            "queue-clean": plugin(components::plugin("queue-clean")?, json!([jobs])),
        },
    }))
}
