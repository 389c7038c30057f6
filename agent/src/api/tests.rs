//! The API as a caller sees it, from the routes down to a real store. Runs of real plugins are in the tests of the whole.

mod access;
mod archive;
mod audit;
mod bodies;
mod configuration;
mod description;
mod events;
mod failures;
mod fixture;
mod guards;
mod lists;
mod members;
mod once;
mod page;
mod probes;
mod recordings;
mod routes;
mod sweeps;
mod versions;
