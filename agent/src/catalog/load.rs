//! From a file to a plugin that can run, step by step.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Entry, Plugin, Surroundings, params};
use crate::domain::{Interface, Kind, Limits, Metadata, Operation, PluginName};
use crate::engine::{Engine, LoadError};
use crate::host::PluginContext;

/// Largest component, in bytes: a Python or JavaScript interpreter with its libraries has 20 MB.
const MAX_COMPONENT: u64 = 32 << 20;

/// How long a schema may take to be compiled and to judge the operator's defaults. References that double with each level
/// take for ever, and the agent is not ready before each plugin was tried.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(5);

/// Why a plugin cannot run.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Its file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Its file is too large.
    #[error("{} has more than {MAX_COMPONENT} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It calls itself something else.
    #[error("it is configured as `{configured}` and calls itself `{described}`")]
    OtherName {
        /// The name in the configuration.
        configured: PluginName,
        /// The name in its description.
        described: PluginName,
    },
    /// It is no check.
    #[error("it is a {}; this agent runs checks", kind.as_str())]
    NotACheck {
        /// What it says it is.
        kind: Kind,
    },
    /// It asks for something that there is not.
    #[error("it asks for `{operation}`, which is not offered to plugins")]
    UnknownOperation {
        /// The request.
        operation: String,
    },
    /// It asks for something that was not granted.
    #[error("its grants lack what it needs; add {}", lines.join(" and "))]
    NotGranted {
        /// The lines to add.
        lines: Vec<String>,
    },
    /// The schema of its parameters is no schema.
    #[error("the schema of its parameters is not usable: {0}")]
    Schema(String),
    /// The operator's defaults do not match the schema.
    #[error("the `params` in the configuration do not match its schema: {0}")]
    Defaults(String),
    /// Its loading ended in a defect of the agent.
    #[error("a defect of the agent while loading it")]
    Internal(#[source] tokio::task::JoinError),
}

impl PluginError {
    /// The message with all its causes, for the log and for people.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }

    /// What an operator can do about it, in one sentence.
    pub fn remedy(&self, file: &Path) -> String {
        let file = file.display();
        match self {
            Self::Read { .. } => format!("put the component at {file}, or correct `source` in the configuration"),
            Self::Load(LoadError::Imports(crate::host::ImportsError::NotGranted { line, .. })) => format!("add {line}"),
            Self::TooLarge { .. } | Self::Load(_) | Self::Schema(_) | Self::UnknownOperation { .. } => {
                format!("ask the plugin's author for a component that this agent can load, and put it at {file}")
            }
            Self::OtherName { described, .. } => format!("name it `{described}` in the configuration"),
            Self::NotACheck { .. } => "remove it from the configuration".to_owned(),
            Self::NotGranted { lines } => format!("add {}", lines.join(" and ")),
            Self::Defaults(_) => "correct its `params` in the configuration".to_owned(),
            Self::Internal(_) => "report it with the agent's log".to_owned(),
        }
    }
}

/// Load the plugin of an entry.
pub(super) async fn plugin(engine: &Engine, surroundings: &Surroundings, entry: &Entry) -> Result<Plugin, PluginError> {
    let component = component(&entry.file).await?;
    let size = component.len();
    let context = Arc::new(PluginContext {
        name: entry.name.clone(),
        settings: entry.settings.clone(),
        memory: surroundings.memory.clone(),
        targets: surroundings.targets.clone(),
        clock: surroundings.clock.clone(),
        io: surroundings.io.clone(),
    });
    let program = engine.load(component, &entry.grants, &entry.name).await?;
    let metadata = engine.describe(&program, context.clone(), &entry.limits).await?;
    let schema: Value =
        serde_json::from_str(&metadata.params_schema).map_err(|error| PluginError::Schema(error.to_string()))?;
    compare(entry, &metadata, &schema)?;
    let (params, schema) = params(schema, entry.defaults.clone()).await?;
    let deadline = entry.limits.deadline.min(metadata.time_limit);
    Ok(Plugin {
        digest: *program.digest(),
        size,
        loaded: surroundings.clock.now(),
        schema,
        program,
        grants: entry.grants.clone(),
        limits: Limits { deadline, ..entry.limits },
        context,
        params,
        metadata,
    })
}

/// The compiled schema, and the schema. Somebody else wrote it, so this may take long or panic, and then it has to be that
/// plugin's misfortune alone.
async fn params(schema: Value, defaults: Map<String, Value>) -> Result<(params::Params, Value), PluginError> {
    let compile = move || params::Params::new(&schema, defaults).map(|params| (params, schema));
    let compiled = tokio::time::timeout(SCHEMA_PATIENCE, tokio::task::spawn_blocking(compile)).await;
    let late = |_| PluginError::Schema(format!("checking takes longer than {} s", SCHEMA_PATIENCE.as_secs()));
    compiled.map_err(late)?.map_err(PluginError::Internal)?
}

async fn component(path: &Path) -> Result<Arc<[u8]>, PluginError> {
    let path = path.to_owned();
    let read = move || {
        let refuse = |source| PluginError::Read { path: path.clone(), source };
        let file = std::fs::File::open(&path).map_err(refuse)?;
        let mut bytes = Vec::new();
        // One byte more than allowed tells that there was more, whatever the file's size was a moment ago.
        file.take(MAX_COMPONENT + 1).read_to_end(&mut bytes).map_err(refuse)?;
        if bytes.len() as u64 > MAX_COMPONENT {
            return Err(PluginError::TooLarge { path: path.clone() });
        }
        Ok(Arc::from(bytes))
    };
    tokio::task::spawn_blocking(read).await.map_err(PluginError::Internal)?
}

/// Compare what a plugin says of itself with what the operator said of it.
fn compare(entry: &Entry, metadata: &Metadata, schema: &Value) -> Result<(), PluginError> {
    if metadata.name != entry.name {
        let (configured, described) = (entry.name.clone(), metadata.name.clone());
        return Err(PluginError::OtherName { configured, described });
    }
    if metadata.kind != Kind::Check {
        return Err(PluginError::NotACheck { kind: metadata.kind });
    }
    let mut lines = Vec::new();
    for request in metadata.capabilities.iter().filter(|request| !request.optional) {
        for operation in requested(&request.operation)? {
            if !entry.grants.covers_operation(operation) {
                lines.push(entry.grants.missing_line(operation, &usual_target(&request.target, entry, schema)));
            }
        }
    }
    if lines.is_empty() { Ok(()) } else { Err(PluginError::NotGranted { lines }) }
}

/// The target that a request means when nobody says otherwise: `{name}` stands for a parameter, which has a default in the
/// configuration or in the schema.
fn usual_target(requested: &str, entry: &Entry, schema: &Value) -> String {
    let Some(parameter) = requested.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return if requested == "*" { "<target>".to_owned() } else { requested.to_owned() };
    };
    let in_schema = || schema.pointer(&format!("/properties/{parameter}/default"));
    let default = entry.defaults.get(parameter).or_else(in_schema).and_then(Value::as_str);
    default.unwrap_or("<target>").to_owned()
}

/// The operations that a request names: one, or with `interface/*` all of it.
fn requested(request: &str) -> Result<Vec<Operation>, PluginError> {
    let unknown = || PluginError::UnknownOperation { operation: request.to_owned() };
    let (interface, function) = request.split_once('/').ok_or_else(unknown)?;
    let interface = Interface::from_name(interface).ok_or_else(unknown)?;
    if interface.system().is_none() {
        return Ok(Vec::new());
    }
    let operations: Vec<_> = Operation::ALL
        .iter()
        .copied()
        .filter(|operation| operation.interface() == interface && (function == "*" || operation.verb() == function))
        .collect();
    if operations.is_empty() { Err(unknown()) } else { Ok(operations) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_one_operation_or_all_of_an_interface() {
        assert_eq!(requested("postgres/query").unwrap(), [Operation::PostgresQuery]);
        assert_eq!(requested("queue/*").unwrap(), [Operation::QueueInspect, Operation::QueueListFailures]);
        assert!(requested("log/*").unwrap().is_empty());
        for unknown in ["postgres", "postgres/", "postgres/drop", "postgres-actions/promote", "*/*", ""] {
            assert!(matches!(requested(unknown), Err(PluginError::UnknownOperation { .. })), "{unknown}");
        }
    }
}
