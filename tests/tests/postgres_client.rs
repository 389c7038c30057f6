//! The Postgres client against real servers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests may fail as tests do")]

#[path = "postgres_client/attempts.rs"]
mod attempts;
#[path = "postgres_client/changes.rs"]
mod changes;
#[path = "postgres_client/common.rs"]
mod common;
#[path = "postgres_client/escapes.rs"]
mod escapes;
#[path = "postgres_client/query.rs"]
mod query;
#[path = "postgres_client/reads.rs"]
mod reads;
#[path = "postgres_client/relay.rs"]
mod relay;
#[path = "postgres_client/trouble.rs"]
mod trouble;
