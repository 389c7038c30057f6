//! Test a plugin without wasm: a table of answers takes the host's place.
//!
//! ```text
//! let run = Host::new()
//!     .answers(postgres::INSPECT, "main", Ok(server()))
//!     .answers(postgres::SESSIONS, "main", Err(denied()))
//!     .run::<PgConnections>(json!({ "target": "main" }));
//! assert_eq!(run.outcome().status(), Status::Ok);
//! ```
//!
//! A mitigation is run by [`Host::plan`] and [`Host::apply`]. Changes need no answer in the table: they are answered as planned
//! or applied, and [`Run::changes`] tells what was asked for. An answer that is given has its way, with the disposition that the
//! mode of the run makes of it:
//!
//! ```text
//! let host = Host::new().answers(queue::PAUSE, "email", Err(conflict("paused was no, is yes")));
//! assert_eq!(host.apply::<QueuePause>(json!({})).outcome().status(), Status::Warning);
//! ```
//!
//! The harness is as strict as the agent: parameters are validated against the schema, a call that has no answer and a
//! call that the description does not ask for fail the test by name, and so does an outcome that the agent would refuse.
//! What a call of `kubernetes` did not ask for is left out of its answer: pods and objects with other labels, lines that are too old,
//! and what is beyond a limit, which comes with the next page.
//! The clock stands still unless the check sleeps or calls are said to take time.

// A broken expectation has to end the test, and a panic is how tests end.
#![expect(clippy::panic, reason = "a test ends by panicking")]

mod answers;
mod changes;
pub(crate) mod kubernetes;
mod rules;
mod samples;
mod selector;
mod world;

pub use answers::{Argument, Call, Function};
pub use changes::{conflict, out_of_bounds, receipt, unchanged};
pub use samples::{container, pod};
pub use world::{Host, Run};

pub(crate) use world::{
    ask, ask_change, logged, now, remaining, setting, settings, sleep, state_get, state_keys, state_put, state_remove,
    state_swap,
};

use crate::{Denial, DenialReason, Error, JsonSchema, Plugin, RemoteError, Suggestion};
use serde::de::DeserializeOwned;

/// An error as the host gives it for a call outside the grant.
pub fn denied(operation: &str, target: &str) -> Error {
    Error::Denied(Denial {
        operation: operation.to_owned(),
        target: target.to_owned(),
        reason: DenialReason::NotGranted,
        message: "the grant of this plugin lacks it".to_owned(),
    })
}

/// An error of the system behind the host.
pub fn remote(system: &str, code: &str, message: &str) -> Error {
    let (system, code, message) = (system.to_owned(), code.to_owned(), message.to_owned());
    Error::Remote(RemoteError { system, code, message, retryable: false })
}

/// Assert that a plugin describes itself in a way that the agent accepts, and that `{}` gives it its defaults.
pub fn assert_well_described<P: Plugin>() {
    let faults = rules::faults_of_description::<P>();
    assert!(faults.is_empty(), "the agent would refuse this description:\n{}", faults.join("\n"));
}

/// Assert that a suggestion has the parameters that the suggested plugin takes. `T` are those parameters, from the plugin's own
/// source.
pub fn assert_takes<T: JsonSchema + DeserializeOwned>(suggestion: &Suggestion) {
    let params = &suggestion.params;
    let fault = rules::faults_against::<T>(params);
    assert!(fault.is_none(), "{} does not take {params}: {}", suggestion.plugin, fault.unwrap_or_default());
}
