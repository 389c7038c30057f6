//! The parameters of a write: dry run, field manager, what becomes of unknown fields.

use crate::failure::{Cause, Failure};
use crate::fields::Writer;
use crate::request::{Request, Target};
use crate::time::Clock;

/// What to do about fields that a type does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// Refuse.
    Strict,
    /// Drop them and say so.
    Warn,
    /// Drop them.
    Ignore,
}

/// The parameters of a write.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the field manager.
    pub manager: String,
    /// Whether nothing is to be stored.
    pub is_dry_run: bool,
    /// What to do about unknown fields.
    pub validation: Validation,
    /// Whether an apply takes over what others own.
    pub is_forced: bool,
}

impl Options {
    /// Reads the parameters; `kind` is the server's name for them.
    pub fn parse(request: &Request, kind: &str) -> Result<Self, Failure> {
        let dry_run: Vec<&str> =
            request.query.iter().filter(|(key, _)| key == "dryRun").map(|(_, value)| value.as_str()).collect();
        if dry_run.iter().any(|value| *value != "All") {
            let cause = Cause::not_supported("dryRun", format!("{dry_run:?}"), "\"All\"");
            return Err(Failure::invalid("meta.k8s.io", kind, "", &[cause]));
        }
        let manager = request.parameter("fieldManager");
        if manager.is_some_and(|name| name.len() > 128) {
            let cause = Cause::invalid("fieldManager", "\"\"", "may not be more than 128 bytes");
            return Err(Failure::invalid("meta.k8s.io", kind, "", &[cause]));
        }
        let validation = match request.parameter("fieldValidation") {
            None | Some("Warn") => Validation::Warn,
            Some("Strict") => Validation::Strict,
            Some("Ignore") => Validation::Ignore,
            Some(other) => {
                let supported = "\"Ignore\", \"Strict\", \"Warn\"";
                let cause = Cause::not_supported("fieldValidation", format!("{other:?}"), supported);
                return Err(Failure::invalid("meta.k8s.io", kind, "", &[cause]));
            }
        };
        // Without a name the server takes the first word of the client's own.
        let agent = request.user_agent.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        Ok(Options {
            manager: manager.unwrap_or(agent).to_owned(),
            is_dry_run: !dry_run.is_empty(),
            validation,
            is_forced: request.flag("force"),
        })
    }

    /// Of a component of the cluster.
    #[must_use]
    pub fn of_component(manager: &str) -> Self {
        let validation = Validation::Ignore;
        Options { manager: manager.to_owned(), is_dry_run: false, validation, is_forced: false }
    }

    /// Who writes, as managedFields name them.
    #[must_use]
    pub fn writer(&self, target: &Target, clock: Clock, applies: bool) -> Writer {
        Writer {
            manager: self.manager.clone(),
            applies,
            api_version: target.resource.api_version(),
            subresource: target.subresource().unwrap_or_default().to_owned(),
            time: clock.seconds(),
        }
    }
}
