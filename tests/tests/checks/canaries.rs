//! Every credential of a configuration is one that stands nowhere else. Whatever happens, none of them leaves the agent
//! by another way than to the service that it is for.

use std::fs;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use paramedic_tests::canaries::{self, Canaries, password};
use paramedic_tests::http::Endpoint;
use paramedic_tests::postgres::{Postgres, Settings};
use paramedic_tests::redis::Redis;
use paramedic_tests::{agent, ports, secret};
use serde_json::{Value, json};

use crate::fixture::{Paramedic, Secrets, guest, plugin, plugins};

/// The credentials that must not be found, and something that may be, to know that it would have been.
struct Watch {
    canaries: Canaries,
    decoy: String,
    decoy_places: Vec<String>,
}

impl Watch {
    fn new(canaries: &[&str]) -> Self {
        Watch { canaries: Canaries::of(canaries), decoy: secret::random(), decoy_places: Vec::new() }
    }

    fn look(&mut self, place: &str, bytes: &[u8]) {
        self.canaries.look(place, bytes).unwrap();
        if canaries::holds(bytes, &self.decoy) {
            self.decoy_places.push(place.to_owned());
        }
    }

    /// Runs a check and looks at every form in which its run is shown.
    fn run(&mut self, paramedic: &Paramedic, plugin: &str, params: &Value) -> Value {
        let answer = paramedic.ask(plugin, params);
        assert_eq!(answer.status, 200, "{plugin} {params}: {}", answer.body);
        self.look(&format!("the answer to {plugin} {params}"), format!("{}{}", answer.head, answer.body).as_bytes());
        let place = answer.field("location");
        for kind in ["application/json", "text/plain"] {
            let shown = paramedic.api.get(place, &[&format!("accept: {kind}")]).unwrap();
            assert_eq!(shown.status, 200, "{}", shown.body);
            self.look(&format!("{plugin} {params} as {kind}"), shown.body.as_bytes());
        }
        answer.json().unwrap()
    }

    /// Looks at everything that the agent shows without a run, at its log and at its files.
    fn look_around(&mut self, paramedic: &Paramedic) {
        let lists = ["/v1/runs?limit=200", "/v1/plugins", "/metrics", "/readyz", "/healthz", "/openapi.json"];
        let plugins = ["/v1/plugins/pg-ready", "/v1/plugins/redis-ping", "/v1/plugins/http-health"];
        for path in lists.into_iter().chain(plugins) {
            let answer = paramedic.api.get(path, &[]).unwrap();
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            self.look(path, answer.body.as_bytes());
        }
        self.look("the log", paramedic.agent.log().unwrap().as_bytes());
        for (path, bytes) in canaries::files_below(paramedic.agent.directory()).unwrap() {
            self.look(&path.display().to_string(), &bytes);
        }
        let pid = fs::read_to_string(paramedic.agent.directory().join("pid")).unwrap();
        let limits = fs::read_to_string(format!("/proc/{}/limits", pid.trim())).unwrap();
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(cores.split_whitespace().nth(4), Some("1"), "a crash would lay the memory down: {cores}");
        let database = fs::read(paramedic.agent.directory().join("paramedic.db")).unwrap();
        assert!(database.starts_with(b"SQLite format 3"), "the files of the agent are elsewhere");
    }

    /// Looks at what `paramedic doctor` says about the targets.
    fn consult_the_doctor(&mut self, paramedic: &Paramedic) {
        let file = paramedic.agent.directory().join("paramedic.yaml");
        let doctor = Command::new(agent::program().unwrap()).arg("doctor").arg("--config").arg(file).output().unwrap();
        let said = [doctor.stdout, doctor.stderr].concat();
        assert_eq!(doctor.status.code(), Some(2), "{}", String::from_utf8_lossy(&said));
        self.look("what the doctor says", &said);
    }
}

/// URLs of a server as they should be, with another password, and with nobody there.
struct Ways {
    right: String,
    wrong: String,
    down: String,
}

impl Ways {
    fn to(right: String) -> Self {
        let other = || right.replace(password(&right).unwrap(), &secret::random());
        let (wrong, mut down) = (other(), other());
        let port = right.rsplit_once(':').and_then(|(_, end)| end.split_once('/')).unwrap().0.to_owned();
        down = down.replace(&format!(":{port}/"), &format!(":{}/", ports::free().unwrap()));
        Ways { right, wrong, down }
    }

    fn targets(&self, system: &str, secrets: &Secrets) -> Value {
        let put = |name: &str, url: &str| json!({ "url": secrets.put(&format!("{system}-{name}"), url) });
        json!({
            "right": put("right", &self.right), "wrong": put("wrong", &self.wrong), "down": put("down", &self.down),
        })
    }

    fn passwords(&self) -> [&str; 3] {
        [&self.right, &self.wrong, &self.down].map(|url| password(url).unwrap())
    }
}

const WAYS: [&str; 3] = ["right", "wrong", "down"];

/// Grants of these verbs on all three targets of a system.
fn grants(system: &str, verbs: &[&str], bounds: &Value) -> Value {
    let line = |target: &str| {
        let mut line = json!({ system: target, "verbs": verbs });
        line.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
        line
    };
    Value::from_iter(WAYS.map(line))
}

fn every_plugin() -> Value {
    let free = |system: &str, verbs: &[&str]| grants(system, verbs, &json!({}));
    let memory = grants("redis", &["info", "scan", "usage"], &json!({ "keys": ["*"] }));
    let info = free("redis", &["ping", "info", "slow-log"]);
    let web = json!(["shop", "down"].map(|target| json!({ "http": target, "verbs": ["get"], "paths": ["/**"] })));
    plugins([
        plugin("pg-ready", &free("postgres", &["inspect"])),
        plugin("pg-connections", &free("postgres", &["inspect", "sessions"])),
        plugin("pg-idle-connections", &free("postgres", &["inspect", "sessions"])),
        plugin("pg-slow-queries", &free("postgres", &["statements"])),
        guest("query", &free("postgres", &["query"])),
        plugin("redis-ping", &info),
        plugin("redis-memory", &memory),
        plugin("queue-status", &free("queue", &["inspect"])),
        plugin("queue-failed-jobs", &free("queue", &["inspect", "list-failures"])),
        plugin("http-health", &web),
    ])
}

/// Runs every check on each of its targets. Where a check of the right target has to go well, its name is in `fine`.
fn run_all(watch: &mut Watch, paramedic: &Paramedic, fine: &[&str]) {
    let checks = ["pg-ready", "pg-connections", "pg-idle-connections", "pg-slow-queries"];
    let others = ["redis-ping", "redis-memory", "queue-status", "queue-failed-jobs"];
    for plugin in checks.into_iter().chain(others) {
        for way in WAYS {
            let run = watch.run(paramedic, plugin, &json!({ "target": way }));
            let goes_well = way == "right" && fine.contains(&plugin);
            assert!(goes_well || way == "right" || run["state"] != "ok", "{plugin} on {way}: {run}");
            assert!(!goes_well || run["state"] == "ok", "{plugin} on {way}: {run}");
        }
    }
    for way in WAYS {
        for sql in [format!("SELECT '{}'", watch.decoy), "SELECT * FROM nothing".to_owned()] {
            watch.run(paramedic, "query", &json!({ "target": way, "sql": sql }));
        }
    }
}

#[test]
fn no_credential_is_in_any_answer_log_line_metric_or_file() {
    let postgres = Postgres::start(&Settings::default()).unwrap();
    let database = postgres.database().unwrap();
    database.track_statements().unwrap();
    let sql = Ways::to(database.monitor().unwrap());
    let redis = Ways::to(Redis::shared().unwrap().user("~* +@all").unwrap());
    let [bearer, key, lost, stray] = [(); 4].map(|()| secret::random());
    // It repeats what it was sent, as services do that want to be helpful.
    let body = format!("Bearer {bearer} and {} are not welcome", STANDARD.encode(&key));
    let echo = format!("HTTP/1.1 503 Busy\r\nx-key: {key}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let shop = Endpoint::start_raw(echo).unwrap();

    let secrets = Secrets::new();
    let queue = |way: &str| json!({ "redis": way, "name": "email", "bullmq": 5 });
    let targets = json!({
        "postgres": sql.targets("postgres", &secrets),
        "redis": redis.targets("redis", &secrets),
        "queue": { "right": queue("right"), "wrong": queue("wrong"), "down": queue("down") },
        "http": {
            "shop": { "base_url": shop.url(), "allow_private": true, "headers": {
                "authorization": secrets.put("bearer", &format!("Bearer {bearer}")), "x-key": secrets.put("key", &key),
            } },
            "down": { "base_url": format!("http://127.0.0.1:{}", ports::free().unwrap()), "allow_private": true,
                "headers": { "x-key": secrets.put("lost", &lost) } },
        },
    });
    let paramedic = Paramedic::start(&targets, &every_plugin(), "trace");
    let passwords = [sql.passwords(), redis.passwords()].concat();
    let others = [&bearer, &key, &lost, &stray, &paramedic.token].map(String::as_str);
    let mut watch = Watch::new(&[passwords, others.to_vec()].concat());

    run_all(&mut watch, &paramedic, &["pg-ready", "pg-connections", "redis-ping"]);
    let endpoints = json!({ "endpoints": [{ "target": "shop", "path": "/a" }, { "target": "down" }] });
    let run = watch.run(&paramedic, "http-health", &endpoints);
    assert!(run.to_string().contains("[redacted]"), "the answer of the shop is not shown: {run}");
    let sent = shop.requests().join("");
    assert!(sent.contains(&format!("Bearer {bearer}")) && sent.contains(&key), "the shop got no credentials: {sent}");
    assert_eq!(paramedic.agent.api(Some(&stray)).get("/v1/runs", &[]).unwrap().status, 401);
    watch.consult_the_doctor(&paramedic);

    drop(postgres);
    run_all(&mut watch, &paramedic, &["redis-ping"]);
    let run = watch.run(&paramedic, "pg-ready", &json!({ "target": "right" }));
    assert_eq!(run["state"], "critical", "{run}");
    watch.look_around(&paramedic);
    for place in ["the answer to query", "as application/json", "as text/plain", "/paramedic.db"] {
        assert!(watch.decoy_places.iter().any(|found| found.contains(place)), "{place}: {:?}", watch.decoy_places);
    }
}
