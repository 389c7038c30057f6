//! The HTTP API: `/v1`, its description, and the probes.
//!
//! ```text
//!  serve    connections, their number, their encryption (tls) and their heads
//!    ▼
//!  observe  id and span of the request; a failure becomes `application/problem+json`; a panic becomes a failure
//!    ▼
//!  auth     who asks, and how often; nobody but probes gets past it without a token. Who has none of ours may be known to a
//!    ▼      cluster, which `reviews` asks
//!  route    what the caller's role allows, or the cluster for what the request is about (`subject`); no route is registered without
//!           saying so
//!    ▼
//!  once     a request with an idempotency key is done once
//!    ▼
//!  runs, archive, events, plans, freezes, sweeps, silences, plugins, versions, configuration, audit, probes, openapi, page
//!                                      one file per resource; accept, prefer, body, upload and query read what a request says
//!    ▼
//!  shape, card                         the answer as JSON and as text for a terminal
//! ```
//!
//! Every route is registered together with its description, so that `/openapi.json` lists all of them.
//!
//! Knows the domain and handles to the runner, the scheduler, the store and the catalog. It does not know how a plugin runs, what a
//! target is or where a record lies; and the only place that knows status codes of failures is `problem`.

mod accept;
mod archive;
mod audit;
mod auth;
mod body;
pub mod card;
mod configuration;
mod events;
mod freezes;
mod leases;
mod near;
mod observe;
mod once;
mod openapi;
mod page;
mod plans;
mod plugins;
mod prefer;
mod probes;
mod problem;
mod query;
mod rate;
mod recordings;
mod reviews;
mod route;
mod runs;
mod serve;
pub mod shape;
mod silences;
mod subject;
mod sweeps;
mod tls;
mod upload;
mod versions;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use http::request;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;

pub use auth::{Access, Token, Tokens};
pub use configuration::Configuration;
pub use events::Missed;
pub use problem::{Fault, Problem};
pub use reviews::{Cluster, Reviewer};
pub use serve::serve;
pub use tls::{Tls, TlsError, TlsFiles};
pub use upload::Uploads;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::domain::{PluginVerb, Role};
use crate::runner::Runner;
use crate::scheduler::Scheduler;
use crate::store::Store;
use crate::telemetry::Metrics;
use problem::ApiError;
use route::{Routes, route};
use subject::On;

/// What the API stands on.
pub struct Parts {
    /// Starts runs.
    pub runner: Arc<Runner>,
    /// Runs sweeps.
    pub scheduler: Arc<Scheduler>,
    /// Knows the plugins.
    pub catalog: Arc<Catalog>,
    /// Keeps the runs.
    pub store: Arc<dyn Store>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// True once every plugin was tried.
    pub loaded: watch::Receiver<bool>,
    /// Who may ask.
    pub tokens: Arc<Tokens>,
    /// Knows the configuration.
    pub configuration: Arc<dyn Configuration>,
    /// Largest body of a request.
    pub max_body_bytes: usize,
    /// Where components go while they arrive.
    pub uploads: Uploads,
}

/// What a handler finds.
struct App {
    parts: Parts,
    turns: once::Turns,
    streams: Arc<Semaphore>,
}

impl App {
    fn new(parts: Parts) -> Arc<Self> {
        let streams = Arc::new(Semaphore::new(events::MAX_STREAMS));
        Arc::new(Self { parts, turns: once::Turns::default(), streams })
    }
}

type Shared = axum::extract::State<Arc<App>>;

/// The whole API.
pub fn router(parts: Parts) -> Router {
    let tokens = parts.tokens.clone();
    let app = App::new(parts);
    // The layers of single routes find it as an extension, because they are laid before there is a state.
    guarded(routes().router().with_state(app.clone()).layer(Extension(app)), tokens)
}

/// What lies around every route, and around those that do not exist.
fn guarded(router: Router, tokens: Arc<Tokens>) -> Router {
    router
        .fallback(async || ApiError::UnknownRoute)
        .method_not_allowed_fallback(async |method: http::Method| ApiError::MethodNotAllowed(method))
        .layer(from_fn_with_state(tokens, auth::authenticate))
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(from_fn(observe::observe))
}

fn routes() -> Routes {
    use PluginVerb::{Apply, Run};
    use Role::{Admin, Responder, Viewer};
    Routes::default()
        .least(Viewer, route!(plugins::list))
        .least(Viewer, route!(plugins::show))
        .least(Viewer, route!(versions::list))
        // Components are too large to be held in memory under a key; delivering the same one again has no effect.
        .least(Admin, route!(versions::push))
        .least(Admin, route!(versions::put))
        .acting(Admin, route!(versions::forget))
        .acting(Admin, route!(versions::activate))
        .least(Viewer, route!(versions::diff))
        .least(Responder, route!(recordings::component))
        .acting(Admin, route!(versions::release))
        .acting(Admin, route!(versions::close_breaker))
        .least(Viewer, route!(runs::list))
        .acting_on(Responder, On::RunRequest, route!(runs::start))
        .least(Viewer, route!(runs::show))
        .least(Viewer, route!(archive::show))
        // Answers of targets, which nobody else sees.
        .least(Admin, route!(recordings::show))
        .acting_on(Responder, On::Run(Run), route!(runs::cancel))
        .acting_on(Responder, On::Run(Apply), route!(plans::undo))
        .least(Viewer, route!(plans::show))
        .acting_on(Responder, On::Plan(Apply), route!(plans::apply))
        .least(Viewer, route!(leases::list))
        .acting_on(Responder, On::Run(Apply), route!(leases::extend))
        .acting_on(Responder, On::Run(Apply), route!(leases::end))
        .least(Viewer, route!(events::show))
        .least(Viewer, route!(sweeps::list))
        .least(Viewer, route!(sweeps::show))
        .acting_on(Responder, On::Everything(Run), route!(sweeps::start))
        .least(Viewer, route!(sweeps::show_one))
        .acting_on(Responder, On::Plan(Apply), route!(plans::approve))
        .least(Viewer, route!(freezes::list))
        .acting_on(Responder, On::Everything(Apply), route!(freezes::add))
        .acting_on(Responder, On::Everything(Apply), route!(freezes::lift))
        .least(Viewer, route!(silences::list))
        .acting_on(Responder, On::Everything(Run), route!(silences::add))
        .acting_on(Responder, On::Everything(Run), route!(silences::remove))
        .acting(Admin, route!(configuration::reload))
        .least(Viewer, route!(audit::head))
        .least(Admin, route!(audit::export))
        .least(Admin, route!(audit::verify))
        .open(route!(probes::healthz))
        .open(route!(probes::readyz))
        .least(Viewer, route!(probes::metrics))
        .open(route!(openapi::show))
        .open(route!(page::show))
        .open(route!(page::part))
}

/// The part of a path that names a thing. What is not UTF-8 names nothing.
struct Segment(String);

impl FromRequestParts<Arc<App>> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, app).await;
        path.map(|Path(segment)| Self(segment)).map_err(|_| ApiError::UnknownRoute)
    }
}

/// The parts of a path that name things. What is not UTF-8 names nothing.
struct Segments<T>(T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, app).await;
        path.map(|Path(segments)| Self(segments)).map_err(|_| ApiError::UnknownRoute)
    }
}
