//! What a plugin says of itself.

use std::time::Duration;

use super::{Label, PluginName};

/// What a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Looks and judges.
    Check,
    /// May change running systems.
    Mitigation,
    /// Talks to people's tools.
    Responder,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Check, Self::Mitigation, Self::Responder];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Mitigation => "mitigation",
            Self::Responder => "responder",
        }
    }
}

/// How much harm a mitigation can do in the wrong situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// Nothing a user would notice.
    Low,
    /// Short disturbance, undone easily.
    Medium,
    /// Lost work, lost data or a longer outage is possible.
    High,
}

impl Risk {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// One thing the plugin wants to be allowed to do. A request is never a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapabilityRequest {
    /// Written `interface/function`, or `interface/*`.
    pub operation: String,
    /// Target in grant notation; `{name}` stands for the parameter of that name.
    pub target: String,
    /// Why it is needed.
    pub reason: String,
    /// True when the plugin still does something useful without it.
    pub optional: bool,
}

/// What a component's `describe` answered, after the host checked it.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Name of the plugin.
    pub name: PluginName,
    /// Its version.
    pub version: semver::Version,
    /// What it is for.
    pub kind: Kind,
    /// Short title.
    pub title: String,
    /// What it does, in Markdown.
    pub description: String,
    /// Runbook section that it automates.
    pub runbook: Option<String>,
    /// JSON Schema of the parameters, a JSON document.
    pub params_schema: String,
    /// What it asks for.
    pub capabilities: Vec<CapabilityRequest>,
    /// Longest time that a run should take.
    pub time_limit: Duration,
    /// Harm it could do.
    pub risk: Risk,
    /// True when running it twice equals running it once.
    pub idempotent: bool,
    /// Further annotations.
    pub labels: Vec<Label>,
}
