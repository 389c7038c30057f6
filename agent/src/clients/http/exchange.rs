//! One exchange: the request, the redirects that stay within the target, and the body, within one deadline.

use std::time::Duration;

use http::{HeaderMap, Method, header};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::address::Blocked;
use super::failure::{self, Failure};
use super::headers::{self, Header};
use super::path::RequestPath;
use super::scrub::Scrubber;
use super::{Http, MAX_HEAD_BYTES, Response, certificate};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::{CallError, CallLimits, Denial, DenialReason};
use crate::policy::{HasPaths, Op, Permit};

/// Scrubbing a larger body would hold up the other tasks of its thread.
const INLINE_SCRUB_BYTES: usize = 64 << 10;

/// An exchange about to happen.
pub struct Exchange<'a, O: Op> {
    /// The target.
    pub http: &'a Http,
    /// The right to it.
    pub permit: &'a Permit<O>,
    /// GET or HEAD, or one that changes something.
    pub method: Method,
    /// The plugin's header fields, checked.
    pub headers: HeaderMap,
    /// What is sent with it; empty for GET and HEAD.
    pub body: &'a [u8],
    /// When all of it has to be over.
    pub deadline: Instant,
    /// Most bytes of the answer, header fields included.
    pub answer_bytes: usize,
}

/// Why no response came.
#[derive(Debug)]
pub enum Lost {
    /// Nothing was sent.
    Unsent(CallError),
    /// Some or all of the request was sent.
    Perhaps(CallError),
}

impl Lost {
    fn into_error(self) -> CallError {
        match self {
            Self::Unsent(error) | Self::Perhaps(error) => error,
        }
    }
}

/// When an exchange has to be over: the caller's deadline or the plugin's own limit, whichever comes first.
pub fn deadline(limits: &CallLimits, timeout: Option<Duration>) -> Instant {
    let latest = Instant::from_std(limits.deadline);
    let own = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    own.map_or(latest, |own| own.min(latest))
}

impl<O: Op<Bounds: HasPaths>> Exchange<'_, O> {
    /// Send the request and follow where the target leads.
    pub async fn run(&self, path: RequestPath) -> Result<Response, CallError> {
        let started = Instant::now();
        let response = self.follow(path).await?;
        let latency = started.elapsed();
        self.collect(response, latency).await
    }

    /// Send the request once and follow nowhere. Its answer is for [`Exchange::collect`].
    pub async fn once(&self, path: &RequestPath) -> Result<reqwest::Response, Lost> {
        self.permit.admit_path(path.path()).map_err(|denial| Lost::Unsent(denial.into()))?;
        self.send(self.http.base.join(path)).await
    }

    /// Follow redirects to the last response. A redirect that leaves the target is a last response.
    async fn follow(&self, path: RequestPath) -> Result<reqwest::Response, CallError> {
        let mut asked = Vec::new();
        let mut path = path;
        loop {
            self.permit.admit_path(path.path())?;
            let url = self.http.base.join(&path);
            let response = self.send(url.clone()).await.map_err(Lost::into_error)?;
            let Some(next) = self.redirect(&url, &response) else {
                return Ok(response);
            };
            asked.push(path);
            if asked.contains(&next) {
                return Err(failure::remote("redirect_loop", "the server redirects in a circle"));
            }
            let limit = usize::from(self.http.max_redirects);
            if asked.len() > limit {
                return Err(failure::remote("too_many_redirects", format!("more than {limit} redirects")));
            }
            path = next;
        }
    }

    /// Where a response sends the client within the target; none if it does not, or if it leads out of it.
    fn redirect(&self, from: &Url, response: &reqwest::Response) -> Option<RequestPath> {
        if self.http.max_redirects == 0 || !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
        self.http.base.relative(&from.join(location).ok()?)
    }

    async fn send(&self, url: Url) -> Result<reqwest::Response, Lost> {
        let mut request = self.http.request(self.method.clone(), url).headers(self.headers.clone());
        if !self.body.is_empty() {
            request = request.body(self.body.to_vec());
        }
        match timeout_at(self.deadline, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            // Name, connection and handshake come before the first byte of the request.
            Ok(Err(error)) if error.is_connect() || error.is_builder() => Err(Lost::Unsent(self.failed(error))),
            Ok(Err(error)) => Err(Lost::Perhaps(self.failed(error))),
            Err(_) => Err(Lost::Perhaps(CallError::TimedOut("no answer within the time limit".into()))),
        }
    }

    /// The response as a plugin sees it.
    pub async fn collect(&self, response: reqwest::Response, latency: Duration) -> Result<Response, CallError> {
        let status = response.status().as_u16();
        let certificate_remaining = response
            .extensions()
            .get::<reqwest::tls::TlsInfo>()
            .and_then(reqwest::tls::TlsInfo::peer_certificate)
            .and_then(|leaf| certificate::remaining(leaf, SystemClock.now()));
        let headers = self.head(response.headers())?;
        let head_bytes = headers.iter().map(|header| header.name.len() + header.value.len()).sum();
        let room = self.answer_bytes.saturating_sub(head_bytes).min(self.http.body_bytes);
        let body = if self.method == Method::HEAD { Vec::new() } else { self.body(response, room).await? };
        let latency = latency.as_secs_f64();
        Ok(Response { status, headers, body, latency, certificate_remaining })
    }

    fn head(&self, headers: &HeaderMap) -> Result<Vec<Header>, CallError> {
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > MAX_HEAD_BYTES.min(self.answer_bytes) {
            return Err(CallError::TooLarge("the head of the answer exceeds the host's limit".into()));
        }
        Ok(headers::visible(headers, self.http.credentials.fields(), &self.http.scrubber))
    }

    /// Read the body up to `room` bytes and scrub it as a whole, so that no echo hides across a boundary.
    async fn body(&self, mut response: reqwest::Response, room: usize) -> Result<Vec<u8>, CallError> {
        refuse_encoding(response.headers())?;
        let too_large = || CallError::TooLarge(format!("the body exceeds {room} bytes"));
        let fits = |bytes: u64| usize::try_from(bytes).is_ok_and(|bytes| bytes <= room);
        if response.content_length().is_some_and(|length| !fits(length)) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        loop {
            match timeout_at(self.deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) if chunk.len() > room - body.len() => return Err(too_large()),
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(self.failed(error)),
                Err(_) => return Err(CallError::TimedOut("the answer did not end within the time limit".into())),
            }
        }
        let body = scrub(&self.http.scrubber, body).await?;
        // What stands in place of a secret may be longer than the secret.
        if body.len() > room { Err(too_large()) } else { Ok(body) }
    }

    fn failed(&self, error: reqwest::Error) -> CallError {
        let error = error.without_url();
        tracing::debug!(target.name = %self.http.name, error = &error as &dyn std::error::Error, "exchange failed");
        match failure::of(&error) {
            Failure::Call(error) => error,
            Failure::Blocked(blocked) => self.blocked(blocked),
        }
    }

    fn blocked(&self, blocked: Blocked) -> CallError {
        CallError::Denied(Denial {
            operation: O::OPERATION.to_string(),
            target: format!("http/{}", self.http.name),
            reason: DenialReason::OutOfBounds,
            message: blocked.to_string(),
        })
    }
}

/// The request asked for no encoding. One that comes all the same is not decoded, because a small body could grow
/// without bound, and is not passed on, because a secret in it would not be recognised.
fn refuse_encoding(headers: &HeaderMap) -> Result<(), CallError> {
    let is_plain = |value: &http::HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    Err(failure::remote("content_encoding", "the server encodes its answer although it was asked not to"))
}

async fn scrub(scrubber: &Scrubber, body: Vec<u8>) -> Result<Vec<u8>, CallError> {
    if body.len() <= INLINE_SCRUB_BYTES {
        return Ok(scrubber.scrub(&body).into_owned());
    }
    let scrubber = scrubber.clone();
    tokio::task::spawn_blocking(move || scrubber.scrub(&body).into_owned())
        .await
        .map_err(|_| CallError::Unavailable("the host is shutting down".into()))
}
