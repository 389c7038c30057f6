//! `/v1/plugins/{name}/versions`: delivering, listing, comparing, activating and forgetting versions of a plugin; and
//! ending its quarantine.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::accept::Format;
use super::auth::Caller;
use super::card::{self, Paint};
use super::plugins::unknown_plugin;
use super::problem::{ApiError, Problems};
use super::upload::Upload;
use super::{App, Segment, Segments, Shared, shape};
use crate::catalog::{Became, Delivered, Delivery, PluginError, Undelivered, Which};
use crate::domain::{Actor, Origin, PluginName};

/// List the versions of a plugin that are kept, and what became of those that were not taken.
#[utoipa::path(
    get, path = "/v1/plugins/{name}/versions", operation_id = "listVersions", tag = "plugins",
    params(("name" = String, Path, description = "Name of the plugin.")),
    responses(
        (status = 200, description = "Its versions, the newest first.",
            content((shape::VersionList = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn list(State(app): Shared, format: Format, Segment(name): Segment) -> Result<Response, ApiError> {
    let name = known(&app, &name)?;
    let kept = app.parts.catalog.versions(&name).await?;
    let list = shape::VersionList::of(&name, kept, app.parts.catalog.standing(&name));
    Ok(format.answer(&list, |list| card::versions(list, Paint::Plain)))
}

/// Deliver a version of a plugin, and let it run if it passes every step.
///
/// The answer comes when it runs, with status 200; or with 202 when it asks for more than its grants: it is kept, and `reason`
/// has the lines that an operator would add. In either case nothing is changed by a version that fails a step, and the
/// problem says which. The same bytes again are taken without effect; other bytes under a version that is kept are refused.
#[utoipa::path(
    put, path = "/v1/plugins/{name}/versions/{version}", operation_id = "putVersion", tag = "plugins",
    params(
        ("name" = String, Path, description = "Name of the plugin."),
        ("version" = String, Path, description = "The version that the component has to be."),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip`, if the body is compressed."),
        ("Paramedic-Signature" = Option<String>, Header,
            description = "The file that minisign made of the uncompressed component, as base64."),
        ("Paramedic-Digest" = Option<String>, Header,
            description = "`sha256:` and the digest that the uncompressed component is meant to have.")
    ),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component."),
    responses(
        (status = 200, description = "It runs, or is known already.",
            content((shape::Delivered = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It is kept and waits for its grants.",
            content((shape::Delivered = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn put(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    Segments((name, version)): Segments<(String, String)>,
    waiting: Request,
) -> Result<Response, ApiError> {
    let name = configured(&app, &name)?;
    let version = version.parse().map_err(|_| ApiError::InvalidVersion {
        given: crate::domain::cut_bytes(&version, 80).to_owned(),
        expected: "a semantic version such as 0.2.0",
    })?;
    deliver(app, actor, format, name, Some(version), waiting).await
}

/// Deliver a version of a plugin, whichever it says it is.
///
/// As `PUT /v1/plugins/{name}/versions/{version}`, for who has a file and does not know what it is.
#[utoipa::path(
    post, path = "/v1/plugins/{name}/versions", operation_id = "pushVersion", tag = "plugins",
    params(
        ("name" = String, Path, description = "Name of the plugin."),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip`, if the body is compressed."),
        ("Paramedic-Signature" = Option<String>, Header,
            description = "The file that minisign made of the uncompressed component, as base64."),
        ("Paramedic-Digest" = Option<String>, Header,
            description = "`sha256:` and the digest that the uncompressed component is meant to have.")
    ),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component."),
    responses(
        (status = 200, description = "It runs, or is known already.",
            content((shape::Delivered = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It is kept and waits for its grants.",
            content((shape::Delivered = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn push(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    Segment(name): Segment,
    waiting: Request,
) -> Result<Response, ApiError> {
    let name = configured(&app, &name)?;
    deliver(app, actor, format, name, None, waiting).await
}

/// A request whose body was not looked at yet.
type Request = axum::extract::Request;

async fn deliver(
    app: std::sync::Arc<App>,
    actor: Actor,
    format: Format,
    name: PluginName,
    version: Option<semver::Version>,
    request: Request,
) -> Result<Response, ApiError> {
    use axum::extract::FromRequest;
    // Only now: nothing is read for a plugin that is not configured.
    let received = Upload::from_request(request, &app).await;
    let Upload { component, signature, digest, place } = received.inspect_err(|error| {
        let failed = match error {
            ApiError::ComponentTooLarge { limit } => PluginError::TooLarge { limit: *limit },
            ApiError::NotGzip(error) => PluginError::NotGzip(std::io::Error::new(error.kind(), error.to_string())),
            _ => return,
        };
        app.parts.catalog.not_received(&name, version.clone(), actor.clone(), failed);
    })?;
    let delivery = Delivery {
        component: component.into(),
        signature,
        version,
        digest,
        origin: Origin::Upload,
        actor: Some(actor),
    };
    // On a task of its own: a caller that leaves must not leave half of it behind.
    let catalog = app.parts.catalog.clone();
    let plugin = name.clone();
    let deliver = async move {
        let delivered = catalog.deliver(&plugin, delivery).await;
        drop(place);
        delivered
    };
    let delivered = tokio::spawn(deliver).await;
    let delivered = delivered.map_err(|error| ApiError::Panicked(error.to_string()))??;
    Ok(answer(format, &name, delivered))
}

fn answer(format: Format, name: &PluginName, delivered: Delivered) -> Response {
    let status = match delivered.became {
        Became::Active | Became::Unchanged | Became::Kept => StatusCode::OK,
        Became::Waiting => StatusCode::ACCEPTED,
    };
    let shape = shape::Delivered::of(name, delivered);
    (status, format.answer(&shape, |delivered| card::delivered(delivered, Paint::Plain))).into_response()
}

/// Let a kept version run: a newer one, or an older one again.
///
/// `previous` in place of a version goes back to the one that ran before. The version goes through all steps again; the one
/// that runs stays if it fails one.
#[utoipa::path(
    post, path = "/v1/plugins/{name}/versions/{version}/activate", operation_id = "activateVersion", tag = "plugins",
    params(
        ("name" = String, Path, description = "Name of the plugin."),
        ("version" = String, Path, description = "A version that is kept, `previous` or `waiting`.")
    ),
    responses(
        (status = 200, description = "It runs.",
            content((shape::Delivered = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It still waits for its grants.",
            content((shape::Delivered = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn activate(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    Segments((name, version)): Segments<(String, String)>,
) -> Result<Response, ApiError> {
    let (name, which) = (known(&app, &name)?, which(&version)?);
    let (catalog, plugin) = (app.parts.catalog.clone(), name.clone());
    let activated = tokio::spawn(async move { catalog.activate(&plugin, &which, &actor).await }).await;
    let activated = activated.map_err(|error| ApiError::Panicked(error.to_string()))??;
    Ok(answer(format, &name, activated))
}

/// Forget a version that is not active, or with `waiting` the one that waits.
#[utoipa::path(
    delete, path = "/v1/plugins/{name}/versions/{version}", operation_id = "forgetVersion", tag = "plugins",
    params(
        ("name" = String, Path, description = "Name of the plugin."),
        ("version" = String, Path, description = "A version that is kept and not active, or `waiting`.")
    ),
    responses(
        (status = 200, description = "What is kept now.",
            content((shape::VersionList = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn forget(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    Segments((name, version)): Segments<(String, String)>,
) -> Result<Response, ApiError> {
    let (name, which) = (known(&app, &name)?, which(&version)?);
    app.parts.catalog.forget(&name, &which, &actor).await?;
    let kept = app.parts.catalog.versions(&name).await?;
    let list = shape::VersionList::of(&name, kept, app.parts.catalog.standing(&name));
    Ok(format.answer(&list, |list| card::versions(list, Paint::Plain)))
}

/// Compare two versions: what they import, ask for and take, and how large they are.
#[utoipa::path(
    get, path = "/v1/plugins/{name}/versions/{from}/diff/{to}", operation_id = "diffVersions", tag = "plugins",
    params(
        ("name" = String, Path, description = "Name of the plugin."),
        ("from" = String, Path, description = "A version that is kept, `active`, `previous` or `waiting`."),
        ("to" = String, Path, description = "The same, for the version that is looked at.")
    ),
    responses(
        (status = 200, description = "What is different in the second.",
            content((shape::VersionDiff = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn diff(
    State(app): Shared,
    format: Format,
    Segments((name, from, to)): Segments<(String, String, String)>,
) -> Result<Response, ApiError> {
    let name = known(&app, &name)?;
    let diff = app.parts.catalog.diff(&name, &which(&from)?, &which(&to)?).await?;
    let diff = shape::VersionDiff::of(&name, diff);
    Ok(format.answer(&diff, |diff| card::version_diff(diff, Paint::Plain)))
}

/// End the quarantine of a plugin at once.
///
/// Without effect for a plugin that is in none.
#[utoipa::path(
    post, path = "/v1/plugins/{name}/release", operation_id = "releasePlugin", tag = "plugins",
    params(("name" = String, Path, description = "Name of the plugin.")),
    responses(
        (status = 200, description = "The plugin as it is now.",
            content((shape::Plugin = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn release(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    Segment(name): Segment,
) -> Result<Response, ApiError> {
    let name = known(&app, &name)?;
    app.parts.catalog.release(&name, &actor).await?;
    super::plugins::answer(&app, format, &name)
}

/// Trust a plugin again whose applies did not help.
///
/// A plugin whose last two applies to the same targets did not help is held back from these for an hour. This ends that at
/// once, and is without effect for all others.
#[utoipa::path(
    post, path = "/v1/plugins/{name}/close-breaker", operation_id = "closeBreaker", tag = "changes",
    params(("name" = String, Path, description = "Name of the plugin.")),
    responses(
        (status = 200, description = "The plugin as it is now.",
            content((shape::Plugin = "application/json"), (String = "text/plain"))),
        Problems
    )
)]
pub(super) async fn close_breaker(
    State(app): Shared,
    Caller(actor): Caller,
    format: Format,
    Segment(name): Segment,
) -> Result<Response, ApiError> {
    let name = known(&app, &name)?;
    app.parts.store.close_breaker(&name, &actor).await?;
    tracing::warn!(plugin.name = %name, actor = actor.0, "a breaker was closed");
    super::plugins::answer(&app, format, &name)
}

/// The name of a plugin that is configured, for what only looks.
pub(super) fn known(app: &App, name: &str) -> Result<PluginName, ApiError> {
    let known = name.parse().ok().filter(|name| app.parts.catalog.get(name).is_some());
    known.ok_or_else(|| unknown_plugin(app, name))
}

/// The same for what brings something: the refusal has the lines that would let it in.
fn configured(app: &App, name: &str) -> Result<PluginName, ApiError> {
    match name.parse::<PluginName>() {
        Ok(name) => match app.parts.catalog.takes_uploads(&name) {
            Ok(()) => Ok(name),
            Err(Undelivered::UnknownPlugin { name }) => Err(ApiError::PluginNotConfigured { name }),
            Err(other) => Err(other.into()),
        },
        Err(_) => Err(unknown_plugin(app, name)),
    }
}

pub(super) fn which(text: &str) -> Result<Which, ApiError> {
    text.parse().map_err(|_| ApiError::InvalidVersion {
        given: crate::domain::cut_bytes(text, 80).to_owned(),
        expected: "a semantic version such as 0.2.0, or `active`, `previous` or `waiting`",
    })
}

impl From<Undelivered> for ApiError {
    fn from(undelivered: Undelivered) -> Self {
        match undelivered {
            Undelivered::Store(error) => Self::Store(error),
            other => Self::Undelivered(other),
        }
    }
}
