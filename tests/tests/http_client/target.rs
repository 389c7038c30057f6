//! Targets, permits and limits as the tests need them.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use paramedic::clients::http::{Credential, Header, Http, Names, Request, Response, Settings};
use paramedic::domain::{CallError, CallLimits, ChangeBounds, Grant, Operation, Secret, System, Target};
use paramedic::policy::{Grants, Permit, decide, op};

/// Longer than any exchange that ends by itself.
pub const AMPLE: Duration = Duration::from_secs(30);

/// The token of every target that has one.
pub const TOKEN: &str = "s3cr3t-t0k3n/with+signs=";

pub fn settings(base_url: &str) -> Settings {
    Settings { allow_private: true, ..Settings::new(base_url.parse().unwrap()) }
}

pub fn bearer(base_url: &str) -> Settings {
    Settings { credentials: vec![Credential::Bearer(Secret::new(TOKEN))], ..settings(base_url) }
}

pub fn target(settings: Settings) -> Http {
    Http::new("api".parse().unwrap(), settings).unwrap()
}

/// A target whose name is looked up in `names`.
pub fn named(settings: Settings, names: &Arc<Script>) -> Http {
    Http::with_names("api".parse().unwrap(), settings, Arc::clone(names) as Arc<dyn Names>).unwrap()
}

/// A resolver that answers from a script, one line per question, the last one for ever. Without a line it knows no name.
pub struct Script {
    lines: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Script {
    pub fn new(lines: &[&[&str]]) -> Arc<Self> {
        let parse = |line: &&[&str]| line.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { lines: lines.iter().map(parse).collect(), asked: AtomicUsize::new(0) })
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Names for Script {
    async fn addresses(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        let line = self.lines.get(self.asked.fetch_add(1, Ordering::SeqCst)).or(self.lines.last());
        line.cloned().ok_or(io::ErrorKind::NotFound.into())
    }
}

pub fn grants(paths: &[&str]) -> Grants {
    let line = Grant {
        target: Target { system: System::Http, name: "api".parse().unwrap() },
        operations: vec![Operation::HttpGet, Operation::HttpHead],
        keys: Vec::new(),
        resources: Vec::new(),
        paths: paths.iter().map(|path| path.parse().unwrap()).collect(),
        changes: ChangeBounds::default(),
    };
    Grants::new("http-health".parse().unwrap(), vec![line])
}

pub fn may_get(paths: &[&str]) -> Permit<op::HttpGet> {
    decide(&grants(paths), "api").unwrap()
}

pub fn may_head(paths: &[&str]) -> Permit<op::HttpHead> {
    decide(&grants(paths), "api").unwrap()
}

/// The right to send with `methods` to `paths`.
pub fn may_send(methods: &[&str], paths: &[&str]) -> Permit<op::HttpSend> {
    let methods = methods.iter().map(ToString::to_string).collect();
    let line = Grant {
        target: Target { system: System::Http, name: "api".parse().unwrap() },
        operations: vec![Operation::HttpSend],
        keys: Vec::new(),
        resources: Vec::new(),
        paths: paths.iter().map(|path| path.parse().unwrap()).collect(),
        changes: ChangeBounds { per_run: 5, per_hour: 50, methods, ..ChangeBounds::default() },
    };
    decide(&Grants::new("pager".parse().unwrap(), vec![line]), "api").unwrap()
}

pub fn limits(time: Duration) -> CallLimits {
    CallLimits { deadline: Instant::now() + time, answer_bytes: 1 << 20 }
}

pub fn request(path: &str) -> Request {
    Request { path: path.to_owned(), ..Request::default() }
}

/// GET with a grant on everything and ample time.
pub async fn get(http: &Http, path: &str) -> Result<Response, CallError> {
    http.get(&may_get(&["/**"]), &limits(AMPLE), request(path)).await
}

/// Code of an error of HTTP's own.
pub fn code(error: &CallError) -> &str {
    match error {
        CallError::Remote(remote) => &remote.code,
        other => panic!("{other:?} has no code"),
    }
}

pub fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
}

pub fn field(name: &str, value: &str) -> Header {
    Header { name: name.to_owned(), value: value.to_owned() }
}
