//! Registers routes: each with its description, and with the least role that it takes.
//!
//! There is no way to add a route here without saying for whom it is. The role goes to the description as well, where
//! programs find it and from where the tests take it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::App;
use super::auth::{Caller, Granted};
use super::once::once;
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

    /// The same for routes that act: whoever sends them an `Idempotency-Key` has the thing done once. The body of a request
    /// with a key is held in memory, so a route that takes large ones should be safe to repeat by itself.
    pub(super) fn acting(self, role: Role, routes: UtoipaMethodRouter<Arc<App>>) -> Self {
        let (schemas, mut paths, methods) = routes;
        for operation in paths.paths.values_mut().flat_map(operations) {
            operation.parameters.get_or_insert_default().push(key_parameter().into());
        }
        self.least(role, (schemas, paths, methods.route_layer(from_fn(once))))
    }

    /// All of them.
    pub(super) fn done(self) -> OpenApiRouter<Arc<App>> {
        self.0
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

fn key_parameter() -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Has the thing done once, however often it is asked for with this key within a day: the answer to the first \
             request is the answer to all, with the header `Idempotency-Replayed: true`. At most 255 visible ASCII characters.",
        ))
        .schema(Some(text))
        .build()
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
