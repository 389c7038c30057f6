//! Registers routes: each with its description, and with the least role that it takes.
//!
//! There is no way to add a route here without saying for whom it is. The role goes to the description as well, where
//! programs find it and from where the tests take it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::App;
use super::auth::{Caller, Granted};
use super::problem::ApiError;
use crate::domain::Role;

/// The routes so far.
pub(super) struct Routes(OpenApiRouter<Arc<App>>);

impl Routes {
    /// None yet, described by `base`.
    pub(super) fn new(base: utoipa::openapi::OpenApi) -> Self {
        Self(OpenApiRouter::with_openapi(base))
    }

    /// Routes for anybody. They do answer anybody once [`super::auth::OPEN`] lists their paths too.
    pub(super) fn open(self, routes: UtoipaMethodRouter<Arc<App>>) -> Self {
        Self(self.0.routes(routes))
    }

    /// Routes for callers who have at least this role.
    pub(super) fn least(self, role: Role, routes: UtoipaMethodRouter<Arc<App>>) -> Self {
        let (schemas, mut paths, methods) = routes;
        for operation in paths.paths.values_mut().flat_map(operations) {
            operation.security = Some(vec![SecurityRequirement::new("token", [role.as_str()])]);
        }
        let methods = methods.route_layer(from_fn_with_state(role, authorize));
        Self(self.0.routes((schemas, paths, methods)))
    }

    /// All of them.
    pub(super) fn done(self) -> OpenApiRouter<Arc<App>> {
        self.0
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// Lets a request through if its caller may do what it asks for. Stands before everything that looks at the request.
async fn authorize(State(needed): State<Role>, request: Request, next: Next) -> Result<Response, ApiError> {
    let extensions = request.extensions();
    let (Some(Caller(actor)), Some(Granted(role))) = (extensions.get(), extensions.get()) else {
        return Err(ApiError::NoToken);
    };
    if *role < needed {
        return Err(ApiError::Forbidden { needed, actor: actor.clone(), role: *role });
    }
    Ok(next.run(request).await)
}
