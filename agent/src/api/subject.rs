//! What a route acts on: the plugin, and the verb that a cluster is asked about before one of its own is let through.
//!
//! Whoever has a token of ours has a role, which tells without this what they may do.

use axum::extract::{FromRequestParts, Path, Request};
use http::request::Parts;

use super::problem::ApiError;
use super::reviews::Member;
use super::runs::{mode, recorded, run_id};
use super::{App, body, shape};
use crate::domain::{Mode, PluginVerb, cut_bytes};

/// What a route acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// All plugins.
    Everything(PluginVerb),
    /// The plugin that the body names, by the verb for the mode that it asks for.
    RunRequest,
    /// The plugin of the run that the path names.
    Run(PluginVerb),
    /// The plugin of the plan that the path names.
    Plan(PluginVerb),
}

impl On {
    /// The verbs of which it takes one.
    pub(super) const fn verbs(self) -> &'static [PluginVerb] {
        match self {
            Self::RunRequest => &[PluginVerb::Run, PluginVerb::Plan],
            Self::Everything(verb) | Self::Run(verb) | Self::Plan(verb) => match verb {
                PluginVerb::Get => &[PluginVerb::Get],
                PluginVerb::Run => &[PluginVerb::Run],
                PluginVerb::Plan => &[PluginVerb::Plan],
                PluginVerb::Apply => &[PluginVerb::Apply],
            },
        }
    }

    /// Give `request` back if `member` may do what it asks for.
    pub(super) async fn admit(self, app: &App, member: &Member, request: Request) -> Result<Request, ApiError> {
        match self {
            Self::Everything(verb) => member.require(verb, None).await.map(|()| request),
            Self::RunRequest => admit_run_request(app, member, request).await,
            Self::Run(verb) => admit_to_run(app, member, verb, request).await,
            Self::Plan(verb) => admit_to_run(app, member, verb, request).await.map_err(as_plan),
        }
    }
}

async fn admit_run_request(app: &App, member: &Member, request: Request) -> Result<Request, ApiError> {
    // The same bytes are read again by whoever acts on them, in the same way.
    let (wanted, request) = body::peek::<shape::RunRequest>(request, app.parts.max_body_bytes).await?;
    let verb = match mode(wanted.mode.as_ref())? {
        Mode::Check => PluginVerb::Run,
        Mode::Plan => PluginVerb::Plan,
        Mode::Apply => PluginVerb::Apply,
    };
    // What names no plugin takes the right to all of them, and is refused after that.
    member.require(verb, wanted.plugin.parse().ok().as_ref()).await?;
    Ok(request)
}

async fn admit_to_run(app: &App, member: &Member, verb: PluginVerb, request: Request) -> Result<Request, ApiError> {
    let (mut parts, body) = request.into_parts();
    let id = id_of(&mut parts).await?;
    let run = match run_id(&id) {
        Ok(id) => recorded(app, id).await,
        Err(refusal) => Err(refusal),
    };
    match run {
        Ok(run) => member.require(verb, Some(&run.plugin)).await?,
        // Whether there is such a run is for those who may look at runs. Nobody gets further, since it may be there in a moment.
        Err(unknown) if member.may(PluginVerb::Get, None).await? => return Err(unknown),
        Err(_) => return Err(member.refusal(verb, None)),
    }
    Ok(Request::from_parts(parts, body))
}

async fn id_of(parts: &mut Parts) -> Result<String, ApiError> {
    let path = Path::from_request_parts(parts, &()).await;
    path.map(|Path(id)| id).map_err(|_| ApiError::UnknownRoute)
}

/// A plan is known by the id of its run.
fn as_plan(refusal: ApiError) -> ApiError {
    match refusal {
        ApiError::UnknownRun(id) => ApiError::UnknownPlan(cut_bytes(&id, 80).to_owned()),
        refusal => refusal,
    }
}
