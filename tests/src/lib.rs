//! What Paramedic's tests, benchmarks and demo stand on: real servers that live for one test binary.
//!
//! Each service module starts a real server on a free loopback port with its files in a temporary directory, and ends it
//! when its handle is dropped or the process that holds the handle dies, however it dies. `shared()` gives the one
//! server of this test binary, on which a test takes a database, a user or a key prefix of its own; `start…` gives a
//! private one, for tests that need other settings or look at the server as a whole.
//!
//! Calls block, for the few milliseconds that the real thing takes, because they run before the test's own work.

pub mod access;
pub mod agent;
pub mod api;
pub mod browser;
pub mod bullmq;
pub mod canaries;
pub mod components;
pub mod http;
pub mod kubernetes;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod secret;
pub mod wait;
