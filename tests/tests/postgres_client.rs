//! The Postgres client against real servers.

#[path = "postgres_client/common.rs"]
mod common;
#[path = "postgres_client/escapes.rs"]
mod escapes;
#[path = "postgres_client/query.rs"]
mod query;
#[path = "postgres_client/reads.rs"]
mod reads;
#[path = "postgres_client/trouble.rs"]
mod trouble;
