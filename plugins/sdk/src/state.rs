//! A small memory that outlives the run, private to the plugin: what was seen last, so that growth can be told.

#[cfg(target_arch = "wasm32")]
use crate::bindings::paramedic::plugin::state as host;
use crate::{Error, Seconds, log};
use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::paramedic::plugin::state::Entry;

/// The value of a key, if there is one.
pub fn get(key: &str) -> Result<Option<Entry>, Error> {
    #[cfg(target_arch = "wasm32")]
    return host::get(key).map_err(Into::into);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::state_get(key)
}

/// Store a value and return its new revision. With `ttl` it disappears after that time.
pub fn put(key: &str, value: &str, ttl: Option<Seconds>) -> Result<u64, Error> {
    #[cfg(target_arch = "wasm32")]
    return host::put(key, value, ttl).map_err(Into::into);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::state_put(key, value, ttl)
}

/// Store a value only if the key still has that revision, or, for 0, only if the key does not exist.
pub fn swap(key: &str, value: &str, revision: u64, ttl: Option<Seconds>) -> Result<u64, Error> {
    #[cfg(target_arch = "wasm32")]
    return host::swap(key, value, revision, ttl).map_err(Into::into);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::state_swap(key, value, revision, ttl)
}

/// Forget a key. Returns whether it existed.
pub fn remove(key: &str) -> Result<bool, Error> {
    #[cfg(target_arch = "wasm32")]
    return host::remove(key).map_err(Into::into);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::state_remove(key)
}

/// Keys that begin with `prefix`, in order.
pub fn keys(prefix: &str) -> Result<Vec<String>, Error> {
    #[cfg(target_arch = "wasm32")]
    return host::keys(prefix).map_err(Into::into);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::state_keys(prefix)
}

/// Remember what was seen and return what the run before remembered. Memory only sharpens a verdict, so its loss is told
/// in the log and otherwise treated as a first run, as is a value that an older version of the plugin wrote.
pub fn exchange<T: Serialize + DeserializeOwned>(key: &str, seen: &T, ttl: Seconds) -> Option<T> {
    let before = get(key).unwrap_or_else(|error| {
        log::warn(&format!("cannot recall {key}: {error}"));
        None
    });
    let stored = serde_json::to_string(seen)
        .map_err(|error| Error::Other(error.to_string()))
        .and_then(|text| put(key, &text, Some(ttl)));
    if let Err(error) = stored {
        log::warn(&format!("cannot remember {key}: {error}"));
    }
    before.and_then(|entry| serde_json::from_str(&entry.value).ok())
}
