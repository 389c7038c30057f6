//! The WIT side: what a guest can call, and nothing else.
//!
//! Each file below is one file of `wit/`. A host function does four things in order: decode, hand the call to the
//! journal (which asks `policy` and gives the permit), call the client, encode. Whatever else it would have to do
//! belongs in `clients` or `policy`.
//!
//! Knows the journal, policy, clients, domain and wasmtime; never the store, the scheduler or the API.

mod absent;
pub mod bindings;
mod changes;
mod error;
mod http;
mod imports;
mod kubernetes;
mod kubernetes_actions;
pub mod limiter;
pub mod linker;
mod overlay;
mod postgres;
mod queue;
mod redis;
pub mod run_log;
pub mod state;
mod stdio;
mod support;
pub mod targets;
mod time;

pub(crate) use error::describe as describe_error;
pub use imports::{Imports, ImportsError};
pub use run_log::RunLog;
pub use state::{Gate, PluginContext, RunState};
pub use support::{Entry, Memory, MemoryError, NoMemory};
pub use targets::Targets;
