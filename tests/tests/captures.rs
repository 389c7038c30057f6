//! The state of a whole system as one archive: a real Postgres, Redis and BullMQ, and a cluster that a stand-in plays.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "the helpers of a test may")]

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use kubernetes_stand_in::{Cluster, Metrics, Usage};
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::bullmq::{Bullmq, Job, Version};
use paramedic_tests::canaries::{Canaries, password};
use paramedic_tests::postgres::{Postgres, Settings};
use paramedic_tests::redis::Redis;
use paramedic_tests::{access, components, secret};
use serde_json::{Value, json};

/// A system with some trouble, an agent that may look at all of it, and what must not be seen.
struct Ward {
    cluster: Cluster,
    postgres: Postgres,
    redis: Redis,
    queue: Bullmq,
    agent: Agent,
    token: String,
    canaries: Canaries,
}

/// What is granted of each system.
fn grants() -> Vec<Value> {
    let resources = ["pods", "deployments.apps", "statefulsets.apps", "configmaps"];
    vec![
        json!({ "kubernetes": "prod", "verbs": ["list-pods", "list-events", "list-usage", "read-log"] }),
        json!({ "kubernetes": "prod", "verbs": ["list-objects"], "resources": resources }),
        json!({ "postgres": "main", "verbs": ["inspect", "sessions", "statements", "replication", "query"] }),
        json!({ "redis": "cache", "verbs": ["info", "slow-log"] }),
        json!({ "queue": "email", "verbs": ["inspect", "list-failures"] }),
    ]
}

impl Ward {
    async fn start() -> Self {
        let cluster = Cluster::seeded_now().await.unwrap();
        let postgres = Postgres::start(&Settings::default()).unwrap();
        let database = postgres.database().unwrap();
        database.track_statements().unwrap();
        let redis = Redis::start(&[]).unwrap();
        let queue = Bullmq::start(Version::V5, &redis.admin_url(), "bull", "email").unwrap();
        let (home, address, token) = (Home::new().unwrap(), agent::free_address().unwrap(), secret::random());
        let secrets = Home::new().unwrap();
        secrets.write("kubeconfig", &cluster.kubeconfig("agent", "shop")).unwrap();
        let (sql, url) = (database.monitor().unwrap(), redis.user("~* +@all").unwrap());
        secrets.write("postgres", &sql).unwrap();
        secrets.write("redis", &url).unwrap();
        let file = |name: &str| json!({ "file": secrets.path().join(name) });
        let plugin = |grants: Vec<Value>| {
            let source = json!({ "file": components::plugin("capture-state").unwrap() });
            json!({ "source": source, "grants": grants })
        };
        let configuration = json!({
            "server": { "listen": address },
            "auth": access::auth(&home, &[("alice", "admin", &token)]).unwrap(),
            "targets": {
                "kubernetes": { "prod": { "namespace": "shop", "kubeconfig": file("kubeconfig") } },
                "postgres": { "main": { "url": file("postgres") } },
                "redis": { "cache": { "url": file("redis") } },
                "queue": { "email": { "redis": "cache", "name": "email", "bullmq": 5 } },
            },
            "plugins": { "capture-state": plugin(grants()) },
        });
        let agent = Agent::start_with(home, &configuration.to_string(), &address, &["--log", "debug"]).unwrap();
        drop(secrets);
        let mut canaries = Canaries::of(&[password(&sql).unwrap(), password(&url).unwrap(), &token]);
        canaries.add(cluster.token("agent"));
        let mut ward = Self { cluster, postgres, redis, queue, agent, token, canaries };
        ward.plant();
        ward
    }

    /// A canary that stands nowhere else.
    fn canary(&mut self) -> String {
        let canary = secret::random();
        self.canaries.add(&canary);
        canary
    }

    /// Puts something into each place where a secret may be.
    fn plant(&mut self) {
        self.plant_in_cluster();
        let [literal, key, value, data, reason] = [(); 5].map(|()| self.canary());
        self.postgres.sql(&format!("SELECT '{literal}' AS card")).unwrap();
        // Everything is slow to a server that counts from nought.
        let _: String = self.redis.command(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]).unwrap();
        let _: String = self.redis.command(&["SET", &format!("session:{key}"), &value]).unwrap();
        let job = Job::named("welcome").failing(&format!("login failed: password={reason}"));
        self.queue.add(&[job.with_data("card", json!(data))]).unwrap();
        self.queue.work(1).unwrap();
        self.queue.until("failed", 1).unwrap();
    }

    fn plant_in_cluster(&mut self) {
        let [variable, argument, hidden, setting, note, logged, last] = [(); 7].map(|()| self.canary());
        let metadata = |name: &str| json!({ "name": name, "namespace": "shop" });
        self.cluster.put(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata("billing"), "stringData": { "api-key": hidden },
        }));
        self.cluster.put(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("billing"), "data": { "password": setting },
        }));
        for mut pod in self.cluster.list("v1/Pod", Some("shop")) {
            pod["metadata"]["annotations"]["kubernetes.io/change-cause"] = json!(note);
            pod["spec"]["containers"][0]["env"] = json!([{ "name": "DATABASE_URL", "value": variable }]);
            pod["spec"]["containers"][0]["args"] = json!(["--password", argument]);
            let (name, container) = (pod["metadata"]["name"].clone(), pod["spec"]["containers"][0]["name"].clone());
            let (name, container) = (name.as_str().unwrap(), container.as_str().unwrap());
            let ago = |seconds| Duration::from_secs(seconds);
            self.cluster.log("shop", name, container, ago(9), &format!("ERROR login failed: password={logged}"));
            self.cluster.log_previous("shop", name, container, ago(90), &format!("FATAL token={last}"));
            self.cluster.put(pod);
        }
    }

    /// The name of a pod with this label.
    fn pod(&self, app: &str) -> String {
        let pods = self.cluster.list("v1/Pod", Some("shop"));
        let pod = pods.iter().find(|pod| pod["metadata"]["labels"]["app"] == app).unwrap();
        pod["metadata"]["name"].as_str().unwrap().to_owned()
    }

    fn paramedic(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(agent::program().unwrap());
        command.env_clear().env("PARAMEDIC_URL", self.agent.url()).env("PARAMEDIC_TOKEN", &self.token);
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs the plugin by the command line and saves what it leaves: the card, the exit code and the files.
    fn capture(&self, params: &Value) -> (String, Option<i32>, Unpacked) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.tar.gz").display().to_string();
        let params = params.to_string();
        let output = self.paramedic(&["run", "capture-state", "--params", &params, "--archive", &path]);
        let (card, complaint) = (text(&output.stdout), text(&output.stderr));
        println!("{card}{complaint}");
        assert!(complaint.contains(&format!("to {path}\n")), "{card}{complaint}");
        let packed = std::fs::read(&path).unwrap();
        self.canaries.look("the card", card.as_bytes()).unwrap();
        let unpacked = Unpacked::of(&packed);
        for (path, text) in &unpacked.files {
            self.canaries.look(path, text.as_bytes()).unwrap();
        }
        (card, output.status.code(), unpacked)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An archive that was unpacked.
struct Unpacked {
    files: BTreeMap<String, String>,
    manifest: Value,
}

impl Unpacked {
    fn of(packed: &[u8]) -> Self {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let (folder, path) = path.split_once('/').unwrap();
            assert!(folder.starts_with("capture-state-"), "{folder}");
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            files.insert(path.to_owned(), text);
        }
        let manifest: Value = serde_json::from_str(&files["MANIFEST.json"]).unwrap();
        let listed: Vec<&str> =
            manifest["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
        let there: Vec<&String> = files.keys().filter(|path| *path != "MANIFEST.json").collect();
        assert_eq!(listed, there);
        Self { files, manifest }
    }

    /// A file that has to be there and to say this.
    #[track_caller]
    fn says(&self, path: &str, words: &[&str]) {
        let names = || self.files.keys().cloned().collect::<Vec<_>>().join("\n");
        let text = self.files.get(path).unwrap_or_else(|| panic!("{path} is not among\n{}", names()));
        for word in words {
            assert!(text.contains(word), "{path} does not say `{word}`: {text}");
        }
    }

    fn missing(&self) -> Vec<&str> {
        self.manifest["missing"].as_array().unwrap().iter().map(|missing| missing["part"].as_str().unwrap()).collect()
    }
}

fn everything() -> Value {
    json!({
        "kubernetes": ["prod"], "postgres": ["main"], "redis": ["cache"], "queues": ["email"],
        "resources": ["pods", "deployments.apps", "statefulsets.apps", "configmaps"],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_system_is_in_one_archive_and_no_secret_of_it() {
    let ward = Ward::start().await;
    let pod = ward.pod("api");
    ward.cluster.set_metrics(Metrics::There(Usage::default().with("shop", &pod, "api", "10m", "10Mi")));
    let (card, code, archive) = ward.capture(&everything());
    // The Role of the agent there has no ConfigMaps, as it should be, and containers that never started have no log.
    assert_eq!(code, Some(1), "{card}");
    assert!(card.contains("\nFiles\n") && card.contains(": paramedic archive "), "{card}");
    assert_eq!(archive.missing(), ["kubernetes/prod/objects/configmaps"], "{card}");
    archive.says("kubernetes/prod/objects/configmaps.missing.txt", &["This is missing: ", "configmaps"]);
    archive.says("kubernetes/prod/pods.jsonl", &[&pod, "CrashLoopBackOff"]);
    archive.says("kubernetes/prod/objects/deployments.apps.jsonl", &["\"replicas\":3"]);
    archive.says("kubernetes/prod/objects/pods.jsonl", &["DATABASE_URL", "[redacted]", "[left out]"]);
    archive.says("kubernetes/prod/usage.jsonl", &[&pod, "10485760"]);
    archive.says(&format!("kubernetes/prod/logs/{pod}/api.log"), &["ERROR login failed: password="]);
    archive.says(&format!("kubernetes/prod/logs/{}/app.previous.log", ward.pod("crash")), &["FATAL token="]);
    archive.says("postgres/main/server.json", &["\"max_connections\": "]);
    archive.says("postgres/main/settings.jsonl", &["\"name\":\"max_connections\"", "\"name\":\"work_mem\""]);
    archive.says("postgres/main/locks.jsonl", &["\"mode\":\"AccessShareLock\""]);
    archive.says("postgres/main/replication.json", &["\"standbys\": []"]);
    for path in ["postgres/main/sessions.jsonl", "postgres/main/statements.jsonl", "kubernetes/prod/events.jsonl"] {
        archive.says(path, &[]);
    }
    archive.says("redis/cache/info.txt", &["# memory\n", "used_memory:", "# clients\nblocked_clients:"]);
    archive.says("redis/cache/slow-log.jsonl", &["\"command\":\"SET session:"]);
    archive.says("queue/email/overview.json", &["\"failed\": 1", "\"library\": \"BullMQ 5\""]);
    archive.says("queue/email/failures.jsonl", &["\"job\":\"welcome\"", "login failed: password=<secret>"]);
    let targets = json!(["kubernetes/prod", "postgres/main", "queue/email", "redis/cache"]);
    assert_eq!((&archive.manifest["targets"], &archive.manifest["plugin"]), (&targets, &json!("capture-state")));

    // The same run is the same archive, by whichever way.
    let id = archive.manifest["run"].as_str().unwrap();
    let outputs = [(); 2].map(|()| ward.paramedic(&["archive", id, "-o", "-"]));
    assert!(outputs[0].status.success() && outputs[0].stdout == outputs[1].stdout);
    assert_eq!(Unpacked::of(&outputs[0].stdout).files, archive.files);

    let api = ward.agent.api(Some(&ward.token));
    for path in [format!("/v1/runs/{id}"), "/v1/runs?limit=9".to_owned(), "/metrics".to_owned()] {
        ward.canaries.look(&path, api.get(&path, &[]).unwrap().body.as_bytes()).unwrap();
    }
    ward.canaries.look("the log", ward.agent.log().unwrap().as_bytes()).unwrap();
    for (path, bytes) in paramedic_tests::canaries::files_below(ward.agent.directory()).unwrap() {
        ward.canaries.look(&path.display().to_string(), &bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_told_and_keeps_nothing_else_from_being_captured() {
    let ward = Ward::start().await;
    // No metrics server, no Postgres, and a target that there is not.
    let mut params = everything();
    params["resources"] = json!(["pods"]);
    params["redis"] = json!(["cache", "sessions"]);
    let Ward { cluster, postgres, redis, queue, agent, token, canaries } = ward;
    drop(postgres);
    let ward = Ward {
        cluster,
        postgres: Postgres::start(&Settings::default()).unwrap(),
        redis,
        queue,
        agent,
        token,
        canaries,
    };
    let (card, code, archive) = ward.capture(&params);
    assert_eq!(code, Some(1), "{card}");
    let missing = archive.missing();
    let expected = [
        "postgres/main/server",
        "postgres/main/sessions",
        "postgres/main/statements",
        "postgres/main/replication",
        "postgres/main/settings",
        "postgres/main/locks",
        "redis/sessions/info",
        "redis/sessions/slow-log",
        "kubernetes/prod/usage",
    ];
    assert_eq!(missing, expected, "{card}");
    archive.says("kubernetes/prod/usage.missing.txt", &["This is missing: not found: "]);
    archive.says("postgres/main/sessions.missing.txt", &["This is missing: unavailable: "]);
    let line = "plugins.capture-state.grants: - { redis: sessions, verbs: [info] }";
    archive.says("redis/sessions/info.missing.txt", &[line]);
    archive.says("redis/cache/info.txt", &["used_memory:"]);
    archive.says("kubernetes/prod/pods.jsonl", &[&ward.pod("api")]);
    assert!(card.contains("missing is postgres/main/server: unavailable: "), "{card}");
    assert!(card.contains("What is missing") && card.contains("kubernetes/prod/usage"), "{card}");
    let (card, code, archive) = ward.capture(&json!({ "postgres": ["main"] }));
    assert_eq!((code, archive.files.len()), (Some(3), 7), "{card}");
    assert!(card.starts_with("UNKNOWN capture-state: nothing could be captured: postgres/main/server: "), "{card}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_cut_and_the_manifest_says_where() {
    let ward = Ward::start().await;
    let pod = ward.pod("api");
    for number in 0..600 {
        let ago = Duration::from_secs(1000 - number);
        ward.cluster.log(
            "shop",
            &pod,
            "api",
            ago,
            &format!("order {number} of the hour went through without any trouble"),
        );
    }
    let params = json!({
        "kubernetes": ["prod"], "labels": "app=api", "leave_out": ["usage", "objects", "events"], "lines": 500,
        "max_bytes": 30_000,
    });
    let (card, code, archive) = ward.capture(&params);
    assert_eq!(code, Some(0), "{card}");
    assert!(card.contains("1 of them cut: paramedic archive"), "{card}");
    let path = format!("kubernetes/prod/logs/{pod}/api.log");
    archive.says(&path, &["went through"]);
    assert!(!archive.files[&path].contains("order 100 "), "{}", archive.files[&path]);
    let listed = archive.manifest["files"].as_array().unwrap().iter().find(|file| file["path"] == json!(path)).unwrap();
    let cut = listed["cut"].as_str().unwrap();
    assert!(cut.starts_with("the last 500 lines; there may be more; of these the last "), "{cut}");
}

#[test]
fn whoever_has_one_system_of_four_captures_that_one() {
    let redis = Redis::start(&[]).unwrap();
    let (home, address, token) = (Home::new().unwrap(), agent::free_address().unwrap(), secret::random());
    home.write("redis", &redis.user("~* +@all").unwrap()).unwrap();
    let configuration = json!({
        "server": { "listen": address },
        "auth": access::auth(&home, &[("alice", "admin", &token)]).unwrap(),
        "targets": { "redis": { "cache": { "url": { "file": "redis" } } } },
        "plugins": { "capture-state": {
            "source": { "file": components::plugin("capture-state").unwrap() },
            "grants": [{ "redis": "cache", "verbs": ["info", "slow-log"] }],
            "recordings": "all",
        } },
    });
    let agent = Agent::start(home, &configuration.to_string(), &address).unwrap();
    let api = agent.api(Some(&token));
    let run = |params: Value| {
        let answer = api.run(&json!({ "plugin": "capture-state", "params": params }), &[]).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json().unwrap()
    };
    let fine = run(json!({ "redis": ["cache"] }));
    assert_eq!(fine["state"], "ok", "{fine}");
    assert_eq!(fine["outcome"]["files"].as_array().unwrap().len(), 2);
    // What was never linked is refused with the line that would grant it, and is in the record.
    let partly = run(json!({ "redis": ["cache"], "queues": ["email"], "kubernetes": ["prod"] }));
    assert_eq!(partly["state"], "warning", "{partly}");
    let calls = partly["calls"].as_array().unwrap();
    let call = calls.iter().find(|call| call["operation"] == "queue/inspect").unwrap();
    assert_eq!((&call["decision"], &call["target"]), (&json!("not_granted"), &json!("queue/email")));
    let error = call["error"].as_str().unwrap();
    assert!(error.contains("add plugins.capture-state.grants: - { queue: email, verbs: [inspect] }"), "{error}");
    let missing = partly["outcome"]["missing"].as_array().unwrap();
    assert!(missing.iter().any(|missing| missing["part"] == "kubernetes/prod/pods"), "{missing:?}");
    // Refused calls are refused again where there is nothing to reach at all.
    let id = partly["id"].as_str().unwrap();
    let mut replay = Command::new(agent::program().unwrap());
    replay.env_clear().env("PARAMEDIC_URL", agent.url()).env("PARAMEDIC_TOKEN", &token).args(["replay", id]);
    let replayed = replay.output().unwrap();
    assert_eq!(replayed.status.code(), Some(0), "{}{}", text(&replayed.stdout), text(&replayed.stderr));
}
