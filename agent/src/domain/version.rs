//! Versions of a plugin: where a component came from, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Actor, Digest, Interface, Metadata, Timestamp};

/// Which way a component came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The file that the configuration names.
    File,
    /// The watched folder.
    Folder,
    /// The API.
    Upload,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::File, Self::Folder, Self::Upload];

    /// The word in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Upload => "upload",
        }
    }
}

/// What a component is like, for people who compare two of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// The interfaces of the package that it imports, each with the functions that it imports of it.
    pub imports: BTreeMap<Interface, BTreeSet<String>>,
    /// What it says of itself; none for a component that was not asked because its grants lack an interface.
    pub metadata: Option<Metadata>,
}

/// A component that came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// Which way it came in.
    pub origin: Origin,
    /// Who brought it; none for what lay in a file or a folder.
    pub actor: Option<Actor>,
    /// The name of the key that signed it.
    pub signer: Option<String>,
    /// Its signature as it came, to be judged again whenever it is loaded.
    pub signature: Option<String>,
    /// When it came in.
    pub at: Timestamp,
    /// What it is like.
    pub profile: Profile,
}
