//! What a plugin is: its parameters, what it tells about itself, and its judgement.

use crate::bindings::exports::paramedic::plugin::plugin as wire;
use crate::{Failure, Label, Outcome, Seconds};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;

/// The circumstances of a run: its id, the incident it belongs to, what started it and how long it may take.
pub use wire::{Kind, Mode, Risk, RunContext as Context};

/// The label under which a mitigation names the check that proves it.
const CONFIRMED_BY: &str = "confirmed-by";

/// The label with the parameters of that check, a JSON object.
const CONFIRMED_WITH: &str = "confirmed-with";

/// A plugin. A check looks and judges; a mitigation chooses what to change as well. Its [`Description`] says which it is.
pub trait Plugin {
    /// Its parameters. Derive `Deserialize` and [`JsonSchema`], give every field a default where there is a sensible
    /// one, and write `#[serde(deny_unknown_fields)]`, so that a mistyped name is refused instead of ignored. The doc
    /// comments become the descriptions in the schema.
    type Params: DeserializeOwned + JsonSchema;

    /// What the agent and its users need to know beforehand. Must not call the host.
    fn describe() -> Description;

    /// Look and judge. An error of the host that `?` passes on ends the run without a verdict, which the agent shows as
    /// `unknown`; whatever should count as a finding has to be turned into one here.
    ///
    /// A mitigation does the same whatever the mode of the run is: it asks for every change that it finds needed, and the
    /// host lists or performs it. [`crate::Work`] and [`Outcome::of_change`] tell what became of it.
    fn run(context: &Context, params: Self::Params) -> Result<Outcome, Failure>;
}

/// One thing a plugin wants to be allowed to do. Asking is not getting: the operator grants.
#[derive(Debug, Clone, PartialEq)]
pub struct Capability {
    /// The host's function, written `interface/function`.
    pub operation: String,
    /// What it is used on; `{name}` stands for the parameter of that name, `*` for whatever is granted.
    pub target: String,
    /// Why, in a sentence for the operator.
    pub reason: String,
    /// True when the plugin is still of use without it.
    pub optional: bool,
}

/// What a plugin tells about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Name in kebab case.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// What it is for.
    pub kind: Kind,
    /// Short title for lists.
    pub title: String,
    /// What it looks at or does, in Markdown.
    pub about: String,
    /// Anchor of the runbook section that it automates.
    pub runbook: Option<String>,
    /// What it wants to be allowed to do.
    pub capabilities: Vec<Capability>,
    /// Longest time a run should take.
    pub time_limit: Seconds,
    /// Harm that it could do in the wrong situation.
    pub risk: Risk,
    /// True when running it twice in a row equals running it once.
    pub idempotent: bool,
    /// The check that proves that it helped.
    pub confirmed_by: Option<String>,
    /// Parameters with which that check runs, a JSON object.
    pub confirmed_with: Option<serde_json::Value>,
}

impl Description {
    /// Begin the description of a check. Name and version are best taken from the crate:
    /// `Description::check(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "…")`.
    pub fn check(name: &str, version: &str, title: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            kind: Kind::Check,
            title: title.to_owned(),
            about: String::new(),
            runbook: None,
            capabilities: Vec::new(),
            time_limit: 10.0,
            risk: Risk::Low,
            idempotent: true,
            confirmed_by: None,
            confirmed_with: None,
        }
    }

    /// Begin the description of a mitigation, with the harm that it could do in the wrong situation.
    pub fn mitigation(name: &str, version: &str, title: &str, risk: Risk) -> Self {
        Self { kind: Kind::Mitigation, risk, idempotent: false, ..Self::check(name, version, title) }
    }

    /// Say what it looks at or does, in Markdown.
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

    /// Name the check that proves that a mitigation helped, run on the same target and otherwise with its defaults.
    #[must_use]
    pub fn confirmed_by(mut self, check: &str) -> Self {
        self.confirmed_by = Some(check.to_owned());
        self
    }

    /// Give the check that proves it further parameters, where its defaults would take what the mitigation did for trouble.
    #[must_use]
    pub fn confirmed_with(mut self, params: serde_json::Value) -> Self {
        self.confirmed_with = Some(params);
        self
    }

    /// Say that running a mitigation twice in a row equals running it once. Nothing that works through a list up to a limit
    /// is so.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Ask for a function of the host without which the plugin is of no use.
    #[must_use]
    pub fn needs(self, operation: &str, target: &str, reason: &str) -> Self {
        self.ask(operation, target, reason, false)
    }

    /// Ask for a function of the host without which the plugin is still of some use.
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
        let label = |(name, value): (&str, String)| Label { name: name.to_owned(), value };
        let check = self.confirmed_by.map(|check| (CONFIRMED_BY, check));
        let with = self.confirmed_with.map(|params| (CONFIRMED_WITH, params.to_string()));
        wire::Metadata {
            name: self.name,
            version: self.version,
            kind: self.kind,
            title: self.title,
            description: self.about,
            runbook: self.runbook,
            params_schema,
            capabilities: self.capabilities.into_iter().map(Capability::into_request).collect(),
            time_limit: self.time_limit,
            risk: self.risk,
            idempotent: self.idempotent,
            labels: check.into_iter().chain(with).map(label).collect(),
        }
    }
}

impl Capability {
    /// True when it changes something.
    pub fn is_change(&self) -> bool {
        self.operation.split('/').next().is_some_and(|interface| interface.ends_with("-actions"))
    }

    fn into_request(self) -> wire::CapabilityRequest {
        wire::CapabilityRequest {
            operation: self.operation,
            target: self.target,
            reason: self.reason,
            optional: self.optional,
        }
    }
}

/// The JSON Schema (draft 2020-12) of a plugin's parameters. Shared types are written out where they are used: the
/// schema is read by people, in a terminal, more often than by programs.
pub fn params_schema<P: Plugin>() -> serde_json::Value {
    schema_of::<P::Params>()
}

/// The schema of parameters without their plugin.
pub(crate) fn schema_of<T: JsonSchema>() -> serde_json::Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mitigation_tells_its_risk_and_the_check_that_proves_it() {
        let described = Description::mitigation("queue-pause", "1.0.0", "Pause a queue", Risk::Medium)
            .confirmed_by("queue-status")
            .confirmed_with(serde_json::json!({ "paused": "ok" }))
            .idempotent()
            .into_metadata("{}".to_owned());
        assert_eq!((described.kind, described.risk, described.idempotent), (Kind::Mitigation, Risk::Medium, true));
        let labels: Vec<_> = described.labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect();
        assert_eq!(labels, [("confirmed-by", "queue-status"), ("confirmed-with", "{\"paused\":\"ok\"}")]);
        let check = Description::check("queue-status", "1.0.0", "Job queue").into_metadata("{}".to_owned());
        assert_eq!((check.kind, check.risk, check.idempotent), (Kind::Check, Risk::Low, true));
        assert!(check.labels.is_empty());
    }
}
