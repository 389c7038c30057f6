//! `paramedic sweep` and `paramedic sweeps`.

use clap::{Args, Subcommand};
use serde_json::Map;

use super::client::{AskError, Client};
use super::output::{self, Format};
use super::run::exit_code;
use crate::api::{card, shape};

/// Run a sweep now.
#[derive(Args, Debug)]
pub struct Sweep {
    /// The sweep.
    name: String,
    /// Do not wait for the end.
    #[arg(long = "async")]
    in_background: bool,
    /// How the run is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

impl Sweep {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let headers = [("Prefer", self.in_background.then_some("respond-async"))];
        let path = ["v1", "sweeps", &self.name, "runs"];
        let run: shape::SweepRun = client.post(&path, &headers, &Map::new()).await?;
        output::answer(self.output, &run, card::sweep_run)?;
        Ok(if self.in_background { 0 } else { exit_code(run.status.as_ref()) })
    }
}

/// List sweeps, or show one.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Sweeps {
    #[command(subcommand)]
    one: Option<One>,
    /// Show this one, with its runs and what happened to it.
    name: Option<String>,
    /// How many of its runs, 1 to 200.
    #[arg(long, short = 'n', value_name = "COUNT", requires = "name")]
    limit: Option<String>,
    /// Go on where the page of runs before ended.
    #[arg(long, requires = "name")]
    cursor: Option<String>,
    /// How they are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum One {
    /// Show one run of a sweep.
    Show {
        /// The sweep.
        name: String,
        /// Id of the run.
        id: String,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Card)]
        output: Format,
    },
}

impl Sweeps {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        match (self.one, self.name) {
            (Some(One::Show { name, id, output }), _) => {
                let run: shape::SweepRun = client.get(&["v1", "sweeps", &name, "runs", &id], &[]).await?;
                output::answer(output, &run, card::sweep_run)?;
            }
            (None, Some(name)) => {
                let given = [("limit", &self.limit), ("cursor", &self.cursor)];
                let query: Vec<_> =
                    given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
                let sweep: shape::Sweep = client.get(&["v1", "sweeps", &name], &query).await?;
                output::answer(self.output, &sweep, card::sweep)?;
            }
            (None, None) => {
                let list: shape::SweepList = client.get(&["v1", "sweeps"], &[]).await?;
                output::answer(self.output, &list, card::sweeps)?;
            }
        }
        Ok(0)
    }
}
