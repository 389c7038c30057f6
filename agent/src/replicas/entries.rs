//! How single things are written among what replicas share: as JSON, whose unknown fields an older agent leaves out.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::{CallError, Entries};

/// Something that this agent did not write, or cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry `{key}` of what replicas share cannot be read: take it away if no newer agent wrote it")]
pub(super) struct Unreadable {
    key: String,
}

impl From<Unreadable> for CallError {
    fn from(unreadable: Unreadable) -> Self {
        Self::Conflict(unreadable.to_string())
    }
}

/// The thing of that key, if there is one.
pub(super) fn read<T: DeserializeOwned>(entries: &Entries, key: &str) -> Result<Option<T>, Unreadable> {
    let Some(text) = entries.get(key) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|_| Unreadable { key: key.to_owned() })
}

/// Let that key have this thing.
pub(super) fn write(entries: &mut Entries, key: String, thing: &impl Serialize) {
    // Things here are plain data with names for keys, which always has a form in JSON.
    entries.insert(key, serde_json::to_string(thing).unwrap_or_default());
}
