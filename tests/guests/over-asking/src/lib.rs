//! Imports one function of Postgres and asks for more: what its grants have to cover is both.

use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, postgres};
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of over-asking.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The Postgres target.
    target: String,
}

/// The check.
pub struct OverAsking;

paramedic_sdk::export!(OverAsking);

impl Plugin for OverAsking {
    type Params = Params;

    fn describe() -> Description {
        Description::check("over-asking", env!("CARGO_PKG_VERSION"), "Wants more")
            .needs("postgres/inspect", "{target}", "to look")
            .needs("postgres/query", "{target}", "to look closer")
            .can_use("postgres/sessions", "{target}", "to name who is there")
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let server = postgres::inspect(&params.target)?;
        Ok(Outcome::ok(format!("{} is there", server.version_text())))
    }
}
