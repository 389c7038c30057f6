//! An agent whose store and compiled components outlive it, so that it can be started again.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use paramedic_tests::access;
use paramedic_tests::agent::{self, Home};
use paramedic_tests::api::{Answer, Api};
use paramedic_tests::components;
use serde_json::{Value, json};
use tempfile::TempDir;

const TOKEN: &str = "5e0b9f2c4d7a4e8f8b1a6c3d9e2f7a40";

/// What stays when an agent ends.
pub struct Harbour(TempDir);

/// A running agent.
pub struct Agent {
    /// Its API as alice sees it.
    pub api: Api,
    agent: agent::Agent,
}

impl Harbour {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Write a file, and tell its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    /// Start an agent with these further sections. Its targets lead nowhere.
    pub fn agent(&self, sections: &str) -> Agent {
        let home = Home::new().unwrap();
        home.write("postgres", "postgres://nobody:nothing@127.0.0.1:1/nowhere").unwrap();
        home.write("redis", "redis://127.0.0.1:1").unwrap();
        let address = agent::free_address().unwrap();
        let auth = access::auth(&home, &[("alice", "admin", TOKEN)]).unwrap();
        let harbour = self.0.path().display();
        let configuration = format!(
            r#"
server: {{ listen: "{address}" }}
auth: {auth}
store: {{ path: "{harbour}/paramedic.db" }}
engine: {{ cache: "{harbour}/cache" }}
targets:
  postgres: {{ main: {{ url: {{ file: postgres }} }} }}
  redis: {{ cache: {{ url: {{ file: redis }} }} }}
{sections}
"#
        );
        let agent = agent::Agent::start(home, &configuration, &address).unwrap();
        Agent { api: agent.api(Some(TOKEN)), agent }
    }
}

impl Agent {
    /// Deliver a component.
    pub fn put(&self, plugin: &str, version: &str, component: &[u8], fields: &[&str]) -> Answer {
        self.api.put(&format!("/v1/plugins/{plugin}/versions/{version}"), component, fields).unwrap()
    }

    /// Ask for a run and wait for its end.
    pub fn run(&self, plugin: &str, params: &Value) -> Answer {
        self.api.run(&json!({ "plugin": plugin, "params": params }), &[]).unwrap()
    }

    /// A run without parameters that has to come to a verdict.
    pub fn verdict(&self, plugin: &str) -> Value {
        let run = self.run(plugin, &json!({})).json().unwrap();
        assert_eq!(run["outcome"]["status"], "ok", "{run}");
        run
    }

    /// The plugin as the API shows it.
    pub fn plugin(&self, name: &str) -> Value {
        self.api.get(&format!("/v1/plugins/{name}"), &[]).unwrap().json().unwrap()
    }

    /// What `/metrics` shows.
    pub fn metrics(&self) -> String {
        self.api.get("/metrics", &[]).unwrap().body
    }

    /// What the agent logged.
    pub fn log(&self) -> String {
        self.agent.log().unwrap()
    }

    /// Exit code, standard output and standard error of the command line.
    pub fn cli(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(agent::program().unwrap());
        command.env_clear().env("PARAMEDIC_URL", self.agent.url()).env("PARAMEDIC_TOKEN", TOKEN);
        let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

/// The problem that an answer has to be.
pub fn problem(answer: &Answer, status: u16, kind: &str) -> Value {
    let problem = answer.json().unwrap();
    assert_eq!(answer.status, status, "{problem}");
    assert_eq!(problem["type"], format!("urn:paramedic:problem:{kind}"), "{problem}");
    problem
}

/// The guest program `noop` as that version.
pub fn noop(version: &str) -> Vec<u8> {
    guest("noop", version)
}

/// A guest program as that version.
pub fn guest(name: &str, version: &str) -> Vec<u8> {
    let component = std::fs::read(components::guest(name).unwrap()).unwrap();
    components::as_version(&component, name, version).unwrap()
}

/// The guest program `over-asking`, which needs `postgres/query` beside what it imports, and one that does not.
pub mod over_asking {
    use super::{components, guest};

    /// As it is.
    pub fn greedy(version: &str) -> Vec<u8> {
        guest("over-asking", version)
    }

    /// It asks for something else that is as long.
    pub fn modest(version: &str) -> Vec<u8> {
        components::replaced(&greedy(version), b"postgres/query", b"redis/slow-log").unwrap()
    }
}

/// Compressed.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
