//! `paramedic probe`: how an agent is, for whoever can start a program in its place and not reach its port.

use clap::{Args, ValueEnum};

use super::client::{AskError, Client};
use super::{Connection, UNKNOWN};

/// `paramedic probe`.
#[derive(Args, Debug)]
pub struct Probe {
    /// What is asked.
    #[arg(value_enum, default_value_t = Probed::Readyz)]
    what: Probed,
}

/// A path that needs no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Probed {
    /// Whether the process lives.
    Healthz,
    /// Whether it does its work.
    Readyz,
}

impl Probe {
    pub(super) async fn execute(self, connection: &Connection) -> Result<u8, AskError> {
        let path = match self.what {
            Probed::Healthz => "healthz",
            Probed::Readyz => "readyz",
        };
        let is_well = Client::anonymous(connection)?.is_well(path).await?;
        Ok(if is_well { 0 } else { UNKNOWN })
    }
}
