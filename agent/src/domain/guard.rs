//! Guards of changes, beside what is granted: freezes, approvals, and budgets that all plugins share.

use std::fmt;
use std::str::FromStr;

use super::id::InvalidRunId;
use super::sweep::ids;
use super::{Actor, Operation, PluginName, RunId, Target, Timestamp};

ids! {
    /// Identifier of a freeze. Ids sort by the time of creation.
    FreezeId;
}

/// What a freeze is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All changes.
    All,
    /// Those of one target, whoever makes them.
    Target(Target),
    /// Those of one plugin, wherever it makes them.
    Plugin(PluginName),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all changes"),
            Self::Target(target) => write!(f, "changes of {target}"),
            Self::Plugin(plugin) => write!(f, "changes by the plugin `{plugin}`"),
        }
    }
}

/// Nothing is changed for a while, except back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Its id.
    pub id: FreezeId,
    /// What it is about.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who.
    pub creator: Actor,
    /// Since when.
    pub created: Timestamp,
    /// Until when.
    pub expires: Timestamp,
}

impl Freeze {
    /// True when it speaks of a change that `plugin` makes on `target`.
    pub fn covers(&self, plugin: &PluginName, target: &Target) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Target(frozen) => frozen == target,
            Scope::Plugin(frozen) => frozen == plugin,
        }
    }
}

/// Who has frozen what, until when and why.
impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, creator, expires, reason, .. } = self;
        write!(f, "{} has frozen {scope} until {expires}: {reason}", creator.0)
    }
}

/// Somebody has looked at a plan and agrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who.
    pub actor: Actor,
    /// When.
    pub time: Timestamp,
}

/// Whether people who did not ask for a plan have to agree before it is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approvers {
    /// Nobody has to.
    #[default]
    None,
    /// One has to.
    One,
    /// Two have to.
    Two,
}

impl Approvers {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::One, Self::Two];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::One => "one",
            Self::Two => "two",
        }
    }

    /// How many people that are.
    pub const fn count(self) -> u32 {
        match self {
            Self::None => 0,
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// How much all plugins together may touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The target.
    pub target: Target,
    /// What is counted, all of it together.
    pub operations: Vec<Operation>,
    /// Most things that may be touched within an hour.
    pub per_hour: u64,
}

impl Budget {
    /// True when a change with `operation` on `target` counts.
    pub fn counts(&self, operation: Operation, target: &Target) -> bool {
        self.target == *target && self.operations.contains(&operation)
    }
}

/// As an operator writes it.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verbs: Vec<_> = self.operations.iter().map(|operation| operation.verb()).collect();
        let Self { target, per_hour, .. } = self;
        write!(f, "{{ target: {target}, verbs: [{}], per_hour: {per_hour} }}", verbs.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn a_freeze_covers_what_its_scope_names() {
        let (pause, evict): (PluginName, PluginName) = ("queue-pause".parse().unwrap(), "redis-evict".parse().unwrap());
        let (email, cache) = (target("queue/email"), target("redis/cache"));
        for (scope, by_pause, by_evict) in [
            (Scope::All, true, true),
            (Scope::Target(email.clone()), true, false),
            (Scope::Target(target("redis/email")), false, false),
            (Scope::Plugin(evict.clone()), false, true),
        ] {
            let now = Timestamp::from_millis(0);
            let (id, reason, creator) = (FreezeId::new(now), "why".to_owned(), Actor("alice".to_owned()));
            let freeze = Freeze { id, scope, reason, creator, created: now, expires: now };
            assert_eq!(freeze.covers(&pause, &email), by_pause, "{freeze}");
            assert_eq!(freeze.covers(&evict, &cache), by_evict, "{freeze}");
        }
    }

    #[test]
    fn a_budget_reads_as_it_is_written() {
        let operations = vec![Operation::PostgresCancelQuery, Operation::PostgresTerminateSession];
        let budget = Budget { target: target("postgres/main"), operations, per_hour: 20 };
        let written = "{ target: postgres/main, verbs: [cancel-query, terminate-session], per_hour: 20 }";
        assert_eq!(budget.to_string(), written);
        assert!(budget.counts(Operation::PostgresCancelQuery, &target("postgres/main")));
        assert!(!budget.counts(Operation::PostgresCancelQuery, &target("postgres/other")));
        assert!(!budget.counts(Operation::QueuePause, &target("postgres/main")));
    }
}
