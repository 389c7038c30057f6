//! Lines of grants as they stand in a recording, so that what a new version asks for is judged as it would have been.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{ChangeBounds, Grant, KeyPattern, Operation, PathPattern, Resource, Target};

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
}

impl From<&Grant> for Line {
    fn from(grant: &Grant) -> Self {
        let Grant { target, operations, keys, paths, resources, changes } = grant;
        let patterns = |patterns: &[KeyPattern]| patterns.iter().map(ToString::to_string).collect();
        Self {
            target: target.to_string(),
            operations: operations.iter().map(ToString::to_string).collect(),
            keys: patterns(keys),
            paths: paths.iter().map(ToString::to_string).collect(),
            resources: resources.iter().map(ToString::to_string).collect(),
            per_run: changes.per_run,
            per_hour: changes.per_hour,
            users: patterns(&changes.users),
            applications: patterns(&changes.applications),
            min_age_ms: millis(changes.min_age),
            ttl_ms: changes.ttl.map(|(least, most)| (millis(least), millis(most))),
            methods: changes.methods.clone(),
        }
    }
}

impl Line {
    /// The line, or what of it cannot be meant.
    pub fn grant(&self) -> Result<Grant, String> {
        let target: Target = self.target.parse().map_err(|_| format!("`{}` is no target", self.target))?;
        let operation = |name: &String| Operation::from_name(name).ok_or_else(|| format!("`{name}` is no operation"));
        let path = |path: &String| path.parse::<PathPattern>().map_err(|error| error.to_string());
        let resource = |resource: &String| resource.parse::<Resource>().map_err(|error| error.to_string());
        Ok(Grant {
            target,
            operations: self.operations.iter().map(operation).collect::<Result<_, _>>()?,
            keys: patterns(&self.keys)?,
            paths: self.paths.iter().map(path).collect::<Result<_, _>>()?,
            resources: self.resources.iter().map(resource).collect::<Result<_, _>>()?,
            changes: ChangeBounds {
                per_run: self.per_run,
                per_hour: self.per_hour,
                users: patterns(&self.users)?,
                applications: patterns(&self.applications)?,
                min_age: Duration::from_millis(self.min_age_ms),
                ttl: self.ttl_ms.map(|(least, most)| (Duration::from_millis(least), Duration::from_millis(most))),
                methods: self.methods.clone(),
            },
        })
    }
}

fn patterns(patterns: &[String]) -> Result<Vec<KeyPattern>, String> {
    patterns.iter().map(|pattern| pattern.parse::<KeyPattern>().map_err(|error| error.to_string())).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
