//! The recording of a run: everything that its guest was told, so that it can be run again where there is nothing to reach.
//!
//! ```text
//!  a run ─► Reel, which takes down ─► Taped ─► Recording ─► JSON, gzip ─► the store, a file
//!                                                                             │
//!  a replay ◄─ Reel, which plays and takes down again ◄─ Recording ◄──────────┘
//! ```
//!
//! Owns the form of the document, its bounds, and the rule by which a call finds its answer. Does not know how a run is run.
//! What stands in a recording is data of the targets; credentials are not, because guests never see them.

mod answer;
mod call;
mod dials;
mod ending;
mod file;
mod form;
mod grants;
mod reel;
mod source;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use answer::{Answer, Refused};
pub use call::Call;
pub use dials::{Dial, Dials, Readings};
pub use ending::ending;
pub use file::{Packed, RecordingError, pack, read, unpack};
pub use grants::Line;
pub use reel::{Played, Reel, Taped};

use crate::domain::{Digest, Grant, Label, Limits, Mode, PluginName, Run, RunId, Timestamp};
use form::text;

/// The form of the document. Another one is refused by name.
pub const FORMAT: u32 = 1;

/// Most bytes of JSON that are taken down of one run. A run beyond it keeps its end, and none of its calls.
pub const MAX_BYTES: usize = 4 << 20;

/// What a guest was told, and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// [`FORMAT`].
    pub format: u32,
    /// The run.
    #[serde(with = "text")]
    pub run: RunId,
    /// Its plugin.
    #[serde(with = "text")]
    pub plugin: PluginName,
    /// Which version of it.
    pub version: String,
    /// Which component exactly.
    #[serde(with = "text")]
    pub component: Digest,
    /// How changes were treated.
    #[serde(with = "form::mode")]
    pub mode: Mode,
    /// What started it, a word.
    pub trigger: String,
    /// When it began, in milliseconds since 1970.
    pub started: u64,
    /// The parameters as the guest got them.
    pub params: Value,
    /// What it could use.
    #[serde(with = "form::limits")]
    pub limits: Limits,
    /// What it was granted.
    pub grants: Vec<Line>,
    /// What the `config` interface answers.
    pub settings: BTreeMap<String, String>,
    /// Where its random numbers began.
    pub seed: String,
    /// What its clocks showed.
    pub clocks: BTreeMap<String, Readings>,
    /// Its calls in order; none where it was cut.
    pub calls: Vec<Call>,
    /// True where there was more than fits into a recording.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Its outcome, or the failure that it ended with.
    pub ending: Value,
}

/// What is known of a run beside what was taken down.
pub struct Circumstances<'a> {
    /// What it could use.
    pub limits: Limits,
    /// What it was granted.
    pub grants: &'a [Grant],
    /// What the `config` interface answers.
    pub settings: &'a [Label],
}

impl Recording {
    /// The recording of a run that is over.
    pub fn of(run: &Run, around: &Circumstances<'_>, taped: Taped) -> Self {
        let Taped { seed, clocks, calls, cut, .. } = taped;
        let setting = |label: &Label| (label.name.clone(), label.value.clone());
        Self {
            format: FORMAT,
            run: run.id,
            plugin: run.plugin.clone(),
            version: run.version.clone(),
            component: run.digest,
            mode: run.mode,
            trigger: run.trigger.as_str().to_owned(),
            started: run.started.as_millis(),
            // They were validated, so that they can be read.
            params: serde_json::from_str(&run.params).unwrap_or_default(),
            limits: around.limits,
            grants: around.grants.iter().map(Line::from).collect(),
            settings: around.settings.iter().map(setting).collect(),
            seed,
            clocks,
            calls,
            cut,
            ending: run.ending.as_ref().map(ending).unwrap_or_default(),
        }
    }

    /// When the run began.
    pub const fn started(&self) -> Timestamp {
        Timestamp::from_millis(self.started)
    }
}

#[cfg(test)]
mod tests;
