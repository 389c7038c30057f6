//! Registers routes: each with its description, and with the least role that it takes.
//!
//! There is no way to add a route here without saying for whom it is. The role goes to the description as well, where
//! programs find it and from where the tests take it.
//!
//! Those whom a cluster knows have no role. They may look where a viewer may, if the cluster lets them, and they act only through
//! routes that say on what: all others refuse them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use axum::{Extension, Router};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{OpenApi, Required};
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

/// One route: where it is, what answers there, and how its description is made.
pub(super) struct Route {
    pub(super) path: String,
    pub(super) methods: MethodRouter<Arc<App>>,
    pub(super) described: fn() -> UtoipaMethodRouter<Arc<App>>,
}

/// The route of a handler that has `#[utoipa::path]`. To describe all of them would be a tenth of the agent's start, so that is
/// left until somebody asks.
macro_rules! route {
    ($module:ident :: $handler:ident) => {
        utoipa_axum::paste! {{
            use utoipa_axum::PathItemExt as _;
            type Annotated = $module::[<__path_ $handler>];
            let methods = <Annotated as utoipa::Path>::methods();
            $crate::api::route::Route {
                path: <Annotated as utoipa::Path>::path(),
                methods: methods.iter().fold(axum::routing::MethodRouter::new(), |router, method| {
                    router.on(method.to_method_filter(), $module::$handler)
                }),
                described: || utoipa_axum::routes!($module::$handler),
            }
        }}
    };
}
pub(super) use route;

/// The routes so far.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Arc<App>>,
    described: Vec<Described>,
}

/// What makes the description of a route.
struct Described {
    by: fn() -> UtoipaMethodRouter<Arc<App>>,
    /// None for routes for anybody.
    needed: Option<Needed>,
    takes_key: bool,
}

impl Routes {
    /// Routes for anybody. They do answer anybody once [`super::auth::is_open`] knows their paths too.
    pub(super) fn open(self, route: Route) -> Self {
        self.with(route, None, false)
    }

    /// Routes for callers who have at least this role. What a viewer may look at is for those whom a cluster lets look at all
    /// plugins, too.
    pub(super) fn least(self, role: Role, route: Route) -> Self {
        let on = (role == Role::Viewer).then_some(On::Everything(PluginVerb::Get));
        self.with(route, Some(Needed { role, on }), false)
    }

    /// The same for routes that act: whoever sends them an `Idempotency-Key` has the thing done once. The body of a request
    /// with a key is held in memory, so a route that takes large ones should be safe to repeat by itself.
    pub(super) fn acting(self, role: Role, route: Route) -> Self {
        self.with(route, Some(Needed { role, on: None }), true)
    }

    /// The same, also for those whom a cluster lets do that.
    pub(super) fn acting_on(self, role: Role, on: On, route: Route) -> Self {
        self.with(route, Some(Needed { role, on: Some(on) }), true)
    }

    fn with(mut self, route: Route, needed: Option<Needed>, takes_key: bool) -> Self {
        let Route { path, mut methods, described: by } = route;
        if takes_key {
            methods = methods.route_layer(from_fn(once));
        }
        if let Some(needed) = needed {
            methods = methods.route_layer(from_fn_with_state(needed, authorize));
        }
        self.described.push(Described { by, needed, takes_key });
        Self { router: self.router.route(&path, methods), ..self }
    }

    /// All of them, to be served.
    pub(super) fn router(self) -> Router<Arc<App>> {
        self.router
    }

    /// The description of all of them, over `base`.
    pub(super) fn describe(&self, base: OpenApi) -> OpenApi {
        let add = |all: OpenApiRouter<Arc<App>>, one: &Described| all.routes(one.describe());
        self.described.iter().fold(OpenApiRouter::with_openapi(base), add).into_openapi()
    }
}

impl Described {
    fn describe(&self) -> UtoipaMethodRouter<Arc<App>> {
        let (schemas, mut paths, methods) = (self.by)();
        for operation in paths.paths.values_mut().flat_map(operations) {
            if self.takes_key {
                operation.parameters.get_or_insert_default().push(key_parameter().into());
            }
            if let Some(needed) = self.needed {
                operation.security = Some(needed.ways());
            }
        }
        (schemas, paths, methods)
    }
}

impl Needed {
    /// The ways in which a caller can have what is needed.
    fn ways(self) -> Vec<SecurityRequirement> {
        let token = SecurityRequirement::new("token", [self.role.as_str()]);
        let verbs = self.on.map(On::verbs).unwrap_or_default();
        let cluster = verbs.iter().map(|verb| SecurityRequirement::new("kubernetes", [verb.as_str()]));
        std::iter::once(token).chain(cluster).collect()
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
