//! An agent with everything that can be changed under its care, reached by way of a proxy.

use std::path::Path;
use std::sync::OnceLock;
use std::thread::JoinHandle;

use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::{Answer, Api};
use paramedic_tests::canaries::{self, Canaries};
use paramedic_tests::process::temporary_directory;
use paramedic_tests::proxy::Proxy;
use paramedic_tests::{access, components, secret, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::verb::{Patient, Verb};

/// An agent, and what it cares for.
pub struct Ward {
    patient: Patient,
    /// On the way from the agent to it.
    pub proxy: Proxy,
    agent: Option<Agent>,
    address: String,
    token: String,
    /// What outlives the agent.
    store: TempDir,
    asked: Value,
    /// What no answer, log or file may hold.
    canaries: Canaries,
}

/// Compiled once for all agents of this program.
fn cache() -> &'static Path {
    static CACHE: OnceLock<TempDir> = OnceLock::new();
    CACHE.get_or_init(|| temporary_directory("cache").unwrap()).path()
}

impl Ward {
    /// One for that verb. The plugin may do it once in an hour.
    pub fn new(verb: Verb) -> Self {
        let mut patient = Patient::new(verb);
        let proxy = Proxy::open(patient.port()).unwrap();
        let (address, token) = (agent::free_address().unwrap(), secret::random());
        let store = temporary_directory("store").unwrap();
        let asked = patient.plant();
        let mut ward =
            Self { patient, proxy, agent: None, address, token, store, asked, canaries: Canaries::default() };
        ward.canaries.add(&ward.token);
        ward.canaries.add(&ward.root());
        ward.restart();
        ward
    }

    /// Starts an agent with the store that is there.
    pub fn restart(&mut self) {
        let home = Home::new().unwrap();
        let urls = self.patient.urls(|url, port| self.proxy.url(url, port));
        for (name, url) in &urls {
            home.write(name, url).unwrap();
            if let Ok(password) = canaries::password(url) {
                self.canaries.add(password);
            }
        }
        self.canaries.add(self.patient.credential());
        home.write("credential", self.patient.credential()).unwrap();
        let hook = &urls.iter().find(|(name, _)| *name == "hook").unwrap().1;
        let configuration = json!({
            "server": { "listen": self.address },
            "store": { "path": self.store.path().join("paramedic.db") },
            "engine": { "cache": cache() },
            "auth": access::auth(&home, &[("alice", "responder", &self.token), ("root", "admin", &self.root())]).unwrap(),
            "targets": self.patient.targets(hook),
            "plugins": { "surgeon": {
                "source": { "file": components::guest("surgeon").unwrap() },
                "grants": self.patient.grants(),
            } },
        });
        self.agent =
            Some(Agent::start_with(home, &configuration.to_string(), &self.address, &["--log", "trace"]).unwrap());
    }

    pub fn kill(&mut self) {
        self.agent.take().unwrap().kill().unwrap();
    }

    fn root(&self) -> String {
        format!("root-{}", self.token)
    }

    fn api(&self) -> Api {
        Api::new(&self.address, Some(&self.token))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        ended(&post(&self.api(), path, body).unwrap())
    }

    /// The run that made a plan of what was planted.
    pub fn plan(&self) -> Value {
        let body = json!({ "plugin": "surgeon", "params": { "change": self.asked }, "mode": "plan" });
        let run = self.post("/v1/runs", &body);
        assert_eq!(run["plan"]["changes"].as_array().map(Vec::len), Some(1), "{run}");
        run
    }

    pub fn plan_undo(&self, run: &Value) -> Value {
        self.post(&format!("/v1/runs/{}/undo", id(run)), &json!({}))
    }

    pub fn apply(&self, plan: &Value) -> Value {
        self.post(&format!("/v1/plans/{}/apply", id(plan)), &json!({}))
    }

    /// Applies a plan beside whatever else happens.
    pub fn begin_to_apply(&self, plan: &Value, body: Value) -> JoinHandle<anyhow::Result<Answer>> {
        let (api, path) = (self.api(), format!("/v1/plans/{}/apply", id(plan)));
        std::thread::spawn(move || post(&api, &path, &body))
    }

    /// Holds that the plan is refused with that kind of problem.
    pub fn refuses(&self, plan: &Value, kind: &str) {
        let answer = post(&self.api(), &format!("/v1/plans/{}/apply", id(plan)), &json!({})).unwrap();
        assert_eq!(answer.json().unwrap()["type"], format!("urn:paramedic:problem:{kind}"), "{}", answer.body);
    }

    pub fn run(&self, run: &Value) -> Value {
        self.api().get(&format!("/v1/runs/{}", id(run)), &[]).unwrap().json().unwrap()
    }

    /// The newest run of that mode.
    pub fn last_run(&self, mode: &str) -> Value {
        let page = self.api().get("/v1/runs", &[]).unwrap().json().unwrap();
        let run = page["runs"].as_array().unwrap().iter().find(|run| run["mode"] == mode).cloned();
        self.run(&run.unwrap_or_else(|| panic!("no run of the mode {mode} in {page}")))
    }

    /// Waits until of the run's only change this is known; without a fate the run must have no change.
    pub fn until_settled(&self, run: &Value, fate: Option<&str>) -> Value {
        let mut last = Value::Null;
        let settled = wait::until("the change to be settled", || {
            last = self.run(run);
            let changes = last["changes"].as_array().cloned().unwrap_or_default();
            let is_settled = match fate {
                None => changes.is_empty(),
                // Until it was looked at it is unknown for another reason.
                Some("unknown") => changes.len() == 1 && changes[0]["reason"].to_string().contains("look"),
                Some(fate) => changes.len() == 1 && changes[0]["fate"] == fate,
            };
            Ok(is_settled.then(|| last.clone()))
        });
        settled.unwrap_or_else(|error| panic!("{error:#}: {fate:?} was expected of {last}"))
    }

    /// Makes it again what the verb is for.
    pub fn replant(&mut self) {
        self.asked = self.patient.plant();
    }

    pub fn is_done(&self) -> bool {
        self.patient.is_done()
    }

    pub fn is_given_back(&self) -> bool {
        self.patient.is_given_back()
    }

    /// Holds that the records are as they were written.
    pub fn audit(&self) {
        let api = Api::new(&self.address, Some(&self.root()));
        let answer = api.ask("POST", "/v1/audit/verify", &["content-type: application/json"], "{}").unwrap();
        let verdict = answer.json().unwrap();
        assert!(answer.status == 200 && verdict["broken"].is_null(), "{}", answer.body);
    }

    /// Holds that no credential is in anything that the agent shows, tells or keeps.
    pub fn look_for_credentials(&self) {
        let api = Api::new(&self.address, Some(&self.root()));
        let lists = ["/v1/runs", "/v1/leases", "/v1/freezes", "/v1/audit/export", "/v1/plugins/surgeon", "/metrics"];
        let mut paths = lists.map(str::to_owned).to_vec();
        let runs = api.get("/v1/runs", &[]).unwrap().json().unwrap();
        paths.extend(runs["runs"].as_array().unwrap().iter().map(|run| format!("/v1/runs/{}", id(run))));
        for path in &paths {
            for kind in ["application/json", "text/plain"] {
                let answer = api.get(path, &[&format!("accept: {kind}, */*")]).unwrap();
                assert_eq!(answer.status, 200, "{path}: {}", answer.body);
                self.canaries.look(path, answer.body.as_bytes()).unwrap();
            }
        }
        let log = self.agent.as_ref().unwrap().log().unwrap();
        self.canaries.look("the log", log.as_bytes()).unwrap();
        let files = canaries::files_below(self.store.path()).unwrap();
        assert!(files.iter().any(|(_, bytes)| canaries::holds(bytes, "surgeon")), "the records are elsewhere");
        for (path, bytes) in files {
            self.canaries.look(&path.display().to_string(), &bytes).unwrap();
        }
    }
}

fn post(api: &Api, path: &str, body: &Value) -> anyhow::Result<Answer> {
    api.ask("POST", path, &["content-type: application/json"], &body.to_string())
}

fn ended(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json().unwrap()
}

fn id(run: &Value) -> &str {
    run["id"].as_str().unwrap()
}
