//! Names of revisions: a hash of the template, written in the letters that Kubernetes uses for it.

use serde_json::Value;

const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a template. The same template has the same hash, as it must for a rollback to find its revision.
#[must_use]
pub fn hash(template: &Value) -> String {
    let text = template.to_string();
    // FNV-1a: small, and the same on every machine.
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let letters = hash.to_string();
    let safe = letters.bytes().filter_map(|byte| LETTERS.get(usize::from(byte) % LETTERS.len()));
    safe.copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_has_one_hash() {
        let one = json!({"spec": {"containers": [{"image": "a:1"}]}});
        let other = json!({"spec": {"containers": [{"image": "a:2"}]}});
        assert_eq!(hash(&one), hash(&one.clone()));
        assert_ne!(hash(&one), hash(&other));
    }
}
