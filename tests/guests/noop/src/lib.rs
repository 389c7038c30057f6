//! Does nothing: the healthy neighbour of the hostile guests, and what a run costs without any work.

use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin};
use schemars::JsonSchema;
use serde::Deserialize;

/// None.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The check.
pub struct Noop;

paramedic_sdk::export!(Noop);

impl Plugin for Noop {
    type Params = Params;

    fn describe() -> Description {
        Description::check("noop", env!("CARGO_PKG_VERSION"), "Nothing")
    }

    fn run(_: &Context, _: Params) -> Result<Outcome, Failure> {
        Ok(Outcome::ok("nothing to do"))
    }
}
