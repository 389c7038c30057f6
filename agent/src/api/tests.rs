//! The API as a caller sees it, from the routes down to a real store. Runs of real plugins are in the tests of the whole.

mod bodies;
mod description;
mod failures;
mod fixture;
mod lists;
mod probes;
mod routes;
mod versions;
