//! Recordings of real runs, run again where nothing is there any more.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::{Answer, Api};
use paramedic_tests::postgres::{self, Database, Postgres, Settings};
use paramedic_tests::{access, components, process, secret, wait};
use serde_json::{Value, json};

/// What the command line said, and its exit code.
struct Said {
    code: i32,
    out: String,
    err: String,
}

/// Run the program without any agent in reach.
fn paramedic(arguments: &[&str]) -> Said {
    told(Command::new(agent::program().unwrap()).args(arguments).args(["--server", "http://127.0.0.1:9"]))
}

fn told(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A database under the care of an agent.
struct Ward {
    agent: Agent,
    admin: String,
    viewer: String,
    database: Database,
    /// A server of its own, which can be stopped.
    postgres: Option<Postgres>,
}

impl Ward {
    fn new() -> Self {
        Self::caring_for(Postgres::shared().unwrap().database().unwrap(), None)
    }

    fn with_a_server_of_its_own() -> Self {
        let postgres = Postgres::start(&Settings::default()).unwrap();
        Self::caring_for(postgres.database().unwrap(), Some(postgres))
    }

    fn caring_for(database: Database, postgres: Option<Postgres>) -> Self {
        let home = Home::new().unwrap();
        home.write("pg", &database.monitor().unwrap()).unwrap();
        home.write("signal", &database.signal().unwrap()).unwrap();
        let address = agent::free_address().unwrap();
        let (admin, viewer) = (secret::random(), secret::random());
        let name = database.name();
        let source = |name: &str| json!({ "file": components::plugin(name).unwrap() });
        let configuration = json!({
            "server": { "listen": address },
            "auth": access::auth(&home, &[("alice", "admin", &admin), ("bob", "viewer", &viewer)]).unwrap(),
            "targets": { "postgres": { "main": { "url": { "file": "pg" }, "signal_url": { "file": "signal" } } } },
            "plugins": {
                "pg-terminate-idle": {
                    "source": source("pg-terminate-idle"),
                    "grants": [
                        { "postgres": "main", "verbs": ["sessions"] },
                        {
                            "postgres": "main", "verbs": ["terminate-session"], "per_run": 5,
                            "users": [format!("{name}_*")],
                        },
                    ],
                },
                "pg-ready": {
                    "source": source("pg-ready"),
                    "recordings": "all",
                    "grants": [{ "postgres": "main", "verbs": ["inspect"] }],
                },
                "pg-connections": {
                    "source": source("pg-connections"),
                    "grants": [{ "postgres": "main", "verbs": ["inspect", "sessions"] }],
                },
                "locals": { "source": { "file": components::guest("locals").unwrap() }, "recordings": "all" },
                "trouble": {
                    "source": { "file": components::guest("trouble").unwrap() },
                    "recordings": "all",
                    "limits": { "deadline": "500ms" },
                },
            },
        });
        let agent = Agent::start(home, &configuration.to_string(), &address).unwrap();
        Self { agent, admin, viewer, database, postgres }
    }

    fn api(&self) -> Api {
        self.agent.api(Some(&self.admin))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.api().ask("POST", path, &["content-type: application/json"], &body.to_string()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json().unwrap()
    }

    fn check(&self, plugin: &str, params: &Value) -> Value {
        self.post("/v1/runs", &json!({ "plugin": plugin, "params": params }))
    }

    /// A plan that ends one session.
    fn plan(&self) -> Value {
        let params = json!({ "target": "main", "max_idle": null, "max_idle_in_transaction": 1.0 });
        let body = json!({ "plugin": "pg-terminate-idle", "params": params, "mode": "plan" });
        wait::until("the session to be idle for a second", || {
            let plan = self.post("/v1/runs", &body);
            Ok((plan["plan"]["changes"].as_array().map_or(0, Vec::len) == 1).then_some(plan))
        })
        .unwrap()
    }

    fn recording_of(&self, run: &Value) -> Answer {
        self.api().get(&format!("/v1/runs/{}/recording", run["id"].as_str().unwrap()), &[]).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(agent::program().unwrap());
        told(command.args(arguments).args(["--server", &self.agent.url()]).env("PARAMEDIC_TOKEN", &self.admin))
    }

    /// Save the recording of a run as a user would.
    fn save(&self, run: &Value, file: &Path) {
        let said = self.command(&["runs", "recording", run["id"].as_str().unwrap()]);
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        std::fs::write(file, said.out).unwrap();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn plugin(name: &str) -> String {
    components::plugin(name).unwrap().display().to_string()
}

/// A component with other bytes, as a file of its own.
fn changed(folder: &Path, component: PathBuf, name: &str, changes: &[(&str, &str)]) -> String {
    let mut bytes = std::fs::read(component).unwrap();
    bytes = components::as_version(&bytes, name, "0.2.0").unwrap();
    for (old, new) in changes {
        bytes = components::replaced(&bytes, old.as_bytes(), new.as_bytes()).unwrap();
    }
    let file = folder.join(format!("{name}.wasm"));
    std::fs::write(&file, bytes).unwrap();
    text(&file).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn last_nights_incident_is_tomorrows_test() {
    let ward = Ward::with_a_server_of_its_own();
    let app = ward.database.application().unwrap();
    let held = postgres::connect(&app, "checkout-api").await.unwrap();
    held.batch_execute("BEGIN; SELECT 1").await.unwrap();
    let plan = ward.plan();
    let ready = ward.check("pg-ready", &json!({ "target": "main" }));
    let applied = ward.post(&format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap()), &json!({}));
    assert_eq!(applied["changes"][0]["fate"], "applied", "{applied}");

    let folder = process::temporary_directory("replay").unwrap();
    let file = |name: &str| folder.path().join(name);
    ward.save(&plan, &file("plan.json"));
    ward.save(&applied, &file("apply.json"));
    ward.save(&ready, &file("ready.json"));
    for path in ["plan.json", "apply.json", "ready.json"] {
        let saved = std::fs::read_to_string(file(path)).unwrap();
        for secret in ["pg", "signal"] {
            let url = std::fs::read_to_string(ward.agent.directory().join(secret)).unwrap();
            let password = url.rsplit_once('@').unwrap().0.rsplit_once(':').unwrap().1.to_owned();
            assert!(password.len() > 10 && !saved.contains(&password), "{path} holds a credential");
        }
    }

    // With the agent, and without what it looked at.
    let Ward { agent, admin, viewer: _, postgres, database } = ward;
    drop((held, database, postgres));
    let mut command = Command::new(agent::program().unwrap());
    let run = plan["id"].as_str().unwrap();
    let said = told(command.args(["replay", run, "--server", &agent.url()]).env("PARAMEDIC_TOKEN", &admin));
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    assert!(said.out.starts_with("SAME  pg-terminate-idle 0.1.0: "), "{}", said.out);
    drop(agent);

    // And without that.
    let component = plugin("pg-terminate-idle");
    for name in ["plan.json", "apply.json"] {
        let said = paramedic(&["replay", text(&file(name)), "--plugin", &component, "-o", "json"]);
        let report: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!((said.code, &report["same"], &report["same_changes"]), (0, &json!(true), &json!(1)), "{report}");
    }

    // A version that looks for something else finds nothing that it could end.
    let other = [("idle in transaction (aborted)", "idle in transaction (ABORTED)")];
    let other = changed(folder.path(), components::plugin("pg-terminate-idle").unwrap(), "pg-terminate-idle", &other);
    let said = paramedic(&["replay", text(&file("plan.json")), "--plugin", &other]);
    println!("{}", said.out);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    for expected in [
        "DIFFERENT  pg-terminate-idle 0.1.0 → 0.2.0: 1 call and 0 changes as then, failed (host_call)\n",
        "Changes\n  - ",
        "  + postgres/sessions on postgres/main {\"min-query-age\":null,\"min-state-age\":1.0,\"state\":\"idle in transaction (ABORTED)\"",
        "unavailable: the recording has no answer to this: it was not asked then\n",
        "Outcome\n  + failure.kind: host_call\n  - status: ok\n  - summary: would end 1 idle session of main\n",
    ] {
        assert!(said.out.contains(expected), "{expected}: {}", said.out);
    }

    // The folder as a suite: the changed component lies beside it, and the other two are found nowhere.
    let said = paramedic(&["plugins", "test", text(folder.path())]);
    assert_eq!(said.code, 3, "{}", said.out);
    assert!(said.out.contains("failed     ready.json  "), "{}", said.out);
    std::fs::remove_file(file("ready.json")).unwrap();
    let said = paramedic(&["plugins", "test", text(folder.path())]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.ends_with("0 the same, 2 different, 0 could not be run\n"), "{}", said.out);
    let said = paramedic(&["plugins", "test", text(folder.path()), "--plugin", &component]);
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.out.contains("ok         plan.json  pg-terminate-idle 0.1.0: "), "{}", said.out);
}

#[test]
fn a_guest_sees_the_same_clocks_and_chance_and_memory_again() {
    let ward = Ward::new();
    let run = ward.check("locals", &json!({ "key": "seen" }));
    let folder = process::temporary_directory("replay").unwrap();
    let file = folder.path().join("locals.json");
    ward.save(&run, &file);
    drop(ward);
    let component = components::guest("locals").unwrap();
    let said = paramedic(&["replay", text(&file), "--plugin", text(&component), "-o", "json"]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &report["same"]), (0, &json!(true)), "{report:#}");
    assert_eq!(report["ending"]["details"], run["outcome"]["details"]);
    // The same answers for a version that concludes something else.
    let other = changed(folder.path(), component, "locals", &[("no such setting", "such a setting!")]);
    let said = paramedic(&["replay", text(&file), "--plugin", &other]);
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.out.starts_with("SAME  locals 0.1.0 → 0.2.0: "), "{}", said.out);
}

#[test]
fn a_guest_that_never_ends_does_so_by_its_limits_in_a_replay_too() {
    let ward = Ward::new();
    let run = ward.check("trouble", &json!({ "do": "spin" }));
    assert_eq!(run["failure"]["kind"], "deadline", "{run}");
    let folder = process::temporary_directory("replay").unwrap();
    let file = folder.path().join("spin.json");
    ward.save(&run, &file);
    let component = components::guest("trouble").unwrap();
    let said = paramedic(&["replay", text(&file), "--plugin", text(&component)]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains(", failed (deadline)"), "{}", said.out);
    // One that did end once, and floods its memory now.
    let mut edited: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    edited["params"] = json!({ "do": "remember" });
    edited.as_object_mut().unwrap().remove("digest");
    std::fs::write(&file, edited.to_string()).unwrap();
    let said = paramedic(&["replay", text(&file), "--plugin", text(&component)]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
}

#[test]
fn a_run_that_was_not_recorded_names_the_setting_and_nobody_else_sees_a_recording() {
    let ward = Ward::new();
    let run = ward.check("pg-connections", &json!({ "target": "main" }));
    let answer = ward.recording_of(&run);
    let problem = answer.json().unwrap();
    assert_eq!((answer.status, &problem["type"]), (404, &json!("urn:paramedic:problem:not-recorded")), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`plugins.pg-connections.recordings`") && detail.contains("`all`"), "{detail}");

    let recorded = ward.check("pg-ready", &json!({ "target": "main" }));
    let recording = ward.recording_of(&recorded).json().unwrap();
    assert_eq!(recording["calls"][0]["operation"], "postgres/inspect", "{recording}");
    assert_eq!(recording["ending"]["status"], recorded["outcome"]["status"]);
    let path = format!("/v1/runs/{}/recording", recorded["id"].as_str().unwrap());
    let refused = ward.agent.api(Some(&ward.viewer)).get(&path, &[]).unwrap();
    assert_eq!((refused.status, &refused.json().unwrap()["role"]), (403, &json!("admin")));
    let audit = ward.post("/v1/audit/verify", &json!({}));
    assert_eq!(audit["broken"], Value::Null, "{audit}");
}

#[test]
fn what_is_no_whole_recording_is_refused_by_name() {
    let ward = Ward::new();
    let run = ward.check("pg-ready", &json!({ "target": "main" }));
    let recording = ward.recording_of(&run).body;
    drop(ward);
    let folder = process::temporary_directory("replay").unwrap();
    let refused = |name: &str, text: &str, component: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let said = paramedic(&["replay", file.to_str().unwrap(), "--plugin", component]);
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{}", said.err);
        said.err
    };
    let edited = |change: fn(&mut serde_json::Map<String, Value>)| {
        let mut document = serde_json::from_str(&recording).unwrap();
        change(&mut document);
        Value::Object(document).to_string()
    };
    let ready = plugin("pg-ready");
    let tampered = edited(|document| document["params"] = json!({ "target": "other" }));
    let said = refused("tampered.json", &tampered, &ready);
    assert!(said.contains("tampered.json: it is not as it was recorded: its digest is sha256:"), "{said}");
    let said = refused("future.json", &edited(|document| document["format"] = json!(7)), &ready);
    assert!(said.contains("future.json: it has the format 7, and this version of paramedic reads 1"), "{said}");
    let cut = edited(|document| {
        document.remove("digest");
        document.insert("cut".to_owned(), json!(true));
        document["calls"] = json!([]);
    });
    let said = refused("cut.json", &cut, &ready);
    assert!(said.contains("was cut: the run was told more than the 4 MiB that a recording holds"), "{said}");
    let said = refused("other.json", &recording, &plugin("pg-connections"));
    // It would ask for more than the other was granted, and is not even compiled.
    assert!(
        said.contains("which is not granted; add plugins.pg-ready.grants")
            || said.contains("is of the plugin `pg-ready`, and the component is `pg-connections`"),
        "{said}"
    );
    let said = refused("nothing.json", "[]", &ready);
    assert!(said.contains("nothing.json: it is no JSON"), "{said}");
}
