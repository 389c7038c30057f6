//! Registers routes: each with its description, and with the least role that it takes.
//!
//! There is no way to add a route here without saying for whom it is. The role goes to the description as well, where
//! programs find it and from where the tests take it.
//!
//! Those whom a cluster knows have no role. They may look where a viewer may, if the cluster lets them, and they act only through
//! routes that say on what: all others refuse them.

use std::sync::Arc;

use axum::Extension;
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
use super::subject::On;
use crate::domain::{PluginVerb, Role};

/// For whom a route is.
#[derive(Clone, Copy)]
struct Needed {
    /// The least role.
    role: Role,
    /// What a cluster is asked of one of its own; none for routes that are for roles alone.
    on: Option<On>,
}

/// The routes so far.
pub(super) struct Routes(OpenApiRouter<Arc<App>>);

impl Routes {
    /// None yet, described by `base`.
    pub(super) fn new(base: utoipa::openapi::OpenApi) -> Self {
        Self(OpenApiRouter::with_openapi(base))
    }

    /// Routes for anybody. They do answer anybody once [`super::auth::is_open`] knows their paths too.
    pub(super) fn open(self, routes: UtoipaMethodRouter<Arc<App>>) -> Self {
        Self(self.0.routes(routes))
    }

    /// Routes for callers who have at least this role. What a viewer may look at is for those whom a cluster lets look at all
    /// plugins, too.
    pub(super) fn least(self, role: Role, routes: UtoipaMethodRouter<Arc<App>>) -> Self {
        let on = (role == Role::Viewer).then_some(On::Everything(PluginVerb::Get));
        self.needing(Needed { role, on }, routes)
    }

    fn needing(self, needed: Needed, routes: UtoipaMethodRouter<Arc<App>>) -> Self {
        let (schemas, mut paths, methods) = routes;
        let token = SecurityRequirement::new("token", [needed.role.as_str()]);
        let verbs = needed.on.map(On::verbs).unwrap_or_default();
        let cluster = verbs.iter().map(|verb| SecurityRequirement::new("kubernetes", [verb.as_str()]));
        let ways: Vec<_> = std::iter::once(token).chain(cluster).collect();
        for operation in paths.paths.values_mut().flat_map(operations) {
            operation.security = Some(ways.clone());
        }
        let methods = methods.route_layer(from_fn_with_state(needed, authorize));
        Self(self.0.routes((schemas, paths, methods)))
    }

    /// The same for routes that act: whoever sends them an `Idempotency-Key` has the thing done once. The body of a request
    /// with a key is held in memory, so a route that takes large ones should be safe to repeat by itself.
    pub(super) fn acting(self, role: Role, routes: UtoipaMethodRouter<Arc<App>>) -> Self {
        self.needing(Needed { role, on: None }, done_once(routes))
    }

    /// The same, also for those whom a cluster lets do that.
    pub(super) fn acting_on(self, role: Role, on: On, routes: UtoipaMethodRouter<Arc<App>>) -> Self {
        self.needing(Needed { role, on: Some(on) }, done_once(routes))
    }

    /// All of them.
    pub(super) fn done(self) -> OpenApiRouter<Arc<App>> {
        self.0
    }
}

fn done_once(routes: UtoipaMethodRouter<Arc<App>>) -> UtoipaMethodRouter<Arc<App>> {
    let (schemas, mut paths, methods) = routes;
    for operation in paths.paths.values_mut().flat_map(operations) {
        operation.parameters.get_or_insert_default().push(key_parameter().into());
    }
    (schemas, paths, methods.route_layer(from_fn(once)))
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
async fn authorize(
    State(Needed { role: needed, on }): State<Needed>,
    Extension(app): Extension<Arc<App>>,
    Caller(actor): Caller,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let granted = request.extensions().get().cloned().ok_or(ApiError::NoToken)?;
    let request = match (granted, on) {
        (Granted::Role(role), _) if role < needed => return Err(ApiError::Forbidden { needed, actor, role }),
        (Granted::Role(_), _) => request,
        (Granted::Cluster(member), Some(on)) => on.admit(&app, &member, request).await?,
        (Granted::Cluster(_), None) => return Err(ApiError::NoRole { needed, actor }),
    };
    Ok(next.run(request).await)
}
