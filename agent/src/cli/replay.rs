//! `paramedic replay`: a recorded run, run again where there is nothing to reach.
//!
//! An agent is asked for what is not at hand, and is no part of the replay itself.

mod card;
mod files;
pub(super) mod suite;

use std::path::PathBuf;

use clap::Args;

use super::Connection;
use super::client::{AskError, Client};
use super::output::{self, Format};
use crate::domain::RunId;
use crate::recording::{self, Recording};
use crate::replay::{Candidate, Replayer};

/// Exit code for a plugin that acts differently.
const DIFFERENT: u8 = 1;

/// Run a recorded run again without touching anything.
#[derive(Args, Debug)]
pub struct Replay {
    /// Id of a run, or a file with its recording.
    #[arg(value_name = "RUN|FILE")]
    what: String,
    /// The component that runs, a `.wasm` or `.wasm.gz`; without it the one that ran then, from the agent.
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// How the outcome is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

impl Replay {
    pub(super) async fn execute(self, connection: &Connection) -> Result<u8, AskError> {
        let recording = match self.what.parse::<RunId>() {
            Ok(run) => fetched(&Client::new(connection)?, run).await?,
            Err(_) => files::recording(self.what.as_ref())?,
        };
        let mut candidate = match &self.plugin {
            Some(file) => Candidate::new(files::component(file)?),
            None => component(&Client::new(connection)?, &recording).await?,
        };
        let report = replayer()?.replay(&recording, &mut candidate).await;
        let report = report.map_err(|error| AskError::Params(files::chain(&error)))?;
        output::answer(self.output, &report, card::report)?;
        Ok(if report.same { 0 } else { DIFFERENT })
    }
}

fn replayer() -> Result<Replayer, AskError> {
    Replayer::new().map_err(|error| AskError::Params(files::chain(&error)))
}

async fn fetched(client: &Client, run: RunId) -> Result<Recording, AskError> {
    let text = client.bytes(&["v1", "runs", &run.to_string(), "recording"]).await?;
    recording::read(&text)
        .map_err(|error| AskError::Params(format!("the recording of run {run}: {}", files::chain(&error))))
}

/// The component that ran then. One that was replaced under its version is another one.
async fn component(client: &Client, recording: &Recording) -> Result<Candidate, AskError> {
    let (plugin, version) = (recording.plugin.as_str(), recording.version.as_str());
    let candidate = Candidate::new(client.bytes(&["v1", "plugins", plugin, "versions", version, "component"]).await?);
    if *candidate.digest() == recording.component {
        return Ok(candidate);
    }
    Err(AskError::Params(format!(
        "the agent has {} as version {version} of `{plugin}`, and {} ran then: give its file with --plugin",
        candidate.digest(),
        recording.component
    )))
}
