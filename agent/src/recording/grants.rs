//! Lines of grants as they stand in a recording, so that what a new version asks for is judged as it would have been.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{ChangeBounds, Grant, Operation, Quantity, Target};

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Line {
    target: String,
    operations: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<String>,
    per_run: u64,
    per_hour: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    applications: Vec<String>,
    min_age_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<(u64, u64)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    objects: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variables: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<(String, String)>,
}

impl From<&Grant> for Line {
    fn from(grant: &Grant) -> Self {
        let Grant { target, operations, keys, paths, resources, changes } = grant;
        Self {
            target: target.to_string(),
            operations: texts(operations),
            keys: texts(keys),
            paths: texts(paths),
            resources: texts(resources),
            per_run: changes.per_run,
            per_hour: changes.per_hour,
            users: texts(&changes.users),
            applications: texts(&changes.applications),
            min_age_ms: millis(changes.min_age),
            ttl_ms: changes.ttl.map(|(least, most)| (millis(least), millis(most))),
            methods: changes.methods.clone(),
            objects: texts(&changes.objects),
            replicas: changes.replicas,
            variables: texts(&changes.variables),
            images: texts(&changes.images),
            cpu: changes.cpu.map(amounts),
            memory: changes.memory.map(amounts),
        }
    }
}

impl Line {
    /// The line, or what of it cannot be meant.
    pub fn grant(&self) -> Result<Grant, String> {
        let target: Target = self.target.parse().map_err(|_| format!("`{}` is no target", self.target))?;
        let operation = |name: &String| Operation::from_name(name).ok_or_else(|| format!("`{name}` is no operation"));
        Ok(Grant {
            target,
            operations: self.operations.iter().map(operation).collect::<Result<_, _>>()?,
            keys: patterns(&self.keys)?,
            paths: patterns(&self.paths)?,
            resources: patterns(&self.resources)?,
            changes: ChangeBounds {
                per_run: self.per_run,
                per_hour: self.per_hour,
                users: patterns(&self.users)?,
                applications: patterns(&self.applications)?,
                min_age: Duration::from_millis(self.min_age_ms),
                ttl: self.ttl_ms.map(|(least, most)| (Duration::from_millis(least), Duration::from_millis(most))),
                methods: self.methods.clone(),
                objects: patterns(&self.objects)?,
                replicas: self.replicas,
                variables: patterns(&self.variables)?,
                images: patterns(&self.images)?,
                cpu: self.cpu.as_ref().map(range).transpose()?,
                memory: self.memory.as_ref().map(range).transpose()?,
            },
        })
    }
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn amounts((least, most): (Quantity, Quantity)) -> (String, String) {
    (least.to_string(), most.to_string())
}

fn patterns<T: FromStr<Err: Display>>(patterns: &[String]) -> Result<Vec<T>, String> {
    patterns.iter().map(|pattern| pattern.parse().map_err(|error: T::Err| error.to_string())).collect()
}

fn range((least, most): &(String, String)) -> Result<(Quantity, Quantity), String> {
    let amount = |text: &str| text.parse::<Quantity>().map_err(|error| format!("`{text}`: {error}"));
    Ok((amount(least)?, amount(most)?))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
