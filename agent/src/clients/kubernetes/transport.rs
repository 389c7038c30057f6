//! One request, sent once, with an end in time and in bytes.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::{Kubernetes, failure};
use crate::domain::{CallError, CallLimits};

/// Most bytes of an answer that are read. The largest honest ones are lists of pods, a few KiB each.
const ANSWER_BYTES: usize = 16 << 20;

/// Most bytes of an answer that says no.
const ERROR_BYTES: usize = 64 << 10;

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
        serde_json::from_slice(&body).map_err(|error| {
            // The error names a place in the answer and nothing that stands there.
            tracing::debug!(%error, "an answer of an API server cannot be read");
            CallError::Unavailable(format!("what the API server answered cannot be read, to {}", what.deed))
        })
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
        let request = request.map_err(|_| CallError::Invalid(format!("there is no way to {}", what.deed)))?;
        let exchange = async {
            let client = self.client.get_or_try_init(|| self.access.connect()).await?;
            let response = client.send(request).await.map_err(|error| failure::unreachable(&error, what))?;
            read(response, most, what).await
        };
        let answered = tokio::time::timeout_at(limits.deadline.into(), exchange).await;
        answered.unwrap_or_else(|_| {
            Err(CallError::TimedOut(format!("the API server did not answer in time, to {}", what.deed)))
        })
    }
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
