//! Why a component does not become a plugin that can run: one reason for each step, in its own words.

use std::path::PathBuf;

use super::{Source, signing::SignatureError};
use crate::domain::{Digest, Interface, PluginName};
use crate::engine::LoadError;
use crate::host::ImportsError;

/// The steps on the way in, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Getting at the bytes.
    Read,
    /// Their number.
    Size,
    /// Taking gzip off.
    Decompress,
    /// Comparing with what the sender meant to send.
    Digest,
    /// Whose it is.
    Signature,
    /// What it imports, beside its grants.
    Imports,
    /// Compiling and linking.
    Compile,
    /// Asking it what it is.
    Describe,
    /// Its name, version and kind.
    Identity,
    /// What it asks for, beside its grants.
    Grants,
    /// The schema of its parameters, and the defaults of the configuration.
    Schema,
    /// Anything that is our fault.
    Internal,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Read,
        Self::Size,
        Self::Decompress,
        Self::Digest,
        Self::Signature,
        Self::Imports,
        Self::Compile,
        Self::Describe,
        Self::Identity,
        Self::Grants,
        Self::Schema,
        Self::Internal,
    ];

    /// Word for JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Size => "size",
            Self::Decompress => "decompress",
            Self::Digest => "digest",
            Self::Signature => "signature",
            Self::Imports => "imports",
            Self::Compile => "compile",
            Self::Describe => "describe",
            Self::Identity => "identity",
            Self::Grants => "grants",
            Self::Schema => "schema",
            Self::Internal => "internal",
        }
    }
}

/// Why a plugin cannot run, or a version of it was refused.
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
    /// Two files could be meant.
    #[error("there are both `{name}.wasm` and `{name}.wasm.gz`; leave one of them")]
    Ambiguous {
        /// The plugin.
        name: PluginName,
    },
    /// The component that was kept is gone.
    #[error("the component {digest} is not in the store any more")]
    Gone {
        /// Its digest.
        digest: Digest,
    },
    /// It is too large.
    #[error("it has more than {limit} bytes, which is the limit (`intake.max_component`)")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// What says that it is compressed is not.
    #[error("it cannot be decompressed as gzip")]
    NotGzip(#[source] std::io::Error),
    /// What arrived is not what was sent.
    #[error("what arrived has the digest {found}, and {declared} was announced; send it again")]
    OtherDigest {
        /// The announced one.
        declared: Digest,
        /// The one that it has.
        found: Digest,
    },
    /// It is not signed as it has to be.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is signed as another version.
    #[error("its signature is for version {signed}, and it calls itself {described}")]
    SignedAs {
        /// The version in the trusted comment.
        signed: semver::Version,
        /// The version in its description.
        described: semver::Version,
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
    /// It is another version than the sender said.
    #[error("it was sent as version {declared} and calls itself {described}")]
    OtherVersion {
        /// The version that the sender named.
        declared: semver::Version,
        /// The version in its description.
        described: semver::Version,
    },
    /// Its version is a long text.
    #[error("its version has {length} bytes; the most is {}", super::intake::MAX_VERSION)]
    LongVersion {
        /// How long it is.
        length: usize,
    },
    /// It says that it is a check, and imports an interface that changes something.
    #[error("it says that it is a check, and imports `{interface}`, with which it could change something")]
    CheckActs {
        /// The interface.
        interface: Interface,
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

    /// The step that it did not pass.
    pub const fn step(&self) -> Step {
        match self {
            Self::Read { .. } | Self::Ambiguous { .. } | Self::Gone { .. } => Step::Read,
            Self::TooLarge { .. } => Step::Size,
            Self::NotGzip(_) => Step::Decompress,
            Self::OtherDigest { .. } => Step::Digest,
            Self::Signature(_) | Self::SignedAs { .. } => Step::Signature,
            Self::Load(LoadError::Imports(_)) => Step::Imports,
            Self::Load(LoadError::Compile(_) | LoadError::Link(_)) => Step::Compile,
            Self::Load(LoadError::Describe(_) | LoadError::Description(_)) => Step::Describe,
            Self::OtherName { .. } | Self::OtherVersion { .. } | Self::LongVersion { .. } | Self::CheckActs { .. } => {
                Step::Identity
            }
            Self::UnknownOperation { .. } | Self::NotGranted { .. } => Step::Grants,
            Self::Schema(_) | Self::Defaults(_) => Step::Schema,
            Self::Internal(_) => Step::Internal,
        }
    }

    /// True when all that is missing is a line of grants: such a version can wait for it.
    pub const fn asks_for_more(&self) -> bool {
        matches!(self, Self::NotGranted { .. } | Self::Load(LoadError::Imports(ImportsError::NotGranted { .. })))
    }

    /// What an operator can do about it, in one sentence.
    pub fn remedy(&self, source: &Source) -> String {
        let bring = match source {
            Source::File(file) => format!("put it at {}", file.display()),
            Source::Folder => "put it into the folder".to_owned(),
            Source::Upload => "push it".to_owned(),
        };
        match self {
            Self::Read { path, .. } => {
                format!("put the component at {}, or correct `source` in the configuration", path.display())
            }
            Self::Ambiguous { .. } => "remove one of the two files".to_owned(),
            Self::Gone { .. } | Self::NotGzip(_) | Self::OtherDigest { .. } => {
                format!("take the component and {bring}")
            }
            Self::Signature(_) | Self::SignedAs { .. } => {
                format!("ask whoever releases the plugin for a component with its signature, and {bring}")
            }
            Self::Load(LoadError::Imports(ImportsError::NotGranted { line, .. })) => format!("add {line}"),
            Self::TooLarge { .. }
            | Self::Load(_)
            | Self::Schema(_)
            | Self::UnknownOperation { .. }
            | Self::OtherVersion { .. }
            | Self::LongVersion { .. } => {
                format!("ask the plugin's author for a component that this agent can load, and {bring}")
            }
            Self::OtherName { described, .. } => format!("name it `{described}` in the configuration"),
            Self::CheckActs { .. } => format!("ask the plugin's author to call it a mitigation, and {bring}"),
            Self::NotGranted { lines } => format!("add {}", lines.join(" and ")),
            Self::Defaults(_) => "correct its `params` in the configuration".to_owned(),
            Self::Internal(_) => "report it with the agent's log".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_word_of_its_own() {
        let mut words: Vec<_> = Step::ALL.iter().map(|step| step.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Step::ALL.len());
        assert!(Step::ALL.is_sorted());
    }

    #[test]
    fn only_a_missing_grant_lets_a_version_wait() {
        let lines = vec!["a line".to_owned()];
        assert!(PluginError::NotGranted { lines }.asks_for_more());
        assert!(!PluginError::UnknownOperation { operation: "postgres/drop".to_owned() }.asks_for_more());
        assert!(!PluginError::TooLarge { limit: 1 }.asks_for_more());
    }
}
