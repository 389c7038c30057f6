//! What the agent asks of descriptions, parameters and outcomes, so far as a test can tell.

use crate::plugin::{params_schema, schema_of};
use crate::{Capability, Description, JsonSchema, Kind, Outcome, Plugin, Risk, Status};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What a summary, an outcome and its tables may measure.
const OUTCOME_BYTES: usize = 256 * 1024;
const MAX_TABLES: usize = 20;
const MAX_METRICS: usize = 500;

/// Whether a call is covered by what the description asks for.
pub(super) fn is_asked_for(capabilities: &[Capability], operation: &str) -> bool {
    let interface = operation.split('/').next().unwrap_or_default();
    capabilities
        .iter()
        .any(|capability| capability.operation == operation || capability.operation == format!("{interface}/*"))
}

/// What the schema says against these parameters.
pub(super) fn faults_of_params<P: Plugin>(params: &Value) -> Option<String> {
    faults_against_schema(&params_schema::<P>(), params)
}

/// What is wrong with parameters of this type, by their schema or by reading them.
pub(super) fn faults_against<T: JsonSchema + DeserializeOwned>(params: &Value) -> Option<String> {
    let read = || serde_json::from_value::<T>(params.clone()).err().map(|error| error.to_string());
    faults_against_schema(&schema_of::<T>(), params).or_else(read)
}

fn faults_against_schema(schema: &Value, params: &Value) -> Option<String> {
    jsonschema::validate(schema, params).err().map(|error| format!("{}: {error}", error.instance_path()))
}

pub(super) fn faults_of_description<P: Plugin>() -> Vec<String> {
    let description = P::describe();
    let mut faults = Vec::new();
    let mut expect = |fine: bool, fault: &str| {
        if !fine {
            faults.push(fault.to_owned());
        }
    };
    expect(is_kebab(&description.name), "the name is not in kebab case");
    expect(description.version.split('.').count() == 3, "the version is not a semantic one");
    expect(!description.title.is_empty(), "there is no title");
    expect(!description.about.is_empty(), "there is no description");
    expect(description.time_limit > 0.0, "the time limit is not positive");
    expect(description.capabilities.iter().all(is_complete), "a capability lacks its function, target or reason");
    expect(
        description.confirmed_by.as_deref().is_none_or(is_kebab),
        "the check that confirms it has no name of a plugin",
    );
    let (kind, changes) = fits_its_kind(&description);
    expect(kind, "a check is of low risk and idempotent, and needs no check to confirm it");
    expect(changes, "a check asks for a change, or a mitigation asks for none");
    expect(defaults_are_accepted::<P>(), "{} or its defaults do not match the schema");
    expect(unknown_fields_are_refused::<P>(), "the schema takes unknown fields; add #[serde(deny_unknown_fields)]");
    faults
}

/// Whether what it says of itself is that of its kind, and whether what it asks for is.
fn fits_its_kind(description: &Description) -> (bool, bool) {
    let harmless = description.risk == Risk::Low && description.idempotent && description.confirmed_by.is_none();
    let changes = description.capabilities.iter().any(Capability::is_change);
    match description.kind {
        Kind::Check => (harmless, !changes),
        Kind::Mitigation | Kind::Responder => (true, changes),
    }
}

fn is_kebab(name: &str) -> bool {
    name.split('-').all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
}

fn is_complete(capability: &Capability) -> bool {
    let parts: Vec<&str> = capability.operation.split('/').collect();
    parts.len() == 2
        && parts.iter().all(|part| !part.is_empty())
        && !capability.target.is_empty()
        && !capability.reason.is_empty()
}

/// An empty object is accepted unless a field is required, and the defaults that the schema shows are accepted too.
fn defaults_are_accepted<P: Plugin>() -> bool {
    let schema = params_schema::<P>();
    let required = schema.get("required").is_some();
    let shown: serde_json::Map<String, Value> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
        .collect();
    required
        || [json!({}), Value::Object(shown)].iter().all(|params| {
            jsonschema::is_valid(&schema, params) && serde_json::from_value::<P::Params>(params.clone()).is_ok()
        })
}

fn unknown_fields_are_refused<P: Plugin>() -> bool {
    params_schema::<P>().get("additionalProperties") == Some(&Value::Bool(false))
}

pub(super) fn faults_of_outcome(outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |fine: bool, fault: &str| {
        if !fine {
            faults.push(fault.to_owned());
        }
    };
    let summary = outcome.summary();
    expect(!summary.trim().is_empty() && !summary.contains('\n'), "the summary is not one line");
    expect(outcome.status() != Status::Unknown || !summary.is_empty(), "unknown without a reason");
    expect(outcome.metrics().iter().all(|metric| is_snake(&metric.name)), "a metric's name is not in snake case");
    expect(outcome.metrics().iter().all(|metric| metric.value.is_finite()), "a metric is no finite number");
    expect(outcome.metrics().len() <= MAX_METRICS, "there are more than 500 metrics");
    expect(outcome.tables().len() <= MAX_TABLES, "there are more than 20 tables");
    expect(
        outcome.suggestions().iter().all(|suggestion| suggestion.params.is_object()),
        "suggested parameters are no object",
    );
    expect(
        outcome.suggestions().iter().all(|suggestion| !suggestion.reason.is_empty()),
        "a suggestion lacks its reason",
    );
    expect(size(outcome) <= OUTCOME_BYTES, "the outcome exceeds 256 KiB");
    faults.extend(crate::files::faults(outcome.files()).into_iter().map(|fault| format!("the files: {fault}")));
    faults
}

fn is_snake(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn size(outcome: &Outcome) -> usize {
    let cells = outcome.tables().iter().flat_map(|table| table.rows.iter().flatten().chain(&table.columns));
    let details = outcome.details().map_or(0, |text| text.len());
    cells.map(String::len).sum::<usize>() + details + outcome.metrics().len() * 64 + outcome.files().size()
}
