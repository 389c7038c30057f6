//! Clients of the systems behind the host: pools, timeouts and byte caps, one file for each system.
//!
//! Every function that reaches a target asks for the permit of its operation. Clients know `domain`, `policy`'s permits and
//! their own driver; never WIT types, the store, the API or each other.

pub mod http;
pub mod kubernetes;
mod mask;
pub mod postgres;
pub mod queue;
pub mod redis;
pub mod resp;

/// What the agent calls itself where it asks for something.
const AGENT: &str = concat!("paramedic/", env!("CARGO_PKG_VERSION"));
