//! Callers whom a cluster knows: who they are there, and what they may do with plugins.

use std::collections::BTreeMap;

use super::Actor;

/// Begins the name of whoever a cluster knows, so that it is nobody's who has a token: those names hold no `:`.
const PREFIX: &str = "kubernetes:";

/// Longest name that is recorded, in bytes. That of a service account has 337 at most.
const MAX_NAME: usize = 512;

/// Somebody whom a cluster knows, as it describes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The name, such as `system:serviceaccount:shop:oncall`.
    pub username: String,
    /// What tells two apart who had the same name one after the other; may be empty.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Whatever else the cluster's authorizers want to know.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// The name in records; none where it would not read well there, or might pass for another.
    pub fn actor(&self) -> Option<Actor> {
        let is_plain = self.username.bytes().all(|b| b.is_ascii_graphic());
        let fits = (1..=MAX_NAME - PREFIX.len()).contains(&self.username.len());
        (is_plain && fits).then(|| Actor(format!("{PREFIX}{}", self.username)))
    }
}

impl Actor {
    /// The name without where it is known: one name stands for one person, whichever way they come.
    pub fn person(&self) -> &str {
        self.0.strip_prefix(PREFIX).unwrap_or(&self.0)
    }
}

/// What somebody may do with plugins, as a verb of a Role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluginVerb {
    /// Look at plugins and at what became of them.
    Get,
    /// Run a check.
    Run,
    /// List what a mitigation would change.
    Plan,
    /// Have it changed, or given back.
    Apply,
}

impl PluginVerb {
    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Run => "run",
            Self::Plan => "plan",
            Self::Apply => "apply",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::names_a_caller;
    use super::*;

    fn named(username: &str) -> Option<Actor> {
        Identity { username: username.to_owned(), ..Identity::default() }.actor()
    }

    #[test]
    fn nobody_of_a_cluster_has_the_name_of_a_token() {
        for username in ["system:serviceaccount:shop:oncall", "alice", "alice@example.org", &"x".repeat(64)] {
            let actor = named(username).unwrap();
            assert_eq!(actor.0, format!("kubernetes:{username}"));
            assert!(!names_a_caller(&actor.0), "{username}");
            assert_eq!(actor.person(), username);
        }
        assert_eq!(Actor("alice".to_owned()).person(), "alice");
    }

    #[test]
    fn a_name_that_does_not_read_well_is_none() {
        let long = "x".repeat(502);
        for username in ["", "al ice", "a\nb", "a\u{202e}b", "é", "\u{7f}", &long] {
            assert_eq!(named(username), None, "{username:?}");
        }
    }
}
