//! Words from closed lists. The description lists them all; a reader takes words that it does not know, because a later
//! agent may have more.

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema, openapi::RefOr};

use crate::{catalog, domain, store};

macro_rules! words {
    ($( $name:ident is $description:literal: $from:ty => $all:expr; )+) => { $(
        #[doc = $description]
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The word.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$from> for $name {
            fn from(word: $from) -> Self {
                Self(word.as_str().to_owned())
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = ObjectBuilder::new().schema_type(Type::String).enum_values(Some($all));
                words.description(Some($description)).into()
            }
        }

        impl ToSchema for $name {}
    )+ };
}

words! {
    Status is "Verdict of a run.": domain::Status => domain::Status::ALL.map(domain::Status::as_str);
    RunState is "How far a run has come: under way, its verdict, or why there is none.": store::RunState => store::RunState::ALL.map(store::RunState::as_str);
    Mode is "How changes of a run are treated.": domain::Mode => domain::Mode::ALL.map(domain::Mode::as_str);
    Trigger is "What started a run.": domain::Trigger => domain::Trigger::ALL.map(domain::Trigger::as_str);
    FailureKind is "Why a run came to no conclusion.": domain::FailureKind => domain::FailureKind::ALL.map(domain::FailureKind::as_str);
    LogLevel is "Importance of a log line.": domain::LogLevel => domain::LogLevel::ALL.map(domain::LogLevel::as_str);
    LogSource is "Who wrote a log line, and how.": domain::LogSource
        => domain::LogSource::ALL.map(domain::LogSource::as_str);
    Decision is "What the host decided about a call.": domain::Decision => DECISIONS.map(domain::Decision::as_str);
    Fate is "What became of a change.": &domain::Fate => domain::Fate::LABELS;
    LeaseState is "How a lease stands.": domain::LeaseState => domain::LeaseState::ALL.map(domain::LeaseState::as_str);
    HelpVerdict is "Whether an apply helped.": domain::Helped => domain::Helped::ALL.map(domain::Helped::as_str);
    PluginKind is "What a plugin is for.": domain::Kind => domain::Kind::ALL.map(domain::Kind::as_str);
    Risk is "How much harm a plugin can do in the wrong situation.": domain::Risk => domain::Risk::ALL.map(domain::Risk::as_str);
    SweepRunState is "How far a run of a sweep has come.": domain::SweepRunState => labels(domain::SweepRunState::ALL, domain::SweepRunState::as_str);
    Reason is "Why the verdict of a check is `unknown`.": domain::Reason => labels(domain::Reason::ALL, domain::Reason::as_str);
    EventKind is "What happened to a sweep.": domain::EventKind => labels(domain::EventKind::ALL, domain::EventKind::as_str);
    Muted is "Why nobody needs to be told.": domain::Muted => labels(domain::Muted::ALL, domain::Muted::as_str);
    PluginState is "Whether a plugin can run.": &catalog::State => PLUGIN_STATES;
    Origin is "Which way a component came in.": domain::Origin => domain::Origin::ALL.map(domain::Origin::as_str);
    Step is "A step on the way in.": catalog::Step => catalog::Step::ALL.map(catalog::Step::as_str);
    Became is "What became of a component that came in.": catalog::Became
        => catalog::Became::ALL.map(catalog::Became::as_str);
}

/// How a version stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionState(String);

impl VersionState {
    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for VersionState {
    fn from(word: &'static str) -> Self {
        Self(word.to_owned())
    }
}

impl PartialSchema for VersionState {
    fn schema() -> RefOr<Schema> {
        let words = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(VERSION_STATES));
        words.description(Some("How a version stands.")).into()
    }
}

impl ToSchema for VersionState {}

const VERSION_STATES: [&str; 4] = ["active", "previous", "kept", "waiting"];

impl PluginState {
    /// A plugin that could run, and is held back.
    pub(super) fn quarantined() -> Self {
        Self("quarantined".to_owned())
    }
}

fn labels<T: Copy>(all: &[T], label: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|word| label(*word)).collect()
}

const DECISIONS: [domain::Decision; 6] = [
    domain::Decision::Permitted,
    domain::Decision::Denied(domain::DenialReason::NotGranted),
    domain::Decision::Denied(domain::DenialReason::OutOfBounds),
    domain::Decision::Denied(domain::DenialReason::NotInPlan),
    domain::Decision::Denied(domain::DenialReason::Frozen),
    domain::Decision::Exhausted,
];

/// The words of `catalog::State`, whose values cannot be listed: each carries what it is about; and that of a quarantine.
const PLUGIN_STATES: [&str; 5] = ["loading", "active", "failed", "absent", "quarantined"];
