//! The HTTP side: bytes in, bytes out, and the faults that happen on that way. What is answered is decided in `api`.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::{Receiver, Sender};
use tokio_rustls::TlsAcceptor;

use crate::answer::{Answer, Body};
use crate::api;
use crate::failure::Failure;
use crate::faults::{self, Fault, Trouble};
use crate::request::Request;
use crate::watch::Watch;
use crate::world::World;

/// What a running server and the handles to it share.
#[derive(Debug)]
pub struct Shared {
    world: Mutex<World>,
    requests: Mutex<Vec<Request>>,
    troubles: Mutex<Vec<Trouble>>,
    /// New connections are accepted and not read from.
    is_deaf: AtomicBool,
    /// Counts the times when the world may have changed.
    changed: Sender<u64>,
}

impl Shared {
    /// Around a world.
    #[must_use]
    pub fn new(world: World) -> Arc<Self> {
        let (changed, _) = tokio::sync::watch::channel(0);
        let (requests, troubles, is_deaf) = (Mutex::default(), Mutex::default(), AtomicBool::default());
        Arc::new(Shared { world: Mutex::new(world), requests, troubles, is_deaf, changed })
    }

    /// Looks at the world, or changes it; whoever watches is told.
    pub fn with<T>(&self, then: impl FnOnce(&mut World) -> T) -> T {
        let result = then(&mut lock(&self.world));
        self.changed.send_modify(|count| *count += 1);
        result
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        lock(&self.requests).clear();
    }

    /// From now on new connections are accepted and not read from.
    pub fn go_deaf(&self) {
        self.is_deaf.store(true, Ordering::Release);
    }

    /// From now on new connections are read from again. Those that were not stay as they are.
    pub fn hear(&self) {
        self.is_deaf.store(false, Ordering::Release);
    }

    /// Lets something go wrong.
    pub fn trouble(&self, trouble: Trouble) {
        lock(&self.troubles).push(trouble);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes connections until the future is dropped.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, encryption: Option<TlsAcceptor>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(greet(stream, Arc::clone(&shared), encryption.clone()));
    }
}

async fn greet(stream: TcpStream, shared: Arc<Shared>, encryption: Option<TlsAcceptor>) {
    if shared.is_deaf.load(Ordering::Acquire) {
        // The connection stays open as long as the client wants it.
        std::future::pending::<()>().await;
    }
    match encryption {
        None => converse(stream, shared).await,
        // Whoever does not trust the certificate goes away, and says so on their side.
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(stream, shared).await;
            }
        }
    }
}

type Outgoing = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Cut>>>;

/// The connection ends here, on purpose.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the connection was cut")
    }
}

impl std::error::Error for Cut {}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(move |request| respond(request, Arc::clone(&shared)));
    let io = TokioIo::new(stream);
    // A connection that ends early is what some tests are about; the client sees it, and nobody else has to.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
}

async fn respond(
    incoming: hyper::Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<http_body_util::Either<Full<Bytes>, Outgoing>>, Infallible> {
    let request = read(incoming).await;
    lock(&shared.requests).push(request.clone());
    let fault = faults::take(&mut lock(&shared.troubles), &request);
    match &fault {
        Some(Fault::HangBeforeApplying) => std::future::pending::<()>().await,
        Some(Fault::TokenRevoked) => {
            let token = request.authorization.trim_start_matches("Bearer ").to_owned();
            shared.with(|world| world.tokens.revoke(&token));
        }
        Some(Fault::TooManyRequests { retry_after }) => {
            return Ok(whole(Failure::too_many_requests(*retry_after).into()));
        }
        Some(Fault::InternalError) => return Ok(whole(Failure::internal("something broke").into())),
        Some(Fault::Unavailable) => return Ok(whole(Failure::unavailable().into())),
        Some(Fault::Large { bytes }) => return Ok(large(*bytes)),
        _ => {}
    }
    let answer = shared.with(|world| api::answer(world, &request));
    match &fault {
        Some(Fault::HangAfterApplying) => std::future::pending::<()>().await,
        Some(Fault::Slow(delay)) => tokio::time::sleep(*delay).await,
        _ => {}
    }
    let cut = match fault {
        Some(Fault::Cut { after_lines }) => Some(after_lines),
        _ => None,
    };
    Ok(match (&answer.body, cut) {
        (Body::Whole(_), None) => whole(answer),
        (Body::Whole(body), Some(_)) => {
            let half = Bytes::copy_from_slice(body.get(..body.len() / 2).unwrap_or_default());
            let chunks = stream::iter([Ok(Frame::data(half)), Err(Cut)]);
            streamed(&answer, chunks.boxed())
        }
        (Body::Watch(watch), cut) => streamed(&answer, lines(watch.as_ref().clone(), &shared, cut)),
    })
}

async fn read(incoming: hyper::Request<Incoming>) -> Request {
    let (head, body) = incoming.into_parts();
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (accept, content_type) = (header("accept"), header("content-type"));
    let (user_agent, authorization) = (header("user-agent"), header("authorization"));
    // A body that breaks off is one that is not JSON.
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: Request::parse_query(head.uri.query().unwrap_or_default()),
        accept,
        content_type,
        user_agent,
        authorization,
        body,
    }
}

fn head(answer: &Answer) -> hyper::http::response::Builder {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut head = Response::builder().status(status);
    if let Some(content_type) = &answer.content_type {
        head = head.header("content-type", content_type);
    }
    if let Some(seconds) = answer.retry_after {
        head = head.header("retry-after", seconds);
    }
    for warning in &answer.warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        head = head.header("warning", format!("299 - \"{quoted}\""));
    }
    head
}

fn whole(answer: Answer) -> Response<http_body_util::Either<Full<Bytes>, Outgoing>> {
    let head = head(&answer);
    let bytes = match answer.body {
        Body::Whole(bytes) => Bytes::from(bytes),
        Body::Watch(_) => Bytes::new(),
    };
    head.body(http_body_util::Either::Left(Full::new(bytes))).expect("the headers are of this crate")
}

fn streamed(
    answer: &Answer,
    chunks: BoxStream<'static, Result<Frame<Bytes>, Cut>>,
) -> Response<http_body_util::Either<Full<Bytes>, Outgoing>> {
    let body = http_body_util::Either::Right(StreamBody::new(chunks));
    head(answer).body(body).expect("the headers are of this crate")
}

/// A JSON list of about so many bytes, made while it is sent.
fn large(bytes: usize) -> Response<http_body_util::Either<Full<Bytes>, Outgoing>> {
    const CHUNK: usize = 65_536;
    let start = Bytes::from_static(b"{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[\"");
    let sizes = std::iter::repeat_n(CHUNK, bytes / CHUNK).chain([bytes % CHUNK]);
    let middle = sizes.map(|size| Bytes::from(vec![b'x'; size]));
    let chunks = std::iter::once(start).chain(middle).chain([Bytes::from_static(b"\"]}")]);
    let answer = Answer::json(200, serde_json::Value::Null);
    streamed(&answer, stream::iter(chunks.map(|chunk| Ok(Frame::data(chunk)))).boxed())
}

/// A watch on its way to a client.
struct Watching {
    watch: Watch,
    shared: Arc<Shared>,
    changed: Receiver<u64>,
    ready: Vec<Bytes>,
    sent: usize,
    cut: Option<usize>,
    is_over: bool,
}

fn lines(watch: Watch, shared: &Arc<Shared>, cut: Option<usize>) -> BoxStream<'static, Result<Frame<Bytes>, Cut>> {
    let changed = shared.changed.subscribe();
    let shared = Arc::clone(shared);
    let watching = Watching { watch, shared, changed, ready: Vec::new(), sent: 0, cut, is_over: false };
    stream::unfold(Some(watching), |watching| async {
        let mut watching = watching?;
        let line = watching.next().await?;
        match watching.cut {
            Some(after) if watching.sent > after + 1 => Some((Err(Cut), None)),
            Some(after) if watching.sent > after => {
                let half = line.slice(..line.len() / 2);
                // Half a line goes out; the next turn ends the connection.
                watching.ready.insert(0, Bytes::new());
                Some((Ok(Frame::data(half)), Some(watching)))
            }
            _ => Some((Ok(Frame::data(line)), Some(watching))),
        }
    })
    .boxed()
}

impl Watching {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.ready.is_empty() {
                self.sent += 1;
                return Some(self.ready.remove(0));
            }
            if self.is_over {
                return None;
            }
            self.changed.mark_unchanged();
            let news = self.watch.look(&lock(&self.shared.world));
            self.ready = news.lines.iter().map(|line| Bytes::from(format!("{line}\n"))).collect();
            self.is_over = news.is_over;
            if self.ready.is_empty() && !self.is_over {
                self.changed.changed().await.ok()?;
            }
        }
    }
}
