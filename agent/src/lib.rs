//! Paramedic: an agent that answers incidents with sandboxed WebAssembly plugins.
//!
//! In reading order, which is also the order of knowledge: no module uses one that stands below it, except that
//! `app` joins everything. `tests/arrows.rs` keeps it that way; `ARCHITECTURE.md` tells why.

pub mod domain;

pub mod clock;
pub mod config;
pub mod policy;
pub mod store;
