//! What a record keeps of values that nobody may read in it: a text under seal, to put it back, and a mark, to tell whether it
//! is still the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use crate::domain::Digest;

/// Length of the key, in bytes.
pub const KEY_BYTES: usize = 32;

/// Seals texts with a key that the records do not hold.
pub struct Seal {
    sealing: LessSafeKey,
    marking: hmac::Key,
}

impl Seal {
    /// With this key. Whoever has it can open what was sealed with it.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        // One key for each purpose, so that a mark tells nothing about a seal.
        let derived = |purpose: &str| Digest::of(&[&key[..], purpose.as_bytes()].concat());
        let sealing = UnboundKey::new(&CHACHA20_POLY1305, derived("seal").as_bytes());
        let sealing = LessSafeKey::new(sealing.expect("a digest is as long as the key"));
        Self { sealing, marking: hmac::Key::new(hmac::HMAC_SHA256, derived("mark").as_bytes()) }
    }

    /// The text under seal, never twice the same.
    pub(super) fn close(&self, text: &str) -> String {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = text.as_bytes().to_vec();
        self.sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .expect("a text that fits into memory is short enough");
        STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat())
    }

    /// The text again; none where it was sealed with another key, or changed since.
    pub(super) fn open(&self, sealed: &str) -> Option<String> {
        let mut bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.sealing.open_in_place(nonce, Aad::empty(), text).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// Eight hexadecimal digits that are the same for the same text, and tell nothing else without the key.
    pub(super) fn mark(&self, text: &str) -> String {
        let tag = hmac::sign(&self.marking, text.as_bytes());
        tag.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_opens_and_marks() {
        let (ours, other) = (Seal::new(&[1; KEY_BYTES]), Seal::new(&[2; KEY_BYTES]));
        let sealed = ours.close("hunter2");
        assert!(!sealed.contains("hunter2") && sealed != ours.close("hunter2"));
        assert_eq!(ours.open(&sealed).as_deref(), Some("hunter2"));
        assert_eq!(other.open(&sealed), None);
        let mut broken = sealed.clone();
        broken.replace_range(30..31, if sealed.as_bytes()[30] == b'A' { "B" } else { "A" });
        for text in [broken.as_str(), "", "A", "no base64!"] {
            assert_eq!(ours.open(text), None, "{text}");
        }
        assert_eq!(ours.mark("hunter2"), ours.mark("hunter2"));
        assert_ne!(ours.mark("hunter2"), ours.mark("hunter3"));
        assert_ne!(ours.mark("hunter2"), other.mark("hunter2"));
    }
}
