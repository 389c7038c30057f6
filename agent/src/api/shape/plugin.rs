//! Plugins: what they are, whether they can run, and what they may do.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::outcome::labels;
use super::{Label, Origin, PluginKind, PluginState, Risk, VersionCandidate};
use crate::catalog::{Entry, Hold, Source, Standing, State};
use crate::domain;

/// The configured plugins, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginList {
    /// All of them.
    pub plugins: Vec<PluginSummary>,
}

/// A plugin as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginSummary {
    /// Its name.
    #[schema(example = "pg-slow-queries")]
    pub name: String,
    /// Whether it can run.
    pub state: PluginState,
    /// Why it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "its grants lack what it needs; add plugins.pg-slow-queries.grants: \
                        - { postgres: main, verbs: [statements] }")]
    pub reason: Option<String>,
    /// What it is for, if it can run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PluginKind>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.1.0")]
    pub version: Option<String>,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Slow statements")]
    pub title: Option<String>,
    /// Digest of its component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl PluginSummary {
    /// The summary of a configured plugin.
    pub fn of(entry: &Entry, state: &State, standing: &Standing) -> Self {
        let active = match state {
            State::Active(plugin) => Some(plugin),
            State::Loading | State::Failed(_) | State::Absent => None,
        };
        Self {
            name: entry.name.to_string(),
            state: match (active, &standing.hold) {
                (Some(_), Some(_)) => PluginState::quarantined(),
                (_, _) => state.into(),
            },
            reason: reason(entry, state, standing),
            kind: active.map(|plugin| plugin.metadata.kind.into()),
            version: active.map(|plugin| plugin.metadata.version.to_string()),
            title: active.map(|plugin| plugin.metadata.title.clone()),
            digest: active.map(|plugin| plugin.digest.to_string()),
        }
    }
}

/// A plugin in full. What it says of itself is there once it could be loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plugin {
    /// Name, state and what it is.
    #[serde(flatten)]
    pub summary: PluginSummary,
    /// What it does, in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Runbook section that it automates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// Harm it could do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// True when running it twice equals running it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// JSON Schema of its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub params_schema: Option<Value>,
    /// Parameters that the configuration gives, and a request may leave out.
    #[schema(value_type = Object, example = json!({"threshold_ms": 100}))]
    pub params: Map<String, Value>,
    /// What it asks to be allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// What one run of it may use.
    pub limits: Limits,
    /// Size of its component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// When it was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-03-01T03:00:00.000Z")]
    pub loaded: Option<String>,
    /// Which way its component came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Who brought its component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "ci")]
    pub delivered_by: Option<String>,
    /// The key that signed its component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "release")]
    pub signer: Option<String>,
    /// Versions that were refused or wait, the newest first, since one became active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<VersionCandidate>,
    /// The quarantine that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// Further annotations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

/// A plugin that is held back because its runs kept failing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quarantine {
    /// When it began.
    #[schema(format = DateTime, example = "2026-03-01T03:00:00.000Z")]
    pub since: String,
    /// When one run is tried.
    #[schema(format = DateTime, example = "2026-03-01T03:01:00.000Z")]
    pub until: String,
    /// How many times in a row; each time is twice as long as the one before.
    #[schema(example = 1)]
    pub round: u32,
    /// How the last of the runs failed.
    #[schema(example = "trap: the plugin trapped: wasm `unreachable` instruction executed")]
    pub reason: String,
}

impl From<&Hold> for Quarantine {
    fn from(hold: &Hold) -> Self {
        let Hold { since, until, round, reason } = hold;
        Self { since: since.to_string(), until: until.to_string(), round: *round, reason: reason.clone() }
    }
}

impl Plugin {
    /// All there is to know about a configured plugin.
    pub fn of(entry: &Entry, state: &State, standing: &Standing) -> Self {
        let configured = Self::configured(entry, state, standing);
        let State::Active(plugin) = state else { return configured };
        let metadata = plugin.metadata.clone();
        Self {
            description: Some(metadata.description),
            runbook: metadata.runbook,
            risk: Some(metadata.risk.into()),
            idempotent: Some(metadata.idempotent),
            params_schema: Some(plugin.schema.clone()),
            capabilities: metadata.capabilities.into_iter().map(Capability::from).collect(),
            limits: plugin.limits.into(),
            size_bytes: u64::try_from(plugin.size).ok(),
            loaded: Some(plugin.loaded.to_string()),
            origin: Some(plugin.origin.into()),
            delivered_by: plugin.actor.as_ref().map(|actor| actor.0.clone()),
            signer: plugin.signer.clone(),
            labels: labels(metadata.labels),
            ..configured
        }
    }

    /// What is known before the component was looked at.
    fn configured(entry: &Entry, state: &State, standing: &Standing) -> Self {
        Self {
            summary: PluginSummary::of(entry, state, standing),
            description: None,
            runbook: None,
            risk: None,
            idempotent: None,
            params_schema: None,
            params: entry.defaults.clone(),
            capabilities: Vec::new(),
            grants: entry.grants.lines().iter().map(Grant::from).collect(),
            limits: entry.limits.into(),
            size_bytes: None,
            loaded: None,
            origin: None,
            delivered_by: None,
            signer: None,
            candidates: standing.candidates.iter().cloned().map(VersionCandidate::from).collect(),
            quarantine: standing.hold.as_ref().map(Quarantine::from),
            labels: Vec::new(),
        }
    }
}

fn reason(entry: &Entry, state: &State, standing: &Standing) -> Option<String> {
    match state {
        State::Failed(error) => Some(error.chain()),
        State::Absent => Some(match entry.source {
            Source::File(_) | Source::Folder => "no version of it lay in the folder yet".to_owned(),
            Source::Upload => format!("no version was delivered yet; paramedic plugins push {}.wasm", entry.name),
        }),
        State::Active(_) => standing
            .hold
            .as_ref()
            .map(|hold| format!("in quarantine until {}, because its runs kept failing ({})", hold.until, hold.reason)),
        State::Loading => None,
    }
}

/// One thing that a plugin asks to be allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capability {
    /// The function, or all of an interface with `/*`.
    #[schema(example = "postgres/statements")]
    pub operation: String,
    /// The target; `{name}` stands for the parameter of that name.
    #[schema(example = "{target}")]
    pub target: String,
    /// Why it is needed.
    pub reason: String,
    /// True when the plugin is of use without it.
    pub optional: bool,
}

impl From<domain::CapabilityRequest> for Capability {
    fn from(request: domain::CapabilityRequest) -> Self {
        let domain::CapabilityRequest { operation, target, reason, optional } = request;
        Self { operation, target, reason, optional }
    }
}

/// One line of a plugin's grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// The target.
    #[schema(example = "postgres/main")]
    pub target: String,
    /// What may be done with it.
    #[schema(example = json!(["statements"]))]
    pub verbs: Vec<String>,
    /// Redis keys that may be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// HTTP paths that may be asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Resources of Kubernetes whose objects may be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["deployments.apps"]))]
    pub resources: Vec<String>,
}

impl From<&domain::Grant> for Grant {
    fn from(grant: &domain::Grant) -> Self {
        Self {
            target: grant.target.to_string(),
            verbs: grant.operations.iter().map(|operation| operation.verb().to_owned()).collect(),
            keys: grant.keys.iter().map(ToString::to_string).collect(),
            paths: grant.paths.iter().map(ToString::to_string).collect(),
            resources: grant.resources.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What one run may use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Longest time.
    #[schema(example = 10.0)]
    pub deadline_seconds: f64,
    /// Memory.
    #[schema(example = 67108864)]
    pub memory_bytes: u64,
    /// Elements of its tables.
    #[schema(example = 20000)]
    pub table_elements: u64,
    /// Host calls.
    #[schema(example = 500)]
    pub calls: u32,
    /// Answer of one host call.
    #[schema(example = 1048576)]
    pub answer_bytes: u64,
    /// Answers of all host calls together.
    #[schema(example = 16777216)]
    pub total_answer_bytes: u64,
    /// Lines of its log.
    #[schema(example = 2000)]
    pub log_lines: u32,
    /// Text of its log.
    #[schema(example = 262144)]
    pub log_bytes: u64,
    /// Parameters.
    #[schema(example = 65536)]
    pub params_bytes: u64,
    /// Outcome.
    #[schema(example = 262144)]
    pub outcome_bytes: u64,
}

impl From<domain::Limits> for Limits {
    fn from(limits: domain::Limits) -> Self {
        // A size in memory fits in 64 bits.
        let bytes = |size: usize| size as u64;
        Self {
            deadline_seconds: limits.deadline.as_secs_f64(),
            memory_bytes: bytes(limits.memory_bytes),
            table_elements: bytes(limits.table_elements),
            calls: limits.calls,
            answer_bytes: bytes(limits.answer_bytes),
            total_answer_bytes: limits.total_answer_bytes,
            log_lines: limits.log_lines,
            log_bytes: bytes(limits.log_bytes),
            params_bytes: bytes(limits.params_bytes),
            outcome_bytes: bytes(limits.outcome_bytes),
        }
    }
}
