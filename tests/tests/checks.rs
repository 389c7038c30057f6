//! Real checks in a real agent, where it matters most: a server without a free connection, grants that lack something,
//! credentials that nobody may see, and SQL that wants out.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of tests may fail as tests do"
)]

#[path = "postgres_client/attempts.rs"]
mod attempts;
#[path = "checks/canaries.rs"]
mod canaries;
#[path = "checks/cancelled.rs"]
mod cancelled;
#[path = "checks/escapes.rs"]
mod escapes;
#[path = "checks/exhausted.rs"]
mod exhausted;
#[path = "checks/fixture.rs"]
mod fixture;
#[path = "checks/grants.rs"]
mod grants;
