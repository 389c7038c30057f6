//! Sessions grouped by who opened them.

use paramedic_sdk::postgres::Session;
use paramedic_sdk::{Seconds, human};
use std::collections::BTreeMap;

/// Sessions of one application, user and client address.
#[derive(Debug)]
pub(crate) struct Group {
    /// The name that the application gave itself; can be empty.
    pub(crate) application: String,
    pub(crate) user: String,
    pub(crate) client: Option<String>,
    pub(crate) count: u64,
    pub(crate) oldest: Seconds,
    /// What the oldest session did last: often the place in the code that forgot it.
    pub(crate) query: String,
}

pub(crate) fn transaction_age(session: &Session) -> Seconds {
    session.transaction_age.unwrap_or(session.state_age)
}

/// The groups, the largest first.
pub(crate) fn of(sessions: &[Session], age: impl Fn(&Session) -> Seconds) -> Vec<Group> {
    let mut groups = BTreeMap::<_, Group>::new();
    for session in sessions {
        let key = (&session.application, &session.user, &session.client);
        let group = groups.entry(key).or_insert_with(|| Group::empty(session));
        group.count += 1;
        if age(session) >= group.oldest {
            group.oldest = age(session);
            group.query.clone_from(&session.query);
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

impl Group {
    fn empty(session: &Session) -> Self {
        Self {
            application: session.application.clone(),
            user: session.user.clone(),
            client: session.client.clone(),
            count: 0,
            oldest: 0.0,
            query: String::new(),
        }
    }

    pub(crate) fn name(&self) -> String {
        if self.application.is_empty() { "(unnamed)".to_owned() } else { human::shorten(&self.application, 40) }
    }

    pub(crate) fn describe(&self) -> String {
        match &self.client {
            Some(client) => format!("{} (user {}, from {client})", self.name(), self.user),
            None => format!("{} (user {}, local)", self.name(), self.user),
        }
    }
}
