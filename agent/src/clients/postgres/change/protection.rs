//! Sessions that are left alone whatever a grant says: those that keep the server itself, its copies and its indexes
//! going, those of whoever could do worse with a signal than lose a query, and the agent's own.
//!
//! The server refuses some of them by itself, but not all: a walsender is a session like any other to
//! `pg_signal_backend`, and ending it stops replication. What cannot be judged is protected as well.

use std::fmt;

use super::super::text;
use super::seen::Seen;
use crate::domain::KeyPattern;

/// Applications whose sessions are protected where the operator names none: copies in the making, log that is shipped,
/// tables that are rewritten, and agents like this one.
pub const PROTECTED: [&str; 8] = [
    "pg_dump",
    "pg_dumpall",
    "pg_basebackup",
    "pg_restore",
    "pg_receivewal",
    "pg_recvlogical",
    "pg_repack",
    "paramedic*",
];

/// Why a session is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// It is no client's.
    BackendType(String),
    /// It is the agent's own.
    Ours,
    /// Its role is a superuser, or was dropped meanwhile, so that nobody knows.
    Superuser,
    /// Its role may replicate the server.
    Replication,
    /// One of the names that the operator protects.
    Application { name: String, pattern: String },
    /// It maintains or changes what the database is made of.
    Maintenance(&'static str),
    /// The server does not tell what it does.
    Untold,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackendType(kind) if kind.is_empty() => f.write_str("the server does not tell what kind it is"),
            Self::BackendType(kind) => write!(f, "it is of the kind `{kind}`, not the session of a client"),
            Self::Ours => f.write_str("it is one of the agent's own"),
            Self::Superuser => f.write_str("its role is a superuser, or does not exist any more"),
            Self::Replication => f.write_str("its role has REPLICATION"),
            Self::Application { name, pattern } => {
                write!(f, "`{name}` matches `{pattern}` in the target's `protected` applications")
            }
            Self::Maintenance(verb) => write!(f, "it runs {verb}, which is maintenance or a change of the schema"),
            Self::Untold => f.write_str("the server does not tell what it does (track_activities is off for it)"),
        }
    }
}

/// The rule that protects `seen`, if one does.
pub(super) fn rule(seen: &Seen, protected: &[KeyPattern]) -> Option<Rule> {
    if seen.backend_type != "client backend" {
        return Some(Rule::BackendType(seen.backend_type.clone()));
    }
    if seen.ours {
        return Some(Rule::Ours);
    }
    if seen.superuser != Some(false) {
        return Some(Rule::Superuser);
    }
    if seen.replication != Some(false) {
        return Some(Rule::Replication);
    }
    if let Some(pattern) = protected.iter().find(|pattern| pattern.matches(seen.application.as_bytes())) {
        return Some(Rule::Application { name: seen.application.clone(), pattern: pattern.as_str().to_owned() });
    }
    work(seen)
}

/// A session that is idle has nothing under way, whatever its last statement was; one whose transaction has failed has
/// nothing to lose.
fn work(seen: &Seen) -> Option<Rule> {
    match seen.state.as_str() {
        "idle" | "idle in transaction (aborted)" => None,
        "active" | "fastpath function call" | "idle in transaction" => {
            text::maintenance(&seen.query).map(Rule::Maintenance)
        }
        // `disabled`, nothing at all while it logs in, and whatever later versions invent.
        _ => Some(Rule::Untold),
    }
}

#[cfg(test)]
mod tests {
    use super::super::seen::tests::ordinary;
    use super::*;

    fn patterns() -> Vec<KeyPattern> {
        PROTECTED.iter().map(|pattern| pattern.parse().unwrap()).collect()
    }

    fn told(seen: Seen) -> Option<String> {
        rule(&seen, &patterns()).map(|rule| rule.to_string())
    }

    #[test]
    fn an_ordinary_session_is_not_protected_and_each_rule_has_words_of_its_own() {
        assert_eq!(told(ordinary()), None);
        let query = |query: &str| Seen { query: query.to_owned(), ..ordinary() };
        let named = |name: &str| Seen { application: name.to_owned(), ..ordinary() };
        for (seen, word) in [
            (Seen { backend_type: "walsender".to_owned(), ..ordinary() }, "walsender"),
            (Seen { backend_type: "autovacuum worker".to_owned(), ..ordinary() }, "autovacuum worker"),
            (Seen { backend_type: String::new(), ..ordinary() }, "what kind"),
            (Seen { ours: true, ..ordinary() }, "own"),
            (Seen { superuser: Some(true), ..ordinary() }, "superuser"),
            (Seen { superuser: None, ..ordinary() }, "does not exist any more"),
            (Seen { replication: Some(true), ..ordinary() }, "REPLICATION"),
            (named("pg_dump"), "`pg_dump` matches `pg_dump`"),
            (named("paramedic-two"), "`paramedic*`"),
            (query("create index concurrently on orders (id)"), "CREATE"),
            (query("/* nightly */ -- now\n VACUUM orders"), "VACUUM"),
            (query("BEGIN; ALTER TABLE orders ADD x int"), "ALTER"),
            (Seen { state: "disabled".to_owned(), ..ordinary() }, "track_activities"),
            (Seen { state: String::new(), ..ordinary() }, "track_activities"),
        ] {
            let told = told(seen).unwrap_or_else(|| panic!("nothing protects it by {word}"));
            assert!(told.contains(word), "{told}");
        }
    }

    #[test]
    fn what_a_session_did_last_protects_it_only_while_it_could_be_lost() {
        let altered = |state: &str| Seen {
            query: "ALTER TABLE orders ADD x int".to_owned(),
            state: state.to_owned(),
            ..ordinary()
        };
        assert!(told(altered("idle in transaction")).is_some());
        assert_eq!(told(altered("idle")), None);
        assert_eq!(told(altered("idle in transaction (aborted)")), None);
    }

    #[test]
    fn no_pattern_protects_nobody_by_name() {
        assert_eq!(rule(&Seen { application: "pg_dump".to_owned(), ..ordinary() }, &[]), None);
    }
}
