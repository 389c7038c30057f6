//! `paramedic plugins`.

use clap::Args;

use super::client::{AskError, Client};
use super::output::{self, Format};
use crate::api::{card, shape};

/// List plugins, or show one.
#[derive(Args, Debug)]
pub struct Plugins {
    /// Show this one, with its parameters and grants.
    name: Option<String>,
    /// How they are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

impl Plugins {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
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
