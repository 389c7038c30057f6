//! A guest that tries to change what was not planned, granted or bounded: what each attempt was, and what stopped it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

use paramedic::clients::queue;
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::Answer;
use paramedic_tests::bullmq::{Bullmq, Job, Version};
use paramedic_tests::redis::Redis;
use paramedic_tests::{access, components, secret};
use serde_json::{Value, json};

/// What stands against an attempt, by what the record says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fence {
    /// The grant, when the plan is made.
    Grant,
    /// The bounds of the grant, when the plan is made.
    Bounds,
    /// The arguments make no sense.
    Invalid,
    /// The plan, when it is applied; the run ends.
    Plan,
    /// The budget of calls; the run ends.
    Calls,
}

/// An attempt: its name, what the guest is told, and what stops it.
type Attempt = (&'static str, Value, Fence);

fn remove(pattern: &str, limit: u32) -> Value {
    json!({ "do": "remove", "target": "cache", "pattern": pattern, "limit": limit })
}

fn pause(target: &str) -> Value {
    json!({ "do": "pause", "target": target })
}

fn clean(min_age: f64, limit: u32) -> Value {
    json!({ "do": "clean", "target": "email", "min_age": min_age, "limit": limit })
}

fn expire(pattern: &str, ttl: f64) -> Value {
    json!({ "do": "expire", "target": "cache", "pattern": pattern, "limit": 5, "ttl": ttl })
}

fn attempts() -> Vec<Attempt> {
    let only = |ask: Value| json!({ "first": [ask] });
    // It plans one harmless thing, and means another.
    let turn = |by: &str, then: Value| json!({ "first": [remove("tmp:1", 1)], "then": then, "turn": by });
    let long = "k".repeat(4096);
    vec![
        // Outside the grant.
        ("another queue", only(pause("legacy")), Fence::Grant),
        ("a queue that there is not", only(pause("nowhere")), Fence::Grant),
        ("a target without a name", only(pause("")), Fence::Grant),
        ("a target with a wildcard", only(pause("*")), Fence::Grant),
        ("a target in other letters", only(pause("EMAIL")), Fence::Grant),
        ("a target with a space", only(pause("email ")), Fence::Grant),
        ("a target with a zero byte", only(pause("email\u{0}")), Fence::Grant),
        ("a target in full-width letters", only(pause("ｅmail")), Fence::Grant),
        ("a target with a path", only(pause("../email")), Fence::Grant),
        ("a target with its system", only(pause("queue/email")), Fence::Grant),
        ("a target of another system", only(pause("cache")), Fence::Grant),
        ("a target whose name is long", only(pause(&long)), Fence::Grant),
        ("a verb that was not granted", only(json!({ "do": "resume", "target": "email" })), Fence::Grant),
        // Outside its bounds.
        ("more keys than a run may", only(remove("tmp:*", 100)), Fence::Bounds),
        ("as many by many calls", json!({ "first": [remove("tmp:*", 3)], "times": 4 }), Fence::Bounds),
        (
            "a life for more keys than a run may",
            only(json!({ "do": "expire", "target": "cache", "pattern": "tmp:*", "limit": 100, "ttl": 60.0 })),
            Fence::Bounds,
        ),
        ("younger jobs than it may", only(clean(0.0, 1)), Fence::Bounds),
        ("a shorter life than it may give", only(expire("tmp:*", 1.0)), Fence::Bounds),
        ("a longer life than it may give", only(expire("tmp:*", 1e7)), Fence::Bounds),
        // What makes no sense.
        ("an age below zero", only(clean(-1.0, 1)), Fence::Invalid),
        ("a life of no time", only(expire("tmp:*", 0.0)), Fence::Invalid),
        ("no keys at all", only(remove("tmp:*", 0)), Fence::Invalid),
        ("an endless pattern", only(remove(&long, 1)), Fence::Invalid),
        ("a pattern of stars", only(remove("*t*m*p*:*1*", 1)), Fence::Invalid),
        // Another thing than it planned.
        ("turns by the mode: another verb", turn("mode", json!([pause("email")])), Fence::Plan),
        ("turns by the mode: other keys", turn("mode", json!([remove("tmp:2", 1)])), Fence::Plan),
        ("turns by the mode: more of them", turn("mode", json!([remove("tmp:1", 2)])), Fence::Plan),
        ("turns by the mode: a wider pattern", turn("mode", json!([remove("tmp:*", 1)])), Fence::Plan),
        ("turns by the mode: a glob that means the same", turn("mode", json!([remove("tmp:[1]", 1)])), Fence::Plan),
        ("turns by the mode: another spelling", turn("mode", json!([remove("tmp:\\1", 1)])), Fence::Plan),
        (
            "turns by the mode: the same and one more",
            turn("mode", json!([remove("tmp:1", 1), remove("tmp:2", 1)])),
            Fence::Plan,
        ),
        (
            "turns by the mode: then something else",
            turn("mode", json!([remove("tmp:1", 1), pause("email")])),
            Fence::Plan,
        ),
        (
            "turns by the mode: first something else",
            turn("mode", json!([pause("email"), remove("tmp:1", 1)])),
            Fence::Plan,
        ),
        ("turns by the mode: all it may", turn("mode", json!([remove("tmp:*", 10)])), Fence::Plan),
        ("turns by the mode: a life", turn("mode", json!([expire("tmp:1", 60.0)])), Fence::Plan),
        ("turns by the time", turn("time", json!([pause("email")])), Fence::Plan),
        ("turns by the time: other keys", turn("time", json!([remove("tmp:3", 1)])), Fence::Plan),
        ("turns by chance", turn("chance", json!([pause("email")])), Fence::Plan),
        ("turns by chance: other keys", turn("chance", json!([remove("tmp:4", 1)])), Fence::Plan),
        // In loops.
        ("asks in a loop", json!({ "first": [pause("legacy")], "times": 100_000 }), Fence::Calls),
        ("plans in a loop", json!({ "first": [pause("email")], "times": 100_000 }), Fence::Calls),
        ("nonsense in a loop", json!({ "first": [clean(-1.0, 1)], "times": 100_000 }), Fence::Calls),
    ]
}

/// Twenty keys that never expire.
fn fill(redis: &Redis, prefix: &str) {
    for number in 1..=20 {
        redis.command::<()>(&["SET", &format!("{prefix}:{number}"), "x"]).unwrap();
    }
}

struct Ship {
    agent: Agent,
    token: String,
    admin: String,
    redis: Redis,
    queue: Bullmq,
}

impl Ship {
    fn launch() -> Self {
        let redis = Redis::start(&[]).unwrap();
        let queue = Bullmq::start(Version::V5, &redis.admin_url(), "bull", "email").unwrap();
        queue.work(2).unwrap();
        queue.add(&vec![Job::named("send").failing("550"); 5]).unwrap();
        queue.until("failed", 5).unwrap();
        fill(&redis, "tmp");
        fill(&redis, "order");
        let home = Home::new().unwrap();
        home.write("keys", &redis.freer("*").unwrap()).unwrap();
        let rules = queue::acting_rules();
        let (_, rules) = rules.split_once(">PASSWORD ").unwrap();
        home.write("queue", &redis.user(&rules.replace("PREFIX:NAME", "bull:*")).unwrap()).unwrap();
        let (address, token, admin) = (agent::free_address().unwrap(), secret::random(), secret::random());
        let configuration = json!({
            "server": { "listen": address },
            "auth": access::auth(&home, &[("mallory", "responder", &token), ("bosun", "admin", &admin)]).unwrap(),
            "targets": {
                "redis": { "cache": { "url": { "file": "keys" } }, "jobs": { "url": { "file": "queue" } } },
                "queue": {
                    "email": { "redis": "jobs", "name": "email", "bullmq": 5 },
                    "legacy": { "redis": "jobs", "name": "legacy", "bullmq": 5 },
                },
            },
            "plugins": { "mutineer": {
                "source": { "file": components::guest("mutineer").unwrap() },
                "grants": [
                    { "queue": "email", "verbs": ["pause"], "per_run": 5 },
                    { "queue": "email", "verbs": ["clean-failed"], "per_run": 3, "min_age": "1h" },
                    { "redis": "cache", "verbs": ["remove-keys"], "keys": ["tmp:*"], "per_run": 10, "per_hour": 1000 },
                    { "redis": "cache", "verbs": ["expire-keys"], "keys": ["tmp:*"], "per_run": 10, "ttl": "10s..1d" },
                ],
                "limits": { "calls": 200 },
            } },
            "quarantine": { "faults": 1000 },
        });
        let agent = Agent::start(home, &configuration.to_string(), &address).unwrap();
        Self { agent, token, admin, redis, queue }
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        let fields = ["content-type: application/json"];
        self.agent.api(Some(&self.token)).ask("POST", path, &fields, &body.to_string()).unwrap()
    }

    /// The run that planned, and the one that applied if there was something to apply.
    fn attempt(&self, params: &Value) -> (Value, Option<Value>) {
        let body = json!({ "plugin": "mutineer", "params": params, "mode": "plan" });
        let planned = self.post("/v1/runs", &body);
        assert_eq!(planned.status, 200, "{}", planned.body);
        let planned = planned.json().unwrap();
        let has_changes = planned["plan"]["changes"].as_array().is_some_and(|changes| !changes.is_empty());
        let apply = || self.post(&format!("/v1/plans/{}/apply", planned["id"].as_str().unwrap()), &json!({}));
        let applied = has_changes.then(apply).map(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.json().unwrap()
        });
        (planned, applied)
    }

    /// Somebody trusts the guest again: a breaker that opened after one attempt must not stand for another fence in the next.
    fn forgive(&self) {
        let api = self.agent.api(Some(&self.admin));
        let answer = api.ask("POST", "/v1/plugins/mutineer/close-breaker", &[], "").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Everything that must be as it was, whatever a guest planned and did: orders, the queue and its jobs.
    fn untouched(&self) -> Value {
        let orders: Vec<String> = self.redis.command(&["KEYS", "order:*"]).unwrap();
        let ttls: Vec<i64> = orders.iter().map(|key| self.redis.command(&["TTL", key]).unwrap()).collect();
        let failed = self.queue.counts().unwrap()["failed"];
        json!({ "orders": orders.len(), "ttls": ttls, "failed": failed, "paused": self.queue.is_paused().unwrap() })
    }

    fn keys(&self) -> usize {
        self.redis.command::<Vec<String>>(&["KEYS", "tmp:*"]).unwrap().len()
    }
}

/// What stopped a run, by its failure or by the calls that were refused.
fn fence(planned: &Value, applied: Option<&Value>) -> Option<Fence> {
    let failed = |run: &Value, kind: &str| run["failure"]["kind"] == kind;
    if applied.is_some_and(|run| failed(run, "not_in_plan")) {
        return Some(Fence::Plan);
    }
    if failed(planned, "calls") {
        return Some(Fence::Calls);
    }
    let refused = planned["calls"].as_array().unwrap().iter().find(|call| call.get("error").is_some())?;
    match (refused["decision"].as_str().unwrap(), refused["error"].as_str().unwrap()) {
        ("not_granted", _) => Some(Fence::Grant),
        ("out_of_bounds", _) => Some(Fence::Bounds),
        ("permitted", error) if error.starts_with("invalid") => Some(Fence::Invalid),
        _ => None,
    }
}

#[test]
fn whatever_a_mutineer_tries_something_stops_it_before_anything_happens() {
    let ship = Ship::launch();
    let (attempts, before) = (attempts(), ship.untouched());
    assert!(attempts.len() >= 40, "{}", attempts.len());
    let mut wrong = Vec::new();
    for (what, params, expected) in attempts {
        let (keys, (planned, applied)) = (ship.keys(), ship.attempt(&params));
        let found = fence(&planned, applied.as_ref());
        println!("{what:48} {expected:?}");
        if found != Some(expected) {
            let calls = &planned["calls"];
            wrong.push(format!("{what}: {found:?} instead of {expected:?}; {calls} {}", applied.unwrap_or_default()));
        } else if ship.untouched() != before {
            wrong.push(format!("{what}: something was touched: {}", ship.untouched()));
        } else if keys - ship.keys() > 10 {
            wrong.push(format!("{what}: {} keys are gone", keys - ship.keys()));
        }
        // Where the plan held against it, what was planned before may have been done, and is put back for the next.
        fill(&ship.redis, "tmp");
        ship.forgive();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_plan_remembers_is_forgotten_with_it() {
    let ship = Ship::launch();
    let turned = json!({ "first": [remove("tmp:1", 1)], "then": [pause("email")], "turn": "memory" });
    let (_, applied) = ship.attempt(&turned);
    let applied = applied.unwrap();
    assert_eq!(applied["changes"][0]["fate"], "applied", "{applied}");
    assert!(!ship.queue.is_paused().unwrap());
}

#[test]
fn bounds_hold_where_a_plan_lists_more_than_the_world_has_later() {
    let ship = Ship::launch();
    let body = json!({ "plugin": "mutineer", "params": { "first": [remove("tmp:*", 3)] }, "mode": "plan" });
    let planned = ship.post("/v1/runs", &body).json().unwrap();
    assert_eq!(planned["plan"]["changes"][0]["objects"], 3, "{planned}");
    let applied = ship.post(&format!("/v1/plans/{}/apply", planned["id"].as_str().unwrap()), &json!({}));
    assert_eq!(applied.json().unwrap()["changes"][0]["objects"], 3, "{}", applied.body);
    assert_eq!(ship.keys(), 17);
}
