//! A Kubernetes API server for tests, in this process, on a loopback port, held line by line to the record of a real
//! one in `record/`.
//!
//! Read in this order: [`Cluster`] is the handle that tests hold; `server` takes bytes apart and puts them together;
//! `api` is the way of a request; `store` holds objects and their history. Behind them, one file for each concern:
//! `rbac`, `identity`, `read`, `watch`, `write`, `patch`, `fields`, `admission`, `scale`, `binding`, `eviction`, `delete`, `logs`,
//! `reviews`, `metrics`, `discovery`. `schema` is the table of types that several of these share. `controllers` moves
//! the world, only when a test says so; `faults` breaks it.
//!
//! Nothing here knows the record: it is read by the test alone, so that an answer can only come from the rules.

mod admission;
mod answer;
mod api;
mod binding;
mod cluster;
mod controllers;
mod delete;
mod discovery;
mod events;
mod eviction;
mod failure;
mod faults;
mod fields;
mod identity;
mod kubectl;
mod logs;
mod metrics;
mod objects;
mod options;
mod patch;
mod quantity;
mod rbac;
mod read;
mod request;
mod resources;
mod reviews;
mod scale;
mod schema;
mod selectors;
mod server;
mod store;
mod table;
mod time;
mod tls;
mod watch;
mod world;
mod write;

pub use cluster::Cluster;
pub use controllers::Controllers;
pub use faults::{Fault, Trouble};
pub use metrics::{Metrics, Usage};
pub use request::Request;
