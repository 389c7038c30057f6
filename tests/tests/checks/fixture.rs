//! An agent with some targets and some plugins.

use std::fmt::Display;
use std::path::Path;

use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::api::{Answer, Api};
use paramedic_tests::{access, components, secret};
use serde_json::{Map, Value, json};

/// A running agent with its only token.
pub struct Paramedic {
    pub agent: Agent,
    pub api: Api,
    pub token: String,
}

impl Paramedic {
    /// Starts one with the sections `targets` and `plugins` of its configuration, logging what `log` says.
    pub fn start(targets: &dyn Display, plugins: &dyn Display, log: &str) -> Self {
        let (home, address, token) = (Home::new().unwrap(), agent::free_address().unwrap(), secret::random());
        let configuration = format!(
            r#"{{
                server: {{ listen: "{address}" }},
                auth: {auth},
                targets: {targets},
                plugins: {plugins}
            }}"#,
            auth = access::auth(&home, &[("alice", "responder", &token)]).unwrap(),
        );
        let agent = Agent::start_with(home, &configuration, &address, &["--log", log]).unwrap();
        Paramedic { api: agent.api(Some(&token)), agent, token }
    }

    /// Runs a plugin to its end.
    pub fn run(&self, plugin: &str, params: &Value) -> Value {
        let answer = self.ask(plugin, params);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json().unwrap()
    }

    /// Asks for a run.
    pub fn ask(&self, plugin: &str, params: &Value) -> Answer {
        self.api.run(&json!({ "plugin": plugin, "params": params }), &[]).unwrap()
    }
}

/// A plugin with its grants, as the section `plugins` has it.
pub fn plugin(name: &str, grants: &Value) -> (String, Value) {
    configured(name, &components::plugin(name).unwrap(), grants)
}

/// The same for a guest program of the tests.
pub fn guest(name: &str, grants: &Value) -> (String, Value) {
    configured(name, &components::guest(name).unwrap(), grants)
}

fn configured(name: &str, file: &Path, grants: &Value) -> (String, Value) {
    (name.to_owned(), json!({ "source": { "file": file }, "grants": grants }))
}

/// The section `plugins`.
pub fn plugins<const N: usize>(plugins: [(String, Value); N]) -> Value {
    Value::Object(Map::from_iter(plugins))
}

/// Files that hold one secret each, apart from the agent's own files.
pub struct Secrets(Home);

impl Secrets {
    pub fn new() -> Self {
        Secrets(Home::new().unwrap())
    }

    /// A place in a configuration that takes this secret.
    pub fn put(&self, name: &str, secret: &str) -> Value {
        self.0.write(name, secret).unwrap();
        json!({ "file": self.0.path().join(name) })
    }
}
