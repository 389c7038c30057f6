//! What tells one file from another.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// What the system keeps beside the bytes of a file: as long as it is the same, so are they, and none has to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMark {
    device: u64,
    number: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for FileMark {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            number: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
