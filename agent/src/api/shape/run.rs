//! Runs: asked for, in full, and in lists.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Call, Change, Failure, Help, Lease, LogLine, Mode, Outcome, Plan, RunState, Trigger, Verdict, document};
use crate::{domain, store};

/// What is asked for with `POST /v1/runs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"plugin": "pg-slow-queries", "params": {"target": "main", "limit": 5}}))]
pub struct RunRequest {
    /// Name of the plugin.
    pub plugin: String,
    /// Its parameters, which go over those in the agent's configuration. `GET /v1/plugins/{name}` has their schema.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub params: Map<String, Value>,
    /// `plan` for a mitigation: what it would change is listed and not done. A check runs as `check`, which is meant where
    /// nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// One execution of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its id. Ids sort by time.
    #[schema(format = "uuid", example = "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b")]
    pub id: String,
    /// The plugin.
    #[schema(example = "pg-slow-queries")]
    pub plugin: String,
    /// Version of the plugin.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// Digest of the component that ran.
    pub digest: String,
    /// How changes are treated.
    pub mode: Mode,
    /// What started it.
    pub trigger: Trigger,
    /// Who asked: the name of the token.
    #[schema(example = "alice")]
    pub actor: String,
    /// The run of a sweep that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub sweep_run: Option<String>,
    /// How far it has come.
    pub state: RunState,
    /// The parameters it ran with, defaults included.
    #[schema(value_type = Object, example = json!({"target": "main", "limit": 5, "threshold_ms": 100}))]
    pub params: Value,
    /// When it started.
    #[schema(format = DateTime, example = "2026-03-01T03:14:15.926Z")]
    pub started: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-03-01T03:14:15.951Z")]
    pub finished: Option<String>,
    /// The verdict, if it came to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why there is none, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What it used.
    pub usage: Usage,
    /// Its host calls, the refused ones too.
    pub calls: Vec<Call>,
    /// Its log.
    pub log: Vec<LogLine>,
    /// The plan that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub follows: Option<String>,
    /// The run whose changes it gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub undoes: Option<String>,
    /// Why it went past the guards of changes, if somebody broke the glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "the database is down and nobody else is awake")]
    pub break_glass: Option<String>,
    /// The plan that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The changes that it made, or tried to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// When they are given back by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Whether it helped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<Help>,
}

impl From<domain::Run> for Run {
    fn from(run: domain::Run) -> Self {
        let state = store::RunState::of(run.ending.as_ref()).into();
        let (outcome, failure) = match run.ending {
            None => (None, None),
            Some(domain::Ending::Concluded(outcome)) => (Some(outcome.into()), None),
            Some(domain::Ending::Failed(failure)) => (None, Some(failure.into())),
        };
        Self {
            id: run.id.to_string(),
            plugin: run.plugin.to_string(),
            version: run.version,
            digest: run.digest.to_string(),
            mode: run.mode.into(),
            trigger: run.trigger.into(),
            actor: run.actor.0,
            sweep_run: run.sweep_run.map(|id| id.to_string()),
            state,
            params: document(&run.params),
            started: run.started.to_string(),
            finished: run.finished.map(|time| time.to_string()),
            outcome,
            failure,
            usage: run.usage.into(),
            calls: run.calls.into_iter().map(Call::from).collect(),
            log: run.log.into_iter().map(LogLine::from).collect(),
            follows: run.changes.follows.map(|id| id.to_string()),
            undoes: run.changes.undoes.map(|id| id.to_string()),
            break_glass: run.changes.break_glass.clone(),
            plan: Plan::of(&run.changes),
            changes: run.changes.made.iter().map(Change::from).collect(),
            lease: run.changes.lease.as_ref().map(Lease::from),
            help: run.changes.help.map(Help::from),
        }
    }
}

/// What a run used. All zero until it ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Time from the start of the plugin to its end.
    #[schema(example = 0.025)]
    pub duration_seconds: f64,
    /// Most memory that it had.
    #[schema(example = 1179648)]
    pub memory_bytes: u64,
    /// Host calls.
    #[schema(example = 1)]
    pub calls: u32,
    /// Bytes of all answers, as JSON.
    #[schema(example = 5120)]
    pub answer_bytes: u64,
    /// Log lines that were dropped because the log was full.
    #[schema(example = 0)]
    pub dropped_log_lines: u32,
}

impl From<domain::Usage> for Usage {
    fn from(usage: domain::Usage) -> Self {
        Self {
            duration_seconds: usage.duration.as_secs_f64(),
            memory_bytes: usage.memory_bytes,
            calls: usage.calls,
            answer_bytes: usage.answer_bytes,
            dropped_log_lines: usage.dropped_log_lines,
        }
    }
}

/// Runs, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunPage {
    /// One page of them.
    pub runs: Vec<RunSummary>,
    /// The `cursor` of the next page; left out on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0000019ccb9c8b560000000000000029")]
    pub next: Option<String>,
}

impl From<store::RunPage> for RunPage {
    fn from(page: store::RunPage) -> Self {
        Self {
            runs: page.runs.into_iter().map(RunSummary::from).collect(),
            next: page.next.map(|cursor| cursor.to_string()),
        }
    }
}

/// A run without its parameters, findings, calls and log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    /// Its id.
    #[schema(format = "uuid", example = "019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b")]
    pub id: String,
    /// The plugin.
    #[schema(example = "pg-slow-queries")]
    pub plugin: String,
    /// Version of the plugin.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// Digest of the component that ran.
    pub digest: String,
    /// How changes are treated.
    pub mode: Mode,
    /// What started it.
    pub trigger: Trigger,
    /// Who asked: the name of the token.
    #[schema(example = "alice")]
    pub actor: String,
    /// How far it has come.
    pub state: RunState,
    /// When it started.
    #[schema(format = DateTime, example = "2026-03-01T03:14:15.926Z")]
    pub started: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-03-01T03:14:15.951Z")]
    pub finished: Option<String>,
    /// The beginning of its outcome, if it came to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Verdict>,
    /// Why there is none, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What it used.
    pub usage: Usage,
}

impl RunSummary {
    /// A run that is at hand in full, in brief.
    pub fn of(run: &domain::Run) -> Self {
        let (summary, failure) = match &run.ending {
            None => (None, None),
            Some(domain::Ending::Concluded(outcome)) => (Some(outcome.summary.clone()), None),
            Some(domain::Ending::Failed(failure)) => (None, Some(failure.clone())),
        };
        store::RunSummary {
            id: run.id,
            plugin: run.plugin.clone(),
            version: run.version.clone(),
            digest: run.digest,
            mode: run.mode,
            trigger: run.trigger,
            actor: run.actor.clone(),
            started: run.started,
            finished: run.finished,
            state: store::RunState::of(run.ending.as_ref()),
            summary,
            failure,
            usage: run.usage,
        }
        .into()
    }
}

impl From<store::RunSummary> for RunSummary {
    fn from(run: store::RunSummary) -> Self {
        Self {
            id: run.id.to_string(),
            plugin: run.plugin.to_string(),
            version: run.version,
            digest: run.digest.to_string(),
            mode: run.mode.into(),
            trigger: run.trigger.into(),
            actor: run.actor.0,
            state: run.state.into(),
            started: run.started.to_string(),
            finished: run.finished.map(|time| time.to_string()),
            outcome: verdict(run.state, run.summary),
            failure: run.failure.map(Failure::from),
            usage: run.usage.into(),
        }
    }
}

fn verdict(state: store::RunState, summary: Option<String>) -> Option<Verdict> {
    match state {
        store::RunState::Concluded(status) => {
            Some(Verdict { status: status.into(), summary: summary.unwrap_or_default() })
        }
        store::RunState::Running | store::RunState::Failed | store::RunState::Interrupted => None,
    }
}
