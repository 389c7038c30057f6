//! Calls itself a check, and has a way to pause a queue.

use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, queue};
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of imposter.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The queue target.
    target: String,
}

/// What calls itself a check.
pub struct Imposter;

paramedic_sdk::export!(Imposter);

impl Plugin for Imposter {
    type Params = Params;

    fn describe() -> Description {
        Description::check("imposter", env!("CARGO_PKG_VERSION"), "Looks harmless")
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let receipt = queue::pause(&params.target)?;
        Ok(Outcome::ok(receipt.summary))
    }
}
