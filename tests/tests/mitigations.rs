//! What an on-call engineer does with mitigations: plan, look, apply, undo; against the agent itself and real services.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test may")]

use std::process::{Command, Stdio};
use std::sync::Arc;

use paramedic::clients::queue;
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::{Answer, Api};
use paramedic_tests::bullmq::{Bullmq, Job, Version};
use paramedic_tests::postgres::{self, Database, Postgres};
use paramedic_tests::redis::Redis;
use paramedic_tests::{access, components, secret, wait};
use serde_json::{Value, json};

/// An agent with a queue under its care, and two people who may ask it.
struct Ward {
    agent: Agent,
    alice: String,
    queue: Bullmq,
    configuration: Value,
}

impl Ward {
    /// A queue of its own, named so.
    fn with_queue(name: &str) -> Self {
        Self::keeping(name, "paramedic.db", false)
    }

    /// The same, with the check that its mitigations name.
    fn with_check(name: &str) -> Self {
        Self::keeping(name, "paramedic.db", true)
    }

    /// The same, with the agent's memory at a path that may outlive it. Without the check nothing waits for its verdict.
    fn keeping(name: &str, store: &str, checked: bool) -> Self {
        let redis = Redis::shared().unwrap();
        let queue = Bullmq::start(Version::V5, &redis.admin_url(), "bull", name).unwrap();
        let home = Home::new().unwrap();
        let rules = queue::acting_rules();
        let (_, rules) = rules.split_once(">PASSWORD ").unwrap();
        home.write("redis", &redis.user(&rules.replace("PREFIX:NAME", &format!("bull:{name}"))).unwrap()).unwrap();
        let (address, alice) = (agent::free_address().unwrap(), secret::random());
        let mitigation = |name: &str, verbs: Value| {
            let source = json!({ "file": components::plugin(name).unwrap() });
            json!({ "source": source, "grants": [verbs] })
        };
        let mut configuration = json!({
            "server": { "listen": address },
            "store": { "path": store },
            "auth": access::auth(&home, &[("alice", "responder", &alice)]).unwrap(),
            "targets": {
                "redis": { "jobs": { "url": { "file": "redis" } } },
                "queue": { "email": { "redis": "jobs", "name": name, "bullmq": 5 } },
            },
            "plugins": {
                "queue-pause": mitigation("queue-pause", json!({ "queue": "email", "verbs": ["pause"] })),
                "queue-resume": mitigation("queue-resume", json!({ "queue": "email", "verbs": ["resume"] })),
                "queue-clean":
                    mitigation("queue-clean", json!({ "queue": "email", "verbs": ["clean-failed"], "per_run": 100 })),
            },
        });
        if checked {
            let check = mitigation("queue-status", json!({ "queue": "email", "verbs": ["inspect"] }));
            configuration["plugins"]["queue-status"] = check;
        }
        let agent = Agent::start(home, &configuration.to_string(), &address).unwrap();
        Self { agent, alice, queue, configuration }
    }

    fn api(&self) -> Api {
        self.agent.api(Some(&self.alice))
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.api().ask("POST", path, &["content-type: application/json"], &body.to_string()).unwrap()
    }

    /// The run that made a plan.
    fn plan(&self, plugin: &str, params: Value) -> Value {
        ended(&self.post("/v1/runs", &json!({ "plugin": plugin, "params": params, "mode": "plan" })))
    }

    fn apply(&self, plan: &Value) -> Answer {
        let id = plan["id"].as_str().unwrap();
        self.post(&format!("/v1/plans/{id}/apply"), &json!({ "digest": plan["plan"]["digest"] }))
    }

    /// The run that paused the queue, on a lease of that length.
    fn pause_for(&self, time: &str) -> Value {
        let plan = self.plan("queue-pause", json!({ "target": "email" }));
        let path = format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap());
        ended(&self.post(&path, &json!({ "for": time })))
    }

    fn until_resumed(&self) {
        wait::until("the queue to be resumed", || Ok((!self.queue.is_paused()?).then_some(()))).unwrap();
    }

    fn plan_undo(&self, run: &Value) -> Answer {
        self.post(&format!("/v1/runs/{}/undo", run["id"].as_str().unwrap()), &json!({}))
    }

    fn run(&self, id: &Value) -> Value {
        self.api().get(&format!("/v1/runs/{}", id.as_str().unwrap()), &[]).unwrap().json().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(agent::program().unwrap())
            .args(arguments)
            .args(["--server", &self.agent.url()])
            .env("PARAMEDIC_TOKEN", &self.alice)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

fn ended(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json().unwrap()
}

/// The problem of an answer, by its kind and what it says.
fn problem(answer: &Answer, status: u16, kind: &str) -> String {
    let problem = answer.json().unwrap();
    assert_eq!(
        (answer.status, &problem["type"]),
        (status, &json!(format!("urn:paramedic:problem:{kind}"))),
        "{problem}"
    );
    problem["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_queue_is_paused_by_a_plan_and_given_back_by_an_undo() {
    let ward = Ward::with_queue("ward-pause");
    let plan = ward.plan("queue-pause", json!({ "target": "email" }));
    assert_eq!((&plan["mode"], &plan["outcome"]["status"]), (&json!("plan"), &json!("ok")), "{plan}");
    let change = &plan["plan"]["changes"][0];
    assert_eq!((&change["operation"], &change["target"]), (&json!("queue-actions/pause"), &json!("queue/email")));
    assert_eq!(change["reversible"], true, "{change}");
    assert!(!ward.queue.is_paused().unwrap(), "a plan changes nothing");

    let applied = ended(&ward.apply(&plan));
    assert_eq!((&applied["mode"], &applied["follows"]), (&json!("apply"), &plan["id"]), "{applied}");
    assert_eq!(applied["changes"][0]["fate"], "applied", "{applied}");
    assert_eq!(applied["changes"][0]["differences"][0], change["differences"][0]);
    assert!(ward.queue.is_paused().unwrap());
    let taken = problem(&ward.apply(&plan), 409, "plan-taken");
    assert!(taken.contains(applied["id"].as_str().unwrap()), "{taken}");

    let undo = ended(&ward.plan_undo(&applied));
    assert_eq!((&undo["undoes"], &undo["mode"]), (&applied["id"], &json!("plan")), "{undo}");
    assert_eq!(undo["plan"]["changes"][0]["operation"], "queue-actions/resume", "{undo}");
    assert!(ward.queue.is_paused().unwrap());
    let given_back = ended(&ward.apply(&undo));
    assert_eq!(given_back["outcome"]["status"], "ok", "{given_back}");
    assert!(!ward.queue.is_paused().unwrap());

    let before = ward.run(&applied["id"]);
    assert_eq!(before["changes"][0]["undone_by"], given_back["id"], "{before}");
    let nothing = problem(&ward.plan_undo(&applied), 409, "cannot-undo");
    assert!(nothing.ends_with("all of it was given back"), "{nothing}");
    let nothing = problem(&ward.plan_undo(&plan), 409, "cannot-undo");
    assert!(nothing.ends_with("it changed nothing"), "{nothing}");
}

#[test]
fn what_somebody_else_did_meanwhile_is_not_undone_and_not_done_twice() {
    let ward = Ward::with_queue("ward-else");
    // Somebody pauses the queue between plan and apply.
    let plan = ward.plan("queue-pause", json!({ "target": "email" }));
    ward.queue.pause().unwrap();
    let applied = ended(&ward.apply(&plan));
    assert_eq!(applied["changes"][0]["fate"], "unchanged", "{applied}");
    let nothing = problem(&ward.plan_undo(&applied), 409, "cannot-undo");
    assert!(nothing.ends_with("it changed nothing"), "{nothing}");
    assert!(ward.queue.is_paused().unwrap(), "it is theirs");

    // Somebody resumes it before it is given back: there is nothing left to give back.
    ward.queue.resume().unwrap();
    let plan = ward.plan("queue-pause", json!({ "target": "email" }));
    let applied = ended(&ward.apply(&plan));
    ward.queue.resume().unwrap();
    let undo = ended(&ward.plan_undo(&applied));
    assert_eq!(undo["plan"]["changes"], json!([]), "{undo}");
    problem(&ward.apply(&undo), 409, "plan-empty");
}

#[test]
fn a_plan_is_good_for_one_component_one_grant_and_one_caller() {
    let ward = Ward::with_queue("ward-stale");
    let plan = ward.plan("queue-pause", json!({ "target": "email" }));
    let id = plan["id"].as_str().unwrap();
    let apply = |body: Value| ward.post(&format!("/v1/plans/{id}/apply"), &body);
    let other = format!("sha256:{}", "0".repeat(64));
    let differs = problem(&apply(json!({ "digest": other })), 409, "plan-differs");
    assert!(differs.contains(plan["plan"]["digest"].as_str().unwrap()) && differs.contains(&other), "{differs}");
    let nonsense = apply(json!({ "digest": "sha256:12" }));
    assert_eq!(nonsense.status, 422, "{}", nonsense.body);

    let mut configuration = ward.configuration.clone();
    configuration["plugins"]["queue-pause"]["grants"][0]["per_hour"] = json!(5);
    ward.agent.write("paramedic.yaml", &configuration.to_string()).unwrap();
    wait::until("the new grant", || {
        let shown = ward.api().get("/v1/plugins/queue-pause", &[])?.json()?;
        let metrics = ward.api().get("/metrics", &[])?.body;
        let reloaded = metrics.contains("paramedic_config_reloads_total{result=\"applied\"} 1");
        Ok((reloaded && shown["state"] == "active").then_some(()))
    })
    .unwrap();
    problem(&apply(json!({})), 409, "plan-outdated");
    assert!(!ward.queue.is_paused().unwrap(), "nothing was done");

    let fresh = ward.plan("queue-pause", json!({ "target": "email" }));
    let (ward, fresh) = (Arc::new(ward), Arc::new(fresh));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (ward, fresh) = (ward.clone(), fresh.clone());
            std::thread::spawn(move || ward.apply(&fresh).status)
        })
        .collect();
    let statuses: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
}

#[test]
fn a_mitigation_does_not_run_like_a_check_nor_a_check_like_a_mitigation() {
    let ward = Ward::with_check("ward-mode");
    let run = |plugin: &str, mode: Value| ward.post("/v1/runs", &json!({ "plugin": plugin, "mode": mode }));
    problem(&run("queue-pause", json!("check")), 409, "wrong-mode");
    problem(&run("queue-status", json!("plan")), 409, "wrong-mode");
    let (code, _, complaint) = ward.command(&["run", "queue-pause", "--watch"]);
    let words = "paramedic: --watch is for checks, and `queue-pause` is none; `paramedic plan queue-pause` lists what it would change\n";
    assert_eq!((code, complaint.as_str()), (3, words));
    problem(&run("queue-pause", json!("apply")), 422, "invalid-body");
    problem(&run("queue-pause", json!("nonsense")), 422, "invalid-body");
    let unknown = ward.post("/v1/plans/019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b/apply", &json!({}));
    problem(&unknown, 404, "unknown-plan");
    problem(&ward.post("/v1/plans/nonsense/apply", &json!({})), 404, "unknown-plan");
}

#[test]
fn an_hour_has_a_bound_over_all_runs() {
    let ward = Ward::with_queue("ward-hour");
    // `per_run` is 1 for a switch, and ten times that an hour.
    for round in 0..10 {
        let applied = ended(&ward.apply(&ward.plan("queue-pause", json!({ "target": "email" }))));
        assert_eq!(applied["changes"][0]["fate"], "applied", "{round}: {applied}");
        ward.queue.resume().unwrap();
    }
    let refused = ended(&ward.apply(&ward.plan("queue-pause", json!({ "target": "email" }))));
    let call = &refused["calls"][0];
    assert_eq!(call["decision"], "exhausted", "{refused}");
    let told = call["error"].as_str().unwrap();
    assert!(told.contains("it has touched 10 within the last hour, and the grant says `per_hour: 10`"), "{told}");
    assert!(!ward.queue.is_paused().unwrap());
}

#[test]
fn the_command_line_shows_a_plan_and_does_nothing_unless_somebody_says_yes() {
    let ward = Ward::with_queue("ward-cli");
    let (code, card, _) = ward.command(&["plan", "queue-pause", "--param", "target=email"]);
    assert_eq!(code, 0, "{card}");
    for line in ["+ paused: true", "- paused: false", "undo: ", "paramedic apply "] {
        assert!(card.contains(line), "{line}: {card}");
    }
    let (code, card, complaint) = ward.command(&["apply", "queue-pause", "--param", "target=email"]);
    assert_eq!(code, 3, "{card}");
    assert!(complaint.contains("nothing was done: there is nobody to ask"), "{complaint}");
    assert!(!ward.queue.is_paused().unwrap());

    let (code, json, _) = ward.command(&["apply", "queue-pause", "--param", "target=email", "--yes", "-o", "json"]);
    assert_eq!(code, 0, "{json}");
    assert!(ward.queue.is_paused().unwrap());
    let run: Value = serde_json::from_str(&json).unwrap();
    let (code, card, _) = ward.command(&["undo", run["id"].as_str().unwrap(), "--yes"]);
    assert_eq!(code, 0, "{card}");
    assert!(card.contains("gave back 1 change") && card.contains("applied: "), "{card}");
    assert!(!ward.queue.is_paused().unwrap());
}

#[test]
fn a_lease_gives_back_by_itself() {
    let ward = Ward::with_queue("ward-lease");
    let applied = ward.pause_for("1s");
    assert_eq!(applied["changes"][0]["fate"], "applied", "{applied}");
    ward.until_resumed();
    let over = wait::until("the lease to end", || {
        let run = ward.run(&applied["id"]);
        Ok((run["lease"]["state"] == "ended").then_some(run))
    })
    .unwrap();
    let undo = ward.run(&over["lease"]["ended_by"]);
    assert_eq!((&undo["actor"], &undo["undoes"]), (&json!("lease"), &applied["id"]), "{undo}");
    for wrong in ["0s", "8d", "soon", ""] {
        let path = format!("/v1/plans/{}/apply", applied["follows"].as_str().unwrap());
        let refused = ward.post(&path, &json!({ "for": wrong }));
        assert_eq!(refused.status, 422, "{wrong}: {}", refused.body);
    }
}

#[test]
fn a_lease_is_listed_extended_and_ended_by_hand() {
    let ward = Ward::with_queue("ward-hand");
    let applied = ward.pause_for("1h");
    let run = applied["id"].as_str().unwrap();
    let (code, card, _) = ward.command(&["leases"]);
    assert!(code == 0 && card.contains("held") && card.contains(run), "{card}");
    let (code, json, _) = ward.command(&["leases", "extend", run, "--for", "2h", "-o", "json"]);
    assert_eq!(code, 0, "{json}");
    let extended: Value = serde_json::from_str(&json).unwrap();
    assert!(extended["until"].as_str() > applied["lease"]["until"].as_str(), "{extended}");
    let (code, card, _) = ward.command(&["leases", "end", run]);
    assert_eq!(code, 0, "{card}");
    assert!(!ward.queue.is_paused().unwrap());
    let (_, card, _) = ward.command(&["leases"]);
    assert_eq!(card, "Nothing is held on a lease.\n");
    problem(&ward.api().ask("DELETE", &format!("/v1/leases/{run}"), &[], "").unwrap(), 404, "unknown-lease");

    // An undo by hand ends a lease as well.
    let applied = ward.pause_for("1h");
    ended(&ward.apply(&ended(&ward.plan_undo(&applied))));
    assert_eq!(ward.run(&applied["id"])["lease"]["state"], "ended");
}

#[test]
fn a_lease_outlives_its_agent() {
    let place = paramedic_tests::process::temporary_directory("store").unwrap();
    let store = place.path().join("paramedic.db").display().to_string();
    let applied = {
        let ward = Ward::keeping("ward-restart", &store, false);
        ward.pause_for("2s")
    };
    let ward = Ward::keeping("ward-restart", &store, false);
    ward.until_resumed();
    wait::until("the lease to end", || Ok((ward.run(&applied["id"])["lease"]["state"] == "ended").then_some(())))
        .unwrap();
}

#[test]
fn an_apply_is_judged_by_the_check_of_its_plugin() {
    let ward = Ward::with_check("ward-help");
    ward.queue.pause().unwrap();
    let applied = ended(&ward.apply(&ward.plan("queue-resume", json!({ "target": "email" }))));
    assert_eq!(applied["help"]["verdict"], "helped", "{applied}");
    for side in ["before", "after"] {
        let check = ward.run(&applied["help"][side]);
        assert_eq!((&check["plugin"], &check["actor"]), (&json!("queue-status"), &json!("alice")), "{check}");
    }
    // Nothing was done, so there is nothing to judge.
    ward.queue.pause().unwrap();
    let plan = ward.plan("queue-resume", json!({ "target": "email" }));
    ward.queue.resume().unwrap();
    assert_eq!(ended(&ward.apply(&plan))["help"], Value::Null);
}

#[test]
fn failed_jobs_are_cleaned_as_planned_and_no_more() {
    let ward = Ward::with_queue("ward-clean");
    ward.queue.work(4).unwrap();
    let failing = |count: usize| vec![Job::named("send").failing("550 mailbox unavailable"); count];
    ward.queue.add(&failing(5)).unwrap();
    ward.queue.until("failed", 5).unwrap();
    let plan = ward.plan("queue-clean", json!({ "target": "email", "min_age": 0.0, "limit": 100 }));
    let change = &plan["plan"]["changes"][0];
    assert_eq!((&change["objects"], &change["reversible"]), (&json!(5), &json!(false)), "{plan}");
    ward.queue.add(&failing(2)).unwrap();
    ward.queue.until("failed", 7).unwrap();
    let applied = ended(&ward.apply(&plan));
    assert_eq!(applied["changes"][0]["objects"], 5, "{applied}");
    ward.queue.until("failed", 2).unwrap();
    let nothing = problem(&ward.plan_undo(&applied), 409, "cannot-undo");
    assert!(nothing.contains("can be given back"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_holds_a_transaction_open_is_ended_by_a_plan() {
    let database: Database = Postgres::shared().unwrap().database().unwrap();
    let home = Home::new().unwrap();
    home.write("pg", &database.monitor().unwrap()).unwrap();
    home.write("signal", &database.signal().unwrap()).unwrap();
    let (address, alice) = (agent::free_address().unwrap(), secret::random());
    let name = database.name();
    let configuration = json!({
        "server": { "listen": address },
        "auth": access::auth(&home, &[("alice", "responder", &alice)]).unwrap(),
        "targets": { "postgres": { "main": { "url": { "file": "pg" }, "signal_url": { "file": "signal" } } } },
        "plugins": { "pg-terminate-idle": {
            "source": { "file": components::plugin("pg-terminate-idle").unwrap() },
            "grants": [
                { "postgres": "main", "verbs": ["sessions"] },
                { "postgres": "main", "verbs": ["terminate-session"], "per_run": 5, "users": [format!("{name}_*")] },
            ],
        } },
    });
    let agent = Agent::start(home, &configuration.to_string(), &address).unwrap();
    let api = agent.api(Some(&alice));

    let app = database.application().unwrap();
    let held = postgres::connect(&app, "checkout-api").await.unwrap();
    held.batch_execute("BEGIN; SELECT 1").await.unwrap();
    let other = postgres::connect(&app, "checkout-api").await.unwrap();
    other.batch_execute("SELECT 1").await.unwrap();

    let post = |path: &str, body: &Value| {
        ended(&api.ask("POST", path, &["content-type: application/json"], &body.to_string()).unwrap())
    };
    // A second old, with what it did last.
    let plan = || {
        let params = json!({ "target": "main", "max_idle": null, "max_idle_in_transaction": 1.0 });
        let body = json!({ "plugin": "pg-terminate-idle", "params": params, "mode": "plan" });
        wait::until("the session to be idle for a second", || {
            let plan = post("/v1/runs", &body);
            let changes = plan["plan"]["changes"].as_array().map_or(0, Vec::len);
            assert!(changes <= 1, "{plan}");
            Ok((changes == 1).then_some(plan))
        })
        .unwrap()
    };
    let apply = |plan: &Value| post(&format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap()), &json!({}));

    let stale = plan();
    held.batch_execute("SELECT 2").await.unwrap();
    let moved = apply(&stale);
    // It went on, so that it is either not asked for any more or not as it was.
    assert_ne!(moved["changes"][0]["fate"], "applied", "{moved}");
    held.batch_execute("SELECT 3").await.unwrap();

    let applied = apply(&plan());
    assert_eq!(applied["changes"][0]["fate"], "applied", "{applied}");
    held.batch_execute("SELECT 4").await.unwrap_err();
    other.batch_execute("SELECT 4").await.unwrap();
}
