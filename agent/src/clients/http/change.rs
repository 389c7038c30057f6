//! A request that may change something, as a change: sent once, and known by its digests afterwards.
//!
//! What it would do nobody here can tell, so its preview asks nobody and rests on nothing. Whether it can be taken back
//! only the operator knows: by an inverse in the target's configuration, which is a request without a body. A plan keeps
//! method and path in the clear, and of query, header values and body only digests, because plans are shown and kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use super::exchange::{self, Exchange, Lost};
use super::path::RequestPath;
use super::{Http, InvalidSettings, Request, Response, ResponseSlot, headers};
use crate::domain::{CallError, CallLimits, ChangeCall, Difference, Digest, Done, Inverse, Operation, Preview, Undo};
use crate::journal::{Change, Halt, Performed, Settled, canonical};
use crate::policy::{Op, Permit, op, permit_undo};

/// Largest body that is sent.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Method and path of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    method: String,
    path: String,
}

/// The inverses that the operator declared, with paths as they are sent.
pub(super) struct Inverses(Vec<(Line, Line)>);

impl Inverses {
    pub(super) fn new(declared: &[super::Inverse]) -> Result<Self, InvalidSettings> {
        let line = |(method, path): &(String, String)| {
            let path = RequestPath::parse(path).map_err(InvalidSettings::InversePath)?;
            Ok::<_, InvalidSettings>(Line { method: method.clone(), path: path.to_string() })
        };
        let pair = |inverse: &super::Inverse| Ok((line(&inverse.request)?, line(&inverse.undo)?));
        declared.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// What takes `request` back.
    fn of(&self, request: &Line) -> Option<&Line> {
        self.0.iter().find(|(declared, _)| declared == request).map(|(_, undo)| undo)
    }

    /// True while the operator lets `undo` take something back.
    fn lists(&self, undo: &Line) -> bool {
        self.0.iter().any(|(_, declared)| declared == undo)
    }
}

/// What a plan says of a request, and compares.
#[derive(Serialize)]
struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<Digested>,
    headers: Vec<(&'a str, String)>,
    body: Digested,
}

/// A text that is told by its digest and its length.
#[derive(Serialize)]
struct Digested {
    sha256: String,
    bytes: usize,
}

impl Digested {
    fn of(bytes: &[u8]) -> Self {
        Self { sha256: Digest::of(bytes).hex(), bytes: bytes.len() }
    }
}

/// The arguments of a request that takes another one back.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    declared: Line,
}

/// A request that is to be sent.
struct Sending {
    http: Arc<Http>,
    permit: Permit<op::HttpSend>,
    method: Method,
    path: RequestPath,
    headers: HeaderMap,
    body: Vec<u8>,
    timeout: Option<Duration>,
    slot: ResponseSlot,
    arguments: String,
    inverse: Option<Line>,
}

pub(super) fn send(
    http: &Arc<Http>,
    permit: Permit<op::HttpSend>,
    method: &str,
    (request, body): (Request, Vec<u8>),
    slot: ResponseSlot,
) -> Result<Arc<dyn Change>, CallError> {
    permit.admit_method(method)?;
    let method = parse_method(method)?;
    let path = parse_path(&request.path)?;
    permit.admit_path(path.path())?;
    let headers = headers::admit(&request.headers, http.credentials.fields())?;
    if body.len() > MAX_BODY_BYTES {
        return Err(CallError::Invalid(format!("a body of more than {MAX_BODY_BYTES} bytes is not sent")));
    }
    let arguments = canonical(&asked(&method, &path, &headers, &body));
    // A query can mean anything, so that a request with one is not what the operator had in mind.
    let line = Line { method: method.to_string(), path: path.to_string() };
    let inverse = http.inverses.of(&line).cloned();
    let (http, timeout) = (http.clone(), request.timeout);
    Ok(Arc::new(Sending { http, permit, method, path, headers, body, timeout, slot, arguments, inverse }))
}

pub(super) fn recorded(http: &Arc<Http>, call: &ChangeCall) -> Result<Arc<dyn Change>, CallError> {
    let invalid = |message: &str| CallError::Invalid(message.to_owned());
    if call.operation != Operation::HttpSend {
        return Err(invalid("the recorded change is no request"));
    }
    let Ok(Declared { declared }) = serde_json::from_str(&call.arguments) else {
        return Err(invalid("only digests of the request were kept, so it cannot be made again"));
    };
    if !http.inverses.lists(&declared) {
        return Err(invalid("the target's `inverses` do not name this request any more"));
    }
    Ok(Arc::new(Sending {
        http: http.clone(),
        permit: permit_undo(&call.target),
        method: parse_method(&declared.method)?,
        path: parse_path(&declared.path)?,
        headers: HeaderMap::new(),
        body: Vec::new(),
        timeout: None,
        slot: ResponseSlot::default(),
        arguments: canonical(&Declared { declared }),
        inverse: None,
    }))
}

fn parse_method(method: &str) -> Result<Method, CallError> {
    Method::from_bytes(method.as_bytes()).map_err(|_| CallError::Invalid("this is no method of HTTP".to_owned()))
}

fn parse_path(path: &str) -> Result<RequestPath, CallError> {
    RequestPath::parse(path).map_err(|error| CallError::Invalid(error.to_string()))
}

/// Headers in the order of their names, since the order in which they were given means nothing.
fn asked<'a>(method: &'a Method, path: &'a RequestPath, headers: &'a HeaderMap, body: &[u8]) -> Asked<'a> {
    let digest = |value: &http::HeaderValue| Digest::of(value.as_bytes()).hex();
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), digest(value))).collect();
    headers.sort_by_key(|(name, _)| *name);
    Asked {
        method: method.as_str(),
        path: path.path(),
        query: path.query().map(|query| Digested::of(query.as_bytes())),
        headers,
        body: Digested::of(body),
    }
}

#[async_trait]
impl Change for Sending {
    fn call(&self) -> ChangeCall {
        ChangeCall {
            operation: op::HttpSend::OPERATION,
            target: self.http.name.clone(),
            arguments: self.arguments.clone(),
        }
    }

    async fn preview(&self, _limits: &CallLimits) -> Result<Preview, CallError> {
        Ok(Preview {
            summary: self.summary(),
            objects: 1,
            differences: Vec::new(),
            ground: Vec::new(),
            scope: "{}".to_owned(),
            undo: self.undo(),
            doubt: None,
            notes: vec!["what the service answers and does cannot be known beforehand".to_owned()],
        })
    }

    async fn perform(&self, _planned: &Preview, limits: &CallLimits, halt: &Halt) -> Performed {
        let deadline = exchange::deadline(limits, self.timeout);
        let _turn = match self.http.turn(deadline).await {
            Ok(turn) => turn,
            Err(error) => return Performed::Nothing(error),
        };
        if halt.is_asked() {
            return Performed::Nothing(CallError::TimedOut("the run ended before the request was sent".to_owned()));
        }
        let exchange = Exchange {
            http: &self.http,
            permit: &self.permit,
            method: self.method.clone(),
            headers: self.headers.clone(),
            body: &self.body,
            deadline,
            answer_bytes: limits.answer_bytes,
        };
        let started = tokio::time::Instant::now();
        match exchange.once(&self.path).await {
            Ok(response) => {
                let (status, latency) = (response.status().as_u16(), started.elapsed());
                Performed::Done(self.done(status, exchange.collect(response, latency).await))
            }
            Err(Lost::Unsent(error)) => Performed::Nothing(error),
            Err(Lost::Perhaps(error)) => Performed::Unknown(error),
        }
    }

    async fn settle(&self, _planned: &Preview, _limits: &CallLimits) -> Settled {
        let (method, path) = (&self.method, self.path.path());
        Settled::Unknown(format!("a service does not tell what it was sent; look there for what {method} {path} does"))
    }
}

impl Sending {
    fn summary(&self) -> String {
        let query = if self.path.query().is_some() { "?…" } else { "" };
        format!("{} {}{query} on {} ({} bytes)", self.method, self.path.path(), self.http.name, self.body.len())
    }

    fn undo(&self) -> Undo {
        match &self.inverse {
            Some(Line { method, path }) => {
                Undo::Possible(format!("{method} {path} takes it back, as the target's `inverses` say"))
            }
            None => Undo::Impossible("what was sent was sent; the target's `inverses` name nothing for it".to_owned()),
        }
    }

    /// The request was sent and answered, whatever the answer is.
    fn done(&self, status: u16, collected: Result<Response, CallError>) -> Done {
        let incomplete = match collected {
            Ok(response) => {
                self.slot.fill(response);
                None
            }
            Err(error) => Some(format!("the request was sent, and its answer could not be taken in: {error}")),
        };
        let status_after = Difference { field: "status".to_owned(), before: None, after: Some(status.to_string()) };
        Done {
            objects: 1,
            differences: vec![status_after],
            answer: None,
            incomplete,
            // Of what the service refused there is nothing to take back.
            inverse: self.inverse.as_ref().filter(|_| status < 400).map(|line| self.inverse_of(line)),
        }
    }

    fn inverse_of(&self, line: &Line) -> Inverse {
        let arguments = canonical(&Declared { declared: line.clone() });
        let call = ChangeCall { operation: op::HttpSend::OPERATION, target: self.http.name.clone(), arguments };
        Inverse { call, ground: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plan_keeps_of_a_request_tells_nothing_of_its_values() {
        let path = RequestPath::parse("/v1/incidents?token=hunter2").unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-b", "hunter2".parse().unwrap());
        headers.append("content-type", "application/json".parse().unwrap());
        let told = canonical(&asked(&Method::POST, &path, &headers, b"hunter2"));
        assert!(!told.contains("hunter2"), "{told}");
        let document: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&document["method"], &document["path"]), (&"POST".into(), &"/v1/incidents".into()));
        assert_eq!((&document["body"]["bytes"], &document["query"]["bytes"]), (&7.into(), &13.into()));
        assert_eq!((&document["headers"][0][0], &document["headers"][1][0]), (&"content-type".into(), &"x-b".into()));
        let other = canonical(&asked(&Method::POST, &path, &headers, b"hunter3"));
        assert_ne!(told, other);
    }

    #[test]
    fn a_path_of_an_inverse_is_compared_as_it_is_sent() {
        let line = |method: &str, path: &str| (method.to_owned(), path.to_owned());
        let declared = super::super::Inverse { request: line("POST", "/%61"), undo: line("DELETE", "/b/../a") };
        let inverses = Inverses::new(&[declared]).unwrap();
        let asked = |method: &str, path: &str| Line { method: method.to_owned(), path: path.to_owned() };
        assert_eq!(inverses.of(&asked("POST", "/a")), Some(&asked("DELETE", "/a")));
        assert_eq!(inverses.of(&asked("PUT", "/a")), None);
        assert_eq!(inverses.of(&asked("POST", "/a?x")), None);
        assert!(inverses.lists(&asked("DELETE", "/a")) && !inverses.lists(&asked("POST", "/a")));
        let climbing = super::super::Inverse { request: line("POST", "/.."), undo: line("DELETE", "/a") };
        assert!(matches!(Inverses::new(&[climbing]), Err(InvalidSettings::InversePath(_))));
    }
}
