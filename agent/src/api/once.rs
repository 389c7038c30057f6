//! Doing a thing once however often it is asked for: the header `Idempotency-Key`.
//!
//! ```text
//! key and body ─► is it under way here? ─► what came of it before? ─► do it, keep what came of it with the key
//!                    409                      the same answer again, or 422 where something else was asked for
//! ```
//!
//! It lies around every route that acts, inside of authorization. Two guards keep a thing from being done twice: a list of
//! the keys in hand, which answers at once, and the store, in which a key can be recorded only once and which outlives a
//! crash. Only what was done is kept: a refusal may be followed by another attempt with the same key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LINK, LOCATION, VARY};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tracing::Instrument;

use super::auth::Caller;
use super::problem::ApiError;
use super::{App, body, runs};
use crate::domain::{Actor, Digest, Digesting, Label, RunId};
use crate::store::{Kept, KeptAnswer, KeptResult, OnceKey};

/// The header that names the thing that is to be done once.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key, in bytes.
const MAX_KEY: usize = 255;

/// Largest answer that is kept, in bytes. What may be larger is a run, of which only the id is kept.
const MAX_ANSWER: u64 = 1 << 20;

/// Headers that belong to an answer. The others are made anew for each request.
const KEPT_HEADERS: [HeaderName; 4] = [CONTENT_TYPE, LOCATION, LINK, VARY];

/// The key of a request, for a handler that records it in one transaction with what it does.
#[derive(Clone)]
pub(super) struct Once(pub(super) OnceKey);

/// What a handler says about its answer, as an extension of it. Without a word the answer itself is kept.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    /// The key is recorded already.
    Recorded,
    /// The answer is the record of this run.
    Run(RunId),
}

/// The keys in hand, with what is being asked for.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<(Actor, String), Digest>>);

/// The right to do what a key stands for, until this is dropped.
struct Turn {
    app: Arc<App>,
    place: (Actor, String),
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Actor, String), Digest>> {
        // Every change is a single insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    fn take(app: &Arc<App>, key: &OnceKey) -> Result<Self, ApiError> {
        let place = (key.actor.clone(), key.key.clone());
        match app.turns.lock().entry(place.clone()) {
            Entry::Occupied(other) if *other.get() != key.fingerprint => Err(ApiError::KeyReused),
            Entry::Occupied(_) => Err(ApiError::InProgress(None)),
            Entry::Vacant(free) => {
                free.insert(key.fingerprint);
                Ok(Self { app: app.clone(), place })
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.app.turns.lock().remove(&self.place);
    }
}

/// Lets a request through if it has no key or a new one; else answers as before.
pub(super) async fn once(
    Extension(app): Extension<Arc<App>>,
    Caller(actor): Caller,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some(key) = key(request.headers())? else { return Ok(next.run(request).await) };
    let (parts, body) = request.into_parts();
    let bytes = body::read(&parts.headers, body, app.parts.max_body_bytes).await?;
    let key = OnceKey { actor, key, fingerprint: fingerprint(&parts, &bytes) };
    let turn = Turn::take(&app, &key)?;
    match app.parts.store.kept(&key.actor, &key.key).await? {
        Some(kept) if kept.fingerprint != key.fingerprint => Err(ApiError::KeyReused),
        Some(kept) => replay(&app, kept, &parts.headers).await,
        None => {
            let mut request = Request::from_parts(parts, Body::from(bytes));
            request.extensions_mut().insert(Once(key.clone()));
            act(turn, key, request, next).await
        }
    }
}

/// Do it on a task of its own: what was begun under a key is finished and kept, also when its caller leaves meanwhile.
async fn act(turn: Turn, key: OnceKey, request: Request, next: Next) -> Result<Response, ApiError> {
    let work = async move {
        let response = next.run(request).await;
        let response = keep(&turn.app, key, response).await;
        drop(turn);
        response
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(response) => Ok(response),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime shuts down.
        Err(_) => Err(ApiError::InProgress(None)),
    }
}

/// Keep what came of a request, if anything did.
async fn keep(app: &App, key: OnceKey, response: Response) -> Response {
    if !response.status().is_success() {
        return response;
    }
    let (response, result) = match response.extensions().get() {
        Some(Keep::Recorded) => return response,
        Some(Keep::Run(id)) => {
            let result = KeptResult::Run(*id);
            (response, result)
        }
        None => match answer(response).await {
            (response, Some(answer)) => (response, KeptResult::Answer(answer)),
            (response, None) => {
                tracing::warn!("an answer is too large to be kept with its idempotency key");
                return response;
            }
        },
    };
    if let Err(error) = app.parts.store.keep(key, result).await {
        // It is done, and saying otherwise would have it done again.
        tracing::error!(%error, "an idempotency key is not kept; what it stands for is done");
    }
    response
}

/// The answer of a handler that records it with the key, in one transaction with what it tells; and the two that it records.
pub(super) async fn answer_once(
    response: Response,
    once: Option<Extension<Once>>,
) -> (Response, Option<(OnceKey, KeptAnswer)>) {
    let (mut response, kept) = answer(response).await;
    let once = once.map(|Extension(Once(key))| key).zip(kept);
    if once.is_some() {
        response.extensions_mut().insert(Keep::Recorded);
    }
    (response, once)
}

/// An answer and what can be kept of it: nothing where it is too large or has no known end.
async fn answer(response: Response) -> (Response, Option<KeptAnswer>) {
    if response.body().size_hint().upper().is_none_or(|size| size > MAX_ANSWER) {
        return (response, None);
    }
    let (parts, body) = response.into_parts();
    // Its size is known, so it is in memory already and cannot break off.
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let header = |name: &HeaderName| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some(Label { name: name.as_str().to_owned(), value: value.to_owned() })
    };
    let headers = KEPT_HEADERS.iter().filter_map(header).collect();
    let answer = KeptAnswer { status: parts.status.as_u16(), headers, body: bytes.to_vec() };
    (Response::from_parts(parts, Body::from(bytes)), Some(answer))
}

/// Answer as before.
async fn replay(app: &App, kept: Kept, headers: &HeaderMap) -> Result<Response, ApiError> {
    let mut response = match kept.result {
        KeptResult::Run(id) => runs::again(app, id, headers).await?,
        KeptResult::Answer(answer) => given(answer),
    };
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// The answer that was kept. What is no header any more is left out.
fn given(answer: KeptAnswer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or_default();
    for label in answer.headers {
        if let (Ok(name), Ok(value)) = (label.name.parse::<HeaderName>(), HeaderValue::from_str(&label.value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The key of a request; none where it has none. The header holds a string as RFC 8941 writes it, in quotes; without them
/// it is taken as well.
fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let refuse = |message: &str| ApiError::InvalidHeader { name: IDEMPOTENCY_KEY, message: message.to_owned() };
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refuse("it was sent more than once"));
    }
    let text = value.as_bytes().trim_ascii();
    let key = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(text);
    if key.is_empty() {
        return Err(refuse("it is empty; a random UUID is a good key"));
    }
    if key.len() > MAX_KEY {
        return Err(refuse("it has more than 255 bytes"));
    }
    let plain = |b: &u8| b.is_ascii_graphic() && !b"\"\\".contains(b);
    if !key.iter().all(plain) {
        return Err(refuse("it holds a sign other than visible ASCII without `\"` and `\\`"));
    }
    Ok(Some(String::from_utf8_lossy(key).into_owned()))
}

/// Digest of what is asked for.
fn fingerprint(parts: &Parts, body: &[u8]) -> Digest {
    let mut hash = Digesting::default();
    // Neither a method nor a path can hold the zero that ends it.
    for part in [parts.method.as_str(), parts.uri.path(), parts.uri.query().unwrap_or_default()] {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    hash.update(body);
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap());
        }
        key(&headers).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_taken_with_quotes_and_without() {
        assert_eq!(read(&[]), Ok(None));
        for value in [b"\"8e03978e-40d5\"".as_slice(), b"8e03978e-40d5", b" \"8e03978e-40d5\" "] {
            assert_eq!(read(&[value]), Ok(Some("8e03978e-40d5".to_owned())));
        }
        let longest = "k".repeat(255);
        assert_eq!(read(&[longest.as_bytes()]), Ok(Some(longest)));
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_header() {
        let long = "k".repeat(256);
        for (values, expected) in [
            (&[b"".as_slice()] as &[&[u8]], "it is empty"),
            (&[b"\"\""], "it is empty"),
            (&[b"  "], "it is empty"),
            (&[long.as_bytes()], "it has more than 255 bytes"),
            (&[b"a b"], "it holds a sign"),
            (&[b"\"a"], "it holds a sign"),
            (&[b"\"a\\\"b\""], "it holds a sign"),
            (&["é".as_bytes()], "it holds a sign"),
            (&[b"a\tb"], "it holds a sign"),
            (&[b"a", b"a"], "it was sent more than once"),
        ] {
            let told = read(values).unwrap_err();
            let expected = format!("the header `idempotency-key` is not understood: {expected}");
            assert!(told.starts_with(&expected), "{values:?}: {told}");
        }
    }

    #[test]
    fn whatever_is_asked_differently_has_another_fingerprint() {
        let of = |method: &str, uri: &str, body: &str| {
            let (parts, ()) = http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
            fingerprint(&parts, body.as_bytes())
        };
        let all = [
            of("POST", "/v1/runs", "{}"),
            of("POST", "/v1/runs", "{ }"),
            of("POST", "/v1/runs", ""),
            of("POST", "/v1/runs?a", "{}"),
            of("POST", "/v1/runs?", "{}"),
            of("POST", "/v1/run", "s{}"),
            of("PUT", "/v1/runs", "{}"),
        ];
        for (n, one) in all.iter().enumerate() {
            // An empty query is none.
            let same = all.iter().enumerate().filter(|(_, other)| *other == one).map(|(m, _)| m);
            assert_eq!(same.collect::<Vec<_>>(), if [0, 4].contains(&n) { vec![0, 4] } else { vec![n] });
        }
    }
}
