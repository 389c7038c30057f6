//! `paramedic leases`.

use clap::{Args, Subcommand};

use super::client::{AskError, Client};
use super::output::{self, Format};
use crate::api::card;
use crate::api::shape;

/// List what is given back by itself, and when; or change that.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Leases {
    #[command(subcommand)]
    one: Option<One>,
    /// How they are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Card)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum One {
    /// Let a lease end at another time.
    Extend {
        /// Id of the run whose changes it holds.
        run: String,
        /// How long from now, such as 45m.
        #[arg(long = "for", value_name = "TIME")]
        time: String,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Card)]
        output: Format,
    },
    /// Give its changes back now.
    End {
        /// Id of the run whose changes it holds.
        run: String,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Card)]
        output: Format,
    },
}

impl Leases {
    pub(super) async fn execute(self, client: &Client) -> Result<u8, AskError> {
        match self.one {
            None => {
                let list: shape::LeaseList = client.get(&["v1", "leases"], &[]).await?;
                output::answer(self.output, &list, card::leases)?;
            }
            Some(One::Extend { run, time, output }) => {
                let request = shape::ExtendRequest { r#for: time };
                let lease: shape::Lease = client.post(&["v1", "leases", &run, "extend"], &[], &request).await?;
                output::answer(output, &lease, card::lease)?;
            }
            Some(One::End { run, output }) => {
                let lease: shape::Lease = client.delete(&["v1", "leases", &run]).await?;
                output::answer(output, &lease, card::lease)?;
            }
        }
        Ok(0)
    }
}
