//! Targets: the named things that an operator configured and plugins may be granted.

use std::fmt;
use std::str::FromStr;

use super::id::{InvalidName, invalid_name, is_name};

/// A kind of system behind the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum System {
    /// A Postgres server.
    Postgres,
    /// A Redis server.
    Redis,
    /// A BullMQ or Bull queue.
    Queue,
    /// A web service.
    Http,
    /// A namespace of a Kubernetes cluster.
    Kubernetes,
}

impl System {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Postgres, Self::Redis, Self::Queue, Self::Http, Self::Kubernetes];

    /// The word used in configuration, grants and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Queue => "queue",
            Self::Http => "http",
            Self::Kubernetes => "kubernetes",
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Name of a target within its system; the same shape as a plugin's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetName(String);

impl TargetName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TargetName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(invalid_name(text)) }
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A target with its system, written `postgres/main`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The kind of system.
    pub system: System,
    /// Its name within that kind.
    pub name: TargetName,
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a target is written with its system before it, such as postgres/main or queue/email")]
pub struct InvalidTarget;

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (system, name) = text.split_once('/').ok_or(InvalidTarget)?;
        let system = System::ALL.into_iter().find(|known| known.as_str() == system).ok_or(InvalidTarget)?;
        Ok(Self { system, name: name.parse().map_err(|_| InvalidTarget)? })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.system, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_what_it_writes_and_nothing_else() {
        for good in ["postgres/main", "queue/email", "http/api-2"] {
            assert_eq!(good.parse::<Target>().unwrap().to_string(), good);
        }
        for bad in ["", "main", "postgres", "postgres/", "/main", "mysql/main", "postgres/main/x", "Postgres/main"] {
            assert_eq!(bad.parse::<Target>(), Err(InvalidTarget), "{bad}");
        }
    }
}
