//! Write Paramedic's checks and mitigations in Rust: the judgement and nothing else.
//!
//! A check or a mitigation implements [`Plugin`] and is turned into a component by [`export!`]. It reaches the world through
//! the modules named after the host's interfaces ([`postgres`], [`redis`], [`queue`], [`http`], [`kubernetes`]) and
//! builds an [`Outcome`].
//! Everything else is here: parameters and their JSON Schema, [`Threshold`]s, [`Work`] that tells what became of changes,
//! [`Follow`] that waits for a rollout, words for humans, and the bindings to the host.
//!
//! Compiled for any other machine than wasm32, the same modules ask the `testing` harness, so that a plugin's judgement is
//! tested by plain `cargo test`.
//!
//! ```text
//!   your plugin ──► postgres, redis, … ──► bindings (wasm32)   ──► the agent
//!                                     └──► testing (elsewhere) ──► a table of answers
//! ```
//!
//! This crate does not know how grants are written or judged: a call that was not granted is an [`Error::Denied`].

#[macro_use]
mod call;

pub mod bindings;
pub mod clock;
pub mod config;
pub mod guest;
pub mod http;
pub mod human;
pub mod kubernetes;
pub mod log;
pub mod postgres;
pub mod queue;
pub mod redis;
pub mod state;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

mod error;
mod files;
mod follow;
mod outcome;
mod plugin;
mod receipt;
mod suggestion;
mod table;
mod threshold;
mod work;
mod workload;

pub use bindings::paramedic::plugin::types::{Change, Denial, DenialReason, Disposition, Label, Receipt, RemoteError};
pub use error::{Error, Failure};
pub use files::{File, Files, Missing};
pub use follow::{Follow, NotReady, check_time};
pub use outcome::{GIVE_BACK, Metric, Outcome, Status, unit};
pub use plugin::{Capability, Context, Description, Kind, Mode, Plugin, Risk};
pub use suggestion::Suggestion;
pub use table::Table;
pub use threshold::{InvalidThreshold, Threshold, judge};
pub use work::{Words, Work};
pub use workload::{Workload, WorkloadKind};

pub use schemars::{self, JsonSchema};
pub use serde::{self, Deserialize, Serialize};
pub use serde_json;

/// A length of time in seconds, as the host's interfaces count it. Fractions are meaningful.
pub type Seconds = f64;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
pub type Instant = u64;

/// Make a [`Plugin`] the component's one export. Written once per crate; it expands to nothing outside wasm32.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Component = $crate::guest::Component<$plugin>;
    $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        };
    };
}
