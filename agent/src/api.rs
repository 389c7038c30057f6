//! The HTTP API: `/v1`, its description, and the probes.
//!
//! ```text
//!  serve    connections, their number and their heads
//!    ▼
//!  observe  id and span of the request; a failure becomes `application/problem+json`; a panic becomes a failure
//!    ▼
//!  auth     who asks; nobody but probes gets past it without a token
//!    ▼
//!  runs, plugins, versions, probes, openapi    one file per resource; accept, prefer, body, upload and query read what
//!                                              a request says
//!    ▼
//!  shape, card                         the answer as JSON and as text for a terminal
//! ```
//!
//! Every route is registered together with its description, so that `/openapi.json` lists all of them.
//!
//! Knows the domain and handles to the runner, the store and the catalog. It does not know how a plugin runs, what a
//! target is or where a record lies; and the only place that knows status codes of failures is `problem`.

mod accept;
mod auth;
mod body;
pub mod card;
mod observe;
mod openapi;
mod plugins;
mod prefer;
mod probes;
mod problem;
mod query;
mod runs;
mod serve;
pub mod shape;
mod upload;
mod versions;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::middleware::{from_fn, from_fn_with_state};
use http::request;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use auth::Token;
pub use problem::{Fault, Problem};
pub use serve::serve;
pub use upload::Uploads;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::runner::Runner;
use crate::store::Store;
use crate::telemetry::Metrics;
use problem::ApiError;

/// What the API stands on.
pub struct Parts {
    /// Starts runs.
    pub runner: Arc<Runner>,
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
    pub tokens: Vec<Token>,
    /// Largest body of a request.
    pub max_body_bytes: usize,
    /// Where components go while they arrive.
    pub uploads: Uploads,
}

/// What a handler finds.
struct App {
    parts: Parts,
    description: String,
}

type Shared = axum::extract::State<Arc<App>>;

/// The whole API.
pub fn router(mut parts: Parts) -> Router {
    let tokens = std::mem::take(&mut parts.tokens);
    let (router, description) = routes().split_for_parts();
    let app = App { parts, description: openapi::text(&description) };
    guarded(router.with_state(Arc::new(app)), tokens)
}

/// What lies around every route, and around those that do not exist.
fn guarded(router: Router, tokens: Vec<Token>) -> Router {
    router
        .fallback(async || ApiError::UnknownRoute)
        .method_not_allowed_fallback(async |method: http::Method| ApiError::MethodNotAllowed(method))
        .layer(from_fn_with_state(Arc::new(auth::Tokens::new(tokens)), auth::authenticate))
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(from_fn(observe::observe))
}

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::show))
        .routes(routes!(versions::list, versions::push))
        .routes(routes!(versions::put, versions::forget))
        .routes(routes!(versions::activate))
        .routes(routes!(versions::diff))
        .routes(routes!(versions::release))
        .routes(routes!(runs::list, runs::start))
        .routes(routes!(runs::show))
        .routes(routes!(probes::healthz))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::metrics))
        .routes(routes!(openapi::show))
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
