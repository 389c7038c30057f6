//! Paramedic: an agent that answers incidents with sandboxed WebAssembly plugins.
//!
//! In reading order, which is also the order of knowledge: a module uses only those above it, and `app` joins them all.
//! `tests/arrows.rs` keeps it that way; `ARCHITECTURE.md` tells why.

pub mod canonical;
pub mod domain;

pub mod clock;
pub mod config;
pub mod policy;
pub mod recording;
pub mod store;

pub mod clients;
pub mod journal;

pub mod host;

pub mod engine;

pub mod replay;

pub mod telemetry;

pub mod catalog;
pub mod replicas;

pub mod runner;
pub mod scheduler;

pub mod api;

pub mod cli;

pub mod app;
