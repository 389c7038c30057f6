//! What can go wrong with a request, and how it is told: `application/problem+json` (RFC 9457).
//!
//! This is the only place that knows status codes of failures. The caller's mistakes name their object and what would
//! be right; a failure of the agent says no more than the request's id, and its cause goes to the log.

mod document;
mod kind;

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

pub(super) use document::Problems;
pub use document::{Fault, Problem};

use crate::catalog::{ParamsError, Step, Undelivered};
use crate::domain::{
    Actor, Mode, PluginName, PluginVerb, Rate, ReloadRefused, Role, RunId, SweepRunId, Timestamp, cut_bytes,
};
use crate::recording::RecordingError;
use crate::runner::{LeaseRefusal, PlanRefusal, Refusal};
use crate::scheduler;
use crate::store::{RunState, StoreError};
use kind::{Answer, Kind, Secrecy, kept, later, told};

/// Begins every `type`.
const URN: &str = "urn:paramedic:problem:";

/// Longest text about a body of the wrong shape, in bytes.
const MAX_SHAPE: usize = 300;

/// Why a request has no other answer. The text is the `detail` of the problem, unless the failure is ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("this needs a token: send `Authorization: Bearer …`")]
    NoToken,
    #[error("the token is not one of those configured in `auth.tokens`")]
    WrongToken,
    #[error("the token of `{name}` expired at {expires}; `paramedic token new` makes another")]
    ExpiredToken { name: String, expires: Timestamp },
    #[error(
        "the token is not one of those configured in `auth.tokens`, and the cluster does not accept it for the audience \
         `{audience}`; `kubectl create token NAME --audience {audience}` makes one that it does"
    )]
    RefusedToken { audience: String },
    #[error(
        "the cluster cannot be asked now whose token this is and what its owner may do; tokens of `auth.tokens` are good all the same"
    )]
    Unreviewed,
    #[error("this needs the role `{needed}`; the token of `{}` has the role `{role}`", actor.0)]
    Forbidden { needed: Role, actor: Actor, role: Role },
    #[error("this needs the role `{needed}`, which only a token of `auth.tokens` can have; `{}` has none", actor.0)]
    NoRole { needed: Role, actor: Actor },
    #[error("{}", not_permitted(actor, *verb, plugin.as_ref(), namespace))]
    NotPermitted { actor: Actor, verb: PluginVerb, plugin: Option<PluginName>, namespace: String },
    #[error(
        "this token may ask {} times a minute, and {} times at once after a pause; ask again in {seconds} s",
        rate.per_minute, rate.burst
    )]
    RateLimited { rate: Rate, seconds: u32 },
    #[error("there is nothing here; `/openapi.json` lists what there is")]
    UnknownRoute,
    #[error("this does not take the method `{0}`; the header `Allow` lists those that it takes")]
    MethodNotAllowed(http::Method),
    #[error("this can be had as `application/json` and as `text/plain`, not as `{0}`")]
    NotAcceptable(String),
    #[error("the body must be `application/json`, not `{0}`; `curl --json` sends it so")]
    UnsupportedMediaType(String),
    #[error("the body has more than {limit} bytes, which is the limit (`server.max_body_bytes`)")]
    BodyTooLarge { limit: usize },
    #[error("the body did not arrive within {seconds} s")]
    BodyTooSlow { seconds: u64 },
    #[error("the body ended early")]
    BodyBroken(#[source] axum::Error),
    #[error("the body is not JSON: {0}")]
    MalformedJson(serde_json::Error),
    #[error("the body does not have the shape that it should: {}", brief(.0))]
    InvalidBody(serde_json::Error),
    #[error("the query is not understood")]
    InvalidQuery(Vec<BadParameter>),
    #[error("the header `{name}` is not understood: {message}")]
    InvalidHeader { name: HeaderName, message: String },
    #[error("this idempotency key stands for another request; take a new key for each thing that is to be done")]
    KeyReused,
    #[error("what was first asked for with this idempotency key is still under way")]
    InProgress(Option<RunId>),
    #[error("no plugin is named `{name}`{}", hint(near, all))]
    UnknownPlugin { name: String, near: Vec<String>, all: Vec<String> },
    #[error("there is no run `{0}`; runs beyond the retention are forgotten")]
    UnknownRun(String),
    #[error("{}", not_recorded(*id, plugin, *mode))]
    NotRecorded { id: RunId, plugin: PluginName, mode: Mode },
    #[error("{}", no_files(*id, plugin, *has_ended))]
    NoFiles { id: RunId, plugin: PluginName, has_ended: bool },
    #[error("the archive of run {id} cannot be packed")]
    NotPacked { id: RunId, source: std::io::Error },
    #[error("the recording of run {id} cannot be unpacked")]
    Damaged { id: RunId, source: RecordingError },
    #[error("there is no plan `{0}`; the id of a plan is that of the run that made it")]
    UnknownPlan(String),
    #[error("the run `{id}` has ended ({}), so there is nothing to cancel", state.as_str())]
    RunEnded { id: RunId, state: RunState },
    #[error("no sweep is named `{name}`{}", hint(near, all))]
    UnknownSweep { name: String, near: Vec<String>, all: Vec<String> },
    #[error("this sweep has no run `{0}`; the oldest are forgotten")]
    UnknownSweepRun(String),
    #[error("there is no silence `{0}`; it may have expired")]
    UnknownSilence(String),
    #[error("there is no freeze `{0}`; it may have expired")]
    UnknownFreeze(String),
    #[error("the body holds what cannot be meant")]
    BadFields(Vec<BadField>),
    #[error("the body must be `application/wasm`, not `{0}`")]
    NotWasm(String),
    #[error("the body can be sent as it is or as `gzip`, not as `{0}`")]
    UnsupportedEncoding(String),
    #[error("the component has more than {limit} bytes, which is the limit (`intake.max_component`)")]
    ComponentTooLarge { limit: u64 },
    #[error("the body cannot be decompressed as gzip: {0}")]
    NotGzip(std::io::Error),
    #[error("{max} uploads are under way, which is the most", max = .0)]
    TooManyUploads(usize),
    #[error("the upload cannot be written")]
    UploadNotStored(#[source] std::io::Error),
    #[error("`{given}` names no version: expected {expected}")]
    InvalidVersion { given: String, expected: &'static str },
    #[error(
        "no plugin is named `{name}` in the configuration, and only those that are can be delivered; add\nplugins:\n  \
         {name}:\n    source: upload\n    grants: []\na version that needs grants then waits, and says which lines they are"
    )]
    PluginNotConfigured { name: PluginName },
    #[error(transparent)]
    Undelivered(Undelivered),
    #[error(transparent)]
    ConfigRefused(ReloadRefused),
    #[error(transparent)]
    Lease(#[from] LeaseRefusal),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    SweepRefused(#[from] scheduler::Refusal),
    #[error("the run is under way or has ended, and its end is not recorded; ask for it later by its id")]
    EndUnknown(RunId),
    #[error("{most} others watch runs already; ask for the run itself now and then, or come back later")]
    TooManyStreams { most: usize },
    #[error("the run of the sweep is under way or has ended, and its end is not recorded; ask for it later by its id")]
    SweepEndUnknown(SweepRunId),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a panic: {0}")]
    Panicked(String),
}

/// One parameter of a query that is not understood.
#[derive(Debug)]
pub(super) struct BadParameter {
    /// Its name.
    pub(super) name: String,
    /// What is wrong with it.
    pub(super) message: String,
}

/// One field of a body that cannot be meant.
#[derive(Debug)]
pub(super) struct BadField {
    /// Where, as a JSON pointer.
    pub(super) pointer: String,
    /// What is wrong with it.
    pub(super) message: String,
}

/// What follows the name of a plugin or a sweep that there is not.
fn hint(near: &[String], all: &[String]) -> String {
    match (near, all) {
        (_, []) => "; none is configured".to_owned(),
        ([], all) => format!("; configured are {}", all.join(", ")),
        (near, _) => format!("; did you mean {}?", near.join(" or ")),
    }
}

impl ApiError {
    /// The one decision about how each failure is told.
    fn answer(&self) -> Answer {
        match self {
            Self::NoToken | Self::WrongToken | Self::RefusedToken { .. } => told(Kind::Unauthenticated),
            Self::Unreviewed => later(Kind::Unreviewed, 5),
            Self::ExpiredToken { .. } => told(Kind::ExpiredToken),
            Self::Forbidden { .. } | Self::NoRole { .. } => told(Kind::Forbidden),
            Self::NotPermitted { .. } => told(Kind::NotPermitted),
            Self::TooManyStreams { .. } => later(Kind::TooManyStreams, 10),
            Self::RateLimited { seconds, .. } => later(Kind::RateLimited, *seconds),
            Self::UnknownRoute => told(Kind::UnknownRoute),
            Self::MethodNotAllowed(_) => told(Kind::MethodNotAllowed),
            Self::NotAcceptable(_) => told(Kind::NotAcceptable),
            Self::UnsupportedMediaType(_) => told(Kind::UnsupportedMediaType),
            Self::BodyTooLarge { .. } | Self::ComponentTooLarge { .. } => told(Kind::BodyTooLarge),
            Self::NotWasm(_) | Self::UnsupportedEncoding(_) => told(Kind::UnsupportedMediaType),
            Self::NotGzip(_) => told(Kind::BodyBroken),
            Self::TooManyUploads(_) => later(Kind::Busy, 5),
            Self::UploadNotStored(_) => Answer { retry_after: Some(10), ..kept(Kind::StoreUnavailable) },
            Self::InvalidVersion { .. } => told(Kind::InvalidVersion),
            Self::PluginNotConfigured { .. } => told(Kind::PluginNotConfigured),
            Self::Undelivered(undelivered) => undelivered_answer(undelivered),
            Self::ConfigRefused(_) => told(Kind::ConfigRefused),
            Self::BodyTooSlow { .. } => told(Kind::BodyTooSlow),
            Self::BodyBroken(_) => told(Kind::BodyBroken),
            Self::MalformedJson(_) => told(Kind::MalformedJson),
            Self::InvalidBody(_) => told(Kind::InvalidBody),
            Self::InvalidQuery(_) => told(Kind::InvalidQuery),
            Self::InvalidHeader { .. } => told(Kind::InvalidHeader),
            Self::KeyReused => told(Kind::KeyReused),
            Self::InProgress(_) => later(Kind::InProgress, 1),
            Self::UnknownPlugin { .. } | Self::Refused(Refusal::UnknownPlugin { .. }) => told(Kind::UnknownPlugin),
            Self::UnknownRun(_) | Self::UnknownSweepRun(_) => told(Kind::UnknownRun),
            Self::Lease(LeaseRefusal::Unknown { .. }) => told(Kind::UnknownLease),
            Self::Lease(LeaseRefusal::Stuck { .. }) => told(Kind::CannotUndo),
            Self::Lease(LeaseRefusal::NotShared { .. }) => later(Kind::NotShared, 10),
            Self::Lease(LeaseRefusal::Store(error)) => store_answer(error),
            Self::UnknownPlan(_) => told(Kind::UnknownPlan),
            Self::NotRecorded { .. } => told(Kind::NotRecorded),
            Self::NoFiles { .. } => told(Kind::NoFiles),
            Self::Damaged { .. } | Self::NotPacked { .. } => kept(Kind::Internal),
            Self::RunEnded { .. } => told(Kind::RunEnded),
            Self::UnknownSweep { .. } | Self::SweepRefused(scheduler::Refusal::UnknownSweep(_)) => {
                told(Kind::UnknownSweep)
            }
            Self::UnknownSilence(_) => told(Kind::UnknownSilence),
            Self::UnknownFreeze(_) => told(Kind::UnknownFreeze),
            Self::BadFields(_) => told(Kind::InvalidBody),
            Self::Refused(Refusal::Loading { .. }) => later(Kind::PluginLoading, 1),
            Self::Refused(Refusal::NotActive { .. } | Refusal::Absent { .. }) => told(Kind::PluginNotActive),
            Self::Refused(Refusal::Quarantined(held)) => later(Kind::PluginQuarantined, held.retry_after()),
            Self::Refused(Refusal::Params(ParamsError::Mismatch(_) | ParamsError::TooLarge { .. })) => {
                told(Kind::InvalidParams)
            }
            Self::Refused(Refusal::Busy { .. }) => later(Kind::Busy, 1),
            Self::Refused(Refusal::Plan(refusal)) => plan_answer(refusal),
            Self::Refused(Refusal::UnknownRun { .. }) => told(Kind::UnknownRun),
            Self::Refused(Refusal::ShuttingDown) | Self::SweepRefused(scheduler::Refusal::ShuttingDown) => {
                later(Kind::ShuttingDown, 5)
            }
            // Not worth repeating: the run that was asked for exists.
            Self::EndUnknown(_) | Self::SweepEndUnknown(_) => told(Kind::EndUnknown),
            Self::Refused(Refusal::Store(error))
            | Self::SweepRefused(scheduler::Refusal::Store(error))
            | Self::Store(error) => store_answer(error),
            Self::Panicked(_) => kept(Kind::Internal),
        }
    }

    fn errors(&self) -> Vec<Fault> {
        match self {
            Self::InvalidQuery(parameters) => parameters.iter().map(Fault::of_parameter).collect(),
            Self::BadFields(fields) => fields.iter().map(Fault::of_field).collect(),
            Self::ConfigRefused(refused) => refused.problems.iter().map(|problem| Fault::somewhere(problem)).collect(),
            Self::Refused(Refusal::Params(ParamsError::Mismatch(problems))) => problems
                .iter()
                .map(|problem| Fault {
                    pointer: Some(format!("/params{}", problem.pointer)),
                    parameter: None,
                    message: problem.message.clone(),
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    fn plugin(&self) -> Option<String> {
        match self {
            Self::UnknownPlugin { name, .. } => Some(name.clone()),
            Self::NotPermitted { plugin, .. } => Some(plugin.as_ref()?.to_string()),
            Self::Refused(
                Refusal::UnknownPlugin { name }
                | Refusal::Loading { name }
                | Refusal::NotActive { name, .. }
                | Refusal::Absent { name },
            )
            | Self::PluginNotConfigured { name } => Some(name.to_string()),
            Self::Refused(Refusal::Quarantined(held)) => Some(held.name.to_string()),
            Self::Undelivered(undelivered) => Some(plugin_of(undelivered)?.to_string()),
            _ => None,
        }
    }

    fn step(&self) -> Option<String> {
        match self {
            Self::Undelivered(Undelivered::Refused { error, .. }) => Some(error.step().as_str().to_owned()),
            Self::ComponentTooLarge { .. } => Some(Step::Size.as_str().to_owned()),
            Self::NotGzip(_) => Some(Step::Decompress.as_str().to_owned()),
            _ => None,
        }
    }

    fn run(&self) -> Option<String> {
        match self {
            Self::UnknownRun(id) | Self::UnknownSweepRun(id) => Some(id.clone()),
            Self::EndUnknown(id)
            | Self::RunEnded { id, .. }
            | Self::NotRecorded { id, .. }
            | Self::NoFiles { id, .. }
            | Self::InProgress(Some(id)) => Some(id.to_string()),
            Self::SweepEndUnknown(id) => Some(id.to_string()),
            _ => None,
        }
    }

    fn role(&self) -> Option<String> {
        match self {
            Self::Forbidden { needed, .. } | Self::NoRole { needed, .. } => Some(needed.to_string()),
            _ => None,
        }
    }

    /// The message with all its causes.
    fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        text
    }
}

/// A version that was not taken is its sender's matter, unless the agent has a defect.
fn undelivered_answer(undelivered: &Undelivered) -> Answer {
    match undelivered {
        Undelivered::UnknownPlugin { .. } => told(Kind::UnknownPlugin),
        Undelivered::OtherSource { .. } => told(Kind::OtherSource),
        Undelivered::Exists { .. } => told(Kind::VersionExists),
        Undelivered::UnknownVersion { .. } => told(Kind::UnknownVersion),
        Undelivered::InUse { .. } => told(Kind::VersionInUse),
        Undelivered::Refused { error, .. } if error.step() == Step::Internal => kept(Kind::Internal),
        Undelivered::Refused { .. } => told(Kind::VersionRefused),
        Undelivered::Store(error) => store_answer(error),
    }
}

fn plugin_of(undelivered: &Undelivered) -> Option<&PluginName> {
    match undelivered {
        Undelivered::UnknownPlugin { name }
        | Undelivered::OtherSource { name, .. }
        | Undelivered::Exists { name, .. }
        | Undelivered::UnknownVersion { name, .. }
        | Undelivered::InUse { name, .. }
        | Undelivered::Refused { name, .. } => Some(name),
        Undelivered::Store(_) => None,
    }
}

/// Why a plan is not made or applied is for the caller to know, and most of it can be mended by making a new one.
const fn plan_answer(refusal: &PlanRefusal) -> Answer {
    match refusal {
        PlanRefusal::NeedsPlan { .. } | PlanRefusal::IsCheck { .. } => told(Kind::WrongMode),
        PlanRefusal::Unknown { .. } => told(Kind::UnknownPlan),
        PlanRefusal::Empty { .. } => told(Kind::PlanEmpty),
        PlanRefusal::OtherDigest { .. } | PlanRefusal::Damaged { .. } => told(Kind::PlanDiffers),
        PlanRefusal::Expired { .. } => told(Kind::PlanExpired),
        PlanRefusal::Taken { .. } => told(Kind::PlanTaken),
        PlanRefusal::OtherVersion { .. } | PlanRefusal::OtherGrants { .. } => told(Kind::PlanOutdated),
        PlanRefusal::TargetBusy { .. } => later(Kind::TargetBusy, 5),
        PlanRefusal::Frozen { wait, .. } => later(Kind::Frozen, *wait),
        PlanRefusal::NotApproved { .. } => told(Kind::NotApproved),
        PlanRefusal::OwnPlan { .. } | PlanRefusal::ApprovedBefore { .. } => told(Kind::CannotApprove),
        PlanRefusal::Cooldown { wait, .. } => later(Kind::Cooldown, *wait),
        PlanRefusal::BreakerOpen { wait, .. } => later(Kind::BreakerOpen, *wait),
        PlanRefusal::NotOver { .. } | PlanRefusal::NothingToGiveBack { .. } => told(Kind::CannotUndo),
        PlanRefusal::BeingGivenBack { .. } => later(Kind::TargetBusy, 5),
        PlanRefusal::NotShared { .. } => later(Kind::NotShared, 10),
    }
}

/// The store's failures are ours, except where a caller asked for something that cannot be.
fn store_answer(error: &StoreError) -> Answer {
    let unavailable = |seconds| Answer { retry_after: Some(seconds), ..kept(Kind::StoreUnavailable) };
    match error {
        StoreError::Busy => unavailable(1),
        StoreError::Full(_)
        | StoreError::Io(_)
        | StoreError::Path { .. }
        | StoreError::Locked { .. }
        | StoreError::Shared(_)
        | StoreError::Closed => unavailable(10),
        StoreError::Invalid(_) | StoreError::InvalidPage(_) => told(Kind::InvalidQuery),
        StoreError::Corrupt { .. }
        | StoreError::TooNew { .. }
        | StoreError::Foreign { .. }
        | StoreError::DuplicateRun(_)
        | StoreError::UnknownRun(_)
        | StoreError::UnknownVersion { .. }
        | StoreError::Conflict { .. }
        | StoreError::KeyTaken
        | StoreError::UnknownPlan(_)
        | StoreError::PlanTaken { .. }
        | StoreError::PlanExpired { .. }
        | StoreError::DamagedPlan
        | StoreError::HourSpent { .. }
        | StoreError::BudgetSpent { .. }
        | StoreError::Frozen(_)
        | StoreError::ApprovedBefore { .. }
        | StoreError::StateFull(_)
        | StoreError::Internal(_) => kept(Kind::Internal),
    }
}

/// Carries a failure from where it happened to where it is told.
#[derive(Clone)]
pub(super) struct Failed(Arc<ApiError>);

impl IntoResponse for ApiError {
    /// An empty answer that carries the failure: the request's id, which belongs into the text, is known further out.
    fn into_response(self) -> Response {
        let mut response = self.answer().kind.status().into_response();
        response.extensions_mut().insert(Failed(Arc::new(self)));
        response
    }
}

impl Failed {
    /// Take the failure out of an answer, if it is one.
    pub(super) fn taken_from(response: &mut Response) -> Option<Self> {
        response.extensions_mut().remove()
    }

    /// Tell it, keeping the headers that the answer has already, such as `Allow`.
    pub(super) fn tell(&self, request: &str, response: Response) -> Response {
        let Self(error) = self;
        let Answer { kind, retry_after, secret } = error.answer();
        if secret == Secrecy::Kept {
            tracing::error!(error = error.chain(), problem = kind.slug(), "a request failed");
        } else {
            tracing::debug!(error = error.chain(), problem = kind.slug(), "a request was refused");
        }
        let problem = Problem {
            r#type: format!("{URN}{}", kind.slug()),
            title: kind.title().to_owned(),
            status: kind.status().as_u16(),
            detail: match secret {
                Secrecy::Told => error.to_string(),
                Secrecy::Kept => format!("the log of the agent tells why, under the request `{request}`"),
            },
            instance: format!("urn:paramedic:request:{request}"),
            request_id: request.to_owned(),
            plugin: error.plugin(),
            step: error.step(),
            run: error.run(),
            role: error.role(),
            errors: error.errors(),
        };
        let mut headers = response.headers().clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
        headers.extend(challenge(error));
        (kind.status(), headers, problem.to_text()).into_response()
    }
}

fn not_permitted(actor: &Actor, verb: PluginVerb, plugin: Option<&PluginName>, namespace: &str) -> String {
    let (verb, plugin) = (verb.as_str(), plugin.map_or("without a name".to_owned(), |name| format!("`{name}`")));
    format!(
        "this needs the verb `{verb}` on `plugins.paramedic.dev` {plugin} in the namespace `{namespace}`, which no Role gives `{}`",
        actor.0
    )
}

fn not_recorded(id: RunId, plugin: &PluginName, mode: Mode) -> String {
    let which = match mode {
        Mode::Check => "`all` records checks too",
        Mode::Plan | Mode::Apply => "`changes` and `all` record runs that plan or apply",
    };
    format!(
        "run {id} was not recorded, or has not ended: `plugins.{plugin}.recordings` of the configuration says which runs are \
         recorded from then on, and {which}; what the agent gives back by itself has no plugin to record"
    )
}

fn no_files(id: RunId, plugin: &PluginName, has_ended: bool) -> String {
    if !has_ended {
        return format!("run {id} has no files, because it has not ended");
    }
    format!(
        "run {id} of `{plugin}` has no files; few plugins leave any, such as `capture-state`, and only with a verdict"
    )
}

/// What is wrong with JSON quotes what stands in the wrong place, whatever its length; where it stands tells enough of it.
fn brief(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.len() <= MAX_SHAPE {
        return text;
    }
    format!("{}… at line {} column {}", cut_bytes(&text, MAX_SHAPE), error.line(), error.column())
}

/// RFC 6750: a wrong token is told apart from none.
fn challenge(error: &ApiError) -> Option<(HeaderName, HeaderValue)> {
    let challenge = match error {
        ApiError::NoToken => "Bearer realm=\"paramedic\"",
        ApiError::WrongToken | ApiError::RefusedToken { .. } | ApiError::ExpiredToken { .. } => {
            "Bearer realm=\"paramedic\", error=\"invalid_token\""
        }
        ApiError::Forbidden { .. } | ApiError::NoRole { .. } | ApiError::NotPermitted { .. } => {
            "Bearer realm=\"paramedic\", error=\"insufficient_scope\""
        }
        _ => return None,
    };
    Some((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)))
}

#[cfg(test)]
mod tests;
