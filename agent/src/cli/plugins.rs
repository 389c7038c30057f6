//! `paramedic plugins`: what can run, and the life of its versions.

mod push;

use clap::{Args, Subcommand};

use super::client::{AskError, Client};
use super::output::{self, Format};
use super::replay::suite::Suite;
use crate::api::{card, shape};

/// Exit code when a version waits for its grants: it is there, and somebody has to do something.
const WAITING: u8 = 1;

/// List plugins, or show one; deliver, compare and activate versions.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Plugins {
    #[command(subcommand)]
    deed: Option<Deed>,
    #[command(flatten)]
    show: Show,
}

#[derive(Args, Debug)]
struct Show {
    /// Show this one, with its parameters and grants.
    name: Option<String>,
    /// How they are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Deed {
    /// Deliver a version, wait until it runs, or say why it does not; exits with 1 when it waits for grants.
    Push(push::Push),
    /// Run recordings again with a component and say where it acts differently; exits with 0 if nowhere, 1 if somewhere, 3 if one
    /// could not be run. Needs no agent.
    Test(Suite),
    /// List the versions of a plugin that are kept, and those that were not taken.
    Versions(One),
    /// Compare two versions: what they import, ask for and take, and how large they are.
    Diff {
        /// The plugin.
        name: String,
        /// A version, or `active`, `previous` or `waiting`.
        from: String,
        /// The version that is looked at.
        to: String,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Card)]
        output: Format,
    },
    /// Let a kept version run.
    Activate {
        /// The plugin.
        name: String,
        /// A version, or `previous` or `waiting`.
        which: String,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Card)]
        output: Format,
    },
    /// Go back to the version that ran before the active one.
    Rollback(One),
    /// Forget a version that is not active, or with `waiting` the one that waits.
    Forget {
        /// The plugin.
        name: String,
        /// The version, or `waiting`.
        which: String,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Card)]
        output: Format,
    },
    /// End the quarantine of a plugin at once.
    Release(One),
    /// Let a plugin try again whose last two applies did not help.
    CloseBreaker(One),
}

#[derive(Args, Debug)]
struct One {
    /// The plugin.
    name: String,
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

impl Plugins {
    /// Ask an agent, or with nobody to ask look at recordings.
    pub(super) fn needs_no_agent(self) -> Result<Suite, Box<Self>> {
        match self.deed {
            Some(Deed::Test(suite)) => Ok(suite),
            deed => Err(Box::new(Self { deed, ..self })),
        }
    }

    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        match self.deed {
            None => self.show.execute(client).await,
            Some(deed) => deed.execute(client).await,
        }
    }
}

impl Show {
    async fn execute(self, client: &Client) -> Result<u8, AskError> {
        match self.name {
            Some(name) => {
                let plugin: shape::Plugin = client.get(&["v1", "plugins", &name], &[]).await?;
                output::answer(self.output, &plugin, card::plugin)?;
            }
            None => {
                let list: shape::PluginList = client.get(&["v1", "plugins"], &[]).await?;
                output::answer(self.output, &list, card::plugins)?;
            }
        }
        Ok(0)
    }
}

impl Deed {
    async fn execute(self, client: &Client) -> Result<u8, AskError> {
        match self {
            Self::Push(push) => push.execute(client).await,
            Self::Test(suite) => suite.execute().await,
            Self::Versions(One { name, output }) => {
                let list: shape::VersionList = client.get(&["v1", "plugins", &name, "versions"], &[]).await?;
                output::answer(output, &list, card::versions)?;
                Ok(0)
            }
            Self::Diff { name, from, to, output } => {
                let path = ["v1", "plugins", &name, "versions", &from, "diff", &to];
                let diff: shape::VersionDiff = client.get(&path, &[]).await?;
                output::answer(output, &diff, card::version_diff)?;
                Ok(0)
            }
            Self::Activate { name, which, output } => activate(client, &name, &which, output).await,
            Self::Rollback(One { name, output }) => activate(client, &name, "previous", output).await,
            Self::Forget { name, which, output } => {
                let list: shape::VersionList = client.delete(&["v1", "plugins", &name, "versions", &which]).await?;
                output::answer(output, &list, card::versions)?;
                Ok(0)
            }
            Self::CloseBreaker(One { name, output }) => {
                let plugin: shape::Plugin = client.act(&["v1", "plugins", &name, "close-breaker"]).await?;
                output::answer(output, &plugin, card::plugin)?;
                Ok(0)
            }
            Self::Release(One { name, output }) => {
                let plugin: shape::Plugin = client.act(&["v1", "plugins", &name, "release"]).await?;
                output::answer(output, &plugin, card::plugin)?;
                Ok(0)
            }
        }
    }
}

async fn activate(client: &Client, name: &str, which: &str, format: Format) -> Result<u8, AskError> {
    let path = ["v1", "plugins", name, "versions", which, "activate"];
    told(format, &client.act(&path).await?)
}

/// Print what became of a version, and tell the exit code.
fn told(format: Format, delivered: &shape::Delivered) -> Result<u8, AskError> {
    output::answer(format, delivered, card::delivered)?;
    Ok(if delivered.state.as_str() == "waiting" { WAITING } else { 0 })
}
