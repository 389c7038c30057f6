//! Calls the host while it describes itself, which no plugin may.

use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, log};
use schemars::JsonSchema;
use serde::Deserialize;

/// None.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The check.
pub struct ChattyDescribe;

paramedic_sdk::export!(ChattyDescribe);

impl Plugin for ChattyDescribe {
    type Params = Params;

    fn describe() -> Description {
        log::info("who is asking?");
        Description::check("chatty-describe", env!("CARGO_PKG_VERSION"), "Chatty")
    }

    fn run(_: &Context, _: Params) -> Result<Outcome, Failure> {
        Ok(Outcome::ok("nothing to do"))
    }
}
