//! The agent that is killed.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use anyhow::Context;
use paramedic_tests::agent;
use paramedic_tests::api::Api;
use paramedic_tests::process::{Server, StopSignal, temporary_directory};
use paramedic_tests::{access, components, http, secret};
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::callers::{Asker, Caller, Told};
use crate::runs::{CALLERS, ENDLESS_RUNS};
use crate::{sweeps, uploads};

/// An agent that dies without a farewell when it is dropped. Its store stays.
pub struct Mortal {
    _server: Server,
    pid: Pid,
    file: ConfigFile,
    address: String,
    token: String,
}

/// The file that an agent has its configuration from.
#[derive(Clone)]
pub struct ConfigFile {
    path: PathBuf,
    configuration: Value,
}

impl ConfigFile {
    /// Writes it with what `edit` makes of it. Nobody sees the half of it.
    pub fn write(&self, edit: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
        let mut configuration = self.configuration.clone();
        edit(&mut configuration);
        let beside = self.path.with_extension("new");
        // JSON is YAML too.
        std::fs::write(&beside, configuration.to_string()).context("cannot write the configuration")?;
        std::fs::rename(&beside, &self.path).context("cannot replace the configuration")
    }
}

impl Mortal {
    /// Starts it for these callers and as they have configured it, with what its predecessors left in `folder`.
    pub fn start(folder: &Path, callers: &[Box<dyn Caller>]) -> anyhow::Result<Self> {
        let (address, token) = (agent::free_address()?, secret::random());
        let home = temporary_directory("mortal")?;
        std::fs::write(home.path().join("token-key"), access::key()).context("cannot write the key")?;
        let configuration = configuration(folder, &address, &owners(callers, &token))?;
        let file = ConfigFile { path: home.path().join("paramedic.yaml"), configuration };
        file.write(|configuration| callers.iter().for_each(|caller| caller.configure(configuration)))?;
        let command = [agent::program()?, "serve".into(), "--config".into(), file.path.clone()];
        let command = command.map(|word| word.display().to_string());
        let ready = |_: &Path| http::status(&address, "/readyz").is_ok_and(|status| status == 200);
        let server = Server::start(home, &command, StopSignal::Kill, ready)?;
        let pid = std::fs::read_to_string(server.directory().join("pid")).context("the agent's id is missing")?;
        let pid = Pid::from_raw(pid.trim().parse()?).context("an agent without an id")?;
        Ok(Mortal { _server: server, pid, file, address, token })
    }

    /// What `caller` asks it with.
    pub fn asker(&self, caller: &dyn Caller, rng: StdRng, tell: Sender<Told>) -> Asker {
        Asker { api: self.api(caller), rng, tell, file: self.file.clone(), pid: self.pid }
    }

    /// Its API, as `caller` asks it.
    pub fn api(&self, caller: &dyn Caller) -> Api {
        Api::new(&self.address, Some(&token(caller.name(), &self.token)))
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        // At once: on the way over its supervisor the agent would write what it was just about to.
        if let Err(error) = kill_process(self.pid, Signal::KILL) {
            eprintln!("an agent was not killed: {error}");
        }
    }
}

/// Everybody's token begins with the caller's name, and ends as those of all callers of this agent.
fn token(name: &str, end: &str) -> String {
    format!("{name}-{end}")
}

/// Name, role and token of each caller.
fn owners(callers: &[Box<dyn Caller>], end: &str) -> Vec<(String, &'static str, String)> {
    callers
        .iter()
        .map(|caller| (caller.name().to_owned(), caller.subject().role(), token(caller.name(), end)))
        .collect()
}

fn configuration(folder: &Path, address: &str, owners: &[(String, &'static str, String)]) -> anyhow::Result<Value> {
    let owners: Vec<_> = owners.iter().map(|(name, role, token)| (&**name, *role, &**token)).collect();
    Ok(json!({
        "server": { "listen": address, "max_concurrent_runs": 3 * (ENDLESS_RUNS + CALLERS) },
        "auth": access::section("token-key", &owners),
        "store": { "path": folder.join("paramedic.db") },
        "engine": { "cache": folder.join("cache") },
        "intake": { "keep": uploads::KEPT },
        // Its runs panic all the time, and that is not what this is about.
        "quarantine": { "faults": 1000, "first": "1s", "longest": "1s" },
        "plugins": plugins()?,
        "sweeps": sweeps::configured(),
    }))
}

fn plugins() -> anyhow::Result<Value> {
    let mut plugins = json!({
        "noop": { "source": { "file": components::guest("noop")? } },
        "trouble": { "source": { "file": components::guest("trouble")? }, "limits": { "deadline": "15m" } },
    });
    for name in uploads::PLUGINS {
        plugins[name] = json!({ "source": "upload" });
    }
    Ok(plugins)
}
