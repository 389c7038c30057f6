//! Who may ask an agent of the tests: the section `auth` of its configuration.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::agent::Home;

/// The key of the tokens' digests. It guards nothing: the tokens of tests are in their configuration's neighbourhood.
const KEY: &str = "the key of tests, which guards nothing at all";

/// Name of the key's file within an agent's home.
const KEY_FILE: &str = "token-key";

/// The section `auth` for these owners of tokens: name, role, token. They may ask as often as they like, because tests ask
/// again and again until something has come true.
pub fn auth(home: &Home, owners: &[(&str, &str, &str)]) -> anyhow::Result<Value> {
    home.write(KEY_FILE, KEY)?;
    Ok(section(KEY_FILE, owners))
}

/// The same where the key is already in the file at `path`, by [`key`].
#[must_use]
pub fn section(path: &str, owners: &[(&str, &str, &str)]) -> Value {
    let tokens: Vec<Value> =
        owners.iter().map(|(name, role, token)| json!({ "name": name, "role": role, "hmac": digest(token) })).collect();
    json!({
        "key": { "file": path },
        "rate": { "per_minute": 6_000_000, "burst": 1_000_000 },
        "tokens": tokens,
    })
}

/// The text of the key's file.
#[must_use]
pub const fn key() -> &'static str {
    KEY
}

/// Digest of a token under the key, as 64 hexadecimal digits.
#[must_use]
pub fn digest(token: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(token.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
