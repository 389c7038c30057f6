//! `/openapi.json`: the description of the API, made from the code.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};

use super::problem::Problems;
use super::shape;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Paramedic",
        description = "An agent that answers incidents with sandboxed WebAssembly plugins.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "runs", description = "Running plugins, and what became of it."),
        (name = "sweeps", description = "Checks that run together, by schedule or when asked, and how they stand."),
        (name = "plugins", description = "What can be run."),
        (name = "audit", description = "Whether the records are as they were recorded."),
        (name = "agent", description = "The agent itself.")
    ),
    security(("token" = [])),
    components(schemas(super::Problem, super::Missed, shape::LogLine, shape::Call, shape::RunSummary)),
    modifiers(&Bearer)
)]
struct Base;

/// A token in the header `Authorization`.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let bearer = bearer.description(Some(
            "A token whose digest is in `auth.tokens` of the agent's configuration. Each operation names the least role \
             that the token needs: viewer, responder or admin.",
        ));
        let cluster = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let cluster = cluster.description(Some(
            "A token of the cluster that `auth.kubernetes` of the agent's configuration names, made for the agent's audience. Each \
             operation names the verb on `plugins.paramedic.dev` that it needs, get, run, plan or apply; one that names none is \
             only for a token of the agent's own.",
        ));
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
        components.add_security_scheme("kubernetes", SecurityScheme::Http(cluster.build()));
    }
}

/// The description.
pub(super) fn description() -> OpenApi {
    super::routes().describe(Base::openapi())
}

/// The description as it is served. Nobody asks most agents for it, so it is made for the first one who does.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| {
    let text = description().to_json();
    text.expect("it consists of texts, numbers and maps with texts as keys").into()
});

/// The description of this API, as OpenAPI 3.1. Needs no token.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "agent", security(()),
    responses((status = 200, description = "This document.", body = Object, content_type = "application/json"), Problems)
)]
pub(super) async fn show() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], TEXT.clone())
}
