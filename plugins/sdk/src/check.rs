//! What a check is: its parameters, what it tells about itself, and its judgement.

use crate::bindings::exports::paramedic::plugin::plugin as wire;
use crate::{Failure, Outcome, Seconds};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;

/// The circumstances of a run: its id, the incident it belongs to, what started it and how long it may take.
pub use wire::{Mode, RunContext as Context};

/// A check: looks and judges.
pub trait Check {
    /// Its parameters. Derive `Deserialize` and [`JsonSchema`], give every field a default where there is a sensible
    /// one, and write `#[serde(deny_unknown_fields)]`, so that a mistyped name is refused instead of ignored. The doc
    /// comments become the descriptions in the schema.
    type Params: DeserializeOwned + JsonSchema;

    /// What the agent and its users need to know beforehand. Must not call the host.
    fn describe() -> Description;

    /// Look and judge. An error of the host that `?` passes on ends the run without a verdict, which the agent shows as
    /// `unknown`; whatever should count as a finding has to be turned into one here.
    fn run(context: &Context, params: Self::Params) -> Result<Outcome, Failure>;
}

/// One thing a check wants to be allowed to do. Asking is not getting: the operator grants.
#[derive(Debug, Clone, PartialEq)]
pub struct Capability {
    /// The host's function, written `interface/function`.
    pub operation: String,
    /// What it is used on; `{name}` stands for the parameter of that name, `*` for whatever is granted.
    pub target: String,
    /// Why, in a sentence for the operator.
    pub reason: String,
    /// True when the check is still of use without it.
    pub optional: bool,
}

/// What a check tells about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Name in kebab case.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Short title for lists.
    pub title: String,
    /// What it looks at, in Markdown.
    pub about: String,
    /// Anchor of the runbook section that it automates.
    pub runbook: Option<String>,
    /// What it wants to be allowed to do.
    pub capabilities: Vec<Capability>,
    /// Longest time a run should take.
    pub time_limit: Seconds,
}

impl Description {
    /// Begin a description. Name and version are best taken from the crate:
    /// `Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "…")`.
    pub fn new(name: &str, version: &str, title: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            title: title.to_owned(),
            about: String::new(),
            runbook: None,
            capabilities: Vec::new(),
            time_limit: 10.0,
        }
    }

    /// Say what it looks at, in Markdown.
    #[must_use]
    pub fn about(mut self, markdown: &str) -> Self {
        self.about = markdown.to_owned();
        self
    }

    /// Name the runbook section that it automates.
    #[must_use]
    pub fn runbook(mut self, anchor: &str) -> Self {
        self.runbook = Some(anchor.to_owned());
        self
    }

    /// Ask for a function of the host without which the check is of no use.
    #[must_use]
    pub fn needs(self, operation: &str, target: &str, reason: &str) -> Self {
        self.ask(operation, target, reason, false)
    }

    /// Ask for a function of the host without which the check still says something useful.
    #[must_use]
    pub fn can_use(self, operation: &str, target: &str, reason: &str) -> Self {
        self.ask(operation, target, reason, true)
    }

    /// Set the longest time a run should take; 10 seconds unless told.
    #[must_use]
    pub fn time_limit(mut self, seconds: Seconds) -> Self {
        self.time_limit = seconds;
        self
    }

    fn ask(mut self, operation: &str, target: &str, reason: &str, optional: bool) -> Self {
        self.capabilities.push(Capability {
            operation: operation.to_owned(),
            target: target.to_owned(),
            reason: reason.to_owned(),
            optional,
        });
        self
    }

    pub(crate) fn into_metadata(self, params_schema: String) -> wire::Metadata {
        wire::Metadata {
            name: self.name,
            version: self.version,
            kind: wire::Kind::Check,
            title: self.title,
            description: self.about,
            runbook: self.runbook,
            params_schema,
            capabilities: self.capabilities.into_iter().map(Capability::into_request).collect(),
            time_limit: self.time_limit,
            risk: wire::Risk::Low,
            idempotent: true,
            labels: Vec::new(),
        }
    }
}

impl Capability {
    fn into_request(self) -> wire::CapabilityRequest {
        wire::CapabilityRequest {
            operation: self.operation,
            target: self.target,
            reason: self.reason,
            optional: self.optional,
        }
    }
}

/// The JSON Schema (draft 2020-12) of a check's parameters. Shared types are written out where they are used: the
/// schema is read by people, in a terminal, more often than by programs.
pub fn params_schema<C: Check>() -> serde_json::Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    SchemaGenerator::new(settings).into_root_schema_for::<C::Params>().to_value()
}
