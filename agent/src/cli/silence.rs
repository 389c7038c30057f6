//! `paramedic silence`.

use clap::{Args, Subcommand};

use super::client::{AskError, Client};
use super::output::{self, Format};
use crate::api::{card, shape};

/// Say that somebody knows.
#[derive(Args, Debug)]
pub struct Silence {
    #[command(subcommand)]
    what: What,
    /// How it is printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Card)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Silence a sweep for a while.
    Add(Add),
    /// List what is silenced.
    List,
    /// End a silence.
    Remove {
        /// Its id.
        id: String,
    },
}

#[derive(Args, Debug)]
struct Add {
    /// The sweep.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    sweep: Option<String>,
    /// All sweeps.
    #[arg(long)]
    all: bool,
    /// Until when: a time from now such as 90m, 6h or 2d, or a point in time such as 2026-03-01T03:14:15Z.
    #[arg(long = "for", value_name = "TIME")]
    expires: String,
    /// Why, for those who come after.
    #[arg(long)]
    reason: String,
    /// It also ends when the sweep is ok again.
    #[arg(long)]
    until_ok: bool,
}

impl Silence {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        let path = ["v1", "silences"];
        match self.what {
            What::Add(add) => {
                let Add { sweep, expires, reason, until_ok, .. } = add;
                let request = shape::SilenceRequest { sweep, expires, reason, expire_on_resolve: until_ok };
                let silence: shape::Silence = client.post(&path, &[], &request).await?;
                one(self.output, silence)?;
            }
            What::List => {
                let list: shape::SilenceList = client.get(&path, &[]).await?;
                output::answer(self.output, &list, card::silences)?;
            }
            What::Remove { id } => {
                let [version, silences] = path;
                one(self.output, client.delete(&[version, silences, &id]).await?)?;
            }
        }
        Ok(0)
    }
}

fn one(format: Format, silence: shape::Silence) -> Result<(), AskError> {
    output::answer(format, &silence, |silence, paint| {
        card::silences(&shape::SilenceList { silences: vec![silence.clone()] }, paint)
    })
}
