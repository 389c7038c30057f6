//! `intake`, `signing` and `quarantine`: how new versions of plugins come in, whose they must be, and when a plugin is
//! held back.

use std::path::PathBuf;
use std::time::Duration;

use minisign_verify::PublicKey;

use super::choices::choose_from;
use super::field::{Field, Mapping};
use super::report::quoted;
use super::sources::Sources;

/// `intake`: how new versions come in, and how many are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intake {
    /// The watched folder of plugins whose `source` is `folder`.
    pub folder: Option<PathBuf>,
    /// Largest component, in bytes.
    pub max_component_bytes: u64,
    /// Most versions of one plugin.
    pub keep: usize,
    /// Most bytes of the components of one plugin.
    pub keep_bytes: u64,
}

/// `signing`: whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The keys, by the names that the operator gave them.
    pub keys: Vec<SigningKey>,
    /// True when every plugin needs a signature.
    pub required: bool,
}

/// One entry of `signing.keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// Its name.
    pub name: String,
    /// The public key of minisign.
    pub key: PublicKey,
}

/// `quarantine`: when a plugin that keeps failing is held back, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Runs in a row that end by a fault of the plugin.
    pub faults: u32,
    /// How long it is held back the first time; each further time is twice as long.
    pub first: Duration,
    /// How long it is held back at most.
    pub longest: Duration,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Most keys. Each is tried for every signature.
const MAX_KEYS: usize = 32;

impl Intake {
    /// Read `intake`.
    pub(super) fn read(root: &Mapping<'_>, sources: &Sources<'_>) -> Option<Self> {
        let intake = root.section("intake", &["folder", "max_component", "keep", "keep_size"])?;
        let folder = intake.or("folder", None, |field| sources.path(field).map(Some));
        let max_component = intake.or("max_component", 32 * MIB, |field| field.size(KIB..=32 * MIB));
        let keep = intake.or("keep", 10, |field| field.whole(2..=100));
        let keep_size = intake.or("keep_size", 256 * MIB, |field| field.size(MIB..=16 << 30));
        Some(Self { folder: folder?, max_component_bytes: max_component?, keep: keep?, keep_bytes: keep_size? })
    }
}

impl Signing {
    /// Read `signing`.
    pub(super) fn read(root: &Mapping<'_>) -> Option<Self> {
        let signing = root.section("signing", &["keys", "required"])?;
        let keys = signing.or("keys", Vec::new(), keys);
        let required = signing.or("required", false, |field| {
            let required = field.boolean()?;
            // Keys that are wrong are told where they stand.
            if required && keys.as_ref().is_some_and(Vec::is_empty) {
                return field.refuse("a signature is required, and `signing.keys` has no key that could be its");
            }
            Some(required)
        });
        Some(Self { keys: keys?, required: required? })
    }

    /// Read `signed_by` of a plugin: names of these keys.
    pub(super) fn names(&self, field: &Field<'_>) -> Option<Vec<String>> {
        let names = field.all(|item| self.name(item))?;
        if names.is_empty() {
            return field.refuse("it names no key; leave it out, or name one of `signing.keys`");
        }
        Some(names)
    }

    fn name(&self, field: &Field<'_>) -> Option<String> {
        let text = field.text()?;
        if self.keys.iter().any(|key| key.name == text) {
            return Some(text.to_owned());
        }
        if self.keys.is_empty() {
            return field.refuse(format!("there is no key {}; `signing.keys` is empty", quoted(text)));
        }
        let choices = choose_from(text, self.keys.iter().map(|key| key.name.as_str()));
        field.refuse(format!("there is no key {}{choices}", quoted(text)))
    }
}

fn keys(field: &Field<'_>) -> Option<Vec<SigningKey>> {
    let entries = field.entries()?;
    if entries.len() > MAX_KEYS {
        return field.refuse(format!("these are {} keys; the most is {MAX_KEYS}", entries.len()));
    }
    let read: Vec<_> = entries
        .iter()
        .map(|entry| {
            let name = entry.name();
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._@-".contains(&b);
            let is_name = (1..=64).contains(&name.len()) && name.bytes().all(plain);
            if !is_name {
                entry.note(format!(
                    "{} is no name for a key: use 1 to 64 letters, digits, `.`, `_`, `@` and `-`",
                    quoted(name)
                ));
            }
            let key = key(&entry.value)?;
            is_name.then(|| SigningKey { name: name.to_owned(), key })
        })
        .collect();
    read.into_iter().collect()
}

/// A secret key that stands here by mistake must not be shown, so no message quotes the value.
fn key(field: &Field<'_>) -> Option<PublicKey> {
    match PublicKey::from_base64(field.text()?) {
        Ok(key) => Some(key),
        Err(_) => field.refuse(
            "this is no public key of minisign; it is the second line of the `.pub` file, 56 characters that begin with `RW`",
        ),
    }
}

impl Quarantine {
    /// Read `quarantine`.
    pub(super) fn read(root: &Mapping<'_>) -> Option<Self> {
        let quarantine = root.section("quarantine", &["faults", "first", "longest"])?;
        let faults = quarantine.or("faults", 5, |field| field.whole(1..=1000));
        let first = quarantine.or("first", Duration::from_secs(60), |field| field.duration(SECOND..=DAY));
        let least = first.unwrap_or(SECOND);
        let default = least.max(Duration::from_secs(60 * 60));
        let longest = quarantine.or("longest", default, |field| field.duration(least..=7 * DAY));
        Some(Self { faults: faults?, first: first?, longest: longest? })
    }
}
