//! Uses Redis beside Postgres, and does not say so: nobody who reads its description would know.

use paramedic_sdk::{Context, Description, Failure, Outcome, Plugin, postgres, redis};
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of reticent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The Redis target.
    target: String,
    /// The Postgres target, if it is asked as well.
    #[serde(default)]
    database: Option<String>,
}

/// The check.
pub struct Reticent;

paramedic_sdk::export!(Reticent);

impl Plugin for Reticent {
    type Params = Params;

    fn describe() -> Description {
        Description::check("reticent", env!("CARGO_PKG_VERSION"), "Says half of it").can_use(
            "postgres/inspect",
            "{target}",
            "to look",
        )
    }

    fn run(_: &Context, params: Params) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::ok("it asked");
        outcome.note(match redis::info(&params.target, "server") {
            Ok(_) => "answered".to_owned(),
            Err(error) => error.to_string(),
        });
        if let Some(database) = params.database {
            postgres::inspect(&database)?;
        }
        Ok(outcome)
    }
}
