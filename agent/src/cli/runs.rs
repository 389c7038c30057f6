//! `paramedic runs`.

use clap::{Args, Subcommand};

use super::client::{AskError, Client};
use super::output::{self, Format};
use crate::api::card::{self, Detail};
use crate::api::shape;

/// List runs, show one, or end one.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Runs {
    #[command(subcommand)]
    one: Option<One>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum One {
    /// Show one run with its parameters, host calls and log.
    Show {
        /// Id of the run.
        id: String,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Card)]
        output: Format,
    },
    /// Print the recording of a run, for `paramedic replay` and `paramedic plugins test`.
    Recording {
        /// Id of the run.
        id: String,
    },
    /// End a run that is under way; its host calls end, too.
    Cancel {
        /// Id of the run.
        id: String,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Card)]
        output: Format,
    },
}

/// Which runs are listed, the newest first. The agent knows what the values may be.
#[derive(Args, Debug)]
struct List {
    /// Only runs of this plugin.
    #[arg(long)]
    plugin: Option<String>,
    /// Only runs in this state: running, ok, warning, critical, unknown, failed or interrupted.
    #[arg(long)]
    state: Option<String>,
    /// Only runs that the owner of this token asked for.
    #[arg(long)]
    actor: Option<String>,
    /// Only runs that started at this time or later: 2026-03-01T03:14:15Z, or a time before now such as 90m or 2d.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only runs that started before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// How many, 1 to 200.
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<String>,
    /// Go on where the list before ended.
    #[arg(long)]
    cursor: Option<String>,
    /// How they are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

impl Runs {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        match self.one {
            Some(One::Show { id, output }) => show(client, &id, output).await?,
            Some(One::Recording { id }) => recording(client, &id).await?,
            Some(One::Cancel { id, output }) => cancel(client, &id, output).await?,
            None => self.list.execute(client).await?,
        }
        Ok(0)
    }
}

async fn show(client: &Client, id: &str, output: Format) -> Result<(), AskError> {
    let run: shape::Run = client.get(&["v1", "runs", id], &[]).await?;
    output::answer(output, &run, |run, paint| card::run(run, Detail::Full, paint))
}

async fn recording(client: &Client, id: &str) -> Result<(), AskError> {
    let recording: serde_json::Value = client.get(&["v1", "runs", id, "recording"], &[]).await?;
    output::answer(Format::Json, &recording, |_, _| String::new())
}

async fn cancel(client: &Client, id: &str, output: Format) -> Result<(), AskError> {
    let run: shape::Run = client.delete(&["v1", "runs", id]).await?;
    output::answer(output, &run, |run, paint| card::run(run, Detail::Brief, paint))
}

impl List {
    async fn execute(self, client: &Client) -> Result<(), AskError> {
        let given = [
            ("plugin", &self.plugin),
            ("state", &self.state),
            ("actor", &self.actor),
            ("since", &self.since),
            ("until", &self.until),
            ("limit", &self.limit),
            ("cursor", &self.cursor),
        ];
        let query: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
        let page: shape::RunPage = client.get(&["v1", "runs"], &query).await?;
        output::answer(self.output, &page, card::runs)
    }
}
