//! Does nothing: the healthy neighbour of the hostile guests, and what a run costs without any work.

use paramedic_sdk::{Check, Context, Description, Failure, Outcome};
use schemars::JsonSchema;
use serde::Deserialize;

/// None.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The check.
pub struct Noop;

paramedic_sdk::export!(Noop);

impl Check for Noop {
    type Params = Params;

    fn describe() -> Description {
        Description::new("noop", env!("CARGO_PKG_VERSION"), "Nothing")
    }

    fn run(_: &Context, _: Params) -> Result<Outcome, Failure> {
        Ok(Outcome::ok("nothing to do"))
    }
}
