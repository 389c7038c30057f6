//! `paramedic freeze`, `freezes` and `unfreeze`.

use clap::Args;

use super::client::{AskError, Client};
use super::output::{self, Format};
use crate::api::{card, shape};

const PATH: [&str; 2] = ["v1", "freezes"];

/// Have nothing changed for a while.
#[derive(Args, Debug)]
pub struct Freeze {
    #[command(flatten)]
    scope: Scope,
    /// Why, for those who are kept from changing something.
    #[arg(long)]
    reason: String,
    /// For how long: a time such as 90m, 6h or 2d, or a point in time such as 2026-03-01T03:14:15Z.
    #[arg(long = "for", value_name = "TIME")]
    length: String,
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Scope {
    /// The changes of a target, such as queue/email.
    #[arg(long)]
    target: Option<String>,
    /// The changes that a plugin makes.
    #[arg(long)]
    plugin: Option<String>,
    /// All changes.
    #[arg(long)]
    all: bool,
}

/// List what is frozen.
#[derive(Args, Debug)]
pub struct Freezes {
    /// How they are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

/// Lift a freeze.
#[derive(Args, Debug)]
pub struct Unfreeze {
    /// Its id.
    id: String,
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

impl Freeze {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let Scope { target, plugin, all } = self.scope;
        let scope = shape::Scope { all, target, plugin };
        let request = shape::FreezeRequest { scope, reason: self.reason, r#for: self.length };
        one(self.output, client.post(&PATH, &[], &request).await?)
    }
}

impl Freezes {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let list: shape::FreezeList = client.get(&PATH, &[]).await?;
        output::answer(self.output, &list, card::freezes)?;
        Ok(0)
    }
}

impl Unfreeze {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let [version, freezes] = PATH;
        one(self.output, client.delete(&[version, freezes, &self.id]).await?)
    }
}

fn one(format: Format, freeze: shape::Freeze) -> Result<u8, AskError> {
    output::answer(format, &freeze, |freeze, paint| {
        card::freezes(&shape::FreezeList { freezes: vec![freeze.clone()] }, paint)
    })?;
    Ok(0)
}
