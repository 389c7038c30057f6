//! `replicas`: several agents with the same configuration, of which one at a time does what is due.

use std::time::Duration;

use crate::domain::{Digest, Secret, System, TargetName};

use super::field::{Field, Mapping};
use super::names::Names;
use super::report::quoted;
use super::sources::Sources;

/// Others with the same configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// The target in whose namespace they share two objects.
    pub kubernetes: TargetName,
    /// How this one is called.
    pub name: String,
    /// The Lease that says who leads.
    pub lease: String,
    /// The ConfigMap with what they remember together.
    pub state: String,
    /// For how long whoever leads does so without a word of it.
    pub term: Duration,
    /// What values are sealed with that records must not show, so that each replica can put them back: made of a text that all have.
    pub key: SharedKey,
}

/// A key that all replicas have. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedKey(Digest);

impl SharedKey {
    /// The key.
    pub const fn bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Shortest text that a key is made of, in bytes.
const KEY_BYTES: usize = 32;

/// Longest name of an object or a replica.
const NAME_BYTES: usize = 63;

const FORM: &str = "up to 63 lower-case letters, digits, `-` and `.`";

const TERM: Duration = Duration::from_secs(15);

impl Replicas {
    /// Read `replicas`; none where it is left out.
    pub(super) fn read(root: &Mapping<'_>, names: &Names<'_>, sources: &Sources<'_>) -> Option<Option<Self>> {
        root.or("replicas", None, |field| replicas(field, names, sources).map(Some))
    }
}

fn replicas(field: &Field<'_>, names: &Names<'_>, sources: &Sources<'_>) -> Option<Replicas> {
    let replicas = field.mapping(&["kubernetes", "name", "lease", "state", "term", "key"])?;
    let kubernetes = replicas.required("kubernetes", |field| names.target(field, System::Kubernetes));
    let name = replicas.required("name", |field| {
        let text = sources.secret(field)?;
        // It is not shown: what it leads to by mistake may be a secret.
        if !is_name(text.expose()) {
            return field.refuse(format!("what this leads to is no name of a replica: {FORM}"));
        }
        Some(text.expose().to_owned())
    });
    let lease = replicas.or("lease", "paramedic-leader".to_owned(), |field| named(field, field.text()?));
    let state = replicas.or("state", "paramedic-state".to_owned(), |field| named(field, field.text()?));
    let term = replicas.or("term", TERM, |field| whole(field, field.duration(SHORTEST..=LONGEST)?));
    let key = replicas.required("key", |field| key(field, &sources.secret(field)?));
    Some(Replicas { kubernetes: kubernetes?, name: name?, lease: lease?, state: state?, term: term?, key: key? })
}

/// A third of it has to be enough for an API server that is busy.
const SHORTEST: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(300);

/// A Lease counts in seconds.
fn whole(field: &Field<'_>, term: Duration) -> Option<Duration> {
    if term.subsec_nanos() == 0 { Some(term) } else { field.refuse("a term is a whole number of seconds") }
}

fn named(field: &Field<'_>, text: &str) -> Option<String> {
    if is_name(text) {
        return Some(text.to_owned());
    }
    field.refuse(format!("{} is no name of an object: {FORM}", quoted(text)))
}

fn is_name(text: &str) -> bool {
    let is_edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_inner = |b: u8| is_edge(b) || b == b'-' || b == b'.';
    let bytes = text.as_bytes();
    bytes.len() <= NAME_BYTES
        && bytes.first().copied().is_some_and(is_edge)
        && bytes.last().copied().is_some_and(is_edge)
        && bytes.iter().copied().all(is_inner)
}

fn key(field: &Field<'_>, text: &Secret) -> Option<SharedKey> {
    let bytes = text.expose().as_bytes();
    if bytes.len() < KEY_BYTES {
        return field.refuse(format!(
            "the key has {} bytes and needs {KEY_BYTES} at least; `openssl rand -hex 32` makes a good one",
            bytes.len()
        ));
    }
    Some(SharedKey(Digest::of(bytes)))
}
