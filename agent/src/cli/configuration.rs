//! `paramedic config reload`.

use clap::Args;
use serde_json::json;

use super::client::{AskError, Client};
use super::output::{self, Format};
use crate::api::{card, shape};

/// Have a running agent read its configuration again.
#[derive(Args, Debug)]
pub struct Reload {
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

impl Reload {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let reloaded: shape::Reloaded = client.post(&["v1", "config:reload"], &[], &json!({})).await?;
        output::answer(self.output, &reloaded, card::reloaded)?;
        Ok(0)
    }
}
