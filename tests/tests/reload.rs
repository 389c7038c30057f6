//! A configuration that changes while the agent goes on.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

use std::process::{Command, Stdio};
use std::sync::Arc;

use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::{Answer, Api};
use paramedic_tests::redis::Redis;
use paramedic_tests::{access, components, secret, wait};
use serde_json::{Value, json};

/// An agent, and what its file says.
struct Edited {
    agent: Agent,
    address: String,
    token: String,
    configuration: Value,
}

impl Edited {
    /// With the plugin `trouble`, and with `redis-ping` that may ping a Redis.
    fn start() -> Self {
        let home = Home::new().unwrap();
        let (address, token) = (agent::free_address().unwrap(), secret::random());
        home.write("redis", &Redis::shared().unwrap().reader("*").unwrap()).unwrap();
        let configuration = json!({
            "server": { "listen": address },
            "auth": access::auth(&home, &[("alice", "admin", &token)]).unwrap(),
            "targets": { "redis": { "cache": { "url": { "file": "redis" } } } },
            "plugins": {
                "trouble": { "source": { "file": components::guest("trouble").unwrap() }, "limits": { "deadline": "5m" } },
                "redis-ping": {
                    "source": { "file": components::plugin("redis-ping").unwrap() },
                    "grants": [{ "redis": "cache", "verbs": ["ping", "info", "slow-log"] }],
                },
            },
        });
        let agent = Agent::start(home, &configuration.to_string(), &address).unwrap();
        Self { agent, address, token, configuration }
    }

    fn api(&self) -> Api {
        self.agent.api(Some(&self.token))
    }

    /// Writes the file with what `edit` makes of it.
    fn edit(&mut self, edit: impl FnOnce(&mut Value)) {
        edit(&mut self.configuration);
        self.agent.write("paramedic.yaml", &self.configuration.to_string()).unwrap();
    }

    fn reload(&self) -> Answer {
        self.api().ask("POST", "/v1/config:reload", &[], "").unwrap()
    }

    /// What is different, by an agent that has put everything in force.
    fn reloaded(&self) -> Vec<String> {
        let answer = self.reload();
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_value(answer.json().unwrap()["changed"].clone()).unwrap()
    }

    fn ping(&self) -> Value {
        let body = json!({ "plugin": "redis-ping", "params": { "target": "cache", "samples": 2 } });
        self.api().run(&body, &[]).unwrap().json().unwrap()
    }

    fn readiness(&self) -> Value {
        self.api().get("/readyz", &[]).unwrap().json().unwrap()
    }

    fn metric(&self, name: &str) -> String {
        let text = self.api().get("/metrics", &[]).unwrap().body;
        text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap_or("none").to_owned()
    }
}

#[test]
fn plugins_sweeps_targets_and_people_come_and_go_without_a_restart() {
    let mut edited = Edited::start();
    let bobs = secret::random();
    edited.edit(|file| {
        file["auth"] = access::section("token-key", &[("bob", "admin", &bobs)]);
        file["targets"]["redis"]["jobs"] = json!({ "url": { "file": "redis" } });
        file["plugins"]["redis-ping"]["grants"][0]["redis"] = json!("jobs");
        file["plugins"]["noop"] = json!({ "source": { "file": components::guest("noop").unwrap() } });
        file["plugins"].as_object_mut().unwrap().remove("trouble");
        file["sweeps"] = json!({ "often": { "every": "1s", "checks": ["noop"] } });
    });
    assert_eq!(
        edited.reloaded(),
        [
            "changed auth",
            "added targets.redis.jobs",
            "removed plugins.trouble",
            "added plugins.noop",
            "changed plugins.redis-ping",
            "added sweeps.often"
        ]
    );
    assert_eq!(edited.api().get("/v1/plugins", &[]).unwrap().status, 401, "alice may ask no more");

    edited.token = bobs;
    let run =
        |plugin: &str, params: Value| edited.api().run(&json!({ "plugin": plugin, "params": params }), &[]).unwrap();
    assert_eq!(run("noop", json!({})).json().unwrap()["outcome"]["status"], "ok");
    assert_eq!(run("trouble", json!({})).status, 404);
    assert_eq!(run("redis-ping", json!({ "target": "jobs" })).json().unwrap()["outcome"]["status"], "ok");
    let denied = run("redis-ping", json!({ "target": "cache" })).json().unwrap();
    assert!(denied.to_string().contains("denied"), "{denied}");
    wait::until("the new sweep", || {
        let sweep = edited.api().get("/v1/sweeps/often", &[])?.json()?;
        Ok((sweep["state"]["status"] == "ok").then_some(()))
    })
    .unwrap();

    edited.edit(|file| drop(file.as_object_mut().unwrap().remove("sweeps")));
    assert_eq!(edited.reloaded(), ["removed sweeps.often"]);
    assert_eq!(edited.api().get("/v1/sweeps/often", &[]).unwrap().status, 404);
    assert_eq!(edited.metric("paramedic_sweep_status{sweep=\"often\"}"), "none");
    assert!(edited.reloaded().is_empty(), "nothing is different");
}

#[test]
fn a_configuration_with_a_mistake_leaves_the_one_before_in_force() {
    let mut edited = Edited::start();
    let ready = edited.readiness();
    assert_eq!(ready["config"]["current"], true, "{ready}");
    edited.edit(|file| {
        file["plugins"]["redis-ping"]["grants"][0]["redis"] = json!("cash");
        file["plugins"].as_object_mut().unwrap().remove("trouble");
    });
    let refused = edited.reload();
    assert_eq!(refused.status, 422, "{}", refused.body);
    let problem = refused.json().unwrap();
    assert_eq!(problem["type"], "urn:paramedic:problem:config-refused");
    let mistake = problem["errors"][0]["message"].as_str().unwrap();
    assert!(mistake.contains("plugins.redis-ping.grants[0]") && mistake.contains("cache"), "{mistake}");

    let ready = edited.readiness();
    assert_eq!((&ready["ready"], &ready["config"]["current"]), (&json!(true), &json!(false)), "{ready}");
    assert_eq!(ready["config"]["errors"][0], mistake);
    assert_eq!(edited.metric("paramedic_config_current"), "0");
    assert!(edited.agent.log().unwrap().contains("the configuration is refused"));
    assert_eq!(edited.ping()["outcome"]["status"], "ok");
    assert_eq!(edited.api().get("/v1/plugins/trouble", &[]).unwrap().status, 200);

    edited.edit(|file| file["plugins"]["redis-ping"]["grants"][0]["redis"] = json!("cache"));
    assert_eq!(edited.reloaded(), ["removed plugins.trouble"]);
    assert_eq!(edited.readiness()["config"]["current"], true);
    assert_eq!(edited.metric("paramedic_config_current"), "1");
}

#[test]
fn nobody_is_locked_out_by_an_empty_list_of_tokens() {
    let mut edited = Edited::start();
    edited.edit(|file| file["auth"]["tokens"] = json!([]));
    let refused = edited.reload();
    assert!(refused.status == 422 && refused.body.contains("auth.tokens is empty"), "{}", refused.body);
    assert_eq!(edited.ping()["outcome"]["status"], "ok");
}

#[test]
fn the_signal_and_the_file_itself_are_enough() {
    let mut edited = Edited::start();
    edited.edit(|file| file["plugins"]["redis-ping"]["settings"] = json!({ "by": "its file" }));
    let applied = "paramedic_config_reloads_total{result=\"applied\"}";
    let reached = |edited: &Edited, wanted: u64| {
        wait::until("the configuration to be in force", || {
            Ok((edited.metric(applied).parse::<u64>()? >= wanted).then_some(()))
        })
        .unwrap();
    };
    reached(&edited, 1);
    let log = edited.agent.log().unwrap();
    assert!(log.contains("changed plugins.redis-ping"), "{log}");
    edited.agent.hang_up().unwrap();
    reached(&edited, 2);
    assert!(edited.agent.log().unwrap().contains("SIGHUP"));
}

#[test]
fn a_secret_that_changes_in_its_file_is_used_from_then_on() {
    let edited = Edited::start();
    let redis = Redis::shared().unwrap();
    let url = std::fs::read_to_string(edited.agent.directory().join("redis")).unwrap();
    let user = url.trim_start_matches("redis://").split(':').next().unwrap().to_owned();
    let replacement = redis.reader("*").unwrap();
    redis.command::<i64>(&["ACL", "DELUSER", &user]).unwrap();
    assert_ne!(edited.ping()["outcome"]["status"], "ok");
    edited.agent.write("redis", &replacement).unwrap();
    wait::until("the agent to log in with the new secret", || {
        Ok((edited.ping()["outcome"]["status"] == "ok").then_some(()))
    })
    .unwrap();
    let log = edited.agent.log().unwrap();
    let password = replacement.rsplit_once('@').unwrap().0.rsplit_once(':').unwrap().1;
    assert!(log.contains("changed targets.redis.cache") && !log.contains(password), "{log}");
}

#[test]
fn a_grant_that_is_taken_away_is_gone_and_who_runs_already_comes_to_the_end() {
    let mut edited = Edited::start();
    let api = Arc::new(edited.api());
    let body = json!({ "plugin": "trouble", "params": { "do": "sleep-in-host", "seconds": 250.0 } });
    let started = api.run(&body, &["prefer: respond-async"]).unwrap();
    assert_eq!(started.status, 202, "{}", started.body);
    let id = started.json().unwrap()["id"].as_str().unwrap().to_owned();

    edited.edit(|file| {
        file["plugins"]["redis-ping"]["grants"] = json!([]);
        file["plugins"].as_object_mut().unwrap().remove("trouble");
    });
    assert_eq!(edited.reloaded(), ["removed plugins.trouble", "changed plugins.redis-ping"]);
    let refused = api.run(&json!({ "plugin": "redis-ping", "params": { "target": "cache" } }), &[]).unwrap();
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("add plugins.redis-ping.grants: - { redis: <target>, verbs: ["), "{}", refused.body);
    assert_eq!(api.run(&body, &[]).unwrap().status, 404);
    let run = api.get(&format!("/v1/runs/{id}"), &[]).unwrap().json().unwrap();
    assert_eq!(run["state"], "running", "{run}");
    let cancelled = api.ask("DELETE", &format!("/v1/runs/{id}"), &[], "").unwrap();
    assert_eq!(cancelled.json().unwrap()["failure"]["kind"], "cancelled", "{}", cancelled.body);
}

#[test]
fn what_holds_only_after_a_restart_is_named() {
    let mut edited = Edited::start();
    edited.edit(|file| {
        file["server"]["max_concurrent_runs"] = json!(7);
        file["store"] = json!({ "retain": { "age": "9d" } });
    });
    let answer = edited.reload().json().unwrap();
    assert_eq!(answer["needs_restart"], json!(["server.max_concurrent_runs"]), "{answer}");
    assert_eq!(answer["changed"], json!(["changed store.retain"]));
    assert_eq!(edited.readiness()["config"]["needs_restart"], json!(["server.max_concurrent_runs"]));
}

#[test]
fn the_command_line_tells_what_is_different_and_what_is_wrong() {
    let mut edited = Edited::start();
    let reload = |edited: &Edited| {
        let mut command = Command::new(agent::program().unwrap());
        let url = format!("http://{}", edited.address);
        command.env_clear().env("PARAMEDIC_URL", url).env("PARAMEDIC_TOKEN", &edited.token);
        let output = command.args(["config", "reload"]).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    edited.edit(|file| file["plugins"]["redis-ping"]["params"] = json!({ "samples": 3 }));
    let (code, card, complaint) = reload(&edited);
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{card}");
    assert!(card.ends_with("; 1 thing is different:\n  changed plugins.redis-ping\n"), "{card}");
    edited.agent.write("paramedic.yaml", "plugins: [").unwrap();
    let (code, card, complaint) = reload(&edited);
    assert_eq!((code, card.as_str()), (Some(3), ""));
    assert!(complaint.contains("the one before stays in force") && complaint.contains("\n  1:"), "{complaint}");
}
