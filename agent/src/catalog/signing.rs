//! Whose component it is: minisign signatures over the exact bytes, by keys that the operator named.
//!
//! The trusted comment is signed with the bytes and says what they are: `name version`. Without that an old version with
//! a known hole, or another plugin, could be put in the place of a new one with its signature intact.

use minisign_verify::{Error, PublicKey, Signature};

use crate::domain::{PluginName, cut_bytes};

/// Longest signature that is looked at, in bytes; one of minisign has some 300.
pub const MAX_SIGNATURE: usize = 4 << 10;

/// A key that the operator trusts, under the name that they gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// The public key.
    pub key: PublicKey,
}

/// Whose signatures count for one plugin, and whether it needs one. Without a key nothing is asked and nothing is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The keys of which any may have signed.
    pub keys: Vec<Key>,
    /// True when a component without a signature is refused.
    pub required: bool,
}

/// What a signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Name of the key.
    pub signer: String,
    /// The version that was signed.
    pub version: semver::Version,
}

/// Why a signature was refused.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("it is not signed, and has to be by {keys}")]
    Missing {
        /// Who could have signed.
        keys: String,
    },
    /// It is none.
    #[error("its signature is not one of minisign")]
    Malformed(#[source] Error),
    /// It is too long to be one.
    #[error("its signature has more than {MAX_SIGNATURE} bytes, and is none of minisign")]
    TooLong,
    /// It was made with a key that does not count.
    #[error("it is signed with another key than {keys}")]
    OtherKey {
        /// Whose signature would count.
        keys: String,
    },
    /// It was made over other bytes.
    #[error("the signature by {signer} does not fit: the component or its signature was changed")]
    Wrong {
        /// The key.
        signer: String,
    },
    /// It was made in the way of old releases.
    #[error("the signature by {signer} is of an old form; sign with minisign 0.10 or later")]
    OldForm {
        /// The key.
        signer: String,
    },
    /// It does not say what was signed.
    #[error(
        "its signature says `{comment}`; sign it with the trusted comment `{expected}`: minisign -S -t '{expected}'"
    )]
    Comment {
        /// The trusted comment.
        comment: String,
        /// What should stand there.
        expected: String,
    },
}

impl Trust {
    /// Judge the signature of `component`, which is configured as `name`. None when nothing was asked and nothing given.
    pub fn judge(
        &self,
        name: &PluginName,
        component: &[u8],
        signature: Option<&str>,
    ) -> Result<Option<Signed>, SignatureError> {
        match signature {
            None if self.required => Err(SignatureError::Missing { keys: self.names() }),
            // Without a key there is nobody to compare it with.
            Some(signature) if !self.keys.is_empty() => self.verify(name, component, signature).map(Some),
            None | Some(_) => Ok(None),
        }
    }

    fn verify(&self, name: &PluginName, component: &[u8], signature: &str) -> Result<Signed, SignatureError> {
        if signature.len() > MAX_SIGNATURE {
            return Err(SignatureError::TooLong);
        }
        let signature = Signature::decode(signature).map_err(SignatureError::Malformed)?;
        let signer = self.signer(component, &signature)?;
        Ok(Signed { signer: signer.to_owned(), version: signed_version(name, signature.trusted_comment())? })
    }

    /// The name of the key that made the signature.
    fn signer(&self, component: &[u8], signature: &Signature) -> Result<&str, SignatureError> {
        let mut refusal = SignatureError::OtherKey { keys: self.names() };
        for Key { name, key } in &self.keys {
            refusal = match key.verify(component, signature, false) {
                Ok(()) => return Ok(name),
                // The number of a key is 8 bytes that anybody can choose, so another key may have the same.
                Err(Error::UnexpectedKeyId) => refusal,
                Err(Error::UnexpectedAlgorithm | Error::UnsupportedLegacyMode) => {
                    SignatureError::OldForm { signer: name.clone() }
                }
                Err(
                    Error::InvalidEncoding | Error::InvalidSignature | Error::IoError(_) | Error::UnsupportedAlgorithm,
                ) => SignatureError::Wrong { signer: name.clone() },
            };
        }
        Err(refusal)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.keys.iter().map(|key| format!("`{}`", key.name)).collect();
        names.join(" or ")
    }
}

/// The version in a trusted comment of the form `name version`.
fn signed_version(name: &PluginName, comment: &str) -> Result<semver::Version, SignatureError> {
    let parts = comment.split_once(' ').filter(|(signed, _)| *signed == name.as_str());
    parts.and_then(|(_, version)| version.parse().ok()).ok_or_else(|| SignatureError::Comment {
        comment: cut_bytes(comment, 120).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
        expected: format!("{name} VERSION"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use minisign::KeyPair;

    use super::*;

    const COMPONENT: &[u8] = b"\0asm and so on";

    fn pair() -> KeyPair {
        KeyPair::generate_unencrypted_keypair().unwrap()
    }

    fn sign(pair: &KeyPair, bytes: &[u8], comment: &str) -> String {
        minisign::sign(None, &pair.sk, Cursor::new(bytes), Some(comment), None).unwrap().into_string()
    }

    fn trust(pairs: &[(&str, &KeyPair)], required: bool) -> Trust {
        let key = |(name, pair): &(&str, &KeyPair)| Key {
            name: (*name).to_owned(),
            key: PublicKey::from_base64(&pair.pk.to_base64()).unwrap(),
        };
        Trust { keys: pairs.iter().map(key).collect(), required }
    }

    fn name() -> PluginName {
        "pg-outbox".parse().unwrap()
    }

    fn refusal(trust: &Trust, signature: Option<&str>) -> String {
        trust.judge(&name(), COMPONENT, signature).unwrap_err().to_string()
    }

    #[test]
    fn a_signature_names_its_signer_and_the_version() {
        let (old, new) = (pair(), pair());
        let trust = trust(&[("old", &old), ("new", &new)], true);
        for (pair, signer) in [(&old, "old"), (&new, "new")] {
            let signature = sign(pair, COMPONENT, "pg-outbox 0.2.0-rc.1");
            let signed = trust.judge(&name(), COMPONENT, Some(&signature)).unwrap().unwrap();
            assert_eq!((signed.signer.as_str(), signed.version.to_string().as_str()), (signer, "0.2.0-rc.1"));
        }
    }

    #[test]
    fn each_wrong_signature_is_refused_in_its_own_words() {
        let (release, stranger) = (pair(), pair());
        let trust = trust(&[("release", &release)], false);
        let good = sign(&release, COMPONENT, "pg-outbox 0.1.0");
        let other_bytes = sign(&release, b"\0asm and so off", "pg-outbox 0.1.0");
        let strange = sign(&stranger, COMPONENT, "pg-outbox 0.1.0");
        let other_comment = good.replace("pg-outbox 0.1.0", "pg-outbox 0.2.0");
        let cut = &good[..good.len() / 2];
        let long = good.clone() + &" ".repeat(MAX_SIGNATURE);
        let changed = "the signature by release does not fit: the component or its signature was changed";
        for (signature, expected) in [
            (other_bytes.as_str(), changed),
            (&other_comment, changed),
            (&strange, "it is signed with another key than `release`"),
            (cut, "its signature is not one of minisign"),
            ("", "its signature is not one of minisign"),
            (&long, "its signature has more than 4096 bytes, and is none of minisign"),
        ] {
            assert_eq!(refusal(&trust, Some(signature)), expected);
        }
        assert!(trust.judge(&name(), COMPONENT, Some(&good)).unwrap().is_some());
    }

    #[test]
    fn the_trusted_comment_has_to_be_name_and_version() {
        let release = pair();
        let trust = trust(&[("release", &release)], true);
        for comment in [
            "timestamp:1700000000\tfile:x",
            "pg-outbox",
            "pg-outbox ",
            "pg-outbox one",
            "pg-ready 0.1.0",
            "pg-outbox  0.1.0",
            "pg-outbox 0.1.0 ",
        ] {
            let told = refusal(&trust, Some(&sign(&release, COMPONENT, comment)));
            assert!(told.ends_with("minisign -S -t 'pg-outbox VERSION'") && !told.contains('\t'), "{comment}: {told}");
        }
    }

    #[test]
    fn a_missing_signature_is_refused_only_where_one_is_required() {
        let (release, ops) = (pair(), pair());
        let both = trust(&[("release", &release), ("ops", &ops)], true);
        assert_eq!(refusal(&both, None), "it is not signed, and has to be by `release` or `ops`");
        let relaxed = trust(&[("release", &release)], false);
        assert_eq!(relaxed.judge(&name(), COMPONENT, None).unwrap(), None);
        // Nobody is trusted, so nobody's signature says anything.
        let signature = sign(&release, COMPONENT, "whatever");
        assert_eq!(Trust::default().judge(&name(), COMPONENT, Some(&signature)).unwrap(), None);
    }
}
