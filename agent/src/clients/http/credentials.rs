//! Credentials of a target: the header fields that carry them, and every text by which an echo of them is known.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{InvalidSettings, headers};
use crate::domain::Secret;

/// Shorter texts would be found by accident all over an answer.
const MIN_SECRET_BYTES: usize = 4;

/// Longer ones make the scrubber large; honest tokens stay well below.
const MAX_SECRET_BYTES: usize = 4096;

/// One credential that the host adds to each request.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A header field with its whole value.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value, scheme and all.
        value: Secret,
    },
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// The credentials of one target, ready to be added.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    fields: HeaderMap,
    secrets: Vec<Secret>,
}

impl Credentials {
    /// Check and prepare what the operator configured.
    pub fn new(credentials: Vec<Credential>) -> Result<Self, InvalidSettings> {
        let mut all = Self::default();
        for credential in credentials {
            let (name, value) = credential.field();
            all.add(name, &value)?;
        }
        Ok(all)
    }

    /// The fields, marked as sensitive.
    pub fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The texts that must not come back: whole values, and the parts of them that are secret on their own.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    fn add(&mut self, name: HeaderName, value: &Secret) -> Result<(), InvalidSettings> {
        if headers::frames_the_message(&name) || self.fields.contains_key(&name) {
            return Err(InvalidSettings::CredentialName(name));
        }
        let text = value.expose().trim();
        if !(MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&text.len()) {
            return Err(InvalidSettings::CredentialLength(name));
        }
        let parts = parts_of(&name, text).into_iter().filter(|part| part.len() >= MIN_SECRET_BYTES);
        self.secrets.extend(parts.map(Secret::new));
        let mut field = HeaderValue::from_str(text).map_err(|_| InvalidSettings::CredentialValue(name.clone()))?;
        field.set_sensitive(true);
        self.fields.insert(name, field);
        Ok(())
    }
}

impl Credential {
    fn field(self) -> (HeaderName, Secret) {
        match self {
            Self::Header { name, value } => (name, value),
            Self::Bearer(token) => (header::AUTHORIZATION, Secret::new(format!("Bearer {}", token.expose()))),
            Self::Basic { user, password } => {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
                (header::AUTHORIZATION, Secret::new(format!("Basic {pair}")))
            }
        }
    }
}

/// What of a field's value is secret: all of it, what follows a scheme such as `Bearer`, the user and password of
/// `Basic` and the password alone, and the values of cookies.
fn parts_of(name: &HeaderName, value: &str) -> Vec<String> {
    let mut parts = vec![value.to_owned()];
    if let Some((scheme, token)) = value.split_once(' ') {
        let token = token.trim_start();
        parts.push(token.to_owned());
        let decoded = STANDARD.decode(token).ok().and_then(|pair| String::from_utf8(pair).ok());
        if let Some(pair) = decoded.filter(|_| scheme.eq_ignore_ascii_case("basic")) {
            parts.extend(pair.split_once(':').map(|(_, password)| password.to_owned()));
            parts.push(pair);
        }
    }
    if *name == header::COOKIE {
        let cookies = value.split(';').filter_map(|pair| pair.split_once('='));
        parts.extend(cookies.map(|(_, cookie)| cookie.trim().to_owned()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(credential: Credential) -> Vec<String> {
        let credentials = Credentials::new(vec![credential]).unwrap();
        credentials.secrets().iter().map(|secret| secret.expose().to_owned()).collect()
    }

    #[test]
    fn every_secret_part_of_a_credential_is_known() {
        let bearer = secrets(Credential::Bearer(Secret::new("tok-12345")));
        assert_eq!(bearer, ["Bearer tok-12345", "tok-12345"]);
        let basic = secrets(Credential::Basic { user: "probe".into(), password: Secret::new("hunter2") });
        assert_eq!(basic, ["Basic cHJvYmU6aHVudGVyMg==", "cHJvYmU6aHVudGVyMg==", "hunter2", "probe:hunter2"]);
        let written =
            Credential::Header { name: header::AUTHORIZATION, value: Secret::new("basic cHJvYmU6aHVudGVyMg==") };
        assert!(secrets(written).contains(&"hunter2".to_owned()));
        let cookie = Credential::Header { name: header::COOKIE, value: Secret::new("sid=abcdef; theme=x") };
        assert_eq!(secrets(cookie), ["sid=abcdef; theme=x", "theme=x", "abcdef"]);
    }

    #[test]
    fn credentials_that_cannot_be_sent_or_recognised_are_refused() {
        let header = |name: &'static str, value: &str| Credential::Header {
            name: HeaderName::from_static(name),
            value: Secret::new(value),
        };
        for (credentials, message) in [
            (vec![header("x-key", "abc")], "the credential x-key must have 4 to 4096 bytes"),
            (vec![header("x-key", &"a".repeat(4097))], "the credential x-key must have 4 to 4096 bytes"),
            (vec![header("x-key", "abc\r\nhost: x")], "the credential x-key holds characters that a header cannot"),
            (vec![header("host", "a.example")], "the header host cannot carry a credential, or carries two"),
            (
                vec![header("x-key", "abcdef"), header("x-key", "ghijkl")],
                "the header x-key cannot carry a credential, or carries two",
            ),
        ] {
            assert_eq!(Credentials::new(credentials).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn credentials_do_not_print() {
        let credentials = Credentials::new(vec![Credential::Bearer(Secret::new("hunter2hunter2"))]).unwrap();
        assert!(!format!("{credentials:?}").contains("hunter2"), "{credentials:?}");
    }
}
