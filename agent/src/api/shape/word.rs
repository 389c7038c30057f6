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
    PluginKind is "What a plugin is for.": domain::Kind => KINDS.map(domain::Kind::as_str);
    Risk is "How much harm a plugin can do in the wrong situation.": domain::Risk => RISKS.map(domain::Risk::as_str);
    SweepRunState is "How far a run of a sweep has come.": domain::SweepRunState => labels(domain::SweepRunState::ALL, domain::SweepRunState::as_str);
    Reason is "Why the verdict of a check is `unknown`.": domain::Reason => labels(domain::Reason::ALL, domain::Reason::as_str);
    EventKind is "What happened to a sweep.": domain::EventKind => labels(domain::EventKind::ALL, domain::EventKind::as_str);
    Muted is "Why nobody needs to be told.": domain::Muted => labels(domain::Muted::ALL, domain::Muted::as_str);
    PluginState is "Whether a plugin can run.": &catalog::State => PLUGIN_STATES;
}

fn labels<T: Copy>(all: &[T], label: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|word| label(*word)).collect()
}

const DECISIONS: [domain::Decision; 4] = [
    domain::Decision::Permitted,
    domain::Decision::Denied(domain::DenialReason::NotGranted),
    domain::Decision::Denied(domain::DenialReason::OutOfBounds),
    domain::Decision::Exhausted,
];

const KINDS: [domain::Kind; 3] = [domain::Kind::Check, domain::Kind::Mitigation, domain::Kind::Responder];

const RISKS: [domain::Risk; 3] = [domain::Risk::Low, domain::Risk::Medium, domain::Risk::High];

/// The words of `catalog::State`, whose values cannot be listed: each carries what it is about.
const PLUGIN_STATES: [&str; 3] = ["loading", "active", "failed"];
