//! Who may do what: roles, the digests by which tokens are known, and how often one token may ask.

use std::fmt;
use std::str::FromStr;

use ring::hmac;

use super::{Digest, Secret};

/// What the owner of a token may do. Each role may all that the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at everything and change nothing.
    Viewer,
    /// Run plugins and end runs, too.
    Responder,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Responder, Self::Admin];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such role; choose from viewer, responder, admin")]
pub struct InvalidRole;

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(InvalidRole)
    }
}

/// Least length of the key of [`TokenKey`], in bytes: that of the digest, below which HMAC says its strength goes down.
pub const MIN_KEY_BYTES: usize = 32;

/// The secret behind all digests of tokens.
///
/// A digest without a key can be tried out at home: whoever reads a configuration would hash words until one fits. With
/// the key, which lies elsewhere, there is nothing to try against. A slow hash would also make guessing dear, but it is
/// paid for again with each request, and tokens that the agent makes cannot be guessed anyway.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey(Secret);

/// Why a secret is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key has {bytes} bytes and needs {MIN_KEY_BYTES} at least; `openssl rand -hex 32` makes a good one")]
pub struct ShortKey {
    bytes: usize,
}

impl TokenKey {
    /// Take a secret as the key.
    pub fn new(secret: Secret) -> Result<Self, ShortKey> {
        let bytes = secret.expose().len();
        if bytes < MIN_KEY_BYTES { Err(ShortKey { bytes }) } else { Ok(Self(secret)) }
    }

    /// HMAC-SHA-256 of a token.
    pub fn digest(&self, token: &[u8]) -> Digest {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose().as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(&key, token).as_ref());
        Digest::from_bytes(digest)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// True for what may name the owner of a token: it has to read well in a record and in a header.
pub fn names_a_caller(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._@-".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// How often one token may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests in a minute, over a long time.
    pub per_minute: u32,
    /// Requests at once, after a time of silence.
    pub burst: u32,
}

impl Rate {
    /// Holds where the configuration says nothing: more than a person or a dashboard needs, less than a loop that has
    /// gone wrong.
    pub const DEFAULT: Self = Self { per_minute: 600, burst: 100 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_more_than_the_one_before() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        for bad in ["", "Admin", "root", "viewer "] {
            assert_eq!(bad.parse::<Role>(), Err(InvalidRole), "{bad}");
        }
        let told = InvalidRole.to_string();
        assert!(Role::ALL.iter().all(|role| told.contains(role.as_str())), "{told}");
    }

    #[test]
    fn a_digest_is_that_of_rfc_4231() {
        // Test case 6 has a key that is longer than a block; the others have keys that are too short for us.
        let key = TokenKey(Secret::new("Jefe"));
        let digest = key.digest(b"what do ya want for nothing?");
        assert_eq!(digest.hex(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn a_key_is_long_and_never_shown() {
        let key = |bytes: usize| TokenKey::new(Secret::new("k".repeat(bytes)));
        assert_eq!(key(31).unwrap_err(), ShortKey { bytes: 31 });
        assert!(key(31).unwrap_err().to_string().starts_with("the key has 31 bytes and needs 32 at least"));
        assert_eq!(format!("{:?}", key(32).unwrap()), "[redacted]");
        assert_ne!(key(32).unwrap().digest(b"token"), key(33).unwrap().digest(b"token"));
    }

    #[test]
    fn names_read_well() {
        for good in ["a", "alice@example.org", "ci-2", "ops.night_shift", &"x".repeat(64)] {
            assert!(names_a_caller(good), "{good}");
        }
        for bad in ["", "al ice", "é", "a/b", "a\n", &"x".repeat(65)] {
            assert!(!names_a_caller(bad), "{bad}");
        }
    }
}
