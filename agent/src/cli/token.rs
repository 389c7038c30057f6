//! `paramedic token`: makes tokens, and the digests by which the agent knows them.
//!
//! Nothing here asks an agent. Whoever makes tokens holds the key of `auth.key`, and puts the entry into the
//! configuration by hand.

use std::io::Read;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};

use super::output;
use crate::clock::Clock;
use crate::config;
use crate::domain::{Role, Secret, ShortKey, Timestamp, TokenKey, names_a_caller};

/// Begins every token that is made here, so that scanners for secrets in the wrong place can know one.
const PREFIX: &str = "pmd_";

/// Longest token that is read, in bytes: more than fits into the head of a request.
const MAX_TOKEN: u64 = 32 << 10;

/// Make tokens for `auth.tokens` of the configuration.
#[derive(Args, Debug)]
pub struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token, and print it with the entry that belongs into the configuration.
    New(New),
    /// Read a token from standard input, and print its digest for the `hmac` of an entry.
    Digest(Key),
}

#[derive(Args, Debug)]
struct New {
    /// Name under which runs are recorded.
    #[arg(long, value_parser = name)]
    name: String,
    /// What the token may do: viewer, responder or admin.
    #[arg(long)]
    role: Role,
    /// How long it is good, such as 90d, or until when, such as 2026-12-31T18:00:00Z; without it, until the entry is removed.
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Expiry>,
    #[command(flatten)]
    key: Key,
}

#[derive(Args, Debug)]
struct Key {
    /// File with the key that `auth.key` of the configuration points at.
    #[arg(long, value_name = "FILE", env = "PARAMEDIC_TOKEN_KEY_FILE")]
    key_file: PathBuf,
}

/// When a token stops being good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    After(std::time::Duration),
    At(Timestamp),
}

fn name(text: &str) -> Result<String, &'static str> {
    if names_a_caller(text) { Ok(text.to_owned()) } else { Err("use 1 to 64 letters, digits, `.`, `_`, `@` and `-`") }
}

fn expiry(text: &str) -> Result<Expiry, &'static str> {
    if let Some(length) = config::duration(text) {
        return Ok(Expiry::After(length));
    }
    text.parse()
        .map(Expiry::At)
        .map_err(|_| "expected a length of time such as 90d, or a time such as 2026-12-31T18:00:00Z")
}

/// Why there is no token and no digest.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The key cannot be read.
    #[error("cannot read the key from {}: {source}", path.display())]
    KeyFile {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key is no key.
    #[error("{}: {source}", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: ShortKey,
    },
    /// The time is over before the token begins.
    #[error("--expires: {0} has passed")]
    Expired(Timestamp),
    /// Nothing came in.
    #[error("no token: write one to standard input, such as with `printf %s \"$TOKEN\"`")]
    NoToken,
    /// What came in cannot be sent in a header.
    #[error("a token is one line of visible ASCII; this is none")]
    OddToken,
    /// Standard input failed.
    #[error("cannot read the token: {0}")]
    Input(std::io::Error),
    /// Standard output failed.
    #[error("cannot print the answer: {0}")]
    Output(std::io::Error),
}

impl Token {
    /// Do it, and print what came of it.
    pub(super) fn execute(self, clock: &dyn Clock) -> Result<(), TokenError> {
        let text = match self.what {
            What::New(new) => new.make(clock.now())?,
            What::Digest(key) => digest(&key.read()?, std::io::stdin())?,
        };
        output::print(&mut std::io::stdout().lock(), &text).map_err(TokenError::Output)
    }
}

impl New {
    fn make(&self, now: Timestamp) -> Result<String, TokenError> {
        let key = self.key.read()?;
        let expires = self.expires.map(|expiry| match expiry {
            Expiry::After(length) => now.after(length),
            Expiry::At(time) => time,
        });
        if let Some(past) = expires.filter(|time| *time <= now) {
            return Err(TokenError::Expired(past));
        }
        let token = random();
        let entry = self.entry(expires, &key.digest(token.as_bytes()).hex());
        Ok(format!(
            "# The token of {}. It is shown only now and kept nowhere.\n{token}\n\
             # Its entry in auth.tokens of the agent's configuration.\n{entry}\n",
            self.name
        ))
    }

    /// What could look like a number or a truth stands in quotes.
    fn entry(&self, expires: Option<Timestamp>, digest: &str) -> String {
        let expires = expires.map(|time| format!("expires: \"{time}\", ")).unwrap_or_default();
        format!("- {{ name: \"{}\", role: {}, {expires}hmac: \"{digest}\" }}", self.name, self.role)
    }
}

impl Key {
    fn read(&self) -> Result<TokenKey, TokenError> {
        let path = || self.key_file.clone();
        let secret =
            config::secret_file(&self.key_file).map_err(|source| TokenError::KeyFile { path: path(), source })?;
        TokenKey::new(secret).map_err(|source| TokenError::Key { path: path(), source })
    }
}

/// 256 random bits.
fn random() -> String {
    format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

fn digest(key: &TokenKey, source: impl Read) -> Result<String, TokenError> {
    let mut text = String::new();
    source.take(MAX_TOKEN).read_to_string(&mut text).map_err(TokenError::Input)?;
    // As the client sends it.
    let token = Secret::new(text.trim());
    if token.expose().is_empty() {
        return Err(TokenError::NoToken);
    }
    if !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
        return Err(TokenError::OddToken);
    }
    Ok(key.digest(token.expose().as_bytes()).hex() + "\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const NOW: Timestamp = Timestamp::from_millis(1_772_334_855_926);

    fn new(key_file: &Path, expires: Option<Expiry>) -> New {
        let key = Key { key_file: key_file.to_owned() };
        New { name: "1e5".to_owned(), role: Role::Responder, expires, key }
    }

    fn key_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_token_comes_with_an_entry_that_the_configuration_takes() {
        let file = key_file("0123456789abcdef0123456789abcdef\n");
        let printed = new(file.path(), Some(expiry("90d").unwrap())).make(NOW).unwrap();
        let lines: Vec<_> = printed.lines().collect();
        let [_, token, _, entry] = lines.as_slice() else { panic!("{printed}") };
        assert!(token.starts_with("pmd_") && token.len() == 4 + 43, "{token}");
        let text = format!("auth:\n  key: {{ file: {} }}\n  tokens:\n  {entry}\n", file.path().display());
        let auth = Config::parse(&text, Path::new("paramedic.yaml"), &config::environment).unwrap().auth;
        let found = &auth.tokens[0];
        assert_eq!((found.name.as_str(), found.role), ("1e5", Role::Responder));
        assert_eq!(found.expires, Some(NOW.after(std::time::Duration::from_secs(90 * 24 * 3600))));
        assert_eq!(found.digest, auth.key.unwrap().digest(token.as_bytes()));
        let again = new(file.path(), None).make(NOW).unwrap();
        assert!(!again.contains(token) && !again.contains("expires"), "{again}");
    }

    #[test]
    fn the_digest_of_a_token_does_not_depend_on_the_newline_behind_it() {
        let key = TokenKey::new(Secret::new("0123456789abcdef0123456789abcdef")).unwrap();
        let expected = key.digest(b"s3cret").hex() + "\n";
        for text in ["s3cret", "s3cret\n", " s3cret\r\n"] {
            assert_eq!(digest(&key, text.as_bytes()).unwrap(), expected);
        }
        for (text, expected) in
            [("", "no token"), ("\n", "no token"), ("two\nlines", "a token is one"), ("é", "a token is one")]
        {
            let error = digest(&key, text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_told() {
        let (short, good) = (key_file("short"), key_file(&"k".repeat(32)));
        for (path, expires, expected) in [
            (short.path(), None, "the key has 5 bytes and needs 32 at least"),
            (Path::new("/nowhere/key"), None, "cannot read the key from /nowhere/key: No such file"),
            (
                good.path(),
                Some(expiry("2026-03-01T03:14:15Z").unwrap()),
                "--expires: 2026-03-01T03:14:15.000Z has passed",
            ),
        ] {
            let error = new(path, expires).make(NOW).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(expiry("soon").is_err() && name("al ice").is_err());
    }
}
