//! An API on an empty store, with one plugin whose file is missing and one that is pushed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::api::{Access, Configuration, Parts, Token, Tokens, Uploads, router};
use crate::catalog::{Catalog, Entry, Intake, Source, Surroundings, Trust};
use crate::clock::ManualClock;
use crate::domain::{
    Actor, CallRecord, CheckResult, ConfigStanding, Decision, DenialReason, Digest, Ending, Failure, FailureKind,
    Limits, LogLevel, LogLine, Missed, Mode, Outcome, Overlap, Rate, Reason, ReloadRefused, Reloaded, Role, Run, RunId,
    Secret, Status, SweepName, Target, Timestamp, TokenKey, Trigger, Usage,
};
use crate::engine::{Allocation, Engine, Settings};
use crate::host::{NoMemory, Targets};
use crate::policy::Grants;
use crate::runner::Runner;
use crate::scheduler::{self, Check, CheckRunner, Order, Scheduler, Sweep};
use crate::store::{SqliteStore, Store, StoreOptions};
use crate::telemetry::Metrics;

/// Tokens of alice, who may do everything, of bob, who may run plugins, and of vera, who may look.
pub(super) const TOKEN: &str = "a-token-of-alice";
pub(super) const RESPONDER: &str = "a-token-of-bob";
pub(super) const VIEWER: &str = "a-token-of-vera";
pub(super) const MAX_BODY: usize = 4096;
pub(super) const MAX_COMPONENT: u64 = 1 << 20;
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);

/// The API and what it stands on.
pub(super) struct Api {
    pub(super) router: Router,
    pub(super) store: Arc<dyn Store>,
    pub(super) runner: Arc<Runner>,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) loaded: watch::Sender<bool>,
    pub(super) configuration: Arc<ScriptedConfiguration>,
    tokens: Arc<Tokens>,
    catalog: Arc<Catalog>,
    metrics: Arc<Metrics>,
    told: watch::Receiver<bool>,
    directory: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The problem that this answer has to be: its kind, and its text.
    pub(super) fn problem(&self, status: u16, kind: &str) -> Value {
        let problem = self.json();
        assert_eq!(self.status, status, "{problem}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["type"], format!("urn:paramedic:problem:{kind}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        problem
    }
}

impl Api {
    /// With the plugin `pg-ready`, which cannot run because its file is missing, and `pushed`, of which nothing was
    /// delivered yet.
    pub(super) async fn start() -> Self {
        Self::start_with(access()).await
    }

    /// The same for other owners of tokens.
    pub(super) async fn start_with(access: Access) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let path = directory.path().join("db");
        let sqlite = Arc::new(SqliteStore::open(&path, clock.clone(), StoreOptions::default()).unwrap());
        let store: Arc<dyn Store> = sqlite.clone();
        let settings = Settings { slots: 1, threads: 2, cache: None, allocation: Allocation::OnDemand };
        let surroundings = Surroundings {
            targets: Arc::new(Targets::default()),
            memory: Arc::new(NoMemory),
            clock: clock.clone(),
            io: tokio::runtime::Handle::current(),
        };
        let engine = Arc::new(Engine::new(&settings).unwrap());
        let metrics = Arc::new(Metrics::default());
        let intake = Intake { store: sqlite.clone(), metrics: metrics.clone(), ..Intake::default() };
        let pushed = Entry { source: Source::Upload, ..entry("pushed") };
        let catalog = Arc::new(Catalog::with(intake, engine, surroundings, vec![entry("pg-ready"), pushed]));
        let runner = Runner::new(catalog.clone(), store.clone(), clock.clone(), metrics.clone(), 2, 1);
        catalog.load_all().await;
        let limits = scheduler::Limits { max_parallel_per_target: 8, patience: Duration::from_secs(30) };
        let checks = Arc::new(Scripted);
        let scheduler =
            Scheduler::open(vec![sweep()], limits, sqlite, checks, clock.clone(), metrics.clone()).await.unwrap();
        let scheduler = Arc::new(scheduler);
        let (loaded, told) = watch::channel(true);
        let tokens = Arc::new(Tokens::new(access, clock.clone(), metrics.clone()));
        let mut api = Self {
            router: Router::new(),
            store,
            runner,
            scheduler,
            clock,
            configuration: Arc::default(),
            tokens,
            catalog,
            metrics,
            loaded,
            told,
            directory,
        };
        api.router = router(api.parts());
        api
    }

    /// What it stands on.
    pub(super) fn parts(&self) -> Parts {
        Parts {
            runner: self.runner.clone(),
            scheduler: self.scheduler.clone(),
            catalog: self.catalog.clone(),
            store: self.store.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            loaded: self.told.clone(),
            tokens: self.tokens.clone(),
            configuration: self.configuration.clone(),
            max_body_bytes: MAX_BODY,
            uploads: Uploads::new(self.directory.path().to_owned(), MAX_COMPONENT),
        }
    }

    /// Ask as it is.
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    /// Look something up with a token.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(authorized("GET", path).body(Body::empty()).unwrap()).await
    }

    /// Look something up with a token, in the form of `accept`.
    pub(super) async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.send(authorized("GET", path).header("accept", accept).body(Body::empty()).unwrap()).await
    }

    /// Ask for something that acts, with a token.
    pub(super) async fn act(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = authorized(method, path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Ask for a run with a token.
    pub(super) async fn post(&self, body: &str) -> Answer {
        let request = authorized("POST", "/v1/runs").header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Keep `run` as one that was started, and has ended if it has an end.
    pub(super) async fn keep(&self, run: &Run) {
        let begun = Run { ending: None, finished: None, log: Vec::new(), calls: Vec::new(), ..run.clone() };
        self.store.start_run(begun).await.unwrap();
        if run.ending.is_some() {
            self.store.finish_run(run.clone()).await.unwrap();
        }
    }
}

pub(super) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response: Response<Body> = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

/// The beginning of a request with the token of alice.
pub(super) fn authorized(method: &str, path: &str) -> http::request::Builder {
    with_token(method, path, TOKEN)
}

/// The beginning of a request with a token.
pub(super) fn with_token(method: &str, path: &str, token: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"))
}

/// One owner of a token for each role.
pub(super) fn access() -> Access {
    let key = TokenKey::new(Secret::new("0123456789abcdef0123456789abcdef")).unwrap();
    let token = |(name, role, token): (&str, Role, &str)| Token {
        name: name.to_owned(),
        role,
        expires: None,
        digest: key.digest(token.as_bytes()),
        // A test asks again and again until something has come true.
        rate: Rate { per_minute: 6_000_000, burst: 1_000_000 },
    };
    let owners = [("alice", Role::Admin, TOKEN), ("bob", Role::Responder, RESPONDER), ("vera", Role::Viewer, VIEWER)];
    Access { tokens: owners.map(token).to_vec(), key: Some(key), cluster: None }
}

/// Every minute two checks, of which the second cannot run.
fn sweep() -> Sweep {
    let name: SweepName = "health".parse().unwrap();
    let check = |plugin: &str| Check { plugin: plugin.parse().unwrap(), params: Map::new() };
    let every = scheduler::Cadence::Every(Duration::from_secs(60));
    Sweep {
        timetable: Some(scheduler::Timetable {
            schedule: scheduler::Schedule::new(every, Duration::ZERO, &name),
            missed: Missed::Skip,
            starting_deadline: Duration::from_secs(60),
        }),
        name,
        overlap: Overlap::Skip,
        checks: vec![check("pg-ready"), check("redis-ping")],
        rules: scheduler::Rules { failure_threshold: 1, ..scheduler::Rules::default() },
        max_parallel: 4,
        max_parallel_per_target: 4,
    }
}

/// A configuration that nobody edits; it is refused for what a test says.
#[derive(Default)]
pub(super) struct ScriptedConfiguration {
    pub(super) refused: std::sync::Mutex<Option<ReloadRefused>>,
}

#[async_trait::async_trait]
impl Configuration for ScriptedConfiguration {
    async fn reload(&self, actor: Actor) -> Result<Reloaded, ReloadRefused> {
        let changed = vec![format!("changed auth for {}", actor.0)];
        let reloaded = Reloaded { at: NOW, changed, needs_restart: vec!["server.listen"] };
        self.refused.lock().unwrap().clone().map_or(Ok(reloaded), Err)
    }

    fn standing(&self) -> ConfigStanding {
        let refused = self.refused.lock().unwrap().clone();
        ConfigStanding { since: NOW, refused, needs_restart: vec!["server.listen"] }
    }
}

/// Says of `pg-ready` that it is ok, and of everything else that it cannot run.
struct Scripted;

#[async_trait::async_trait]
impl CheckRunner for Scripted {
    fn targets(&self, _: &Check) -> Vec<Target> {
        Vec::new()
    }

    async fn run(&self, order: Order) -> Option<CheckResult> {
        let plugin = order.check.plugin;
        let result = match plugin.as_str() {
            "pg-ready" => CheckResult {
                run: Some(RunId::new(NOW)),
                status: Status::Ok,
                summary: "accepts connections".to_owned(),
                reason: None,
                plugin,
            },
            _ => CheckResult {
                run: None,
                status: Status::Unknown,
                summary: "no such file".to_owned(),
                reason: Some(Reason::NotActive),
                plugin,
            },
        };
        Some(result)
    }
}

pub(super) fn entry(name: &str) -> Entry {
    let name = name.parse::<crate::domain::PluginName>().unwrap();
    Entry {
        source: Source::File(PathBuf::from(format!("/nowhere/{name}.wasm"))),
        trust: Trust::default(),
        grants: Arc::new(Grants::new(name.clone(), Vec::new())),
        name,
        defaults: Map::new(),
        settings: Vec::new(),
        limits: Limits::DEFAULT,
    }
}

/// A run of pg-ready that started `age` seconds ago and has not ended.
pub(super) fn running(age: u64) -> Run {
    let started = NOW.before(Duration::from_secs(age));
    Run {
        id: RunId::new(started),
        plugin: "pg-ready".parse().unwrap(),
        version: "0.1.0".to_owned(),
        digest: Digest::of(b"component"),
        mode: Mode::Check,
        trigger: Trigger::Manual,
        actor: Actor("alice".to_owned()),
        sweep_run: None,
        params: r#"{"target":"main"}"#.to_owned(),
        started,
        finished: None,
        ending: None,
        usage: Usage::default(),
        log: Vec::new(),
        calls: Vec::new(),
        changes: crate::domain::RunChanges::default(),
    }
}

/// The same, ended with this verdict.
pub(super) fn concluded(age: u64, status: Status) -> Run {
    let run = running(age);
    let outcome = Outcome {
        status,
        summary: "a verdict".to_owned(),
        details: None,
        metrics: Vec::new(),
        findings: Vec::new(),
        suggestions: Vec::new(),
        labels: Vec::new(),
        files: crate::domain::Files::default(),
    };
    let call = CallRecord {
        sequence: 1,
        operation: "postgres/query".to_owned(),
        target: "postgres/main".to_owned(),
        arguments: r#"{"sql":"SELECT 1"}"#.to_owned(),
        decision: Decision::Denied(DenialReason::NotGranted),
        started: run.started,
        duration: Duration::from_micros(1500),
        answer_bytes: 0,
        answer_digest: None,
        error: Some("denied: not granted; to allow it add a line".to_owned()),
    };
    let line = LogLine {
        time: run.started,
        level: LogLevel::Info,
        source: crate::domain::LogSource::Plugin,
        message: "looking".to_owned(),
        fields: Vec::new(),
    };
    Run { finished: Some(NOW), ending: Some(Ending::Concluded(outcome)), calls: vec![call], log: vec![line], ..run }
}

/// The same, ended without a verdict.
pub(super) fn failed(age: u64, kind: FailureKind) -> Run {
    let failure = Failure { kind, message: "it took too long".to_owned() };
    Run { ending: Some(Ending::Failed(failure)), ..concluded(age, Status::Ok) }
}
