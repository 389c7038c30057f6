//! A cluster that is played, an agent that may look at it, and three who may ask.

use kubernetes_stand_in::{Cluster, Metrics, Usage};
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::Api;
use paramedic_tests::browser::Browser;
use paramedic_tests::canaries::Canaries;
use paramedic_tests::{access, components, secret};
use serde_json::{Value, json};

/// The token of vera, who may only look.
pub const VIEWER: &str = "7a1c3e5f9b2d4068acde0123456789ab";

pub struct Ward {
    pub cluster: Cluster,
    pub token: String,
    pub canaries: Canaries,
    address: String,
    agent: Option<Agent>,
}

impl Ward {
    pub async fn start() -> Self {
        let cluster = Cluster::seeded_now().await.unwrap();
        let (address, token) = (agent::free_address().unwrap(), secret::random());
        let canaries = Canaries::of(&[&token]);
        let mut ward = Self { cluster, token, canaries, address, agent: None };
        ward.use_memory("60Mi");
        ward.start_agent();
        ward
    }

    /// Starts the agent where it was before, without anything that it knew.
    pub fn start_agent(&mut self) {
        let home = Home::new().unwrap();
        home.write("kubeconfig", &self.cluster.kubeconfig("agent", "shop")).unwrap();
        let plugin = |name: &str, verbs: &[&str]| {
            let grants = if verbs.is_empty() { json!([]) } else { json!([{ "kubernetes": "prod", "verbs": verbs }]) };
            json!({ "source": { "file": components::plugin(name).unwrap() }, "grants": grants })
        };
        let guest = |name: &str| json!({ "source": { "file": components::guest(name).unwrap() } });
        let configuration = json!({
            "server": { "listen": self.address },
            "auth": access::auth(&home, &[("alice", "responder", &self.token), ("vera", "viewer", VIEWER)]).unwrap(),
            "targets": { "kubernetes": { "prod": { "namespace": "shop", "kubeconfig": { "file": "kubeconfig" } } } },
            "plugins": {
                "k8s-top": plugin("k8s-top", &["list-pods", "list-usage"]),
                "k8s-pods": plugin("k8s-pods", &[]),
                "k8s-scale": {
                    "source": { "file": components::plugin("k8s-scale").unwrap() },
                    "grants": [
                        { "kubernetes": "prod", "verbs": ["list-pods", "get-rollout"] },
                        { "kubernetes": "prod", "verbs": ["scale"], "objects": ["deployment/*"], "replicas": "1..9" },
                    ],
                },
                "trouble": {
                    "source": { "file": components::guest("trouble").unwrap() }, "limits": { "deadline": "10m" },
                },
                "forger": guest("forger"),
            },
            "sweeps": { "shop": { "checks": [
                { "plugin": "k8s-top", "params": { "labels": "app=api" } }, { "plugin": "k8s-pods" },
            ] } },
        });
        self.agent =
            Some(Agent::start_with(home, &configuration.to_string(), &self.address, &["--log", "debug"]).unwrap());
    }

    /// Ends the agent in the middle of whatever it does.
    pub fn kill_agent(&mut self) {
        self.agent.take().unwrap().kill().unwrap();
    }

    pub fn log(&self) -> String {
        self.agent.as_ref().unwrap().log().unwrap()
    }

    pub fn url(&self, place: &str) -> String {
        format!("http://{}/{place}", self.address)
    }

    /// A browser that somebody has opened the page with.
    pub fn visit(&self, place: &str) -> Browser {
        let browser = Browser::start().unwrap();
        browser.open(&self.url(place)).unwrap();
        browser
    }

    pub fn sign_in(&self, browser: &Browser, token: &str) {
        browser.fill("Token", token).unwrap();
        browser.press("Sign in").unwrap();
        browser.until("the page to open", "return !document.getElementById('nav').hidden", &[]).unwrap();
    }

    pub fn api(&self) -> Api {
        Api::new(&self.address, Some(&self.token))
    }

    /// The runs of a plugin, the newest first.
    pub fn runs(&self, plugin: &str) -> Vec<Value> {
        let list = self.api().get(&format!("/v1/runs?plugin={plugin}&limit=200"), &[]).unwrap().json().unwrap();
        list["runs"].as_array().unwrap().clone()
    }

    /// All there is about a run that is listed.
    pub fn run(&self, listed: &Value) -> Value {
        self.api().get(&format!("/v1/runs/{}", listed["id"].as_str().unwrap()), &[]).unwrap().json().unwrap()
    }

    /// A run that has ended.
    pub fn start_run(&self, plugin: &str, params: &Value) -> Value {
        self.api().run(&json!({ "plugin": plugin, "params": params }), &[]).unwrap().json().unwrap()
    }

    /// A run that has begun.
    pub fn begin_run(&self, plugin: &str, params: &Value) -> Value {
        self.api()
            .run(&json!({ "plugin": plugin, "params": params }), &["prefer: respond-async"])
            .unwrap()
            .json()
            .unwrap()
    }

    /// From now on each container of the shop uses so much memory, such as `60Mi`.
    pub fn use_memory(&self, memory: &str) {
        let mut usage = Usage::default();
        for pod in self.cluster.list("v1/Pod", Some("shop")) {
            let name = pod["metadata"]["name"].as_str().unwrap();
            for container in pod["spec"]["containers"].as_array().unwrap() {
                usage = usage.with("shop", name, container["name"].as_str().unwrap(), "10m", memory);
            }
        }
        self.cluster.set_metrics(Metrics::There(usage));
    }
}
