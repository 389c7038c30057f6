//! One request, sent once, with an end in time and in bytes.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::form_urlencoded;

use super::{Kubernetes, failure};
use crate::domain::{CallError, CallLimits, Timestamp};

/// Most bytes of an answer that are read. The largest honest ones are lists of pods, a few KiB each.
const ANSWER_BYTES: usize = 16 << 20;

/// Most bytes of an answer that says no.
const ERROR_BYTES: usize = 64 << 10;

/// Whose the fields are that the agent writes. `kubectl get --show-managed-fields` shows it.
pub(super) const MANAGER: &str = "paramedic";

/// What a request is about, in words for a person.
pub(super) struct What {
    /// After "could not": `list pods`.
    pub(super) deed: String,
    /// After "there is no": `pod api-1`.
    pub(super) thing: String,
}

impl What {
    pub(super) fn new(deed: impl Into<String>, thing: impl Into<String>) -> Self {
        Self { deed: deed.into(), thing: thing.into() }
    }
}

/// The query of a request.
#[derive(Default)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.push((name, value.to_string()));
        self
    }

    /// The same where there is a value that is not empty.
    pub(super) fn with_some<T: ToString>(self, name: &'static str, value: Option<T>) -> Self {
        match value.map(|value| value.to_string()).filter(|value| !value.is_empty()) {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn finish(self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.0).finish()
    }
}

/// A request that writes.
pub(super) struct Write {
    pub(super) verb: Verb,
    pub(super) path: String,
    pub(super) body: Value,
    /// The server judges it, and does nothing.
    pub(super) is_rehearsal: bool,
}

/// How a body is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// A JSON merge patch, which replaces lists as a whole.
    Merge,
    /// A strategic merge patch, which joins lists of named things by their names.
    Strategic,
    /// A new object.
    Create,
}

impl Verb {
    const fn method(self) -> Method {
        match self {
            Self::Merge | Self::Strategic => Method::PATCH,
            Self::Create => Method::POST,
        }
    }

    const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Create => "application/json",
        })
    }
}

/// Why a request that writes has no good answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// Nothing of it left us.
    Unsent(CallError),
    /// The server said no, and did nothing.
    Refused(Refusal),
    /// The server failed at it, and is done with it: it may have been carried out or not.
    Failed(CallError),
    /// No answer came: it may have been carried out or not, or will be.
    Unanswered(CallError),
}

impl Lost {
    /// What went wrong, for those to whom it is the same whether something was written.
    pub(super) fn into_error(self) -> CallError {
        match self {
            Self::Refused(refusal) => refusal.error,
            Self::Unsent(error) | Self::Failed(error) | Self::Unanswered(error) => error,
        }
    }
}

/// A no of the server.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    /// The reason's name, such as `Conflict` or `AlreadyExists`.
    pub(super) reason: Option<String>,
    pub(super) error: CallError,
}

impl Refusal {
    /// True when somebody wrote since the object was looked at.
    pub(super) fn is_stale(&self) -> bool {
        self.code == 409 && self.reason.as_deref() == Some("Conflict")
    }
}

impl Kubernetes {
    /// `GET path?query` as JSON. Parts of the path were checked by whoever put it together.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        limits: &CallLimits,
        path: &str,
        query: Query,
        what: &What,
    ) -> Result<T, CallError> {
        let body = self.fetch(limits, path, query, ANSWER_BYTES, what).await?;
        parse(&body, what)
    }

    /// The same as bytes, at most `most` of them.
    pub(super) async fn fetch(
        &self,
        limits: &CallLimits,
        path: &str,
        query: Query,
        most: usize,
        what: &What,
    ) -> Result<Bytes, CallError> {
        let query = query.finish();
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let request = Request::get(uri).body(Body::empty());
        let request = request.map_err(|_| no_way(what))?;
        let exchange = async {
            let client = self.client.get_or_try_init(|| self.access.connect()).await?;
            let response = client.send(request).await.map_err(|error| failure::unreachable(&error, what))?;
            read(response, most, what).await
        };
        let answered = tokio::time::timeout_at(limits.deadline.into(), exchange).await;
        answered.unwrap_or_else(|_| Err(late(what)))
    }

    /// Ask a question about rights: a review, which is created and never stored.
    pub(super) async fn review<T: Serialize + DeserializeOwned>(
        &self,
        limits: &CallLimits,
        path: String,
        review: &T,
        what: &What,
    ) -> Result<T, CallError> {
        let body = serde_json::to_value(review).unwrap_or_default();
        let asked = self.write(limits, Write { verb: Verb::Create, path, body, is_rehearsal: false }, what).await;
        let answer = asked.map_err(Lost::into_error)?;
        T::deserialize(answer).map_err(|_| unreadable(what))
    }

    /// Send `write` once. Unknown fields in it are refused by the server, since it would leave them out.
    pub(super) async fn write(&self, limits: &CallLimits, write: Write, what: &What) -> Result<Value, Lost> {
        let query = Query::new().with("fieldManager", MANAGER).with("fieldValidation", "Strict");
        let query = if write.is_rehearsal { query.with("dryRun", "All") } else { query };
        let request = Request::builder()
            .method(write.verb.method())
            .uri(format!("{}?{}", write.path, query.finish()))
            .header(header::CONTENT_TYPE, write.verb.content_type())
            .body(Body::from(write.body.to_string().into_bytes()));
        let request = request.map_err(|_| Lost::Unsent(no_way(what)))?;
        let exchange = async {
            let client = self.client.get_or_try_init(|| self.access.connect()).await.map_err(Lost::Unsent)?;
            let response = client.send(request).await.map_err(|error| {
                let told = failure::unreachable(&error, what);
                if failure::is_unsent(&error) { Lost::Unsent(told) } else { Lost::Unanswered(told) }
            })?;
            if !response.status().is_success() {
                return Err(refused(response, what).await);
            }
            // It was done. What cannot be read of the answer is found out by looking.
            let body = capped(response.into_body(), ANSWER_BYTES, what).await.map_err(Lost::Failed)?;
            parse(&body, what).map_err(Lost::Failed)
        };
        let answered = tokio::time::timeout_at(limits.deadline.into(), exchange).await;
        answered.unwrap_or_else(|_| Err(Lost::Unanswered(late(what))))
    }
}

/// What an answer that says no means for a request that writes. A server that fails may have failed after it had written.
async fn refused(response: Response<Body>, what: &What) -> Lost {
    let code = response.status().as_u16();
    let body = capped(response.into_body(), ERROR_BYTES, what).await.unwrap_or_default();
    let error = failure::answered(code, &body, what);
    if code >= 500 {
        Lost::Failed(error)
    } else {
        Lost::Refused(Refusal { code, reason: failure::reason(&body), error })
    }
}

/// A time as servers want it where they count in microseconds: with six decimals, which they insist on.
pub(super) fn micro_time(time: Timestamp) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

fn parse<T: DeserializeOwned>(body: &[u8], what: &What) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|error| {
        // The error names a place in the answer and nothing that stands there.
        tracing::debug!(%error, "an answer of an API server cannot be read");
        unreadable(what)
    })
}

fn unreadable(what: &What) -> CallError {
    CallError::Unavailable(format!("what the API server answered cannot be read, to {}", what.deed))
}

fn no_way(what: &What) -> CallError {
    CallError::Invalid(format!("there is no way to {}", what.deed))
}

fn late(what: &What) -> CallError {
    CallError::TimedOut(format!("the API server did not answer in time, to {}", what.deed))
}

async fn read(response: Response<Body>, most: usize, what: &What) -> Result<Bytes, CallError> {
    let status = response.status();
    if status.is_success() {
        return capped(response.into_body(), most, what).await;
    }
    // What cannot be read of an error tells as much as its code.
    let body = capped(response.into_body(), ERROR_BYTES, what).await.unwrap_or_default();
    Err(failure::answered(status.as_u16(), &body, what))
}

async fn capped(body: Body, most: usize, what: &What) -> Result<Bytes, CallError> {
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(CallError::TooLarge(format!("the API server answered with more than {most} bytes, to {}", what.deed)))
        }
        Err(_) => Err(CallError::Unavailable(format!("the answer of the API server broke off, to {}", what.deed))),
    }
}
