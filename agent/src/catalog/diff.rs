//! What is different between two versions, as far as an operator has to care: what it imports, what it asks for, which
//! parameters it takes, how large it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::{Arrival, CapabilityRequest, Metadata, Profile};
use crate::policy::Grants;

/// Longest text of a value that is shown, in bytes.
const MAX_SHOWN: usize = 200;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the newer one has it.
    Added(String),
    /// Only the older one has it.
    Removed(String),
    /// Both have it, and it is another.
    Changed {
        /// What it is.
        what: String,
        /// How it was.
        from: String,
        /// How it is.
        to: String,
    },
}

/// Two versions beside each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Diff {
    /// The one that is looked from.
    pub from: Side,
    /// The one that is looked at.
    pub to: Side,
    /// Functions of the package that they import, written `postgres/query`.
    pub interfaces: Vec<Change>,
    /// What they ask to be allowed.
    pub capabilities: Vec<Change>,
    /// The parameters that they take.
    pub params: Vec<Change>,
    /// Title, kind, risk and time limit.
    pub facts: Vec<Change>,
    /// Imports of `to` for which nothing is granted.
    pub not_granted: Vec<String>,
    /// Which of the two did not describe itself, because its grants lack an interface; their capabilities, parameters and
    /// facts are not compared.
    pub undescribed: Vec<String>,
}

/// One of two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its version, as far as it is known.
    pub version: Option<semver::Version>,
    /// Its digest.
    pub digest: crate::domain::Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Who signed it.
    pub signer: Option<String>,
}

impl Side {
    fn of((version, arrival): (Option<semver::Version>, &Arrival)) -> Self {
        Self { version, digest: arrival.digest, size: arrival.size, signer: arrival.signer.clone() }
    }

    /// The version, or the digest where that is not known.
    pub fn name(&self) -> String {
        self.version.as_ref().map_or_else(|| self.digest.to_string(), ToString::to_string)
    }
}

impl Diff {
    /// What is different in `to`, seen from `from`.
    pub fn between(
        from: (Option<semver::Version>, &Arrival),
        to: (Option<semver::Version>, &Arrival),
        grants: &Grants,
    ) -> Self {
        let (old, new) = (&from.1.profile, &to.1.profile);
        let not_granted = new.imports.keys().filter(|interface| !grants.covers(**interface)).map(ToString::to_string);
        let not_granted = not_granted.collect();
        let (from, to) = (Side::of(from), Side::of(to));
        let sides = [(&old.metadata, &from), (&new.metadata, &to)];
        let undescribed =
            sides.iter().filter(|(metadata, _)| metadata.is_none()).map(|(_, side)| side.name()).collect();
        let (capabilities, params, facts) = match (&old.metadata, &new.metadata) {
            (Some(old), Some(new)) => (
                changes(&capabilities(old), &capabilities(new)),
                changes(&parameters(old), &parameters(new)),
                changes(&facts(old), &facts(new)),
            ),
            (_, _) => Default::default(),
        };
        let interfaces = set_changes(&functions(old), &functions(new));
        Self { from, to, interfaces, capabilities, params, facts, not_granted, undescribed }
    }

    /// True when nothing that is compared is different.
    pub fn is_empty(&self) -> bool {
        [&self.interfaces, &self.capabilities, &self.params, &self.facts].iter().all(|changes| changes.is_empty())
    }
}

fn functions(profile: &Profile) -> BTreeSet<String> {
    let of_interface = |(interface, names): (&crate::domain::Interface, &BTreeSet<String>)| -> Vec<String> {
        names.iter().map(|name| format!("{interface}/{name}")).collect()
    };
    profile.imports.iter().flat_map(of_interface).collect()
}

fn capabilities(metadata: &Metadata) -> BTreeMap<String, String> {
    let entry = |request: &CapabilityRequest| {
        let need = if request.optional { "would like it" } else { "needs it" };
        (format!("{} on {}", request.operation, request.target), format!("{need}: {}", request.reason))
    };
    metadata.capabilities.iter().map(entry).collect()
}

/// Each parameter with its rules. A schema that is none has no parameters.
fn parameters(metadata: &Metadata) -> BTreeMap<String, String> {
    let schema: Value = serde_json::from_str(&metadata.params_schema).unwrap_or(Value::Null);
    let required: BTreeSet<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return BTreeMap::new() };
    let rules = |(name, rule): (&String, &Value)| {
        let text = crate::domain::cut_bytes(&rule.to_string(), MAX_SHOWN).to_owned();
        let text = if required.contains(name.as_str()) { format!("required, {text}") } else { text };
        (name.clone(), text)
    };
    properties.iter().map(rules).collect()
}

fn facts(metadata: &Metadata) -> BTreeMap<String, String> {
    let facts = [
        ("title", metadata.title.clone()),
        ("kind", metadata.kind.as_str().to_owned()),
        ("risk", metadata.risk.as_str().to_owned()),
        ("time limit", format!("{} s", metadata.time_limit.as_secs_f64())),
        ("idempotent", metadata.idempotent.to_string()),
    ];
    facts.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

fn set_changes(old: &BTreeSet<String>, new: &BTreeSet<String>) -> Vec<Change> {
    let added = new.difference(old).cloned().map(Change::Added);
    added.chain(old.difference(new).cloned().map(Change::Removed)).collect()
}

/// What is only in one of two tables, and what has another value.
fn changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let added = new.iter().filter(|(key, _)| !old.contains_key(*key)).map(|(key, value)| line(key, value));
    let removed = old.iter().filter(|(key, _)| !new.contains_key(*key)).map(|(key, value)| line(key, value));
    let changed = new.iter().filter_map(|(key, to)| {
        let from = old.get(key).filter(|from| *from != to)?;
        Some(Change::Changed { what: key.clone(), from: from.clone(), to: to.clone() })
    });
    added.map(Change::Added).chain(removed.map(Change::Removed)).chain(changed).collect()
}

fn line(key: &str, value: &str) -> String {
    format!("{key}: {value}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Digest, Interface, Kind, Origin, Risk, Timestamp};

    fn request(operation: &str, optional: bool) -> CapabilityRequest {
        CapabilityRequest {
            operation: operation.to_owned(),
            target: "{target}".to_owned(),
            reason: "to look".to_owned(),
            optional,
        }
    }

    fn metadata(title: &str, schema: &str, capabilities: Vec<CapabilityRequest>) -> Metadata {
        Metadata {
            name: "pg-outbox".parse().unwrap(),
            version: semver::Version::new(0, 1, 0),
            kind: Kind::Check,
            title: title.to_owned(),
            description: String::new(),
            runbook: None,
            params_schema: schema.to_owned(),
            capabilities,
            time_limit: Duration::from_secs(5),
            risk: Risk::Low,
            idempotent: true,
            labels: Vec::new(),
        }
    }

    fn arrival(bytes: &[u8], functions: &[&str], metadata: Option<Metadata>) -> Arrival {
        let names = functions.iter().map(|name| (*name).to_owned()).collect();
        Arrival {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            origin: Origin::Upload,
            actor: None,
            signer: None,
            signature: None,
            at: Timestamp::from_millis(0),
            profile: Profile { imports: BTreeMap::from([(Interface::Postgres, names)]), metadata },
        }
    }

    fn grants() -> Grants {
        Grants::new("pg-outbox".parse().unwrap(), Vec::new())
    }

    #[test]
    fn every_difference_is_told_once_and_in_its_section() {
        let old_schema = r#"{"properties": {"target": {"type": "string"}, "age": {"type": "integer"}}}"#;
        let new_schema =
            r#"{"properties": {"target": {"type": "string"}, "limit": {"default": 5}}, "required": ["target"]}"#;
        let old = arrival(
            b"old",
            &["inspect", "sessions"],
            Some(metadata(
                "Outbox",
                old_schema,
                vec![request("postgres/inspect", false), request("postgres/query", true)],
            )),
        );
        let new = arrival(
            b"new!",
            &["inspect", "query"],
            Some(metadata("The outbox", new_schema, vec![request("postgres/query", false)])),
        );
        let diff = Diff::between((Some(semver::Version::new(0, 1, 0)), &old), (None, &new), &grants());
        let added = |text: &str| Change::Added(text.to_owned());
        let removed = |text: &str| Change::Removed(text.to_owned());
        let changed = |what: &str, from: &str, to: &str| Change::Changed {
            what: what.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        assert_eq!(diff.interfaces, [added("postgres/query"), removed("postgres/sessions")]);
        assert_eq!(
            diff.capabilities,
            [
                removed("postgres/inspect on {target}: needs it: to look"),
                changed("postgres/query on {target}", "would like it: to look", "needs it: to look"),
            ]
        );
        assert_eq!(
            diff.params,
            [
                added("limit: {\"default\":5}"),
                removed("age: {\"type\":\"integer\"}"),
                changed("target", "{\"type\":\"string\"}", "required, {\"type\":\"string\"}"),
            ]
        );
        assert_eq!(diff.facts, [changed("title", "Outbox", "The outbox")]);
        assert_eq!(diff.not_granted, ["postgres"]);
        assert_eq!((diff.from.size, diff.to.size, diff.to.name()), (3, 4, Digest::of(b"new!").to_string()));
        assert!(diff.undescribed.is_empty() && !diff.is_empty());
    }

    #[test]
    fn a_version_that_could_not_be_asked_is_compared_by_its_imports_alone() {
        let old = arrival(b"old", &["inspect"], Some(metadata("Outbox", "{}", Vec::new())));
        let new = arrival(b"new", &["inspect", "query"], None);
        let diff = Diff::between((None, &old), (Some(semver::Version::new(0, 2, 0)), &new), &grants());
        assert_eq!(diff.interfaces, [Change::Added("postgres/query".to_owned())]);
        assert_eq!(diff.undescribed, ["0.2.0"]);
        assert!(diff.capabilities.is_empty() && diff.params.is_empty() && diff.facts.is_empty());
    }

    #[test]
    fn a_version_is_no_different_from_itself() {
        let one = arrival(b"one", &["inspect"], Some(metadata("Outbox", "no schema", Vec::new())));
        assert!(Diff::between((None, &one), (None, &one), &grants()).is_empty());
    }
}
