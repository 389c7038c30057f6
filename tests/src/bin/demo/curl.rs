//! The agent's API by curl: each command is printed as one would type it, then really run.

use std::process::Command;

use anyhow::{Context, ensure};
use paramedic_tests::agent::Agent;
use serde_json::{Value, json};

/// Asks the agent with the demo's token.
pub struct Curl {
    url: String,
    token: String,
}

impl Curl {
    pub fn new(agent: &Agent, token: &str) -> Self {
        Curl { url: agent.url(), token: token.to_owned() }
    }

    /// Runs a plugin: prints the command and the card that the agent answers with.
    pub fn show_run(&self, plugin: &str, params: &Value) -> anyhow::Result<()> {
        self.show("/v1/runs", &json!({ "plugin": plugin, "params": params }))
    }

    /// Sends `body` to `path`: prints the command and the card that the agent answers with.
    pub fn show(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        println!("\n$ curl -s -H \"Authorization: Bearer $TOKEN\" -H 'Accept: text/plain' \\");
        println!("       --json '{body}' \\\n       $URL{path}");
        let arguments = ["--header", "Accept: text/plain", "--json", &body.to_string()];
        println!("{}", self.run(&arguments, path)?.trim_end());
        Ok(())
    }

    /// The run of a plugin that began last, in full, as JSON, without a word.
    pub fn last_run(&self, plugin: &str) -> anyhow::Result<Value> {
        let newest = self.newest(&format!("plugin={plugin}&"))?;
        let id = newest.pointer("/id").and_then(Value::as_str).context("a run without an id")?;
        let answer = self.run(&[], &format!("/v1/runs/{id}"))?;
        serde_json::from_str(&answer).with_context(|| format!("not JSON: {answer}"))
    }

    /// The newest run, as JSON, without a word.
    pub fn newest_run(&self) -> anyhow::Result<Value> {
        self.newest("")
    }

    fn newest(&self, filter: &str) -> anyhow::Result<Value> {
        let answer = self.run(&[], &format!("/v1/runs?{filter}limit=1"))?;
        let page: Value = serde_json::from_str(&answer).with_context(|| format!("not JSON: {answer}"))?;
        page.pointer("/runs/0").cloned().with_context(|| format!("no run: {answer}"))
    }

    fn run(&self, arguments: &[&str], path: &str) -> anyhow::Result<String> {
        let authorization = format!("Authorization: Bearer {}", self.token);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--header", &authorization]);
        let output = curl.args(arguments).arg(format!("{}{path}", self.url)).output().context("cannot run curl")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "curl failed: {}", complaint.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
